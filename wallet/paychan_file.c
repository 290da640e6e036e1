#include "wallet/paychan_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

#define FILE_MAX ((size_t)PAYCHAN_SAVED_MAX * PAYCHAN_SAVED_SIZE + 64)

static enum err parse(struct paychan_file *f, const struct buf *file, const uint8_t magic[4],
                      struct error *e)
{
    struct reader r;
    const enum err rc = state_file_open(&r, file->data, file->len, &paychan_saved_kind, magic, e);
    return rc ? rc : paychan_get_saved(&r, &f->v, &f->n, e);
}

enum err paychan_file_read(struct paychan_file *f, const char *path, const uint8_t magic[4],
                           struct error *e)
{
    struct buf file;
    *f = (struct paychan_file){ .v = NULL };
    buf_init(&file);
    enum err rc = file_read_regular(path, FILE_MAX, &file, e);
    if (!rc && (rc = parse(f, &file, magic, e)))
        error_prefix(e, rc, "this is no sound file of exportchannels for this network");
    buf_clear(&file);
    return rc;
}

enum err paychan_file_write(const struct paychan_file *f, const char *path,
                            const uint8_t magic[4], struct error *e)
{
    struct buf file;
    buf_init(&file);
    state_file_begin(&file, &paychan_saved_kind, magic);
    buf_put_le32(&file, (uint32_t)f->n);
    for (size_t i = 0; i < f->n; i++)
        paychan_put_saved(&file, &f->v[i]);
    state_file_finish(&file);
    const enum err rc = file_replace_checked(path, file.data, file.len, e);
    buf_clear(&file);
    return rc;
}

void paychan_file_clear(struct paychan_file *f)
{
    free(f->v);
    *f = (struct paychan_file){ .v = NULL };
}

static struct paychan_saved *find(const struct paychan_file *f, const uint8_t *id)
{
    for (size_t i = 0; i < f->n; i++)
        if (memcmp(f->v[i].id, id, PAYCHAN_ID_SIZE) == 0)
            return &f->v[i];
    return NULL;
}

bool paychan_file_has(const struct paychan_file *f, const uint8_t id[PAYCHAN_ID_SIZE])
{
    return find(f, id) != NULL;
}

void paychan_file_put(struct paychan_file *f, const struct paychan_saved *s)
{
    struct paychan_saved *place = find(f, s->id);
    if (!place) {
        f->v = xrealloc(f->v, (f->n + 1) * sizeof *f->v);
        place = &f->v[f->n++];
    }
    *place = *s;
}

void paychan_file_remove(struct paychan_file *f, const uint8_t id[PAYCHAN_ID_SIZE])
{
    struct paychan_saved *place = find(f, id);
    if (place)
        *place = f->v[--f->n];
}
