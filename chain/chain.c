/* Opening, closing, and what any thread may ask. */
#include <config.h>

#include "chain/chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/block_template.h"
#include "chain/chain_internal.h"

#define MIB (UINT64_C(1) << 20)
#define INDEX_CACHE_BYTES (4 * MIB)
#define VERIFY_AT_START_MS 3000 /* checking the last blocks must not make the start long */

static void say(struct chain *c, const char *text)
{
    if (c->h.status)
        c->h.status(c->h.ctx, text);
}

static size_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
    return (size_t)(value < low ? low : value > high ? high : value);
}

/* --- opening --- */

static struct chain *chain_new(const struct chain_options *o, const struct chain_handlers *h)
{
    struct chain *c = xcalloc(1, sizeof(*c));
    c->o = *o;
    c->params = o->params;
    c->data_dir = xstrdup(o->data_dir);
    c->o.data_dir = c->data_dir;
    if (h)
        c->h = *h;
    cancel_init(&c->cancel);
    pthread_mutex_init(&c->lock, NULL);
    clock_cond_init(&c->tip_moved);
    progress_init(&c->progress);
    c->queue = queue_new(0, 0, NULL, NULL);
    c->pool = pool_new(o->workers, "check");
    c->frozen = frozen_new();
    c->frozen_path = path_join(o->data_dir, "frozen.dat");
    c->limits = script_limits_consensus(o->max_stack_memory);
    atomic_init(&c->max_block_size, o->max_block_size);
    c->index = header_index_new(&c->params);
    header_index_use_checkpoints(c->index, o->use_checkpoints);
    received_init(&c->received, o->block_memory_bytes / 2);
    c->flush.coins_ms = c->flush.index_ms = clock_mono_ms();
    c->snapshot.height = -1;
    return c;
}

static void make_env(struct chain *c)
{
    c->env = (struct connect_env){ .params = &c->params,
                                   .index = c->index,
                                   .files = c->files,
                                   .coins = c->coins,
                                   .pool = c->pool,
                                   .frozen = c->frozen,
                                   .assume_whitelisted = c->o.assume_whitelisted,
                                   .assume_whitelisted_depth = c->o.assume_whitelisted_depth,
                                   .limits = &c->limits,
                                   .cancel = &c->cancel,
                                   .max_stack_memory = c->o.max_stack_memory,
                                   .segment_bytes =
                                       clamp(c->o.block_memory_bytes / 16, MIB / 4, 16 * MIB),
                                   .check_memory_bytes = c->o.block_memory_bytes / 4,
                                   .coinbase_maturity = COINBASE_MATURITY };
}

struct wipe {
    const char *dir;
    const char *prefix; /* NULL: everything */
    enum err rc;
    struct error *e;
};

static void wipe_file(void *ctx, const char *name)
{
    struct wipe *w = (struct wipe *)ctx;
    if (w->rc || (w->prefix && strncmp(name, w->prefix, strlen(w->prefix)) != 0))
        return;
    char *path = path_join(w->dir, name);
    w->rc = path_remove(path, w->e);
    free(path);
}

/* Removes the files of a folder, but no folder in it. */
static enum err wipe_dir(const struct chain *c, const char *name, const char *prefix,
                         struct error *e)
{
    char *dir = path_join(c->data_dir, name);
    struct wipe w = { .dir = dir, .prefix = prefix, .e = e };
    enum err rc = path_exists(dir) ? path_list(dir, wipe_file, &w, e) : OK;
    free(dir);
    return rc ? rc : w.rc;
}

static enum err wipe_for_rebuild(struct chain *c, struct error *e)
{
    enum err rc = OK;
    if (c->o.rebuild != REBUILD_NONE)
        rc = wipe_dir(c, "coins", NULL, e);
    if (!rc && c->o.rebuild == REBUILD_ALL)
        rc = wipe_dir(c, "index", NULL, e);
    if (!rc && c->o.rebuild == REBUILD_ALL)
        rc = wipe_dir(c, "blocks", "rev", e); /* made anew as blocks are connected */
    return rc;
}

