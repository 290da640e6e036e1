/* frozen.dat with a right checksum and any content: refused and empty, or taken and stable. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/state_file.h"
#include "chain/frozen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t magic[4] = { 0xfa, 0xbf, 0xb5, 0xda };

static bool is_empty(const struct frozen *f)
{
    struct frozen_counts n = frozen_count(f);
    return n.policy + n.consensus + n.confiscation + n.orders == 0;
}

static void check_again(const struct frozen *f)
{
    struct frozen *back = frozen_new();
    struct buf data;
    uint8_t a[32], b[32];
    buf_init(&data);
    frozen_write(&data, f, magic);
    if (frozen_read(back, buf_span(&data), magic, NULL) != OK)
        abort();
    frozen_hash(f, a);
    frozen_hash(back, b);
    if (memcmp(a, b, sizeof a) != 0)
        abort();
    frozen_expire(back, 100);
    frozen_clear_orders(back);
    frozen_clear(back, FROZEN_KEEP_NOTHING);
    if (!is_empty(back))
        abort();
    buf_clear(&data);
    frozen_free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct state_file_kind kind = { "FROZ", 1 };
    struct frozen *f = frozen_new();
    struct buf file;
    buf_init(&file);
    state_file_begin(&file, &kind, magic);
    buf_put(&file, data, size);
    state_file_finish(&file);
    enum err rc = frozen_read(f, buf_span(&file), magic, NULL);
    if (rc == OK)
        check_again(f);
    else if (!is_empty(f))
        abort();
    buf_clear(&file);
    frozen_free(f);
    return 0;
}
