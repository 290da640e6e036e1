/* hello, what it is judged by, and bound with the vectors of spec channels 10.1. */
#include "p2p/dchan_hello.h"

#include <string.h>

#include "base/ec.h"
#include "base/intmath.h"
#include "tests/bca/proof.h"
#include "tests/p2p/dchan_fixture.h"
#include "tests/test.h"

/* --- codec --- */

static const char bare_hex[] = "0001" "0000";
static const char full_hex[] =
    "0001" "00010a"
    "0106" "2f783a312f20"
    "0204" "01020304"
    "0308" "0000000000000007"
    "0412" "20010db8000000000000000000000001" "26d8"
    "0508" "000001a0c4d3a400"
    "0704" "000dbba0"
    "0920" "abababababababababababababababababababababababababababababababab";

static bool read_hex(struct dchan_hello *h, struct buf *in, const char *hex)
{
    struct reader r;
    *in = unhex(hex);
    reader_init(&r, in->data, in->len);
    const bool ok = dchan_hello_read(h, &r);
    return ok && reader_done(&r);
}

static void check_round_trip(const char *hex)
{
    struct dchan_hello h;
    struct buf in, out;
    assert_true(read_hex(&h, &in, hex));
    buf_init(&out);
    dchan_hello_write(&out, &h);
    assert_hex(out.data, out.len, hex);
    buf_clear(&in);
    buf_clear(&out);
}

static void fields_are_read_and_written(void **state)
{
    struct dchan_hello h;
    struct buf in;
    (void)state;
    check_round_trip(bare_hex);
    check_round_trip(full_hex);
    assert_true(read_hex(&h, &in, full_hex));
    assert_true(h.has_bca && h.has_seq && h.has_time && h.has_height && h.has_renews);
    assert_int_equal(h.port, 9944);
    assert_int_equal(h.height, 900000);
    assert_true(h.seq == 7 && h.time_ms == UINT64_C(0x1a0c4d3a400));
    assert_int_equal(h.agent.len, 6);
    assert_int_equal(h.params.len, 4);
    buf_clear(&in);
}

static void malformed_hellos_are_refused(void **state)
{
    static const char *const cases[] = {
        "", "00", "0001", "000100", "00010001",
        "0001" "0000" "01",
        "0001" "0000" "0101" "80",                 /* agent is ASCII */
        "0001" "0000" "0204" "01020304",           /* parameters without their address */
        "0001" "0000" "0412" "20010db800000000000000000000000126d8", /* and the other way round */
        "0001" "0000" "0200" "0412" "20010db800000000000000000000000126d8",
        "0001" "0000" "0204" "01020304" "0411" "20010db800000000000000000000000126",
        "0001" "0000" "0307" "00000000000000",
        "0001" "0000" "0509" "000000000000000000",
        "0001" "0000" "0703" "000000",
        "0001" "0000" "091f" "abababababababababababababababababababababababababababababababab",
        "0001" "0000" "0600",                      /* unknown, even */
        "0001" "0000" "0b00" "0b00",
    };
    struct dchan_hello h;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf in;
        assert_false(read_hex(&h, &in, cases[i]));
        buf_clear(&in);
    }
}

/* An unknown odd type of n bytes fills it up to the size that is asked for. */
static bool read_of_size(size_t size)
{
    struct dchan_hello h;
    struct reader r;
    struct buf b = unhex(bare_hex);
    buf_put_u8(&b, 0x0b);
    buf_put_u8(&b, 0xfd);
    buf_put_be16(&b, (uint16_t)(size - 2 - b.len - 2));
    const size_t rest = size - 2 - b.len;
    memset(buf_extend(&b, rest), 0, rest);
    reader_init(&r, b.data, b.len);
    const bool ok = dchan_hello_read(&h, &r);
    buf_clear(&b);
    return ok;
}

