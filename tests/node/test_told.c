#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "chain/header_index.h"
#include "node/told_chain.h"
#include "node/told_txs.h"
#include "tests/chain/header_util.h"
#include "tests/chain/pool_util.h"

/* --- events as a client takes them ---------------------------------------------------------- */

#define EVENTS_MAX 2000
#define BLOCKS_MAX 200

struct events {
    struct event_record *v;
    size_t n;
};

static void append(void *ctx, struct event_record *r)
{
    struct events *e = ctx;
    assert_true(e->n < EVENTS_MAX);
    r->number = e->n + 1;
    e->v[e->n++] = *r;
}

static void events_init(struct events *e)
{
    *e = (struct events){ xcalloc(EVENTS_MAX, sizeof *e->v), 0 };
}

/* The chain a client builds from events; it begins at some block. */
struct client {
    struct block_hash chain[EVENTS_MAX];
    size_t n;
    int32_t base;
    size_t starts;
};

static void client_take(struct client *c, const struct event_record *r)
{
    if (r->type == LOGGED_START) {
        c->starts++;
        c->n = 1;
        c->base = (int32_t)r->v[START_HEIGHT].number;
        memcpy(c->chain[0].b, r->v[START_HASH].hash, 32);
    } else if (r->type == LOGGED_BLOCK_CONNECTED) {
        assert_memory_equal(c->chain[c->n - 1].b, r->v[BLOCK_PREVIOUS].hash, 32);
        assert_int_equal(r->v[BLOCK_HEIGHT].number, c->base + (int32_t)c->n);
        memcpy(c->chain[c->n++].b, r->v[BLOCK_HASH].hash, 32);
    } else if (r->type == LOGGED_BLOCK_DISCONNECTED) {
        assert_memory_equal(c->chain[c->n - 1].b, r->v[BLOCK_HASH].hash, 32);
        assert_int_equal(r->v[BLOCK_HEIGHT].number, c->base + (int32_t)c->n - 1);
        if (--c->n == 0) { /* below the block it began with */
            memcpy(c->chain[0].b, r->v[BLOCK_PREVIOUS].hash, 32);
            c->n = 1;
            c->base--;
        }
        assert_memory_equal(c->chain[c->n - 1].b, r->v[BLOCK_PREVIOUS].hash, 32);
    }
}

static struct client *client_of(const struct events *e)
{
    struct client *c = xcalloc(1, sizeof *c);
    for (size_t i = 0; i < e->n; i++)
        client_take(c, &e->v[i]);
    return c;
}

static bool client_is_at(const struct events *e, const struct header_node *tip)
{
    struct client *c = client_of(e);
    bool same = c->n && block_hash_equal(&c->chain[c->n - 1], &tip->hash);
    free(c);
    return same;
}

/* --- a tree of headers that can be put into an index again ---------------------------------- */

struct world {
    struct block_header headers[BLOCKS_MAX]; /* parents first, without genesis */
    size_t n;
    struct header_index *index;
    struct told_chain told;
    struct events events;
};

static struct header_node *genesis_into(struct world *w)
{
    w->index = header_index_new(params_get(NETWORK_REGTEST));
    return header_index_genesis(w->index);
}

static struct header_node *find(struct world *w, const struct block_header *h)
{
    struct block_hash hash = hash_of(h);
    return header_index_find(w->index, &hash);
}

static struct header_node *extend(struct world *w, const struct header_node *on)
{
    assert_true(w->n < BLOCKS_MAX);
    w->headers[w->n] = header_mine(&on->hash, on->time + 600, (uint32_t)w->n + 1);
    return headers_accept(w->index, &w->headers[w->n++], 1);
}

static void world_begin(struct world *w)
{
    w->n = 0;
    events_init(&w->events);
    struct header_node *genesis = genesis_into(w);
    told_chain_init(&w->told, append, &w->events);
    told_chain_attach(&w->told, w->index, genesis);
}

static void world_end(struct world *w)
{
    told_chain_clear(&w->told);
    header_index_free(w->index);
    free(w->events.v);
}

static struct header_node *connect_new(struct world *w, struct header_node *on)
{
    struct header_node *node = extend(w, on);
    told_chain_connected(&w->told, node);
    return node;
}

/* The process dies: n_headers of the index survive, n_events of the log; `from` events are in
 * files before the newest. The index is left for the caller to attach. */