static enum err open_store(struct chain *c, const char *name, const struct kv_options *o,
                           struct kv **out, struct error *e)
{
    if (c->o.open_store)
        return c->o.open_store(c->o.store_ctx, name, o, out, e);
    char *path = path_join(c->data_dir, name);
    struct error why = { 0 };
    enum err rc = kv_open_leveldb(out, path, o, &why);
    free(path);
    if (!rc)
        return OK;
    return error_set(e, rc, "%s%s%s", why.text, rc == ERR_CORRUPT ? "; restart with " : "",
                     rc != ERR_CORRUPT            ? ""
                     : strcmp(name, "coins") == 0 ? "-reindex-chainstate"
                                                  : "-reindex");
}

static enum err open_index(struct chain *c, struct error *e)
{
    struct kv_options o = { .cache_bytes = INDEX_CACHE_BYTES,
                            .write_buffer_bytes = INDEX_CACHE_BYTES,
                            .bloom_filter = c->o.tx_index };
    struct kv *kv;
    enum err rc = open_store(c, "index", &o, &kv, e);
    if (!rc)
        rc = index_db_open(&c->db, kv, e);
    if (!rc)
        marker_index_open(c);
    return rc;
}

static enum err load_index(struct chain *c, struct blockfile_info **infos, size_t *n,
                           bool *reindexing, struct error *e)
{
    say(c, "Loading block index...");
    enum err rc = index_db_load(c->db, c->index, infos, n, e);
    if (!rc && c->o.rebuild == REBUILD_ALL)
        rc = index_db_set_flag(c->db, "reindexing", true, e);
    if (!rc)
        rc = index_db_get_flag(c->db, "reindexing", reindexing, e);
    return rc;
}

static enum err open_files(struct chain *c, struct error *e)
{
    struct blockfile_info *infos = NULL;
    size_t n = 0;
    bool reindexing = false;
    char *dir = path_join(c->data_dir, "blocks");
    struct blockfiles_options o = { .dir = dir, .preferred_size = c->o.preferred_file_size };
    memcpy(o.magic, c->params.disk_magic, 4);
    enum err rc = path_make_dirs(dir, e);
    if (!rc)
        rc = load_index(c, &infos, &n, &reindexing, e);
    if (!rc && reindexing)
        rc = reindex_file_infos(dir, &infos, &n, e);
    if (!rc)
        rc = blockfiles_open(&c->files, &o, infos, n, e);
    atomic_store(&c->importing, reindexing);
    c->reindexing = reindexing;
    free(infos);
    free(dir);
    return rc;
}

static enum err open_coins(struct chain *c, struct coins_state *state, struct error *e)
{
    /* The store's own caches take a part of the budget, the coin cache the rest. */
    size_t cache = clamp(c->o.dbcache_bytes / 16, MIB, 64 * MIB);
    size_t buffer = clamp(c->o.dbcache_bytes / 16, MIB, 64 * MIB);
    struct kv_options o = { .cache_bytes = cache,
                            .write_buffer_bytes = buffer,
                            .bloom_filter = true };
    size_t budget = clamp(c->o.dbcache_bytes, 3 * (cache + buffer), SIZE_MAX) - cache - buffer;
    struct kv *kv;
    say(c, "Opening coins database...");
    enum err rc = open_store(c, "coins", &o, &kv, e);
    return rc ? rc : coins_open(&c->coins, kv, budget, state, e);
}

enum err chain_store_genesis(struct chain *c, struct header_node *node, struct error *e)
{
    uint8_t block[GENESIS_BLOCK_SIZE];
    struct block_pos pos;
    params_genesis_block(&c->params, block);
    enum err rc = blockfiles_write(c->files, block, sizeof(block), 0, &pos, e);
    if (!rc)
        header_index_set_data(c->index, node, &pos, 1, 0);
    return rc;
}