static void parts_and_whole_have_their_limits(void **state)
{
    static const struct {
        uint8_t type;
        size_t max;
    } parts[] = { { 1, DCHAN_AGENT_MAX }, { 2, DCHAN_PARAMS_MAX } };
    struct buf endpoint = unhex("0412" "20010db8000000000000000000000001" "26d8");
    (void)state;
    assert_true(read_of_size(DCHAN_HELLO_MAX));
    assert_false(read_of_size(DCHAN_HELLO_MAX + 1));
    for (size_t i = 0; i < 2 * COUNT_OF(parts); i++) {
        const size_t len = parts[i / 2].max + i % 2;
        struct dchan_hello h;
        struct reader r;
        struct buf b = unhex(bare_hex);
        uint8_t bytes[DCHAN_PARAMS_MAX + 1];
        memset(bytes, 'x', sizeof bytes);
        buf_put_tlv(&b, parts[i / 2].type, span_of(bytes, len));
        if (parts[i / 2].type == 2)
            buf_put(&b, endpoint.data, endpoint.len);
        reader_init(&r, b.data, b.len);
        assert_int_equal(dchan_hello_read(&h, &r), i % 2 == 0);
        buf_clear(&b);
    }
    buf_clear(&endpoint);
}

/* --- verification --- */

struct peer {
    struct proof proof;
    struct buf params;
    struct dchan_hello hello;
    struct dchan_seen seen;
    struct bca_policy views;
    struct dchan_policy policy;
    struct dchan_standing got;
};

/* A stranger who dialled us, bound. */
static void setup_peer(struct peer *p)
{
    ec_init();
    struct proof_shape shape = proof_shape_usual;
    shape.with_marker = true;
    proof_make(&p->proof, &shape);
    p->params = proof_bytes(&p->proof);
    p->hello = (struct dchan_hello){ .version = 1, .has_bca = true,
                                     .params = buf_span(&p->params) };
    memcpy(p->hello.address, p->proof.address, sizeof p->hello.address);
    p->seen = (struct dchan_seen){ p->proof.public_key, p->proof.address };
    p->views = (struct bca_policy){ .rules = bca_rules_get(BCA_NET_REGTEST) };
    p->policy = (struct dchan_policy){ .role = DCHAN_RESPONDER };
}

static void clear_peer(struct peer *p)
{
    proof_clear(&p->proof);
    buf_clear(&p->params);
}

static enum dchan_error judge(struct peer *p)
{
    dchan_hello_judge(&p->hello, &p->seen, &p->views, &p->policy, &p->got);
    return p->got.error;
}

static void a_proved_address_is_bound_or_unbound(void **state)
{
    struct peer p;
    static const uint8_t elsewhere[16] = { 0x20, 1 };
    (void)state;
    setup_peer(&p);
    assert_int_equal(judge(&p), DCHAN_NO_ERROR);
    assert_int_equal(p.got.binding, DCHAN_BOUND);
    assert_int_equal(p.got.result, BCA_VALID);
    assert_false(p.got.provisional);
    for (int relayed = 0; relayed < 2; relayed++) {
        p.seen.address = relayed ? NULL : elsewhere;
        p.policy = (struct dchan_policy){ .role = DCHAN_RESPONDER };
        assert_int_equal(judge(&p), DCHAN_ERROR_IDENTITY);
        assert_int_equal(p.got.binding, DCHAN_UNBOUND);
        p.policy.strangers_unbound = true;
        assert_int_equal(judge(&p), DCHAN_NO_ERROR);
        p.policy = (struct dchan_policy){ .role = DCHAN_RESPONDER, .contact = true };
        assert_int_equal(judge(&p), DCHAN_NO_ERROR);
        /* whom we dialled must answer from the address, contact or not */
        p.policy = (struct dchan_policy){ .role = DCHAN_INITIATOR, .contact = true,
                                          .strangers_unbound = true };
        assert_int_equal(judge(&p), DCHAN_ERROR_IDENTITY);
        p.policy.any_unbound = true;
        assert_int_equal(judge(&p), DCHAN_NO_ERROR);
        assert_int_equal(p.got.binding, DCHAN_UNBOUND);
    }
    clear_peer(&p);
}

static void the_key_must_be_that_of_the_handshake(void **state)
{
    struct peer p;
    (void)state;
    setup_peer(&p);
    p.policy.contact = true;
    p.seen.static_key = p.proof.other_key;
    assert_int_equal(judge(&p), DCHAN_ERROR_IDENTITY);
    p.seen.static_key = p.proof.public_key;
    p.hello.params = span_of(p.params.data, p.params.len - 1);
    assert_int_equal(judge(&p), DCHAN_ERROR_IDENTITY);
    clear_peer(&p);
}

