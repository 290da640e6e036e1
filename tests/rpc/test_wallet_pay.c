/* What is told of a transaction of a wallet that the chain was handed. */
#include "rpc/wallet_pay.h"

#include "tests/chain/chain_builder.h"
#include "tests/rpc/call.h"
#include "tests/wallet/wallet_util.h"

static const struct script_heights heights = { .p2sh = 0 };

static bool is_abandoned(void *ctx, const struct history_tx *t)
{
    *(bool *)ctx = t->abandoned;
    return false;
}

/* Who would take it for not sent would pay twice: it goes out later. */
static void what_a_stopping_node_does_not_judge_is_said_to_be_kept(void **state)
{
    struct chain_params p = *params_get(NETWORK_REGTEST);
    struct test_chain t;
    (void)state;
    test_chain_open(&t, &p, 1);
    struct rig r = rig_start(&from_phrase);
    const struct wallet_key k = new_key(&r, KEYSTORE_RECEIVE);
    const struct pay_script ours = script_of_key(&k), there = foreign_script(7);
    const struct wallet_recipient to = { script_span(&there), 1000, false };
    struct rpc_env env = { .mock_time_allowed = false };
    struct rpc_call call = { .env = &env };
    char hex[HASH_HEX_SIZE];
    bool found, abandoned = true;
    struct tx *tx;
    int64_t fee;
    pay_in_block(&r, 1, 100000, &ours);
    const struct wallet_send s = { .to = &to, .n = 1, .fee_per_kb = 1000, .max_fee = 100000,
                                   .min_conf = 1, .height = r.height, .heights = &heights };
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, NULL), OK);
    env.chain = t.chain;
    chain_stop(t.chain);
    buf_init(&call.message);
    assert_false(rpc_wallet_submit(&call, r.w, tx));
    assert_int_equal(call.code, RPC_MISC_ERROR);
    buf_put_u8(&call.message, 0);
    const char *message = (const char *)call.message.data;
    assert_non_null(strstr(message, "is kept"));
    assert_non_null(strstr(message, hash_to_hex(hex, tx->id.b)));
    wallet_lock(r.w);
    assert_int_equal(history_get_tx(wallet_history(r.w), &tx->id, is_abandoned, &abandoned, &found,
                                    NULL), OK);
    wallet_unlock(r.w);
    assert_true(found && !abandoned);
    buf_clear(&call.message);
    tx_unref(tx);
    test_chain_close(&t);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_stopping_node_does_not_judge_is_said_to_be_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
