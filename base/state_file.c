#include "base/state_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"

#define TAG_SIZE 4
#define HEAD_SIZE (4 + TAG_SIZE + 4)
#define SUM_SIZE 32

void state_file_begin(struct buf *b, const struct state_file_kind *kind, const uint8_t magic[4])
{
    buf_put(b, magic, 4);
    buf_put(b, kind->tag, TAG_SIZE);
    buf_put_le32(b, kind->version);
}

void state_file_finish(struct buf *b)
{
    uint8_t sum[SUM_SIZE];
    sha256d(sum, b->data, b->len);
    buf_put(b, sum, sizeof sum);
}

enum err state_file_commit(const char *path, struct buf *b, struct error *e)
{
    state_file_finish(b);
    return file_replace(path, b->data, b->len, e);
}

enum err state_file_open(struct reader *r, const void *data, size_t len,
                         const struct state_file_kind *kind, const uint8_t magic[4],
                         struct error *e)
{
    const uint8_t *p = data;
    uint8_t sum[SUM_SIZE];
    if (len < HEAD_SIZE + SUM_SIZE)
        return error_set(e, ERR_CORRUPT, "file is too short");
    if (!mem_equal_var(p, magic, 4))
        return error_set(e, ERR_CORRUPT, "file belongs to another network or program");
    if (!mem_equal_var(p + 4, kind->tag, TAG_SIZE) || le32_get(p + 8) != kind->version)
        return error_set(e, ERR_CORRUPT, "file has an unknown format");
    sha256d(sum, p, len - SUM_SIZE);
    if (!mem_equal_var(sum, p + len - SUM_SIZE, SUM_SIZE))
        return error_set(e, ERR_CORRUPT, "checksum does not match");
    reader_init(r, p + HEAD_SIZE, len - HEAD_SIZE - SUM_SIZE);
    return OK;
}

static enum err set_aside(const char *path, const char *why, struct error *e)
{
    enum err rc = OK;
    char *bad = xasprintf("%s.bad", path);
    if (rename(path, bad) == 0)
        log_warn("%s is not usable (%s): kept as %s, starting without it", path, why, bad);
    else
        rc = error_set_errno(e, errno, "%s is not usable (%s) and cannot be renamed to %s", path,
                             why, bad);
    free(bad);
    return rc;
}

enum err state_file_load(const char *path, size_t limit, state_file_decode_fn decode, void *ctx,
                         struct error *e)
{
    struct buf data;
    struct error why = { OK, "" };
    buf_init(&data);
    enum err rc = file_read_all(path, limit, &data, &why);
    if (rc == OK)
        rc = decode(ctx, data.data, data.len, &why);
    buf_clear(&data);
    if (rc == OK || rc == ERR_NOTFOUND)
        return OK;
    if (rc == ERR_CORRUPT || rc == ERR_RANGE || rc == ERR_PARSE)
        return set_aside(path, why.text, e);
    return error_set(e, rc, "%s", why.text);
}