static void crash(struct world *w, size_t n_headers, size_t n_events, size_t from)
{
    struct buf state;
    struct reader r;
    buf_init(&state);
    w->events.n = n_events;
    struct told_chain before;
    struct events none = { .v = w->events.v };
    told_chain_init(&before, append, &none);
    for (size_t i = 0; i < from; i++)
        assert_true(told_chain_replay(&before, &w->events.v[i]));
    told_chain_store(&before, &state);
    told_chain_clear(&before);
    told_chain_clear(&w->told);
    reader_init(&r, state.data, state.len);
    told_chain_load(&w->told, &r);
    assert_true(reader_done(&r));
    for (size_t i = from; i < n_events; i++)
        assert_true(told_chain_replay(&w->told, &w->events.v[i]));
    buf_clear(&state);
    header_index_free(w->index);
    genesis_into(w);
    for (size_t i = 0; i < n_headers; i++)
        headers_accept(w->index, &w->headers[i], 1);
}

static void connected_and_disconnected_blocks_are_told(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct header_node *a = connect_new(&w, header_index_genesis(w.index)), *b = connect_new(&w, a);
    told_chain_disconnected(&w.told, b);
    struct header_node *c = connect_new(&w, a);
    assert_int_equal(w.events.n, 5);
    assert_int_equal(w.events.v[0].type, LOGGED_START);
    assert_int_equal(w.events.v[3].type, LOGGED_BLOCK_DISCONNECTED);
    assert_true(client_is_at(&w.events, c));
    assert_int_equal(w.events.v[4].v[BLOCK_TIME].number, c->time);
    world_end(&w);
}

/* Five blocks told of; the chain is back at the second and knows no header above the third. */
static struct header_node *lose_three(struct world *w)
{
    world_begin(w);
    struct header_node *node = header_index_genesis(w->index);
    for (int i = 0; i < 5; i++)
        node = connect_new(w, node);
    crash(w, 3, w->events.n, 0);
    struct header_node *tip = find(w, &w->headers[1]);
    told_chain_attach(&w->told, w->index, tip);
    assert_true(w->told.waiting);
    assert_int_equal(w->events.n, 6);
    return tip;
}

static void blocks_told_of_are_not_repeated_after_a_crash(void **state)
{
    (void)state;
    struct world w;
    lose_three(&w);
    told_chain_connected(&w.told, find(&w, &w.headers[2]));
    assert_true(w.told.waiting);
    for (size_t i = 3; i < 5; i++) {
        assert_true(w.told.waiting);
        told_chain_connected(&w.told, headers_accept(w.index, &w.headers[i], 1));
    }
    assert_false(w.told.waiting);
    assert_int_equal(w.events.n, 6);
    struct header_node *next = connect_new(&w, find(&w, &w.headers[4]));
    assert_int_equal(w.events.n, 7);
    assert_true(client_is_at(&w.events, next));
    world_end(&w);
}

static void another_branch_after_a_crash_is_told_from_the_fork(void **state)
{
    (void)state;
    struct world w;
    lose_three(&w);
    told_chain_connected(&w.told, find(&w, &w.headers[2]));
    struct header_node *other = connect_new(&w, find(&w, &w.headers[2]));
    assert_false(w.told.waiting);
    assert_int_equal(w.events.n, 6 + 2 + 1); /* two lost blocks back, one new */
    assert_true(client_is_at(&w.events, other));
    world_end(&w);
}

static void a_disconnection_ends_the_waiting(void **state)
{
    (void)state;
    struct world w;
    struct header_node *tip = lose_three(&w);
    told_chain_disconnected(&w.told, tip);
    assert_false(w.told.waiting);
    assert_true(client_is_at(&w.events, tip->prev));
    world_end(&w);
}

static void giving_up_tells_that_the_blocks_are_lost(void **state)
{
    (void)state;
    struct world w;
    struct header_node *tip = lose_three(&w);
    told_chain_give_up(&w.told, tip);
    assert_true(client_is_at(&w.events, tip));
    assert_int_equal(w.events.n, 6 + 3);
    told_chain_give_up(&w.told, tip);
    assert_int_equal(w.events.n, 6 + 3);
    for (size_t i = 2; i < 5; i++) { /* and now they come after all */
        struct header_node *node = find(&w, &w.headers[i]);
        told_chain_connected(&w.told, node ? node : headers_accept(w.index, &w.headers[i], 1));
    }
    assert_true(client_is_at(&w.events, find(&w, &w.headers[4])));
    world_end(&w);
}

