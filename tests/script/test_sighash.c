/* The original form against one that builds the whole image; sharing between inputs; stopping. */
#include <pthread.h>
#include <string.h>

#include "base/hash.h"
#include "script/flags.h"
#include "script/sighash.h"
#include "tests/test.h"

/* n inputs and m outputs, all different. */
static struct tx *make_tx(size_t n, size_t m)
{
    struct buf b;

    buf_init(&b);
    buf_put_le32(&b, 0xfffffffe);
    buf_put_compact(&b, n);
    for (size_t i = 0; i < n; i++) {
        uint8_t id[32] = { (uint8_t)i, (uint8_t)(i >> 8), 77 };
        buf_put(&b, id, 32);
        buf_put_le32(&b, (uint32_t)i);
        buf_put_var_bytes(&b, "\x51\x52", i % 3);
        buf_put_le32(&b, (uint32_t)(1000 + i));
    }
    buf_put_compact(&b, m);
    for (size_t i = 0; i < m; i++) {
        buf_put_le64(&b, i * 5);
        buf_put_var_bytes(&b, "\x53\x54\x55", i % 4);
    }
    buf_put_le32(&b, 500000001);
    struct tx *tx = tx_new(b.data, b.len, NULL);
    assert_non_null(tx);
    buf_clear(&b);
    return tx;
}

/* Image of the original form, straight from the words of spec consensus 4.9; no CODESEPARATORs. */
static void put_inputs(struct buf *b, const struct tx *tx, const struct sighash_request *r)
{
    uint32_t base = r->hash_type & 0x1f;
    bool alone = r->hash_type & SIGHASH_ANYONECANPAY;

    buf_put_compact(b, alone ? 1 : tx->n_in);
    for (size_t i = 0; i < tx->n_in; i++) {
        if (alone && i != r->index)
            continue;
        buf_put(b, tx->in[i].prevout.txid.b, 32);
        buf_put_le32(b, tx->in[i].prevout.index);
        if (i == r->index)
            buf_put_var_bytes(b, r->code.data, r->code.len);
        else
            buf_put_compact(b, 0);
        bool zero = i != r->index && (base == SIGHASH_NONE || base == SIGHASH_SINGLE);
        buf_put_le32(b, zero ? 0 : tx->in[i].sequence);
    }
}

static void put_outputs(struct buf *b, const struct tx *tx, const struct sighash_request *r)
{
    uint32_t base = r->hash_type & 0x1f;
    size_t n = base == SIGHASH_NONE ? 0 : base == SIGHASH_SINGLE ? r->index + 1 : tx->n_out;

    buf_put_compact(b, n);
    for (size_t i = 0; i < n; i++) {
        bool blank = base == SIGHASH_SINGLE && i != r->index;
        buf_put_le64(b, blank ? UINT64_MAX : (uint64_t)tx->out[i].value);
        buf_put_var_bytes(b, tx->out[i].script.data, blank ? 0 : tx->out[i].script.len);
    }
}

static void digest_in_full(const struct tx *tx, const struct sighash_request *r, uint8_t out[32])
{
    struct buf b;

    buf_init(&b);
    buf_put_le32(&b, (uint32_t)tx->version);
    put_inputs(&b, tx, r);
    put_outputs(&b, tx, r);
    buf_put_le32(&b, tx->lock_time);
    buf_put_le32(&b, r->hash_type);
    sha256d(out, b.data, b.len);
    buf_clear(&b);
}

static void shared_prefixes_change_no_digest(void **state)
{
    static const uint8_t types[] = { 0x01, 0x02, 0x03, 0x81, 0x82, 0x83, 0x00, 0x61, 0x63 };
    struct tx *tx = make_tx(300, 280);
    struct sighash_cache c;
    uint8_t got[32], expected[32];

    (void)state;
    sighash_cache_init(&c, tx);
    for (size_t i = 0; i < 280; i += i < 130 ? 9 : 31)
        for (size_t k = 0; k < sizeof(types); k++) {
            struct sighash_request r = {
                .code = span_of("\x76\xa9\x51", 3), .index = i, .hash_type = types[k],
            };
            digest_in_full(tx, &r, expected);
            assert_int_equal(sighash_original(&c, &r, got), SCRIPT_OK);
            assert_memory_equal(got, expected, 32);
        }
    sighash_cache_clear(&c);
    tx_unref(tx);
}

static void missing_input_or_output_gives_one(void **state)
{
    static const uint8_t one[32] = { 1 };
    struct tx *tx = make_tx(3, 2);
    struct sighash_cache c;
    uint8_t got[32];

    (void)state;
    sighash_cache_init(&c, tx);
    struct sighash_request r = { .code = span_of("", 0), .index = 2, .hash_type = 0x03 };
    assert_int_equal(sighash_original(&c, &r, got), SCRIPT_OK);
    assert_memory_equal(got, one, 32);
    r.index = 3;
    r.hash_type = 0x01;
    assert_int_equal(sighash_original(&c, &r, got), SCRIPT_OK);
    assert_memory_equal(got, one, 32);
    sighash_cache_clear(&c);
    tx_unref(tx);
}

