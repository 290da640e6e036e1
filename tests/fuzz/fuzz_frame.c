/*
 * Any bytes, cut in any way, give the same events as in one piece; nothing is kept beyond what was
 * received. The first byte chooses the slicing and how payloads are taken.
 */
#include <stdlib.h>
#include <string.h>

#include "p2p/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t magic[4] = { 0xda, 0xb5, 0xbf, 0xfa };

struct trace { struct sha256 hash; size_t steps; };

static void note(struct trace *t, const struct frame *f, enum frame_event ev)
{
    uint8_t tag = (uint8_t)ev;
    if (ev == FRAME_DATA) { /* pieces depend on the slicing, their bytes do not */
        sha256_update(&t->hash, f->data.data, f->data.len);
        return;
    }
    sha256_update(&t->hash, &tag, 1);
    if (ev == FRAME_HEADER)
        sha256_update(&t->hash, f->command, sizeof(f->command));
    if (ev == FRAME_MESSAGE)
        sha256_update(&t->hash, f->data.data, f->data.len);
}

static void run(struct trace *t, const uint8_t *data, size_t size, size_t step, unsigned mode)
{
    struct frame f;
    frame_init(&f, magic);
    sha256_init(&t->hash);
    t->steps = 0;
    for (size_t at = 0; at < size;) {
        size_t n = size - at < step ? size - at : step, done = 0;
        enum frame_event ev = FRAME_MORE;
        do {
            size_t used;
            ev = frame_feed(&f, data + at + done, n - done, &used);
            if (used > n - done || ++t->steps > 8 * size + 8)
                abort(); /* each step must use input or finish something (attacks C9) */
            done += used;
            if (ev != FRAME_MORE)
                note(t, &f, ev);
            if (ev == FRAME_HEADER)
                frame_take(&f, (enum frame_mode)((mode + f.command[0]) % 3));
            if (ev == FRAME_BAD_MAGIC || ev == FRAME_NOMEM)
                goto out;
        } while (ev != FRAME_MORE);
        if (frame_memory(&f) > 4 * size + 4096)
            abort();
        at += n;
    }
out:
    frame_clear(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct trace whole, sliced;
    uint8_t a[32], b[32];
    size_t step = data[0] % 61 + 1;
    run(&whole, data + 1, size - 1, size, data[0] / 61);
    run(&sliced, data + 1, size - 1, step, data[0] / 61);
    sha256_final(&whole.hash, a);
    sha256_final(&sliced.hash, b);
    if (memcmp(a, b, 32) != 0)
        abort();
    return 0;
}
