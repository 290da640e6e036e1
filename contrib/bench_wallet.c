/*
 * What a wallet with many coins costs, for contrib/bench: the coins come by blocks, then balance,
 * choice of coins, a start, and what each transaction of a block costs that does not concern it.
 * The store is in memory: disks are not what is measured.
 *
 * usage: bench_wallet COINS     prints one line of JSON
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "contrib/bench_loop.h"
#include "script/template.h"
#include "wallet/history.h"
#include "wallet/pick.h"
#include "wallet/select.h"
#include "wallet/txbuild.h"

#define COINS_A_TX 100
#define SCRIPTS 10000
#define PICKS 300000
#define RATE 500

static void digest_of(uint8_t out[32], uint32_t kind, uint32_t number)
{
    uint8_t seed[8];
    le32_put(seed, kind);
    le32_put(seed + 4, number);
    sha256(out, seed, sizeof seed);
}

enum { OF_SCRIPT, OF_STRANGER, OF_INPUT, OF_BLOCK, OF_VALUE };

static void make_script(uint8_t out[SCRIPT_P2PKH_SIZE], uint32_t kind, uint32_t number)
{
    uint8_t digest[32];
    digest_of(digest, kind, number);
    script_make_p2pkh(out, digest);
}

static struct scripts *make_scripts(void)
{
    struct scripts *s = scripts_new();
    uint8_t script[SCRIPT_P2PKH_SIZE];
    for (uint32_t i = 0; i < SCRIPTS; i++) {
        make_script(script, OF_SCRIPT, i);
        if (!scripts_add(s, span_of(script, sizeof script), (struct owner){ .id = i }))
            die("no memory");
    }
    return s;
}

/* kind: whose outputs. */
static struct tx *make_tx(uint32_t number, uint32_t kind, uint32_t n_in, uint32_t n_out)
{
    struct buf b = { 0 };
    uint8_t digest[32], script[SCRIPT_P2PKH_SIZE];
    buf_put_le32(&b, 1);
    buf_put_compact(&b, n_in);
    for (uint32_t i = 0; i < n_in; i++) {
        digest_of(digest, OF_INPUT, number * n_in + i);
        buf_put(&b, digest, 32);
        buf_put_le32(&b, i);
        buf_put_compact(&b, 0);
        buf_put_le32(&b, TX_SEQUENCE_FINAL);
    }
    buf_put_compact(&b, n_out);
    for (uint32_t i = 0; i < n_out; i++) {
        const uint32_t n = number * n_out + i;
        digest_of(digest, OF_VALUE, n);
        make_script(script, kind, kind == OF_SCRIPT ? n % SCRIPTS : n);
        buf_put_le64(&b, 1000 + le32_get(digest) % 1000000);
        buf_put_var_bytes(&b, script, sizeof script);
    }
    buf_put_le32(&b, 0);
    struct tx *tx = tx_new(b.data, b.len, NULL);
    if (!tx)
        die("no memory");
    buf_clear(&b);
    return tx;
}

static void apply(struct history *h, uint32_t number)
{
    struct tx *tx = make_tx(number, OF_SCRIPT, 1, COINS_A_TX);
    const struct history_block_tx list = { .tx = tx, .position = 1 };
    struct history_block b = { .height = (int32_t)number, .txs = &list, .n = 1 };
    digest_of(b.hash.b, OF_BLOCK, number);
    if (number)
        digest_of(b.prev.b, OF_BLOCK, number - 1);
    if (history_apply_block(h, &b, NULL))
        die("a block was refused");
    tx_unref(tx);
}

static double time_balance(struct history *h)
{
    struct history_balance balance;
    const double start = cpu_seconds();
    if (history_balance(h, 1, &balance, NULL) || balance.spendable.trusted <= 0)
        die("no balance");
    return cpu_seconds() - start;
}

struct choices {
    struct select_coin *coins;
    size_t n;
    int64_t sum;
};

static bool add_choice(void *ctx, const struct history_coin *c)
{
    struct choices *all = (struct choices *)ctx;
    all->coins[all->n++] = (struct select_coin){
        .value = c->value, .input_size = (uint32_t)txbuild_input_size(c->script, true) };
    all->sum += c->value;
    return true;
}

/* The walk over the unspent belongs to it. parts: of all there is, in tenths. */
static double time_choice(struct history *h, size_t n, int64_t parts)
{
    const struct history_filter filter = { .min_conf = 1, .max_conf = INT32_MAX };
    struct choices all = { .coins = (struct select_coin *)xcalloc(n, sizeof *all.coins) };
    const double start = cpu_seconds();
    if (history_unspent(h, &filter, add_choice, &all, NULL))
        die("no coins");
    const struct select_recipient to = { all.sum / 10 * parts, false };
    const struct select_request r = { .coins = all.coins, .n_coins = all.n, .to = &to, .n_to = 1,
                                      .n_outputs = 1, .outputs_size = 34, .change_size = 34,
                                      .change_input_size = 148, .fee_sat_per_kb = RATE,
                                      .max_to = SELECT_NOBODY };
    struct select_result result;
    select_coins(&r, &result);
    const double taken = cpu_seconds() - start;
    if (result.status != SELECT_OK)
        die("no choice");
    select_result_clear(&result);
    free(all.coins);
    return taken;
}

/* Of transactions with two inputs and two outputs, all different. */
static double time_picks(struct history *h)
{
    enum { DIFFERENT = 1000 };
    struct tx *txs[DIFFERENT];
    struct pick *pick = pick_new(h);
    size_t picked = 0;
    for (uint32_t i = 0; i < DIFFERENT; i++)
        txs[i] = make_tx(UINT32_C(1000000) + i, OF_STRANGER, 2, 2);
    if (pick_begin(pick, NULL))
        die("no pick");
    const double start = cpu_seconds();
    for (uint32_t i = 0; i < PICKS; i++)
        picked += pick_tx(pick, txs[i % DIFFERENT]);
    const double taken = cpu_seconds() - start;
    if (picked)
        die("a stranger was picked");
    for (uint32_t i = 0; i < DIFFERENT; i++)
        tx_unref(txs[i]);
    pick_free(pick);
    return taken / PICKS;
}

int main(int argc, char **argv)
{
    struct history *h;
    const unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    if (n < COINS_A_TX || n > 10000000) {
        fprintf(stderr, "usage: bench_wallet COINS     100 to 10,000,000\n");
        return 1;
    }
    struct scripts *scripts = make_scripts();
    if (history_open(&h, kv_open_mem(), scripts, NULL))
        die("no history");
    const double start = cpu_seconds();
    for (uint32_t i = 0; i < n / COINS_A_TX; i++)
        apply(h, i);
    const double applied = cpu_seconds() - start, balance = time_balance(h);
    const double few = time_choice(h, n, 1), most = time_choice(h, n, 9);
    printf("{\"coins\": %lu, \"apply_us\": %.3f, \"balance_ms\": %.3f, \"choice_ms\": %.3f, "
           "\"pick_ns\": %.1f, \"bytes\": %zu}\n",
           n / COINS_A_TX * COINS_A_TX, applied * 1e6 / (double)n, balance * 1e3,
           MAX_OF(few, most) * 1e3, time_picks(h) * 1e9, history_bytes(h) / n);
    history_close(h);
    scripts_free(scripts);
    return 0;
}
