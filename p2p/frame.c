#include "p2p/frame.h"

#include <string.h>

#define BASIC_SIZE_MAX UINT32_C(0xffffffff)
#define BODY_KEEP_MAX (64u << 10) /* a larger buffer is given back after its message */

static const char ext_command[] = "extmsg";

void frame_init(struct frame *f, const uint8_t magic[4])
{
    memset(f, 0, sizeof(*f));
    memcpy(f->magic, magic, 4);
    buf_init(&f->body);
}

void frame_clear(struct frame *f)
{
    buf_clear(&f->body);
}

/* spec p2p 1.2: after the first NUL only NULs, before it 0x20-0x7e */
static bool command_is_wellformed(const uint8_t c[FRAME_COMMAND_SIZE])
{
    bool ended = false;
    for (size_t i = 0; i < FRAME_COMMAND_SIZE; i++) {
        if (c[i] == 0)
            ended = true;
        else if (ended || c[i] < 0x20 || c[i] > 0x7e)
            return false;
    }
    return c[0] != 0;
}

static size_t header_need(const struct frame *f)
{
    if (f->head_len < FRAME_HEADER_SIZE)
        return FRAME_HEADER_SIZE;
    /* spec p2p 1.3: recognised by the start of the command alone */
    return memcmp(f->head + 4, ext_command, sizeof(ext_command) - 1) == 0 ? FRAME_EXT_HEADER_SIZE
                                                                           : FRAME_HEADER_SIZE;
}

static void header_parse(struct frame *f)
{
    const uint8_t *h = f->head;
    f->extended = f->head_len == FRAME_EXT_HEADER_SIZE;
    memcpy(f->command, f->extended ? h + 24 : h + 4, FRAME_COMMAND_SIZE);
    f->size = f->extended ? le64_get(h + 36) : le32_get(h + 16);
    memcpy(f->checksum, h + 20, 4);
    f->command_ok = command_is_wellformed(f->command);
    f->received = 0;
    f->state = FRAME_IN_CHOICE;
}

static enum frame_event feed_header(struct frame *f, const uint8_t *in, size_t len, size_t *used)
{
    *used = 0;
    for (size_t need = header_need(f); f->head_len < need; need = header_need(f)) {
        size_t n = need - f->head_len;
        if (n > len - *used)
            n = len - *used;
        if (n == 0)
            return FRAME_MORE;
        memcpy(f->head + f->head_len, in + *used, n);
        f->head_len += n;
        *used += n;
        size_t have = f->head_len < 4 ? f->head_len : 4;
        if (memcmp(f->head, f->magic, have) != 0)
            return FRAME_BAD_MAGIC;
    }
    header_parse(f);
    return FRAME_HEADER;
}

void frame_take(struct frame *f, enum frame_mode mode)
{
    static const uint8_t to_state[] = { [FRAME_COLLECT] = FRAME_IN_COLLECT,
                                        [FRAME_STREAM] = FRAME_IN_STREAM,
                                        [FRAME_SKIP] = FRAME_IN_SKIP };
    f->state = to_state[mode];
    if (mode == FRAME_COLLECT) {
        buf_reset(&f->body);
        sha256_init(&f->hash);
    }
}

static void next_message(struct frame *f)
{
    f->state = FRAME_IN_HEADER;
    f->head_len = 0;
}

static enum frame_event finish_collect(struct frame *f)
{
    sha256d_final(&f->hash, f->digest);
    f->checksum_ok = f->extended || memcmp(f->digest, f->checksum, 4) == 0;
    next_message(f);
    return FRAME_MESSAGE;
}

static enum frame_event feed_collect(struct frame *f, const uint8_t *in, size_t len, size_t *used)
{
    uint64_t left = f->size - f->received;
    size_t n = left < len ? (size_t)left : len;
    *used = n;
    if (n > 0)
        sha256_update(&f->hash, in, n);
    if (n == left && f->received == 0) {
        f->received = n;
        f->data = span_of(in, n);
        return finish_collect(f);
    }
    if (n > 0) {
        if (!buf_try_reserve(&f->body, n))
            return FRAME_NOMEM;
        buf_put(&f->body, in, n);
    }
    f->received += n;
    if (f->received < f->size)
        return FRAME_MORE;
    f->data = buf_span(&f->body);
    return finish_collect(f);
}

static enum frame_event feed_through(struct frame *f, const uint8_t *in, size_t len, size_t *used)
{
    uint64_t left = f->size - f->received;
    size_t n = left < len ? (size_t)left : len;
    *used = n;
    if (left == 0) {
        next_message(f);
        return FRAME_END;
    }
    f->received += n;
    if (n == 0 || (f->state == FRAME_IN_SKIP && n < left))
        return FRAME_MORE;
    if (f->state == FRAME_IN_SKIP) {
        next_message(f);
        return FRAME_END;
    }
    f->data = span_of(in, n);
    return FRAME_DATA;
}

enum frame_event frame_feed(struct frame *f, const uint8_t *in, size_t len, size_t *used)
{
    *used = 0;
    switch (f->state) {
    case FRAME_IN_HEADER:
        if (f->head_len == 0 && f->body.cap > BODY_KEEP_MAX)
            buf_clear(&f->body);
        return feed_header(f, in, len, used);
    case FRAME_IN_CHOICE:
        return FRAME_HEADER;
    case FRAME_IN_COLLECT:
        return feed_collect(f, in, len, used);
    case FRAME_IN_STREAM:
    case FRAME_IN_SKIP:
        return feed_through(f, in, len, used);
    }
    return FRAME_MORE;
}

size_t frame_header_put(uint8_t out[FRAME_EXT_HEADER_SIZE], const uint8_t magic[4],
                        const char *command, uint64_t size, const uint8_t checksum[4])
{
    memset(out, 0, FRAME_EXT_HEADER_SIZE);
    memcpy(out, magic, 4);
    bool extended = size > BASIC_SIZE_MAX;
    uint8_t *name = extended ? out + 24 : out + 4;
    memcpy(name, command, strnlen(command, FRAME_COMMAND_SIZE));
    if (!extended) {
        le32_put(out + 16, (uint32_t)size);
        memcpy(out + 20, checksum, 4);
        return FRAME_HEADER_SIZE;
    }
    memcpy(out + 4, ext_command, sizeof(ext_command) - 1);
    le32_put(out + 16, BASIC_SIZE_MAX);
    le64_put(out + 36, size);
    return FRAME_EXT_HEADER_SIZE;
}

void frame_checksum(uint8_t out[4], const void *payload, size_t len)
{
    uint8_t digest[32];
    sha256d(digest, payload, len);
    memcpy(out, digest, 4);
}
