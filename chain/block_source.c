#include <config.h>

#include "chain/block_source.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"
#include "chain/header_index.h"
#include "script/sigops.h"

struct source_step {
    struct checked_segment checked;
    enum err rc;
    struct error error;
};

struct block_source {
    struct block_source_options o;
    const struct header_node *node;
    struct block_pos pos;
    struct block_rules rules;
    struct block_segment *received; /* handed out as the only segment */
    struct block_reader *reader;    /* opened by the first job */
    struct job job;
    struct job_group group;
    struct source_step steps[2];    /* the one handed out, the one being made */
    unsigned making;
    bool finished;                  /* no job is under way and none follows */
    bool reached_end;
    /* Running over the whole block, touched by the job alone. */
    uint64_t txs, sigops;
    struct merkle merkle;
};

static void step_clear(struct source_step *step)
{
    block_segment_unref(step->checked.segment);
    free(step->checked.spends);
    memset(step, 0, sizeof(*step));
}

static bool check_tx(struct block_source *s, const struct tx *tx, bool first, struct verdict *v)
{
    const struct block_rules *r = &s->rules;
    if (first ? !check_coinbase(r, tx, v) : !check_regular_tx(r, tx, v))
        return false;
    if (!tx_is_final(tx, r->height, r->lock_time_cutoff))
        return verdict_set(v, REJECT_INVALID, 10, "bad-txns-nonfinal");
    if (first && !check_coinbase_height(r, tx, v))
        return false;
    if (r->genesis)
        return true;
    s->sigops += sigops_count_tx(tx);
    return check_block_sigops(r, s->sigops, s->pos.size, v);
}

static void check_segment(struct block_source *s, struct checked_segment *c)
{
    for (size_t i = 0; i < c->segment->n_txs; i++) {
        const struct tx *tx = &c->segment->txs[i];
        if (!check_tx(s, tx, c->segment->first + i == 0, &c->verdict)) {
            char id[HASH_HEX_SIZE];
            verdict_detail(&c->verdict, "transaction %s", hash_to_hex(id, tx->id.b));
            c->bad_tx = c->segment->first + i;
            c->verdict.tx = c->bad_tx + 1;
            return;
        }
    }
}

/* Set of the ids made in a segment: open addressing, keyed, as ids are chosen by others. */
struct id_set {
    uint32_t *slots; /* index + 1 of the transaction; 0: empty */
    size_t mask;
    struct siphash_key key;
};

static bool id_set_build(struct id_set *set, const struct block_segment *seg)
{
    size_t n = 16;
    while (n < 2 * seg->n_txs)
        n *= 2;
    set->slots = try_alloc(n, sizeof(*set->slots));
    if (!set->slots)
        return false;
    memset(set->slots, 0, n * sizeof(*set->slots));
    set->mask = n - 1;
    set->key = (struct siphash_key){ rand_u64(), rand_u64() };
    for (size_t i = 0; i < seg->n_txs; i++) {
        size_t at = siphash_32(&set->key, seg->txs[i].id.b) & set->mask;
        while (set->slots[at])
            at = (at + 1) & set->mask;
        set->slots[at] = (uint32_t)(i + 1);
    }
    return true;
}

static bool id_set_has(const struct id_set *set, const struct block_segment *seg,
                       const struct txid *id)
{
    for (size_t at = siphash_32(&set->key, id->b) & set->mask; set->slots[at];
         at = (at + 1) & set->mask)
        if (txid_equal(&seg->txs[set->slots[at] - 1].id, id))
            return true;
    return false;
}

/* What to prefetch. Leaving it out for lack of memory costs time alone. */
static void collect_spends(struct checked_segment *c)
{
    const struct block_segment *seg = c->segment;
    size_t n = 0;
    for (size_t i = 0; i < seg->n_txs; i++)
        n += seg->txs[i].n_in;
    struct id_set made;
    c->spends = try_alloc(n, sizeof(*c->spends));
    if (!c->spends || !id_set_build(&made, seg))
        return;
    for (size_t i = seg->first == 0; i < seg->n_txs; i++)
        for (size_t k = 0; k < seg->txs[i].n_in; k++)
            if (!id_set_has(&made, seg, &seg->txs[i].in[k].prevout.txid))
                c->spends[c->n_spends++] = seg->txs[i].in[k].prevout;
    free(made.slots);
}

static enum err not_this_block(const struct block_source *s, const char *what, struct error *e)
{
    char hex[HASH_HEX_SIZE];
    return error_set(e, ERR_CORRUPT,
                     "stored block %s: %s; the disk may be failing, restart with -reindex",
                     hash_to_hex(hex, s->node->hash.b), what);
}

