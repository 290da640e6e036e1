/* Which transactions match a filter, and what a match adds to it (BIP37). */
#include "node/tx_filter.h"

#include "tests/test.h"

/* One input with a signature and a key, one output to a key hash, one to a key. */
static const uint8_t key[33] = { 2, 7, 7 }, hash[20] = { 9, 8, 7 }, other_key[33] = { 3, 1 };
static const uint8_t signature[8] = { 0x30, 6, 5 };

struct sample {
    struct tx_in in;
    struct tx_out out[2];
    uint8_t input_script[64], p2pkh[64], p2pk[64];
    struct tx tx;
};

static size_t put_push(uint8_t *to, const void *data, size_t len)
{
    to[0] = (uint8_t)len;
    memcpy(to + 1, data, len);
    return len + 1;
}

static void make_sample(struct sample *s)
{
    *s = (struct sample){ .in = { .prevout = { { { 5, 5, 5 } }, 3 } } };
    size_t n = put_push(s->input_script, signature, sizeof(signature));
    n += put_push(s->input_script + n, key, sizeof(key));
    s->in.script = span_of(s->input_script, n);
    s->p2pkh[0] = 0x76;
    s->p2pkh[1] = 0xa9;
    put_push(s->p2pkh + 2, hash, sizeof(hash));
    s->p2pkh[23] = 0x88;
    s->p2pkh[24] = 0xac;
    s->out[0] = (struct tx_out){ 1, span_of(s->p2pkh, 25) };
    n = put_push(s->p2pk, other_key, sizeof(other_key));
    s->p2pk[n++] = 0xac;
    s->out[1] = (struct tx_out){ 2, span_of(s->p2pk, n) };
    s->tx = (struct tx){ .id = { { 1, 2, 3 } }, .n_in = 1, .in = &s->in, .n_out = 2,
                         .out = s->out };
}

static struct bloom filter_with(const void *data, size_t len, enum bloom_update update)
{
    static const uint8_t zeros[512];
    struct bloom b;
    bloom_init(&b, span_of(zeros, sizeof(zeros)), 10, 77, (uint8_t)update);
    if (len)
        bloom_insert(&b, data, len);
    return b;
}

static void outpoint(uint8_t out[36], const struct txid *id, uint32_t index)
{
    memcpy(out, id->b, 32);
    le32_put(out + 32, index);
}

static void id_keys_hashes_signatures_and_spent_outputs_match(void **state)
{
    (void)state;
    struct sample s;
    uint8_t spent[36], unspent[36];
    make_sample(&s);
    outpoint(spent, &s.in.prevout.txid, 3);
    outpoint(unspent, &s.in.prevout.txid, 4);
    const struct { const void *data; size_t len; bool match; } cases[] = {
        { s.tx.id.b, 32, true },      { hash, sizeof(hash), true },
        { other_key, 33, true },      { key, 33, true },
        { signature, 8, true },       { spent, 36, true },
        { unspent, 36, false },       { "anything", 8, false },
        { s.p2pkh, 25, false },       { NULL, 0, false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bloom b = filter_with(cases[i].data, cases[i].len, BLOOM_UPDATE_NONE);
        assert_int_equal(tx_filter_match(&b, &s.tx), cases[i].match);
        bloom_clear(&b);
    }
}

static void a_matching_output_is_added_as_the_filter_says(void **state)
{
    (void)state;
    static const struct { enum bloom_update update; bool hash_added, key_added; } cases[] = {
        { BLOOM_UPDATE_NONE, false, false },
        { BLOOM_UPDATE_ALL, true, true },
        { BLOOM_UPDATE_PUBKEY_ONLY, false, true },
    };
    struct sample s;
    uint8_t first[36], second[36];
    make_sample(&s);
    outpoint(first, &s.tx.id, 0);
    outpoint(second, &s.tx.id, 1);
    for (size_t i = 0; i < 3; i++) {
        struct bloom b = filter_with(hash, sizeof(hash), cases[i].update);
        bloom_insert(&b, other_key, sizeof(other_key));
        assert_true(tx_filter_match(&b, &s.tx));
        assert_int_equal(bloom_contains(&b, first, 36), cases[i].hash_added);
        assert_int_equal(bloom_contains(&b, second, 36), cases[i].key_added);
        bloom_clear(&b);
    }
}

static void a_cut_push_ends_the_script(void **state)
{
    (void)state;
    struct sample s;
    make_sample(&s);
    s.out[1].script.len = 10;
    struct bloom b = filter_with(other_key, sizeof(other_key), BLOOM_UPDATE_ALL);
    assert_false(tx_filter_match(&b, &s.tx));
    bloom_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(id_keys_hashes_signatures_and_spent_outputs_match),
        cmocka_unit_test(a_matching_output_is_added_as_the_filter_says),
        cmocka_unit_test(a_cut_push_ends_the_script),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
