/*
 * Block files and coins on the real file system, in a child that ends at its n-th write, sync,
 * rename or open, for every n. The child works in rounds: a block and its undo record, then the
 * index (here a file with the infos and positions, replaced atomically), then a flush of coins.
 * What the index and the coins say afterwards must be there, whole.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "chain/blockfile.h"
#include "chain/coins.h"
#include "chain/coins_internal.h"
#include "tests/fault/preload.h"
#include "tests/test.h"

enum {
    ROUNDS = 4,
    BLOCK_SIZE = 3000,
    LARGE_SIZE = 70000,
    UNDO_SIZE = 500,
    COINS_A_ROUND = 400,
    SCRIPT = 100,
    BATCH = 20000 /* several to a flush */
};

/* What the index keeps of a round. */
struct entry {
    struct block_pos block, large, undo;
};

struct index {
    uint32_t rounds;
    uint32_t n_infos;
    struct blockfile_info infos[2 * ROUNDS];
    struct entry entries[ROUNDS];
};

struct stores {
    struct blockfiles *files;
    struct coins *coins;
    struct coins_state state;
    struct index index;
    char *dir;
};

static struct block_hash hash_of(uint32_t n)
{
    struct block_hash h;
    sha256(h.b, &n, sizeof(n));
    return h;
}

static void load_index(struct stores *s)
{
    char *path = path_join(s->dir, "index");
    struct buf b;
    buf_init(&b);
    if (file_read_all(path, sizeof(s->index), &b, NULL) == OK && b.len == sizeof(s->index))
        memcpy(&s->index, b.data, sizeof(s->index));
    buf_clear(&b);
    free(path);
}

static enum err open_stores(struct stores *s, const char *dir, struct error *e)
{
    *s = (struct stores){ .dir = xstrdup(dir) };
    load_index(s);
    char *blocks = path_join(dir, "blocks"), *coins = path_join(dir, "coins");
    struct blockfiles_options o = { .dir = blocks,
                                    .magic = { 1, 2, 3, 4 },
                                    .preferred_size = 8000 };
    struct kv_options ko = { .cache_bytes = 1 << 20, .write_buffer_bytes = 1 << 20 };
    struct kv *kv;
    enum err rc = blockfiles_open(&s->files, &o, s->index.infos, s->index.n_infos, e);
    if (!rc)
        rc = path_make_dirs(coins, e);
    if (!rc)
        rc = kv_open_leveldb(&kv, coins, &ko, e);
    if (!rc)
        rc = coins_open(&s->coins, kv, 1 << 20, &s->state, e);
    if (!rc)
        s->coins->batch_bytes = BATCH;
    free(blocks);
    free(coins);
    return rc;
}

static void close_stores(struct stores *s)
{
    coins_close(s->coins);
    blockfiles_close(s->files);
    free(s->dir);
}

static void keep_info(void *ctx, const struct blockfile_info *info)
{
    struct index *index = ctx;
    index->infos[index->n_infos++] = *info;
}

static void fill(uint8_t *data, size_t len, uint32_t round)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 7 + round);
}

static enum err store_blocks(struct stores *s, uint32_t round, struct error *e)
{
    struct entry *entry = &s->index.entries[round];
    struct block_hash hash = hash_of(round);
    struct block_writer *w;
    uint8_t *data = xmalloc(LARGE_SIZE);
    fill(data, LARGE_SIZE, round);
    enum err rc = blockfiles_write(s->files, data, BLOCK_SIZE, (int32_t)round, &entry->block, e);
    if (!rc)
        rc = block_writer_begin(&w, s->files, LARGE_SIZE, e);
    if (!rc) {
        rc = block_writer_put(w, data, LARGE_SIZE, e);
        if (rc)
            block_writer_abort(w);
        else
            rc = block_writer_finish(w, (int32_t)round, &entry->large, e);
    }
    if (!rc)
        rc = blockfiles_write_undo(s->files, entry->block.file, &hash, data, UNDO_SIZE,
                                   &entry->undo, e);
    free(data);
    return rc ? rc : blockfiles_sync(s->files, e);
}

static enum err store_index(struct stores *s, uint32_t round, struct error *e)
{
    s->index.rounds = round + 1;
    s->index.n_infos = 0;
    blockfiles_each(s->files, keep_info, &s->index);
    char *path = path_join(s->dir, "index");
    enum err rc = file_replace(path, &s->index, sizeof(s->index), e);
    free(path);
    return rc;
}

/* Each round makes coins and spends half of those of the round before. */
static enum err store_coins(struct stores *s, uint32_t round, uint8_t *script, struct error *e)
{
    enum err rc = OK;
    for (uint32_t i = 0; i < COINS_A_ROUND && !rc; i++) {
        struct outpoint o = { .index = i };
        struct coin coin = { .value = i, .height = (int32_t)round, .script = { script, SCRIPT } };
        struct block_hash h = hash_of(round);
        memcpy(o.txid.b, h.b, 32);
        rc = coins_add(s->coins, &o, &coin, COINS_ADD_NEW, e);
        bool found = true;
        h = hash_of(round - 1);
        memcpy(o.txid.b, h.b, 32);
        if (!rc && round > 0 && i % 2)
            rc = coins_spend(s->coins, &o, &coin, &found, e);
        if (!rc && !found)
            rc = error_set(e, ERR_NOTFOUND, "a coin is missing");
    }
    struct block_hash best = hash_of(round);
    return rc ? rc : coins_flush(s->coins, &best, e);
}

