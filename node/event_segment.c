#include "node/event_segment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "base/reader.h"

#define HEAD_SIZE 48
#define SUFFIX ".events"
#define DIGITS 20
#define PIECE (256u << 10)

static const uint8_t magic[8] = "BSVPEVTS";

char *event_segment_path(const char *dir, uint64_t first)
{
    return xasprintf("%s/%020" PRIu64 SUFFIX, dir, first);
}

bool event_segment_name(const char *name, uint64_t *first)
{
    char digits[DIGITS + 1];
    if (strlen(name) != DIGITS + strlen(SUFFIX) || strcmp(name + DIGITS, SUFFIX) != 0)
        return false;
    memcpy(digits, name, DIGITS);
    digits[DIGITS] = 0;
    char *end;
    *first = strtoull(digits, &end, 10);
    return *end == 0 && *first > 0;
}

bool event_segment_is_leftover(const char *name)
{
    char whole[DIGITS + sizeof SUFFIX];
    uint64_t first;
    if (strlen(name) < sizeof whole)
        return false;
    memcpy(whole, name, sizeof whole - 1);
    whole[sizeof whole - 1] = 0;
    return event_segment_name(whole, &first);
}

static uint32_t head_checksum(const uint8_t head[HEAD_SIZE])
{
    static const struct siphash_key key = { 0, 0 };
    return (uint32_t)siphash(&key, head, HEAD_SIZE - 4);
}

static void put_head(struct buf *b, const struct event_segment *s)
{
    buf_put(b, magic, sizeof magic);
    buf_put_le32(b, EVENT_SEGMENT_VERSION);
    buf_put(b, s->log_id, sizeof s->log_id);
    buf_put_le64(b, s->first);
    buf_put_le64(b, s->state_size);
    buf_put_le32(b, 0);
    le32_put(b->data + HEAD_SIZE - 4, head_checksum(b->data));
}

enum err event_segment_create(const char *dir, const uint8_t log_id[EVENT_LOG_ID_SIZE],
                              uint64_t first, struct span state, struct event_segment *out,
                              struct error *e)
{
    struct buf b;
    uint8_t digest[32];
    *out = (struct event_segment){ .file = { .fd = -1 }, .first = first, .state_size = state.len,
                                   .records_at = HEAD_SIZE + state.len + sizeof digest };
    memcpy(out->log_id, log_id, sizeof out->log_id);
    buf_init(&b);
    put_head(&b, out);
    buf_put(&b, state.data, state.len);
    sha256d(digest, state.data, state.len);
    buf_put(&b, digest, sizeof digest);
    char *path = event_segment_path(dir, first);
    enum err rc = file_replace(path, b.data, b.len, e);
    if (!rc)
        rc = file_open(&out->file, path, FILE_WRITE, e);
    free(path);
    buf_clear(&b);
    return rc;
}

static enum err damaged(const struct event_segment *s, const char *what, struct error *e)
{
    return error_set(e, ERR_CORRUPT, "%s: %s", s->file.path, what);
}

static enum err read_head(struct event_segment *s, uint64_t first, struct error *e)
{
    uint8_t head[HEAD_SIZE];
    uint64_t size = 0;
    struct reader r;
    enum err rc = file_size(&s->file, &size, e);
    if (!rc && size < HEAD_SIZE + 32)
        return damaged(s, "too short for an event log", e);
    if (!rc)
        rc = file_pread(&s->file, head, sizeof head, 0, e);
    if (rc)
        return rc;
    reader_init(&r, head + sizeof magic, sizeof head - sizeof magic);
    uint32_t version = read_le32(&r);
    read_copy(&r, s->log_id, sizeof s->log_id);
    s->first = read_le64(&r);
    s->state_size = read_le64(&r);
    if (memcmp(head, magic, sizeof magic) != 0)
        return damaged(s, "not an event log", e);
    if (version != EVENT_SEGMENT_VERSION)
        return error_set(e, ERR_RANGE, "%s: version %u of the event log is not known here",
                         s->file.path, version);
    if (head_checksum(head) != read_le32(&r) || s->first != first ||
        s->state_size > size - HEAD_SIZE - 32)
        return damaged(s, "damaged head", e);
    s->records_at = HEAD_SIZE + s->state_size + 32;
    return OK;
}

enum err event_segment_open(const char *dir, uint64_t first, enum file_mode mode,
                            struct event_segment *out, struct error *e)
{
    *out = (struct event_segment){ .file = { .fd = -1 } };
    char *path = event_segment_path(dir, first);
    enum err rc = file_open(&out->file, path, mode, e);
    free(path);
    if (!rc)
        rc = read_head(out, first, e);
    if (rc)
        event_segment_close(out);
    return rc;
}

void event_segment_close(struct event_segment *s) { file_close(&s->file); }

enum err event_segment_state(const struct event_segment *s, struct buf *out, struct error *e)
{
    uint8_t stored[32], digest[32];
    size_t before = out->len;
    if (!buf_try_reserve(out, (size_t)s->state_size))
        return error_set(e, ERR_NOMEM, "%s: no memory for its state", s->file.path);
    uint8_t *state = buf_extend(out, (size_t)s->state_size);
    enum err rc = file_pread(&s->file, state, (size_t)s->state_size, HEAD_SIZE, e);
    if (!rc)
        rc = file_pread(&s->file, stored, sizeof stored, HEAD_SIZE + s->state_size, e);
    sha256d(digest, state, rc ? 0 : (size_t)s->state_size);
    if (!rc && memcmp(stored, digest, sizeof digest) != 0)
        rc = damaged(s, "damaged state", e);
    if (rc)
        out->len = before;
    return rc;
}

/* Records of one piece; *used: bytes of those taken. */
static enum err read_piece(const uint8_t *p, size_t len, size_t *used, uint64_t *next,
                           event_record_fn fn, void *ctx, struct error *e)
{
    struct event_record r;
    size_t n;
    *used = 0;
    while (event_record_read(p + *used, len - *used, &r, &n) == EVENT_READ && r.number == *next) {
        enum err rc = fn(ctx, &r, e);
        if (rc)
            return rc;
        *used += n;
        ++*next;
    }
    return OK;
}

enum err event_segment_read(const struct event_segment *s, uint64_t *offset, uint64_t end,
                            uint64_t *next, event_record_fn fn, void *ctx, struct error *e)
{
    uint8_t *piece = xmalloc(PIECE);
    size_t used = 1;
    enum err rc = OK;
    while (!rc && used && *offset < end) {
        size_t len = (size_t)MIN_OF(end - *offset, (uint64_t)PIECE);
        rc = file_pread(&s->file, piece, len, *offset, e);
        if (!rc) {
            rc = read_piece(piece, len, &used, next, fn, ctx, e);
            *offset += used;
        }
    }
    free(piece);
    return rc;
}
