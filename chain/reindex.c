/*
 * -reindex: the index is made anew from what lies in the block files. Blocks stay where they are;
 * each is read, parsed and its Merkle root checked on a pool thread, and its place is reported like
 * that of a block that arrived. A flag in the index tells the next start that this is not finished;
 * blocks that the index knows by then are passed over.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/block_stream.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/import_internal.h"

#define PIECE (4u << 20)

struct reindex_job {
    struct job job;
    struct chain *chain;
    struct intake_result result;
};

enum err reindex_file_infos(const char *dir, struct blockfile_info **infos, size_t *n,
                            struct error *e)
{
    struct blockfile_info *found = NULL;
    size_t n_found = 0;
    enum err rc = blockfiles_list(dir, &found, &n_found, e);
    if (rc)
        return rc;
    /* What an unfinished reindex had written down stays. */
    for (size_t i = 0; i < n_found; i++)
        for (size_t k = 0; k < *n; k++)
            if ((*infos)[k].file == found[i].file) {
                uint64_t size = found[i].data_size;
                found[i] = (*infos)[k];
                found[i].data_size = size;
            }
    free(*infos);
    *infos = found;
    *n = n_found;
    return OK;
}

static enum err parse_small(struct reindex_job *j, struct merkle *m, struct error *e)
{
    struct intake_result *r = &j->result;
    uint8_t *data = (uint8_t *)try_alloc((size_t)r->pos.size, 1);
    if (!data)
        return error_set(e, ERR_NOMEM, "out of memory for a block of %llu bytes",
                         (unsigned long long)r->pos.size);
    enum err rc = blockfiles_read(j->chain->files, &r->pos, 0, data, (size_t)r->pos.size, e);
    if (rc) {
        free(data);
        return rc;
    }
    uint8_t digest[32];
    sha256d(digest, data, (size_t)r->pos.size);
    r->wire_checksum = le32_get(digest);
    struct block_bytes *bytes = block_bytes_new(data, (size_t)r->pos.size);
    struct block_header header;
    size_t extra;
    rc = block_segment_parse(&r->segment, bytes, &header, &extra, e);
    block_bytes_unref(bytes);
    if (rc)
        return rc;
    if (extra > 0)
        return error_set(e, ERR_PARSE, "%zu bytes follow the block", extra);
    for (size_t i = 0; i < r->segment->n_txs; i++)
        merkle_add(m, r->segment->txs[i].id.b);
    r->tx_count = (uint32_t)r->segment->n_txs;
    return OK;
}

static enum err parse_large(struct reindex_job *j, struct merkle *m, struct error *e)
{
    struct intake_result *r = &j->result;
    struct block_stream stream;
    struct sha256 checksum;
    uint8_t digest[32], *piece = xmalloc(PIECE);
    enum err rc = OK;
    block_stream_init(&stream);
    sha256_init(&checksum);
    for (uint64_t at = 0; at < r->pos.size && !rc; at += PIECE) {
        size_t n = r->pos.size - at < PIECE ? (size_t)(r->pos.size - at) : PIECE;
        rc = blockfiles_read(j->chain->files, &r->pos, at, piece, n, e);
        if (!rc)
            sha256_update(&checksum, piece, n);
        if (!rc && block_stream_feed(&stream, piece, n))
            rc = error_set(e, ERR_PARSE, "no block");
    }
    free(piece);
    if (!rc && (!block_stream_done(&stream) || stream.tx_count > UINT32_MAX))
        rc = error_set(e, ERR_PARSE, "the block ends too early");
    *m = stream.merkle;
    r->tx_count = (uint32_t)stream.tx_count;
    sha256d_final(&checksum, digest);
    r->wire_checksum = le32_get(digest);
    return rc;
}