/* Its outputs cannot be spent and are in no coins (spec consensus 3.3 item 1, 7.1). */
static enum err connect_genesis(struct chain *c, struct error *e)
{
    struct header_node *node = header_index_genesis(c->index);
    enum err rc = OK;
    if (!(atomic_load(&node->status) & HS_HAVE_DATA) && !c->reindexing)
        rc = chain_store_genesis(c, node, e);
    if (rc)
        return rc;
    header_index_set_status(c->index, node, HS_SCRIPTS_OK, 0);
    c->tip = node;
    return OK;
}

struct node_array {
    struct header_node **nodes;
    size_t n, cap;
    uint32_t status; /* wanted */
};

static void collect_status(void *ctx, struct header_node *node)
{
    struct node_array *a = (struct node_array *)ctx;
    if (!(atomic_load(&node->status) & a->status))
        return;
    if (a->n == a->cap) {
        a->cap = 2 * a->cap + 16;
        a->nodes = xrealloc(a->nodes, a->cap * sizeof(struct header_node *));
    }
    a->nodes[a->n++] = node;
}

/* Blocks that only broke an operator's limit are judged again: the limit may be another now. */
void chain_forget_limits(struct chain *c)
{
    struct node_array limited = { .status = HS_FAILED_LIMIT };
    header_index_each(c->index, collect_status, &limited);
    for (size_t i = 0; i < limited.n;
         i++) /* one below a block that failed otherwise stays as it is */
        if (!(atomic_load(&limited.nodes[i]->status) & HS_FAILED_PARENT))
            header_index_reconsider(c->index, limited.nodes[i]);
    free(limited.nodes);
}

/* A rebuild of the coins verifies everything anew. */
static void forget_scripts(struct chain *c)
{
    struct node_array checked = { .status = HS_SCRIPTS_OK };
    header_index_each(c->index, collect_status, &checked);
    for (size_t i = 0; i < checked.n; i++)
        header_index_set_status(c->index, checked.nodes[i], 0, HS_SCRIPTS_OK);
    free(checked.nodes);
}

static enum err settle_tip(struct chain *c, const struct coins_state *state, struct error *e)
{
    enum err rc = recover_coins(c, state, &c->tip, e);
    if (!rc && !c->tip)
        rc = connect_genesis(c, e);
    if (rc)
        return rc;
    c->flush.durable = state->has_best || state->in_transition ? c->tip : NULL;
    header_index_set_tip(c->index, c->tip);
    chain_publish_tip(c);
    chain_forget_limits(c);
    return tx_index_open(c, e);
}

static enum err check_last_blocks(struct chain *c, struct error *e)
{
    bool good = true;
    if (c->tip->height == 0 || c->reindexing)
        return OK;
    say(c, "Verifying blocks...");
    enum err rc =
        verify_chain(c, c->o.check_level, c->o.check_blocks, VERIFY_AT_START_MS, &good, e);
    if (!rc && !good)
        rc = error_set(e, ERR_CORRUPT, "the stored blocks or coins are damaged; restart with "
                       "-reindex-chainstate, or -reindex if that does not help");
    return rc;
}

static enum err open_all(struct chain *c, struct error *e)
{
    struct coins_state state = { 0 };
    enum err rc = path_make_dirs(c->data_dir, e);
    if (!rc)
        rc = frozen_load(c->frozen, c->frozen_path, c->params.disk_magic, e);
    if (!rc)
        rc = wipe_for_rebuild(c, e);
    if (!rc)
        rc = open_index(c, e);
    if (!rc)
        rc = open_files(c, e);
    if (!rc)
        hold_open(c);
    if (!rc && c->o.rebuild == REBUILD_CHAINSTATE)
        forget_scripts(c);
    if (!rc)
        rc = open_coins(c, &state, e);
    if (rc)
        return rc;
    make_env(c);
    rc = settle_tip(c, &state, e);
    if (!rc) {
        txs_open(&c->txs, c);
        c->env.sigcache = c->txs.signatures;
        c->env.scripts = c->txs.scripts;
        c->assembler = assembler_new(&(struct assembler_options){
            .journal = mempool_journal(c->txs.pool),
            .params = &c->params,
            .max_block_size = c->o.max_made_block_size });
    }
    if (!rc)
        rc = check_index(c, e);
    if (!rc)
        rc = check_last_blocks(c, e);
    return rc ? rc : chain_thread_start(c, e);
}

