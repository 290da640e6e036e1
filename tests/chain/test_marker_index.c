/* What spent the marker of an identity: found for every branch, over a restart and in a new index,
 * and nothing is said of what was stored before markers were noted. */
#include <config.h>

#include "chain/chain_internal.h"
#include "tests/chain/chain_builder.h"

/* A chain whose last block registers an identity. */
struct registered {
    struct test_chain t;
    struct built_tx registration;
    struct outpoint marker;
};

static void open_registered(struct registered *r)
{
    struct chain_params p = test_params(1);
    test_chain_open(&r->t, &p, 1);
    test_chain_grow(&r->t, 101);
    builder_register(&r->t.blocks[1].coinbase, r->t.blocks[1].reward, &r->registration);
    test_chain_add(&r->t, &r->registration, 1);
    r->marker = (struct outpoint){ r->registration.id, 1 };
}

static void close_registered(struct registered *r)
{
    built_tx_clear(&r->registration);
    test_chain_close(&r->t);
}

static void make_block(const struct registered *r, const struct built_block *prev,
                       const struct built_tx *tx, struct built_block *out)
{
    builder_block(&r->t.options.params,
                  &(struct block_spec){ .prev = prev, .txs = tx, .n_txs = tx ? 1 : 0 }, out);
}

/* In the order of the blocks' hashes. */
struct found {
    struct block_hash blocks[4];
    struct txid spenders[4];
    size_t n;
};

static bool see_spend(void *ctx, const struct block_hash *block, const struct txid *spender)
{
    struct found *f = ctx;
    assert_true(f->n < 4);
    f->blocks[f->n] = *block;
    f->spenders[f->n++] = *spender;
    return true;
}

static struct found find(struct registered *r)
{
    struct found f = { .n = 0 };
    assert_int_equal(chain_flush(r->t.chain, NULL), OK);
    assert_int_equal(
        index_db_each_spend(chain_index_db(r->t.chain), &r->marker, see_spend, &f, NULL), OK);
    return f;
}

static bool names(const struct found *f, const struct built_block *b, const struct built_tx *tx)
{
    for (size_t i = 0; i < f->n; i++)
        if (block_hash_equal(&f->blocks[i], &b->hash))
            return txid_equal(&f->spenders[i], &tx->id);
    return false;
}

static void the_coin_of_a_marker_says_so_and_no_other_does(void **state)
{
    (void)state;
    struct registered r;
    struct coin coin;
    open_registered(&r);
    assert_true(test_chain_has_coin(&r.t, &r.marker, &coin));
    assert_true(coin.marker);
    struct outpoint change = { r.registration.id, 2 };
    assert_true(test_chain_has_coin(&r.t, &change, &coin));
    assert_false(coin.marker);
    test_chain_reopen(&r.t);
    assert_true(test_chain_has_coin(&r.t, &r.marker, &coin));
    assert_true(coin.marker);
    assert_int_equal(find(&r).n, 0);
    close_registered(&r);
}

static void a_spend_is_known_and_taking_it_back_gives_the_marker_again(void **state)
{
    (void)state;
    struct registered r;
    struct built_tx revocation;
    struct built_block with, without[2], later;
    struct coin coin;
    open_registered(&r);
    const struct built_block *fork = &r.t.blocks[r.t.height];
    builder_revoke(&r.registration.id, &revocation);
    make_block(&r, fork, &revocation, &with);
    assert_string_equal(test_chain_submit(&r.t, &with), "");
    struct found f = find(&r);
    assert_int_equal(f.n, 1);
    assert_true(names(&f, &with, &revocation));

    make_block(&r, fork, NULL, &without[0]);
    make_block(&r, &without[0], NULL, &without[1]);
    for (int i = 0; i < 2; i++)
        assert_string_equal(test_chain_submit(&r.t, &without[i]), "");
    assert_true(test_chain_has_coin(&r.t, &r.marker, &coin));
    assert_true(coin.marker); /* by the undo record */

    make_block(&r, &without[1], &revocation, &later);
    assert_string_equal(test_chain_submit(&r.t, &later), "");
    f = find(&r);
    assert_int_equal(f.n, 2);
    assert_true(names(&f, &with, &revocation));
    assert_true(names(&f, &later, &revocation));
    built_block_clear(&with);
    built_block_clear(&without[0]);
    built_block_clear(&without[1]);
    built_block_clear(&later);
    built_tx_clear(&revocation);
    close_registered(&r);
}

static void a_registration_revoked_in_its_own_block_is_known(void **state)
{
    (void)state;
    struct registered r;
    struct built_tx txs[2];
    open_registered(&r);
    builder_register(&r.t.blocks[2].coinbase, r.t.blocks[2].reward, &txs[0]);
    builder_revoke(&txs[0].id, &txs[1]);
    test_chain_add(&r.t, txs, 2);
    r.marker.txid = txs[0].id;
    const struct found f = find(&r);
    assert_int_equal(f.n, 1);
    assert_true(names(&f, &r.t.blocks[r.t.height], &txs[1]));
    built_tx_clear(&txs[0]);
    built_tx_clear(&txs[1]);
    close_registered(&r);
}

static void an_index_that_is_made_anew_has_the_same_spends(void **state)
{
    (void)state;
    struct registered r;
    struct built_tx revocation;
    struct chain_tip tip;
    const enum chain_rebuild kinds[] = { REBUILD_NONE, REBUILD_CHAINSTATE, REBUILD_ALL };
    open_registered(&r);
    builder_revoke(&r.registration.id, &revocation);
    test_chain_add(&r.t, &revocation, 1);
    for (size_t i = 0; i < 3; i++) {
        r.t.options.rebuild = kinds[i];
        test_chain_reopen(&r.t);
        assert_true(chain_wait_tip(r.t.chain, r.t.height, NULL, 10000, &tip));
        const struct found f = find(&r);
        assert_int_equal(f.n, 1);
        assert_true(names(&f, &r.t.blocks[r.t.height], &revocation));
    }
    built_tx_clear(&revocation);
    close_registered(&r);
}

struct unmark {
    struct registered *r;
    enum err rc;
};

/* As a program that did not know markers would have stored it. */
static void take_mark_off(struct chain *c, void *ctx)
{
    struct unmark *u = ctx;
    struct coin coin;
    bool found;
    u->rc = coins_get(chain_coins(c), &u->r->marker, &coin, &found, NULL);
    assert_true(found);
    coin.marker = false;
    if (!u->rc)
        u->rc = coins_add(chain_coins(c), &u->r->marker, &coin, COINS_ADD_OVERWRITE, NULL);
}

static void of_a_coin_stored_before_markers_were_noted_nothing_is_said(void **state)
{
    (void)state;
    struct registered r;
    struct built_tx revocation;
    open_registered(&r);
    struct unmark u = { &r, OK };
    assert_int_equal(chain_call(r.t.chain, take_mark_off, &u), OK);
    assert_int_equal(u.rc, OK);
    builder_revoke(&r.registration.id, &revocation);
    test_chain_add(&r.t, &revocation, 1);
    assert_int_equal(find(&r).n, 0);
    assert_false(test_chain_has_coin(&r.t, &r.marker, NULL));
    built_tx_clear(&revocation);
    close_registered(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_coin_of_a_marker_says_so_and_no_other_does),
        cmocka_unit_test(a_spend_is_known_and_taking_it_back_gives_the_marker_again),
        cmocka_unit_test(a_registration_revoked_in_its_own_block_is_known),
        cmocka_unit_test(an_index_that_is_made_anew_has_the_same_spends),
        cmocka_unit_test(of_a_coin_stored_before_markers_were_noted_nothing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
