#include <config.h>

#include "chain/record_scan.h"

#include <stdlib.h>
#include <string.h>

#include "base/block.h"
#include "base/bytes.h"
#include "base/mem.h"

#define FRAME 8
#define FRAME_LARGE 16 /* length ffffffff and a u64 behind it */

enum err record_scan_init(struct record_scan *s, const struct file *file,
                          const uint8_t disk_magic[4], const uint8_t wire_magic[4], struct error *e)
{
    *s = (struct record_scan){ .file = file };
    memcpy(s->magics[0], disk_magic, 4);
    memcpy(s->magics[1], wire_magic, 4);
    s->buffer = xmalloc(RECORD_SCAN_BUFFER);
    return file_size(file, &s->size, e);
}

void record_scan_clear(struct record_scan *s)
{
    free(s->buffer);
    s->buffer = NULL;
}

/* Makes want bytes at s->at available; *got may be fewer at the end of the file. */
static enum err look(struct record_scan *s, size_t want, const uint8_t **p, size_t *got,
                     struct error *e)
{
    bool inside = s->at >= s->buffer_at && s->at + want <= s->buffer_at + s->buffer_len;
    if (!inside && s->at < s->size) {
        uint64_t left = s->size - s->at;
        size_t n = left < RECORD_SCAN_BUFFER ? (size_t)left : RECORD_SCAN_BUFFER;
        s->buffer_len = 0;
        enum err rc = file_pread(s->file, s->buffer, n, s->at, e);
        if (rc)
            return rc;
        s->buffer_at = s->at;
        s->buffer_len = n;
    }
    bool any = s->at >= s->buffer_at && s->at < s->buffer_at + s->buffer_len;
    *p = any ? s->buffer + (s->at - s->buffer_at) : s->buffer;
    *got = any ? s->buffer_len - (size_t)(s->at - s->buffer_at) : 0;
    return OK;
}

static bool is_magic(const struct record_scan *s, const uint8_t *p)
{
    return memcmp(p, s->magics[0], 4) == 0 || memcmp(p, s->magics[1], 4) == 0;
}

/* Distance to the next byte that may begin a magic. */
static size_t skip(const struct record_scan *s, const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n && p[i] != s->magics[0][0] && p[i] != s->magics[1][0])
        i++;
    return i;
}

static bool read_frame(const struct record_scan *s, const uint8_t *p, size_t got, struct record *r)
{
    if (got < FRAME || !is_magic(s, p))
        return false;
    uint64_t size = le32_get(p + 4), head = FRAME;
    if (size == UINT32_MAX && got >= FRAME_LARGE) {
        size = le64_get(p + 8);
        head = FRAME_LARGE;
    }
    *r = (struct record){ .offset = s->at + head, .size = size };
    return size > BLOCK_HEADER_SIZE && r->offset <= s->size && size <= s->size - r->offset;
}

enum err record_scan_next(struct record_scan *s, struct record *r, bool *found, struct error *e)
{
    *found = false;
    while (s->at + FRAME <= s->size) {
        const uint8_t *p;
        size_t got;
        enum err rc = look(s, FRAME_LARGE, &p, &got, e);
        if (rc)
            return rc;
        size_t n = skip(s, p, got);
        if (n > 0) {
            s->at += n;
        } else if (read_frame(s, p, got, r)) {
            s->at = r->offset + r->size;
            *found = true;
            return OK;
        } else {
            s->at++;
        }
    }
    return OK;
}

void record_scan_refuse(struct record_scan *s, const struct record *r) { s->at = r->offset; }