static enum err open_reader(struct block_source *s, struct error *e)
{
    enum err rc = block_reader_open(&s->reader, s->o.files, &s->pos, NULL, s->o.segment_bytes, e);
    if (rc)
        return rc;
    struct block_hash hash;
    block_header_hash(&hash, block_reader_header(s->reader));
    if (!block_hash_equal(&hash, &s->node->hash))
        return not_this_block(s, "another header is in its place", e);
    return OK;
}

/* Intake checked a received block; what was read from disk is checked again. */
static enum err check_merkle(struct block_source *s, const struct block_segment *seg,
                             struct error *e)
{
    for (size_t i = 0; i < seg->n_txs; i++)
        merkle_add(&s->merkle, seg->txs[i].id.b);
    if (!seg->last)
        return OK;
    bool mutated;
    struct hash256 root = merkle_root(&s->merkle, &mutated);
    if (mutated || memcmp(root.b, s->node->merkle_root.b, 32) != 0)
        return not_this_block(s, "the Merkle root does not fit", e);
    return OK;
}

static enum err read_segment(struct block_source *s, struct block_segment **out, struct error *e)
{
    if (s->received) {
        *out = s->received;
        s->received = NULL;
        return OK;
    }
    if (s->txs == 0 && !s->reader) {
        enum err rc = open_reader(s, e);
        if (rc)
            return rc;
    }
    enum err rc = block_reader_next(s->reader, out, e);
    return rc || !*out ? rc : check_merkle(s, *out, e);
}

static void check_limits(struct block_source *s, struct checked_segment *c)
{
    uint64_t count = s->reader ? block_reader_tx_count(s->reader) : c->segment->n_txs;
    if (!check_block_limits(count, s->pos.size, s->o.max_block_size, &c->verdict)) {
        c->bad_tx = 0;
        c->limit_exceeded = check_block_limits(count, s->pos.size, 0, &(struct verdict){ 0 });
    }
}

static void source_run(struct job *job)
{
    struct block_source *s =
        (struct block_source *)(void *)((char *)job - offsetof(struct block_source, job));
    struct source_step *step = &s->steps[s->making];
    step->rc = read_segment(s, &step->checked.segment, &step->error);
    if (step->rc || !step->checked.segment)
        return;
    struct checked_segment *c = &step->checked;
    if (c->segment->first == 0)
        check_limits(s, c);
    if (verdict_ok(&c->verdict))
        check_segment(s, c);
    collect_spends(c);
    s->txs += c->segment->n_txs;
    if (c->segment->last)
        s->reached_end = true;
}

static void start_job(struct block_source *s)
{
    s->job = (struct job){ .run = source_run, .group = &s->group };
    pool_submit(s->o.pool, JOB_BLOCK, &s->job);
}

struct block_source *block_source_open(const struct block_source_options *o,
                                       const struct header_node *node, const struct block_pos *pos,
                                       struct block_segment *received)
{
    struct block_source *s = xcalloc(1, sizeof(*s));
    s->o = *o;
    s->node = node;
    s->pos = *pos;
    block_rules_init(&s->rules, o->params, node->prev, node->time);
    s->rules.coinbase_maturity = o->coinbase_maturity;
    s->received = received;
    if (received)
        block_segment_ref(received);
    merkle_init(&s->merkle);
    job_group_init(&s->group, o->pool);
    start_job(s);
    return s;
}

void block_source_close(struct block_source *s)
{
    if (!s)
        return;
    job_group_wait(&s->group);
    step_clear(&s->steps[0]);
    step_clear(&s->steps[1]);
    block_segment_unref(s->received);
    block_reader_close(s->reader);
    free(s);
}

const struct block_rules *block_source_rules(const struct block_source *s) { return &s->rules; }
const struct header_node *block_source_node(const struct block_source *s) { return s->node; }

enum err block_source_next(struct block_source *s, struct checked_segment **out, struct error *e)
{
    *out = NULL;
    if (s->finished)
        return OK;
    job_group_wait(&s->group);
    struct source_step *step = &s->steps[s->making];
    if (step->rc) {
        s->finished = true;
        if (e)
            *e = step->error;
        return step->rc;
    }
    if (!step->checked.segment) {
        s->finished = true;
        return s->reached_end ? OK : not_this_block(s, "it ends too early", e);
    }
    *out = &step->checked;
    s->making ^= 1;
    step_clear(&s->steps[s->making]);
    if (step->checked.segment->last)
        s->finished = true;
    else
        start_job(s);
    return OK;
}