static uint64_t bytes_for_all_inputs(size_t n)
{
    struct tx *tx = make_tx(n, 1);
    struct sighash_cache c;
    uint8_t digest[32];

    sighash_cache_init(&c, tx);
    for (size_t i = 0; i < n; i++) {
        struct sighash_request r = { .code = span_of("\x51", 1), .index = i, .hash_type = 0x61 };
        assert_int_equal(sighash_original(&c, &r, digest), SCRIPT_OK);
    }
    uint64_t bytes = atomic_load(&c.bytes_hashed);
    sighash_cache_clear(&c);
    tx_unref(tx);
    return bytes;
}

/* The tail after an input cannot be shared, what precedes it is: half of n * n inputs. */
static void prefixes_halve_the_work(void **state)
{
    uint64_t bytes = bytes_for_all_inputs(2000);

    (void)state;
    assert_true(bytes < UINT64_C(2000) * 2000 * 41 * 55 / 100);
}

static void cost_is_known_before_the_work(void **state)
{
    struct tx *tx = make_tx(1000, 500);
    uint64_t all = sighash_original_cost(tx, 0, 25, 0x61);

    (void)state;
    assert_true(all > 999 * 41);
    assert_true(sighash_original_cost(tx, 999, 25, 0x61) < all / 5);
    assert_true(sighash_original_cost(tx, 0, 25, 0xe2) < 1000);
    tx_unref(tx);
}

static void hashing_stops_when_cancelled(void **state)
{
    static uint8_t code[3 << 20];
    struct tx *tx = make_tx(2, 1);
    struct sighash_cache c;
    struct cancel cancel;
    uint8_t digest[32];

    (void)state;
    cancel_init(&cancel);
    cancel_set(&cancel);
    sighash_cache_init(&c, tx);
    struct sighash_request r = {
        .code = span_of(code, sizeof(code)), .hash_type = 0x41, .cancel = &cancel,
    };
    assert_int_equal(sighash_bip143(&c, &r, digest), SCRIPT_ERR_CANCELLED);
    r.hash_type = 0x61;
    assert_int_equal(sighash_original(&c, &r, digest), SCRIPT_ERR_CANCELLED);
    sighash_cache_clear(&c);
    tx_unref(tx);
}

struct shared {
    struct sighash_cache cache;
    uint8_t bip143[32], original[32];
};

static void *digest_both(void *arg)
{
    struct shared *s = (struct shared *)arg;
    uint8_t digest[32];
    struct sighash_request r = { .code = span_of("\x51", 1), .index = 150, .hash_type = 0x41 };

    if (sighash_bip143(&s->cache, &r, digest) || memcmp(digest, s->bip143, 32) != 0)
        return s;
    r.hash_type = 0x61;
    if (sighash_original(&s->cache, &r, digest) || memcmp(digest, s->original, 32) != 0)
        return s;
    return NULL;
}

static void threads_share_one_cache(void **state)
{
    struct tx *tx = make_tx(200, 5);
    struct shared s;
    pthread_t threads[4];
    void *bad;

    (void)state;
    struct sighash_request r = { .code = span_of("\x51", 1), .index = 150, .hash_type = 0x41 };
    sighash_cache_init(&s.cache, tx);
    assert_int_equal(sighash_bip143(&s.cache, &r, s.bip143), SCRIPT_OK);
    r.hash_type = 0x61;
    digest_in_full(tx, &r, s.original);
    sighash_cache_clear(&s.cache);
    sighash_cache_init(&s.cache, tx);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, digest_both, &s), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
    sighash_cache_clear(&s.cache);
    tx_unref(tx);
}

static void form_follows_bits_and_flags(void **state)
{
    (void)state;
    assert_int_equal(sighash_form_of(0x41, SCRIPT_SIGHASH_FORKID), SIGHASH_FORM_BIP143);
    assert_int_equal(sighash_form_of(0x61, SCRIPT_SIGHASH_FORKID), SIGHASH_FORM_ORIGINAL);
    assert_int_equal(sighash_form_of(0x01, SCRIPT_SIGHASH_FORKID), SIGHASH_FORM_ORIGINAL);
    assert_int_equal(sighash_form_of(0x41, 0), SIGHASH_FORM_ORIGINAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_prefixes_change_no_digest),
        cmocka_unit_test(missing_input_or_output_gives_one),
        cmocka_unit_test(prefixes_halve_the_work),
        cmocka_unit_test(cost_is_known_before_the_work),
        cmocka_unit_test(hashing_stops_when_cancelled),
        cmocka_unit_test(threads_share_one_cache),
        cmocka_unit_test(form_follows_bits_and_flags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