static void a_log_that_is_behind_is_brought_up(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct header_node *node = header_index_genesis(w.index);
    for (int i = 0; i < 5; i++)
        node = connect_new(&w, node);
    crash(&w, 5, 3, 0); /* told of two */
    struct header_node *tip = find(&w, &w.headers[4]);
    told_chain_attach(&w.told, w.index, tip);
    assert_false(w.told.waiting);
    assert_true(client_is_at(&w.events, tip));
    world_end(&w);
}

static void an_unknown_past_begins_anew(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    struct header_node *node = header_index_genesis(w.index), *at = NULL;
    for (int i = 0; i < 6; i++)
        node = connect_new(&w, node);
    /* Files hold only what comes after block 4, the index has nothing: it waits for block 4. */
    crash(&w, 0, w.events.n, 5);
    assert_false(told_chain_meets(&w.told, w.index));
    told_chain_attach(&w.told, w.index, header_index_genesis(w.index));
    assert_true(w.told.waiting);
    for (size_t i = 0; i < 6; i++) {
        assert_true(w.told.waiting);
        at = headers_accept(w.index, &w.headers[i], 1);
        told_chain_connected(&w.told, at);
    }
    assert_false(w.told.waiting);
    assert_int_equal(w.events.n, 7);
    assert_true(client_is_at(&w.events, at));
    /* The same, but the chain is another one: a new start. */
    crash(&w, 0, w.events.n, 5);
    node = header_index_genesis(w.index);
    told_chain_attach(&w.told, w.index, node);
    for (int i = 0; i < 4; i++) {
        assert_true(w.told.waiting);
        node = connect_new(&w, node);
    }
    assert_false(w.told.waiting);
    assert_int_equal(w.events.v[w.events.n - 1].type, LOGGED_START);
    assert_true(client_is_at(&w.events, node));
    /* Or it has gone past that height already. */
    size_t had = w.n;
    crash(&w, 0, w.events.n, w.events.n);
    node = header_index_genesis(w.index);
    for (size_t i = had - 4; i < had; i++)
        node = headers_accept(w.index, &w.headers[i], 1);
    node = extend(&w, extend(&w, node->prev));
    told_chain_clear(&w.told);
    struct buf unknown;
    struct reader r;
    buf_init(&unknown);
    buf_put_u8(&unknown, 1);
    buf_put_le32(&unknown, 2);
    memset(buf_extend(&unknown, 32), 0x77, 32);
    reader_init(&r, unknown.data, unknown.len);
    told_chain_load(&w.told, &r);
    told_chain_attach(&w.told, w.index, node);
    assert_false(w.told.waiting);
    assert_int_equal(w.events.v[w.events.n - 1].type, LOGGED_START);
    buf_clear(&unknown);
    world_end(&w);
}

static void contradicting_records_are_refused(void **state)
{
    (void)state;
    struct told_chain c;
    struct events e = { NULL, 0 };
    struct event_record start = { .type = LOGGED_START }, r = { .type = LOGGED_BLOCK_CONNECTED };
    told_chain_init(&c, append, &e);
    assert_false(told_chain_replay(&c, &r)); /* nothing to connect to */
    memset(start.v[START_HASH].hash, 1, 32);
    assert_true(told_chain_replay(&c, &start));
    assert_false(told_chain_replay(&c, &r));
    memset(r.v[BLOCK_PREVIOUS].hash, 1, 32);
    memset(r.v[BLOCK_HASH].hash, 2, 32);
    assert_true(told_chain_replay(&c, &r));
    r.type = LOGGED_BLOCK_DISCONNECTED;
    memset(r.v[BLOCK_HASH].hash, 3, 32);
    assert_false(told_chain_replay(&c, &r));
    told_chain_clear(&c);
}

/* --- any history ---------------------------------------------------------------------------- */

static uint64_t seed;
static size_t dice(size_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(seed >> 33) % n;
}

/* The chain of a simulated node: a tip, and a tip on disk that it falls back to. */
static struct header_node *step_back(struct world *w, struct header_node *tip)
{
    if (!tip->prev)
        return tip;
    told_chain_disconnected(&w->told, tip);
    return tip->prev;
}