static void another_address_is_not_proved(void **state)
{
    struct peer p;
    (void)state;
    setup_peer(&p);
    p.policy.contact = true;
    p.hello.address[15] ^= 1;
    p.seen.address = p.hello.address;
    assert_int_equal(judge(&p), DCHAN_ERROR_IDENTITY);
    assert_int_equal(p.got.result, BCA_INVALID);
    assert_int_equal(p.got.step, BCA_STEP_HASH1);
    clear_peer(&p);
}

static enum bca_place cannot_tell(void *ctx, const uint8_t header[80],
                                  const struct block_hash *hash, uint64_t *confirmations)
{
    (void)ctx;
    (void)header;
    (void)hash;
    (void)confirmations;
    return BCA_PLACE_UNKNOWN;
}

static enum bca_marker_state is_spent(void *ctx, const struct outpoint *marker)
{
    (void)ctx;
    (void)marker;
    return BCA_MARKER_SPENT;
}

static void undetermined_is_for_contacts_and_provisional(void **state)
{
    static const struct bca_chain_view chain = { cannot_tell, NULL };
    struct peer p;
    (void)state;
    setup_peer(&p);
    p.views.chain = &chain;
    assert_int_equal(judge(&p), DCHAN_ERROR_IDENTITY);
    assert_int_equal(p.got.result, BCA_UNDETERMINED);
    p.policy.contact = true;
    assert_int_equal(judge(&p), DCHAN_NO_ERROR);
    assert_true(p.got.provisional);
    clear_peer(&p);
}

static void a_revoked_address_is_refused(void **state)
{
    static const struct bca_spends_view spends = { is_spent, NULL };
    struct peer p;
    (void)state;
    setup_peer(&p);
    p.policy.contact = true;
    p.views.spends = &spends;
    assert_int_equal(judge(&p), DCHAN_ERROR_IDENTITY);
    assert_int_equal(p.got.step, BCA_STEP_REVOKED);
    clear_peer(&p);
}

static void a_bare_key_is_taken_where_it_is_allowed(void **state)
{
    struct peer p;
    (void)state;
    setup_peer(&p);
    p.hello = (struct dchan_hello){ .version = 1 };
    p.policy.contact = p.policy.any_unbound = true;
    assert_int_equal(judge(&p), DCHAN_ERROR_IDENTITY);
    p.policy.bare = true;
    assert_int_equal(judge(&p), DCHAN_NO_ERROR);
    assert_int_equal(p.got.binding, DCHAN_BARE);
    clear_peer(&p);
}

static void versions_and_features_are_agreed(void **state)
{
    struct peer p;
    (void)state;
    setup_peer(&p);
    p.hello.features = span_of("\x0a", 1);
    assert_int_equal(judge(&p), DCHAN_NO_ERROR);
    assert_int_equal(p.got.version, 1);
    assert_true(dchan_offers(&p.got.features, DCHAN_MESSAGES));
    p.hello.version = 9;
    assert_int_equal(judge(&p), DCHAN_NO_ERROR);
    assert_int_equal(p.got.version, 1);
    p.hello.version = 0;
    assert_int_equal(judge(&p), DCHAN_ERROR_VERSION);
    p.hello.version = 1;
    p.hello.features = span_of("\x04\x00\x00", 3);
    assert_int_equal(judge(&p), DCHAN_ERROR_FEATURE);
    p.hello.features = span_of("\x04", 1); /* required, and known to us */
    assert_int_equal(judge(&p), DCHAN_ERROR_FEATURE);
    p.policy.offered = 1u << DCHAN_MESSAGES;
    assert_int_equal(judge(&p), DCHAN_NO_ERROR);
    clear_peer(&p);
}

/* --- bound --- */

struct ends {
    uint8_t session_id[32], addresses[2][16], params[64];
    struct dchan_end initiator, responder;
};

static void setup_ends(struct ends *e, const char *session_id)
{
    struct buf id = unhex(session_id);
    memcpy(e->session_id, id.data, sizeof e->session_id);
    buf_clear(&id);
    for (unsigned i = 0; i < 2; i++)
        memcpy(e->addresses[i],
               (const uint8_t[16]){ 0x20, 0x01, 0x0d, 0xb8, [15] = (uint8_t)(i + 1) }, 16);
    for (uint8_t i = 0; i < sizeof e->params; i++)
        e->params[i] = i;
    e->initiator = (struct dchan_end){ e->addresses[0], span_of(e->params, 32) };
    e->responder = (struct dchan_end){ e->addresses[1], span_of(e->params + 32, 32) };
}