static void reindex_run(struct job *job)
{
    struct reindex_job *j = (struct reindex_job *)(void *)job;
    struct intake_result *r = &j->result;
    struct merkle m;
    bool mutated = false;
    merkle_init(&m);
    bool large = r->pos.size > BLOCKFILE_STREAM_MIN;
    enum err rc = large ? parse_large(j, &m, &r->error) : parse_small(j, &m, &r->error);
    struct hash256 root = merkle_root(&m, &mutated);
    /* A damaged record is no block of ours: it will be downloaded again. */
    if (rc == ERR_PARSE)
        verdict_set_corrupt(&r->verdict, 0, "bad-blk-format");
    else if (rc)
        r->err = rc;
    else if (mutated || memcmp(root.b, r->node->merkle_root.b, 32) != 0)
        verdict_set_corrupt(&r->verdict, 0, "bad-txnmrklroot");
    if (!r->err && verdict_ok(&r->verdict))
        blockfiles_note_block(j->chain->files, r->pos.file, r->node->height);
    chain_block_found(j->chain, r);
    free(j);
}

static enum err deliver(struct import_file *f, struct header_node *node, const struct record *r,
                        struct error *e)
{
    struct chain *c = f->import->chain;
    size_t memory = r->size > BLOCKFILE_STREAM_MIN ? PIECE : (size_t)r->size;
    (void)e;
    enum err rc = import_reserve(f->import, memory, node);
    if (rc)
        return rc;
    struct reindex_job *j = xcalloc(1, sizeof(*j));
    j->job.run = reindex_run;
    j->chain = c;
    j->result.node = node;
    j->result.source = SOURCE_IMPORT;
    j->result.pos = (struct block_pos){ .file = f->number, .offset = r->offset, .size = r->size };
    if (pool_workers(c->pool) > 0)
        pool_submit(c->pool, JOB_CANDIDATE, &j->job);
    else
        reindex_run(&j->job); /* nobody else would, as no one waits for it */
    return OK;
}

static enum err read_header(struct import_file *f, const struct record *r, struct block_header *h,
                            struct error *e)
{
    uint8_t raw[BLOCK_HEADER_SIZE];
    struct reader reader;
    struct block_pos pos = { .file = f->number, .offset = r->offset, .size = r->size };
    enum err rc = blockfiles_read(f->import->chain->files, &pos, 0, raw, sizeof(raw), e);
    if (rc)
        return rc;
    reader_init(&reader, raw, sizeof(raw));
    block_header_read(&reader, h);
    return OK;
}

struct file_numbers {
    uint32_t *numbers;
    size_t n, cap;
};

static void add_number(void *ctx, const struct blockfile_info *info)
{
    struct file_numbers *l = (struct file_numbers *)ctx;
    if (info->pruned)
        return;
    if (l->n == l->cap) {
        l->cap = 2 * l->cap + 64;
        l->numbers = xrealloc(l->numbers, l->cap * sizeof(*l->numbers));
    }
    l->numbers[l->n++] = info->file;
}

enum scan_pass { PASS_HEADERS, PASS_BLOCKS };

static enum err scan_files(struct import *im, const struct file_numbers *files, enum scan_pass pass,
                           struct error *e)
{
    enum err rc = OK;
    for (size_t i = 0; i < files->n && !rc && !cancelled(&im->stop); i++) {
        struct import_file f = { .import = im,
                                 .number = files->numbers[i],
                                 .read_header = read_header,
                                 .deliver = pass == PASS_BLOCKS ? deliver : NULL };
        char *path = blockfiles_path(im->chain->files, "blk", f.number);
        if (pass == PASS_BLOCKS)
            log_info("reindexing %s", path);
        rc = file_open(&f.file, path, FILE_READ, e);
        if (!rc)
            rc = import_scan(&f, e);
        file_close(&f.file);
        free(path);
    }
    import_forget_orphans(im);
    return rc;
}

enum err import_reindex(struct import *im, struct error *e)
{
    struct file_numbers files = { 0 };
    blockfiles_each(im->chain->files, add_number, &files);
    enum err rc = scan_files(im, &files, PASS_HEADERS, e);
    if (!rc)
        rc = scan_files(im, &files, PASS_BLOCKS, e);
    free(files.numbers);
    return rc;
}

enum err reindex_finished(struct chain *c, struct error *e)
{
    struct header_node *genesis = header_index_genesis(c->index);
    enum err rc = OK;
    if (!(atomic_load(&genesis->status) & HS_HAVE_DATA))
        rc = chain_store_genesis(c, genesis, e);
    if (!rc)
        rc = flush_index(c, e);
    return rc ? rc : index_db_set_flag(c->db, "reindexing", false, e);
}