/* A known child of the tip, or a new one. */
static struct header_node *step_on(struct world *w, struct header_node *tip)
{
    struct header_node *child = NULL;
    for (size_t i = 0; i < w->n && !child; i++)
        if (block_hash_equal(&w->headers[i].prev, &tip->hash) &&
            (dice(3) > 0 || w->n == BLOCKS_MAX))
            child = headers_accept(w->index, &w->headers[i], 1);
    if (!child && w->n == BLOCKS_MAX)
        return tip;
    if (!child)
        child = extend(w, tip);
    told_chain_connected(&w->told, child);
    return child;
}

static void check_client(struct world *w, struct header_node *tip)
{
    struct client *c = client_of(&w->events);
    const struct block_hash *end = &c->chain[c->n - 1];
    if (!w->told.waiting)
        assert_true(block_hash_equal(end, &tip->hash));
    else if (w->told.tip &&
             tip->height >= c->base) { /* it is ahead of the chain, on the same way */
        assert_true(tip->height - c->base < (int32_t)c->n);
        assert_memory_equal(c->chain[tip->height - c->base].b, tip->hash.b, 32);
    }
    free(c);
}

static void one_history(uint64_t number)
{
    struct world w;
    seed = number;
    world_begin(&w);
    struct header_node *tip = header_index_genesis(w.index);
    for (int step = 0; step < 150; step++) {
        size_t what = dice(20);
        if (what == 0) { /* crash */
            size_t lost = dice(4), events = w.events.n > lost ? w.events.n - lost : 1;
            size_t headers = dice(w.n + 1);
            crash(&w, headers, events, dice(events + 1));
            if (!told_chain_meets(&w.told, w.index) && dice(2))
                crash(&w, headers, events, 0); /* all files are read */
            size_t at = dice(headers + 1);
            tip = at ? find(&w, &w.headers[at - 1]) : header_index_genesis(w.index);
            told_chain_attach(&w.told, w.index, tip);
        } else if (what == 1) {
            told_chain_give_up(&w.told, tip);
        } else if (what < 6) {
            tip = step_back(&w, tip);
        } else {
            tip = step_on(&w, tip);
        }
        check_client(&w, tip);
    }
    told_chain_give_up(&w.told, tip);
    assert_true(client_is_at(&w.events, tip));
    world_end(&w);
}

static void any_history_makes_sense_to_a_client(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 300; i++)
        one_history(i);
}

/* --- transactions --------------------------------------------------------------------------- */

struct pool_world {
    struct told_txs told;
    struct events events;
    struct mempool *pool;
};

static void pool_begin(struct pool_world *w)
{
    const struct mempool_options o = pool_options();
    events_init(&w->events);
    w->pool = mempool_new(&o);
    told_txs_init(&w->told, append, &w->events);
    told_txs_settle(&w->told, w->pool);
}

static void pool_end(struct pool_world *w)
{
    told_txs_clear(&w->told);
    mempool_free(w->pool);
    free(w->events.v);
}

static struct tx *enter(struct pool_world *w, uint32_t coin)
{
    struct mempool_entry *e = pool_add(w->pool, pool_child(NULL, coin, 1, 200), 100 + coin);
    told_txs_accepted(&w->told, e);
    return tx_ref(e->tx);
}

static void leave(struct pool_world *w, const struct tx *tx, enum mempool_reason reason)
{
    struct mempool_removals r = { .n = 0 };
    mempool_remove(w->pool, &tx->id, reason, &r);
    for (size_t i = 0; i < r.n; i++)
        told_txs_removed(&w->told, &r.v[i].tx->id, mempool_reason_name(reason), NULL, NULL);
    mempool_removals_clear(&r);
}

/* From the state at `from` events and what follows, into an empty mempool. */
static void pool_crash(struct pool_world *w, size_t from)
{
    const struct mempool_options o = pool_options();
    struct told_txs before;
    struct buf state;
    struct reader r;
    buf_init(&state);
    told_txs_init(&before, append, &w->events);
    for (size_t i = 0; i < from; i++)
        assert_true(told_txs_replay(&before, &w->events.v[i]));
    told_txs_store(&before, &state);
    told_txs_clear(&before);
    told_txs_clear(&w->told);
    told_txs_init(&w->told, append, &w->events);
    reader_init(&r, state.data, state.len);
    told_txs_load(&w->told, &r);
    assert_true(reader_done(&r));
    for (size_t i = from; i < w->events.n; i++)
        assert_true(told_txs_replay(&w->told, &w->events.v[i]));
    buf_clear(&state);
    mempool_free(w->pool);
    w->pool = mempool_new(&o);
}