#define MAINNET_ID "d9765fe53d57c230e1f6f52ec9b58c291ac541ac5283f758171eb6954eb307e7"
#define REGTEST_ID "9f46ebd09a7af3681fa7053f87f7cb259e7a81a2f2186a4f6ce1817bfa5932f2"

static void bind_matches_the_vectors(void **state)
{
    static const char *const cases[][3] = {
        { MAINNET_ID, "2c41d3528eafafebd0d38026ccf14df4895387a06ef31a918e62619dfe2df6ea",
          "a4285eb5be401203682269fed94b5bbc86a9245bb02308cb1ed74c8ce21d83de" },
        { REGTEST_ID, "57d58d9492c0a2c51fe4162a7d9053b2e203505eead7e6cbd98e2670645208ba",
          "acf0ac99e532d3046d608dbcbcd493d1af77421890137dc9a65a98b76f489f16" },
    };
    struct ends e;
    struct dchan_bound m;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        setup_ends(&e, cases[i][0]);
        dchan_bound_make(&m, e.session_id, &e.initiator, &e.responder);
        assert_hex(m.bind, sizeof m.bind, cases[i][1]);
        e.initiator = (struct dchan_end){ NULL, span_of(NULL, 0) };
        dchan_bound_make(&m, e.session_id, &e.initiator, &e.responder);
        assert_hex(m.bind, sizeof m.bind, cases[i][2]);
    }
}

static void bound_tells_same_translated_and_wrong(void **state)
{
    struct ends e, other;
    struct dchan_bound m;
    (void)state;
    setup_ends(&e, MAINNET_ID);
    dchan_bound_make(&m, e.session_id, &e.initiator, &e.responder);
    assert_int_equal(dchan_bound_check(&m, e.session_id, &e.initiator, &e.responder),
                     DCHAN_BOUND_SAME);
    for (int side = 0; side < 2; side++) {
        setup_ends(&other, MAINNET_ID);
        other.addresses[side][15] = 9;
        assert_int_equal(dchan_bound_check(&m, e.session_id, &other.initiator, &other.responder),
                         DCHAN_BOUND_TRANSLATED);
        setup_ends(&other, MAINNET_ID);
        other.params[32 * side] ^= 1;
        assert_int_equal(dchan_bound_check(&m, e.session_id, &other.initiator, &other.responder),
                         DCHAN_BOUND_WRONG);
    }
    setup_ends(&other, REGTEST_ID);
    assert_int_equal(dchan_bound_check(&m, other.session_id, &e.initiator, &e.responder),
                     DCHAN_BOUND_WRONG);
    m.bind[31] ^= 1;
    assert_int_equal(dchan_bound_check(&m, e.session_id, &e.initiator, &e.responder),
                     DCHAN_BOUND_WRONG);
}

static void bound_is_read_and_written(void **state)
{
    struct ends e;
    struct dchan_bound m, again;
    struct reader r;
    struct buf b;
    (void)state;
    setup_ends(&e, MAINNET_ID);
    dchan_bound_make(&m, e.session_id, &e.initiator, &e.responder);
    buf_init(&b);
    dchan_bound_write(&b, &m);
    assert_int_equal(b.len, 64);
    reader_init(&r, b.data, b.len);
    dchan_bound_read(&r, &again);
    assert_true(reader_done(&r));
    assert_memory_equal(&m, &again, sizeof m);
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_read_and_written),
        cmocka_unit_test(malformed_hellos_are_refused),
        cmocka_unit_test(parts_and_whole_have_their_limits),
        cmocka_unit_test(a_proved_address_is_bound_or_unbound),
        cmocka_unit_test(the_key_must_be_that_of_the_handshake),
        cmocka_unit_test(another_address_is_not_proved),
        cmocka_unit_test(undetermined_is_for_contacts_and_provisional),
        cmocka_unit_test(a_revoked_address_is_refused),
        cmocka_unit_test(a_bare_key_is_taken_where_it_is_allowed),
        cmocka_unit_test(versions_and_features_are_agreed),
        cmocka_unit_test(bind_matches_the_vectors),
        cmocka_unit_test(bound_tells_same_translated_and_wrong),
        cmocka_unit_test(bound_is_read_and_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
