#include "bca/headers.h"

#include "base/hash.h"
#include "tests/bca/proof.h"
#include "tests/test.h"

#define N 20

/* N headers of regtest that follow each other, ten minutes apart. */
static void make_chain(uint8_t chain[N][80], bool from_genesis)
{
    memset(chain, 0, N * 80);
    for (uint32_t i = 0; i < N; i++) {
        if (i)
            sha256d(chain[i] + 4, chain[i - 1], 80);
        else if (!from_genesis)
            memset(chain[0] + 4, 7, 32);
        le32_put(chain[i] + 68, 1700000000 + 600 * i);
        le32_put(chain[i] + 72, 0x207fffff);
        proof_grind(chain[i], true);
    }
}

static struct bca_headers *list_of(uint8_t chain[N][80])
{
    struct error e = { .code = OK };
    struct bca_headers *h =
        bca_headers_new(span_of(chain, N * 80), bca_rules_get(BCA_NET_REGTEST), &e);
    if (!h)
        fail_msg("%s", e.text);
    return h;
}

static enum bca_place find(struct bca_headers *h, const uint8_t header[80], uint64_t *confirmations)
{
    struct block_hash hash;
    sha256d(hash.b, header, 80);
    return bca_headers_find(h, header, &hash, confirmations);
}

static void headers_of_the_list_have_confirmations(void **state)
{
    (void)state;
    uint8_t chain[N][80];
    uint64_t confirmations;
    make_chain(chain, false);
    struct bca_headers *h = list_of(chain);
    assert_int_equal(find(h, chain[N - 1], &confirmations), BCA_PLACE_ACTIVE);
    assert_int_equal(confirmations, 1);
    assert_int_equal(find(h, chain[0], &confirmations), BCA_PLACE_ACTIVE);
    assert_int_equal(confirmations, N);
    bca_headers_free(h);
}

static void others_are_stale_when_the_list_shows_it(void **state)
{
    (void)state;
    uint8_t chain[N][80], other[80];
    uint64_t confirmations;
    for (int whole = 0; whole < 2; whole++) {
        make_chain(chain, whole);
        struct bca_headers *h = list_of(chain);
        memcpy(other, chain[5], 80);
        other[40] ^= 1;
        assert_int_equal(find(h, other, &confirmations), BCA_PLACE_NOT_ACTIVE);
        sha256d(other + 4, chain[N - 1], 80); /* after the tip */
        le32_put(other + 68, 1700000000 + 600 * N);
        assert_int_equal(find(h, other, &confirmations), BCA_PLACE_UNKNOWN);
        memset(other + 4, 9, 32); /* parent not known */
        assert_int_equal(find(h, other, &confirmations), BCA_PLACE_UNKNOWN);
        le32_put(other + 68, 1700000000 + 600 * (N - 6)); /* the median time of the tip */
        assert_int_equal(find(h, other, &confirmations),
                         whole ? BCA_PLACE_NOT_ACTIVE : BCA_PLACE_UNKNOWN);
        le32_put(other + 68, 1700000000 + 600 * (N - 6) + 1);
        assert_int_equal(find(h, other, &confirmations), BCA_PLACE_UNKNOWN);
        bca_headers_free(h);
    }
}

static void assert_refused(const void *list, size_t len, enum bca_network network, const char *why)
{
    struct error e = { .code = OK };
    assert_null(bca_headers_new(span_of(list, len), bca_rules_get(network), &e));
    assert_int_equal(e.code, ERR_PARSE);
    assert_non_null(strstr(e.text, why));
}

static void what_is_no_chain_is_refused(void **state)
{
    (void)state;
    uint8_t chain[N][80];
    make_chain(chain, true);
    assert_refused(chain, 0, BCA_NET_REGTEST, "no list");
    assert_refused(chain, 81, BCA_NET_REGTEST, "no list");
    assert_refused(chain, sizeof chain, BCA_NET_MAIN, "header 0");
    memcpy(chain[4], chain[3], 80);
    assert_refused(chain, sizeof chain, BCA_NET_REGTEST, "header 4 of the list does not follow");
    make_chain(chain, true);
    proof_grind(chain[N - 1], false);
    assert_refused(chain, sizeof chain, BCA_NET_REGTEST, "header 19 of the list has no proof");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_of_the_list_have_confirmations),
        cmocka_unit_test(others_are_stale_when_the_list_shows_it),
        cmocka_unit_test(what_is_no_chain_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