static void chain_free(struct chain *c)
{
    ahead_clear(c);
    pool_free(c->pool); /* runs what intakes still have queued; their results are given up */
    assembler_free(c->assembler);
    txs_close(&c->txs);
    import_free(c);
    received_clear(&c->received);
    tx_index_close(c);
    marker_index_close(c);
    coins_close(c->coins);
    blockfiles_close(c->files);
    index_db_close(c->db);
    header_index_free(c->index);
    frozen_free(c->frozen);
    queue_free(c->queue);
    progress_clear(&c->progress);
    pthread_cond_destroy(&c->tip_moved);
    pthread_mutex_destroy(&c->lock);
    free(c->held);
    free(c->frozen_path);
    free(c->data_dir);
    free(c);
}

enum err chain_open(struct chain **out, const struct chain_options *o,
                    const struct chain_handlers *h, struct error *e)
{
    struct chain *c = chain_new(o, h);
    enum err rc = open_all(c, e);
    if (rc) {
        chain_free(c);
        return rc;
    }
    *out = c;
    return OK;
}

static void begin_activation(struct chain *c, void *ctx)
{
    (void)ctx;
    c->active = true;
}

void chain_start(struct chain *c, const char *const *load_files)
{
    bool reindex = c->reindexing;
    if (reindex || (load_files && load_files[0]))
        import_start(c, load_files, reindex);
    if (chain_call(c, begin_activation, NULL))
        return; /* closing already */
}

void chain_stop(struct chain *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    bool first = !c->stopping;
    c->stopping = true;
    pthread_cond_broadcast(&c->tip_moved);
    pthread_mutex_unlock(&c->lock);
    if (!first)
        return;
    cancel_set(&c->cancel);
    import_stop(c);
    chain_thread_stop(c);
}

/* Not when it was not read to its end: the file on disk holds more. */
static void save_mempool(struct chain *c)
{
    struct error e;
    if (c->o.persist_mempool && c->txs.loaded && mempool_save_last(&c->txs, &e))
        log_warn("the mempool could not be saved: %s", e.text);
}

enum err chain_close(struct chain *c, struct error *e)
{
    if (!c)
        return OK;
    chain_stop(c);
    ahead_clear(c);
    save_mempool(c);
    enum err rc = c->failed || c->torn ? OK : flush_all(c, e);
    chain_free(c);
    return rc;
}

/* --- any thread --- */

struct header_index *chain_headers(struct chain *c) { return c->index; }
const struct chain_params *chain_get_params(const struct chain *c) { return &c->params; }
struct blockfiles *chain_blockfiles(struct chain *c) { return c->files; }
struct pool *chain_pool(struct chain *c) { return c->pool; }
struct coins *chain_coins(struct chain *c) { return c->coins; }
struct assembler *chain_assembler(struct chain *c) { return c->assembler; }
struct index_db *chain_index_db(struct chain *c) { return c->db; }
uint64_t chain_max_block_size(const struct chain *c) { return atomic_load(&c->max_block_size); }
bool chain_is_importing(struct chain *c) { return atomic_load(&c->importing); }

void chain_get_tip(struct chain *c, struct chain_tip *tip)
{
    pthread_mutex_lock(&c->lock);
    *tip = c->snapshot;
    pthread_mutex_unlock(&c->lock);
}

bool chain_is_initial_download(struct chain *c)
{
    struct chain_tip tip;
    if (atomic_load(&c->left_initial_download))
        return false;
    chain_get_tip(c, &tip);
    if (!tip.node || chain_is_importing(c) ||
        u256_cmp(&tip.node->work, &c->params.minimum_work) < 0 ||
        (int64_t)tip.time < clock_now() - c->o.max_tip_age)
        return true;
    atomic_store(&c->left_initial_download, true);
    return false;
}

