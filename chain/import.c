/*
 * The import thread: -reindex, then the files of -loadblock. It finds records, puts blocks behind
 * their parents, and hands them to pool jobs like any other source, no faster than they are
 * connected. Blocks of a file need not be in order: one whose parent is unknown is remembered by
 * its place and read again when the parent came.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "chain/import_internal.h"
#include "chain/pow.h"

#define ORPHANS_MAX (1u << 20)
#define ORPHAN_BUCKETS (1u << 16)

struct orphan {
    struct block_hash parent;
    struct record record;
    uint32_t file, next; /* next: index + 1 in the same bucket */
};

struct import_orphans {
    struct siphash_key key;
    struct orphan *list;
    size_t n, cap;
    uint32_t buckets[ORPHAN_BUCKETS]; /* index + 1 */
};

static uint32_t *bucket_of(struct import_orphans *o, const struct block_hash *parent)
{
    return &o->buckets[siphash_32(&o->key, parent->b) % ORPHAN_BUCKETS];
}

void import_forget_orphans(struct import *im)
{
    if (im->orphans)
        free(im->orphans->list);
    free(im->orphans);
    im->orphans = NULL;
}

static void orphan_add(struct import *im, const struct block_hash *parent, uint32_t file,
                       const struct record *r)
{
    if (!im->orphans) {
        im->orphans = xcalloc(1, sizeof(*im->orphans));
        im->orphans->key = (struct siphash_key){ rand_u64(), rand_u64() };
    }
    struct import_orphans *o = im->orphans;
    if (o->n == ORPHANS_MAX)
        return;
    if (o->n == o->cap) {
        o->cap = 2 * o->cap + 64;
        o->list = xrealloc(o->list, o->cap * sizeof(*o->list));
    }
    uint32_t *bucket = bucket_of(o, parent);
    o->list[o->n++] = (struct orphan){ *parent, *r, file, *bucket };
    *bucket = (uint32_t)o->n;
}

/* Takes one record out whose parent this is. Its slot stays empty. */
static bool orphan_take(struct import *im, const struct block_hash *parent, struct orphan *out)
{
    if (!im->orphans)
        return false;
    for (uint32_t *at = bucket_of(im->orphans, parent); *at;
         at = &im->orphans->list[*at - 1].next) {
        struct orphan *o = &im->orphans->list[*at - 1];
        if (!block_hash_equal(&o->parent, parent))
            continue;
        *out = *o;
        *at = o->next;
        return true;
    }
    return false;
}

/* --- flow --- */

static bool too_much_waits(struct import *im, size_t bytes)
{
    struct chain *c = im->chain;
    return im->n_flights > 0 && im->bytes_in_flight + bytes > c->o.block_memory_bytes / 4;
}

/* Blocks that came to memory but not to the chain yet. A branch that never connects must not stop
 * us. */
static void wait_for_chain(struct import *im)
{
    struct chain *c = im->chain;
    struct chain_tip before, now;
    while (atomic_load(&c->received.bytes) > c->received.budget / 2 && !cancelled(&im->stop)) {
        chain_get_tip(c, &before);
        if (!chain_wait_tip(c, 0, &before.hash, 1000, &now))
            return;
    }
}

enum err import_reserve(struct import *im, size_t bytes, const struct header_node *node)
{
    wait_for_chain(im);
    pthread_mutex_lock(&im->lock);
    while (too_much_waits(im, bytes) && !cancelled(&im->stop))
        pthread_cond_wait(&im->done, &im->lock);
    bool go = !cancelled(&im->stop);
    if (go && im->n_flights == im->flights_cap) {
        im->flights_cap = 2 * im->flights_cap + 64;
        im->flights = xrealloc(im->flights, im->flights_cap * sizeof(*im->flights));
    }
    if (go) {
        im->flights[im->n_flights++] = (struct import_flight){ node, bytes };
        im->bytes_in_flight += bytes;
    }
    pthread_mutex_unlock(&im->lock);
    return go ? OK : ERR_CANCELLED;
}

void import_release(struct import *im, const struct header_node *node)
{
    pthread_mutex_lock(&im->lock);
    size_t i = 0;
    while (i < im->n_flights && im->flights[i].node != node)
        i++;
    if (i < im->n_flights) {
        im->bytes_in_flight -= im->flights[i].bytes;
        im->flights[i] = im->flights[--im->n_flights];
        pthread_cond_broadcast(&im->done);
    }
    pthread_mutex_unlock(&im->lock);
}

void import_block_done(struct chain *c, const struct header_node *node)
{
    if (c->import)
        import_release(c->import, node);
}

static void wait_all(struct import *im)
{
    pthread_mutex_lock(&im->lock);
    while (im->n_flights > 0 && !cancelled(&im->stop))
        pthread_cond_wait(&im->done, &im->lock);
    pthread_mutex_unlock(&im->lock);
}

/* --- records --- */

/* Delivers the block of a record whose parent is known. */
static enum err import_one(struct import_file *f, const struct record *r,
                           const struct block_header *h, bool *accepted_header, struct error *e)
{
    size_t accepted;
    struct header_node *node;
    struct verdict v;
    *accepted_header = false;
    enum err rc = chain_accept_headers(f->import->chain, h, NULL, 1, &accepted, &node, &v);
    if (rc == ERR_NOTFOUND)
        return OK;
    if (rc)
        return error_set(e, rc, "a header could not be taken");
    if (!verdict_ok(&v)) {
        log_debug(LOGC_REINDEX, "a block in file %u is refused: %s", f->number, v.reason);
        return OK;
    }
    *accepted_header = true;
    if (!f->deliver || atomic_load(&node->status) & HS_HAVE_DATA)
        return OK;
    f->import->blocks++;
    return f->deliver(f, node, r, e);
}