static int child(const char *dir)
{
    struct stores s;
    struct error e = { .code = OK };
    uint8_t *script = xcalloc(1, SCRIPT);
    enum err rc = open_stores(&s, dir, &e);
    for (uint32_t round = 0; round < ROUNDS && !rc; round++) {
        rc = store_blocks(&s, round, &e);
        if (!rc)
            rc = store_index(&s, round, &e);
        if (!rc)
            rc = store_coins(&s, round, script, &e);
    }
    free(script);
    close_stores(&s);
    if (rc && strlen(e.text) == 0)
        return 99;
    return rc ? 1 : 0;
}

/* --- what must hold afterwards --- */

static void assert_bytes(struct stores *s, const struct block_pos *pos, size_t len, uint32_t round)
{
    uint8_t *want = xmalloc(len), *got = xmalloc(len);
    fill(want, len, round);
    assert_int_equal(pos->size, len);
    assert_int_equal(blockfiles_read(s->files, pos, 0, got, len, NULL), OK);
    assert_memory_equal(got, want, len);
    free(want);
    free(got);
}

static void assert_indexed_rounds(struct stores *s)
{
    for (uint32_t round = 0; round < s->index.rounds; round++) {
        struct block_hash hash = hash_of(round);
        struct buf undo;
        buf_init(&undo);
        assert_bytes(s, &s->index.entries[round].block, BLOCK_SIZE, round);
        assert_bytes(s, &s->index.entries[round].large, LARGE_SIZE, round);
        assert_int_equal(
            blockfiles_read_undo(s->files, &s->index.entries[round].undo, &hash, &undo, NULL), OK);
        assert_int_equal(undo.len, UNDO_SIZE);
        buf_clear(&undo);
    }
}

static uint32_t round_of(const struct block_hash *h)
{
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct block_hash want = hash_of(round);
        if (block_hash_equal(&want, h))
            return round;
    }
    fail_msg("a tip nobody wrote");
    return 0;
}

static size_t count_coins(struct stores *s)
{
    struct coins_iter *it = coins_iter_new(s->coins);
    struct outpoint o;
    struct coin coin;
    enum err rc;
    size_t n = 0;
    while (coins_iter_next(it, &o, &coin, &rc, NULL)) {
        assert_int_equal(coin.script.len, SCRIPT);
        n++;
    }
    assert_int_equal(rc, OK);
    coins_iter_free(it);
    return n;
}

/* The tip of the coins is indexed, and without a marker the coins are exactly those of the tip. */
static void assert_coins(struct stores *s)
{
    const struct coins_state *c = &s->state;
    if (c->in_transition) {
        assert_true(round_of(&c->new_best) < s->index.rounds);
        if (c->has_old)
            assert_int_equal(round_of(&c->old_best) + 1, round_of(&c->new_best));
        else
            assert_int_equal(round_of(&c->new_best), 0);
    } else if (c->has_best) {
        uint32_t round = round_of(&c->best);
        assert_true(round < s->index.rounds);
        assert_int_equal(count_coins(s), COINS_A_ROUND + round * COINS_A_ROUND / 2);
    } else {
        assert_int_equal(count_coins(s), 0);
    }
}

/* A name in blocks/ that neither the index nor a new file accounts for. */
static void assert_no_temporary(void *ctx, const char *name)
{
    (void)ctx;
    assert_null(strstr(name, ".tmp"));
}

static void assert_sound(const char *dir, bool whole)
{
    (void)whole;
    struct stores s;
    struct error e = { .code = OK };
    enum err rc = open_stores(&s, dir, &e);
    if (rc)
        fail_msg("does not open: %s", e.text);
    assert_indexed_rounds(&s);
    assert_coins(&s);
    char *blocks = path_join(dir, "blocks");
    assert_int_equal(path_list(blocks, assert_no_temporary, NULL, NULL), OK);
    free(blocks);
    close_stores(&s);
}

static void a_crash_at_any_call_leaves_what_was_recorded(void **state)
{
    (void)state;
    fault_need();
    fault_at_every_call(NULL, "exit", FAULT_KILLED, assert_sound);
}

static void a_torn_write_at_any_call_leaves_what_was_recorded(void **state)
{
    (void)state;
    fault_need();
    fault_at_every_call(NULL, "torn", FAULT_KILLED, assert_sound);
}

static void a_full_disk_at_any_call_is_an_error_and_leaves_what_was_recorded(void **state)
{
    (void)state;
    fault_need();
    fault_at_every_call(NULL, "ENOSPC", 1, assert_sound);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return child(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_at_any_call_leaves_what_was_recorded),
        cmocka_unit_test(a_torn_write_at_any_call_leaves_what_was_recorded),
        cmocka_unit_test(a_full_disk_at_any_call_is_an_error_and_leaves_what_was_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