enum err chain_accept_headers(struct chain *c, const struct block_header *h,
                              const struct block_hash *hashes, size_t n, size_t *accepted,
                              struct header_node **last, struct verdict *v)
{
    return header_index_accept(c->index, h, hashes, n, clock_now(), accepted, last, v);
}

struct block_intake *chain_block_begin(struct chain *c, struct header_node *node, uint64_t size,
                                       const uint32_t *checksum, uint64_t source, struct verdict *v)
{
    *v = (struct verdict){ 0 };
    const uint64_t limit = chain_max_block_size(c);
    if (limit > 0 && size > limit) {
        verdict_set(v, REJECT_INVALID, 100, "bad-blk-length");
        return NULL;
    }
    if (atomic_load(&node->status) & HS_HAVE_DATA)
        return NULL;
    struct intake_options o = { .files = c->files,
                                .pool = c->pool,
                                .done = chain_intake_done,
                                .drained = c->h.intake_drained ? chain_intake_drained : NULL,
                                .ctx = c };
    return intake_new(&o, node, size, checksum, source);
}

void chain_intake_drained(void *ctx, uint64_t source)
{
    struct chain *c = (struct chain *)ctx;
    c->h.intake_drained(c->h.ctx, source);
}

enum err chain_read_block(struct chain *c, const struct header_node *node, size_t segment_bytes,
                          struct block_reader **out, struct error *e)
{
    struct header_data data;
    char hex[HASH_HEX_SIZE];
    header_index_get_data(c->index, node, &data);
    if (!(data.status & HS_HAVE_DATA))
        return error_set(e, ERR_NOTFOUND, "block %s is not stored", hash_to_hex(hex, node->hash.b));
    return block_reader_open(out, c->files, &data.data, NULL, segment_bytes, e);
}

enum err chain_read_block_bytes(struct chain *c, const struct header_node *node, uint64_t limit,
                                struct buf *out, struct error *e)
{
    struct header_data data;
    char hex[HASH_HEX_SIZE];
    header_index_get_data(c->index, node, &data);
    if (!(data.status & HS_HAVE_DATA))
        return error_set(e, ERR_NOTFOUND, "block %s is not stored", hash_to_hex(hex, node->hash.b));
    if (data.data.size > limit)
        return error_set(e, ERR_RANGE, "block %s has %llu bytes, more than the %llu allowed here",
                         hash_to_hex(hex, node->hash.b), (unsigned long long)data.data.size,
                         (unsigned long long)limit);
    size_t before = out->len;
    if (!buf_try_reserve(out, (size_t)data.data.size))
        return error_set(e, ERR_NOMEM, "out of memory for a block of %llu bytes",
                         (unsigned long long)data.data.size);
    uint8_t *to = buf_extend(out, (size_t)data.data.size);
    enum err rc = blockfiles_read(c->files, &data.data, 0, to, (size_t)data.data.size, e);
    if (rc)
        out->len = before;
    return rc;
}

bool chain_wait_tip(struct chain *c, int32_t min_height, const struct block_hash *not_hash,
                    int64_t timeout_ms, struct chain_tip *tip)
{
    const struct timespec until = clock_deadline(timeout_ms);
    int waited = 0;
    pthread_mutex_lock(&c->lock);
    while (!c->stopping && waited != ETIMEDOUT &&
           (c->snapshot.height < min_height ||
            (not_hash && block_hash_equal(&c->snapshot.hash, not_hash))))
        waited = timeout_ms < 0 ? pthread_cond_wait(&c->tip_moved, &c->lock)
                                : pthread_cond_timedwait(&c->tip_moved, &c->lock, &until);
    *tip = c->snapshot;
    bool reached = !c->stopping && tip->height >= min_height &&
                   !(not_hash && block_hash_equal(&tip->hash, not_hash));
    pthread_mutex_unlock(&c->lock);
    return reached;
}
