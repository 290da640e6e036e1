/* -loadblock: records of a file go through the same intake as blocks of a peer. */
#include <config.h>

#include <time.h>

#include "base/log.h"
#include "chain/import_internal.h"

#define PIECE (1u << 20)

static enum err read_header(struct import_file *f, const struct record *r, struct block_header *h,
                            struct error *e)
{
    uint8_t raw[BLOCK_HEADER_SIZE];
    struct reader reader;
    enum err rc = file_pread(&f->file, raw, sizeof(raw), r->offset, e);
    if (rc)
        return rc;
    reader_init(&reader, raw, sizeof(raw));
    block_header_read(&reader, h);
    return OK;
}

/* Feeds a record and leaves the intake to itself; its result comes to the chain thread. */
static enum err feed(struct import_file *f, struct block_intake *in, const struct record *r,
                     struct error *e)
{
    struct buf piece = { 0 };
    enum err rc = OK;
    uint8_t *p = buf_extend(&piece, PIECE);
    for (uint64_t at = 0; at < r->size && !rc;) {
        size_t n = r->size - at < PIECE ? (size_t)(r->size - at) : PIECE;
        rc = file_pread(&f->file, p, n, r->offset + at, e);
        size_t queued = rc ? 0 : intake_feed(in, p, n);
        at += n;
        while (queued > INTAKE_QUEUE_MAX && at < r->size) {
            nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
            queued = intake_feed(in, p, 0);
        }
    }
    if (rc)
        intake_abort(in);
    buf_clear(&piece);
    return rc;
}

static enum err deliver(struct import_file *f, struct header_node *node, const struct record *r,
                        struct error *e)
{
    struct verdict v;
    enum err rc = import_reserve(f->import, (size_t)r->size, node);
    if (rc)
        return rc;
    struct block_intake *in =
        chain_block_begin(f->import->chain, node, r->size, NULL, SOURCE_IMPORT, &v);
    if (!in) {
        if (!verdict_ok(&v))
            log_warn("-loadblock: a block of %llu bytes is above the limit",
                     (unsigned long long)r->size);
        import_release(f->import, node);
        return OK;
    }
    rc = feed(f, in, r, e);
    if (rc)
        import_release(f->import, node);
    return rc;
}

enum err import_load_file(struct import *im, size_t i, struct error *e)
{
    struct import_file f = { .import = im, .number = (uint32_t)i, .read_header = read_header };
    enum err rc = file_open(&f.file, im->load_files[i], FILE_READ, e);
    if (rc)
        return rc;
    log_info("importing blocks of %s", im->load_files[i]);
    uint64_t before = im->blocks;
    rc = import_scan(&f, e);
    import_forget_orphans(im);
    f.deliver = deliver;
    if (!rc)
        rc = import_scan(&f, e);
    log_info("%s: %llu blocks", im->load_files[i], (unsigned long long)(im->blocks - before));
    file_close(&f.file);
    return rc;
}