static void transactions_are_told_once(void **state)
{
    (void)state;
    struct pool_world w;
    pool_begin(&w);
    struct tx *a = enter(&w, 1), *b = enter(&w, 2);
    leave(&w, a, MEMPOOL_EXPIRED);
    assert_int_equal(w.events.n, 3);
    assert_int_equal(w.events.v[1].v[TX_FEE].number, 102);
    assert_int_equal(w.events.v[1].v[TX_SIZE].number, 200);
    assert_memory_equal(w.events.v[2].v[REMOVED_ID].hash, a->id.b, 32);
    assert_string_equal(w.events.v[2].v[REMOVED_REASON].text, "expired");
    told_txs_removed(&w.told, &a->id, "expired", NULL, NULL); /* not known any more */
    assert_int_equal(w.events.n, 3);
    tx_unref(a);
    tx_unref(b);
    pool_end(&w);
}

static void what_comes_back_is_silent_and_what_does_not_is_lost(void **state)
{
    (void)state;
    struct pool_world w;
    pool_begin(&w);
    tx_unref(enter(&w, 1));
    tx_unref(enter(&w, 2));
    pool_crash(&w, 1);
    tx_unref(enter(&w, 1)); /* from mempool.dat */
    struct tx *new = enter(&w, 3);
    assert_int_equal(w.events.n, 2); /* on hold */
    told_txs_settle(&w.told, w.pool);
    assert_int_equal(w.events.n, 4);
    assert_string_equal(w.events.v[2].v[REMOVED_REASON].text, "lost-at-restart");
    assert_memory_equal(w.events.v[3].v[TX_ID].hash, new->id.b, 32);
    assert_int_equal(told_txs_count(&w.told), 2);
    told_txs_settle(&w.told, w.pool);
    assert_int_equal(w.events.n, 4);
    tx_unref(new);
    pool_end(&w);
}

static void a_start_forgets_the_transactions(void **state)
{
    (void)state;
    struct pool_world w;
    pool_begin(&w);
    tx_unref(enter(&w, 1));
    told_txs_restart(&w.told);
    assert_int_equal(told_txs_count(&w.told), 0);
    tx_unref(enter(&w, 2));
    assert_int_equal(w.events.n, 1);
    told_txs_settle(&w.told, w.pool);
    assert_int_equal(w.events.n, 3); /* both are told of */
    pool_end(&w);
}

static void damaged_states_are_noticed(void **state)
{
    (void)state;
    struct told_txs t;
    struct events e = { NULL, 0 };
    uint8_t raw[8 + 64] = { 2 };
    struct reader r;
    told_txs_init(&t, append, &e);
    reader_init(&r, raw, sizeof raw);
    told_txs_load(&t, &r);
    assert_true(r.failed); /* the same id twice */
    raw[8] = 1;
    reader_init(&r, raw, sizeof raw);
    told_txs_load(&t, &r);
    assert_true(reader_done(&r));
    reader_init(&r, raw, sizeof raw - 1);
    told_txs_load(&t, &r);
    assert_true(r.failed);
    memset(raw, 0xff, 8);
    reader_init(&r, raw, sizeof raw);
    told_txs_load(&t, &r);
    assert_true(r.failed);
    told_txs_clear(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connected_and_disconnected_blocks_are_told),
        cmocka_unit_test(blocks_told_of_are_not_repeated_after_a_crash),
        cmocka_unit_test(another_branch_after_a_crash_is_told_from_the_fork),
        cmocka_unit_test(a_disconnection_ends_the_waiting),
        cmocka_unit_test(giving_up_tells_that_the_blocks_are_lost),
        cmocka_unit_test(a_log_that_is_behind_is_brought_up),
        cmocka_unit_test(an_unknown_past_begins_anew),
        cmocka_unit_test(contradicting_records_are_refused),
        cmocka_unit_test(any_history_makes_sense_to_a_client),
        cmocka_unit_test(transactions_are_told_once),
        cmocka_unit_test(what_comes_back_is_silent_and_what_does_not_is_lost),
        cmocka_unit_test(a_start_forgets_the_transactions),
        cmocka_unit_test(damaged_states_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