/* The block, then whatever waited for it. */
static enum err import_with_children(struct import_file *f, const struct record *r,
                                     const struct block_header *h, bool *accepted_header,
                                     struct error *e)
{
    struct block_hash *known = NULL;
    size_t n = 0, cap = 0;
    enum err rc = import_one(f, r, h, accepted_header, e);
    if (!rc && *accepted_header) {
        known = xmalloc(sizeof(*known));
        block_header_hash(&known[n++], h);
        cap = 1;
    }
    while (n > 0 && !rc) {
        struct orphan o;
        bool good = false;
        if (!orphan_take(f->import, &known[n - 1], &o)) {
            n--;
            continue;
        }
        struct block_header child;
        uint32_t number = f->number;
        f->number = o.file;
        rc = f->read_header(f, &o.record, &child, e);
        if (!rc)
            rc = import_one(f, &o.record, &child, &good, e);
        f->number = number;
        if (rc || !good)
            continue;
        if (n == cap) {
            cap *= 2;
            known = xrealloc(known, cap * sizeof(*known));
        }
        block_header_hash(&known[n++], &child);
    }
    free(known);
    return rc;
}

static bool parent_known(struct import *im, const struct block_header *h)
{
    return hash_is_zero(h->prev.b) || header_index_find(im->chain->index, &h->prev);
}

enum err import_scan(struct import_file *f, struct error *e)
{
    struct chain *c = f->import->chain;
    struct record_scan scan;
    struct record r;
    bool found = true;
    enum err rc = record_scan_init(&scan, &f->file, c->params.disk_magic, c->params.wire_magic, e);
    while (!rc && !cancelled(&f->import->stop)) {
        struct block_header h;
        bool good = false;
        rc = record_scan_next(&scan, &r, &found, e);
        if (rc || !found)
            break;
        rc = f->read_header(f, &r, &h, e);
        if (!rc && !parent_known(f->import, &h)) {
            struct block_hash hash;
            block_header_hash(&hash, &h);
            /* A chance match of the magic has no proof of work. */
            good = pow_hash_ok(&c->params, &hash, h.bits);
            if (good)
                orphan_add(f->import, &h.prev, f->number, &r);
        } else if (!rc) {
            rc = import_with_children(f, &r, &h, &good, e);
        }
        if (!good)
            record_scan_refuse(&scan, &r);
    }
    record_scan_clear(&scan);
    return rc;
}

/* --- the thread --- */

struct end_command {
    struct command cmd;
    bool complete;
};

/* Comes behind the results of all blocks in the queue. */
static void run_end(struct chain *c, struct command *cmd, bool is_cancelled)
{
    struct end_command *end = (struct end_command *)(void *)cmd;
    struct error e;
    enum err rc = OK;
    if (!is_cancelled && !c->failed && end->complete && c->reindexing)
        rc = reindex_finished(c, &e);
    if (!is_cancelled)
        atomic_store(&c->importing, false);
    free(end);
    if (rc)
        chain_fatal(c, &e);
}

static void *import_main(void *arg)
{
    struct import *im = (struct import *)arg;
    struct error e = { .code = OK };
    enum err rc = im->reindex ? import_reindex(im, &e) : OK;
    import_forget_orphans(im);
    for (size_t i = 0; i < im->n_load_files && !rc && !cancelled(&im->stop); i++) {
        rc = import_load_file(im, i, &e);
        import_forget_orphans(im);
        if (rc && rc != ERR_CANCELLED) { /* one bad file does not keep others out */
            log_warn("-loadblock: %s", e.text);
            rc = OK;
        }
    }
    if (rc && rc != ERR_CANCELLED)
        log_error("import: %s", e.text);
    wait_all(im);
    struct end_command *end = xcalloc(1, sizeof(*end));
    end->cmd.run = run_end;
    end->complete = !rc && !cancelled(&im->stop);
    if (!chain_push(im->chain, &end->cmd))
        free(end);
    return NULL;
}

void import_start(struct chain *c, const char *const *load_files, bool reindex)
{
    struct import *im = xcalloc(1, sizeof(*im));
    im->chain = c;
    im->reindex = reindex;
    for (; load_files && load_files[im->n_load_files]; im->n_load_files++)
        ;
    im->load_files = xcalloc(im->n_load_files + 1, sizeof(*im->load_files));
    for (size_t i = 0; i < im->n_load_files; i++)
        im->load_files[i] = xstrdup(load_files[i]);
    cancel_init(&im->stop);
    pthread_mutex_init(&im->lock, NULL);
    pthread_cond_init(&im->done, NULL);
    c->import = im;
    atomic_store(&c->importing, true);
    if (pthread_create(&im->thread, NULL, import_main, im)) {
        log_error("cannot start the import thread");
        atomic_store(&c->importing, false);
        im->thread = pthread_self();
    }
}

void import_stop(struct chain *c)
{
    struct import *im = c->import;
    if (!im)
        return;
    pthread_mutex_lock(&im->lock);
    cancel_set(&im->stop);
    pthread_cond_broadcast(&im->done);
    pthread_mutex_unlock(&im->lock);
    if (!pthread_equal(im->thread, pthread_self()))
        pthread_join(im->thread, NULL);
}

void import_free(struct chain *c)
{
    struct import *im = c->import;
    if (!im)
        return;
    for (size_t i = 0; i < im->n_load_files; i++)
        free(im->load_files[i]);
    free(im->load_files);
    free(im->flights);
    import_forget_orphans(im);
    pthread_cond_destroy(&im->done);
    pthread_mutex_destroy(&im->lock);
    free(im);
    c->import = NULL;
}
