/* The published vectors of BOLT 8 under its prologue, those of ours, and what the machine wipes. */
#include "p2p/dchan_hs.h"

#include <json-c/json.h>
#include <string.h>

#include "base/ec.h"
#include "tests/base/json_text.h"
#include "tests/p2p/dchan_fixture.h"
#include "tests/test.h"

#define BOLT8 "spec/bolt8.json"

static const uint8_t mainnet_magic[4] = { 0xe3, 0xe1, 0xf3, 0xe8 };
static const uint8_t regtest_magic[4] = { 0xda, 0xb5, 0xbf, 0xfa };

/* --- BOLT 8 --- */

/* The names of the errors there, without the act. */
static enum dchan_hs_fault fault_of(const char *result)
{
    static const struct {
        const char *text;
        enum dchan_hs_fault fault;
    } names[] = {
        { "READ_FAILED", DCHAN_HS_SHORT },       { "BAD_VERSION", DCHAN_HS_BAD_VERSION },
        { "BAD_PUBKEY", DCHAN_HS_BAD_PUBKEY },   { "BAD_CIPHERTEXT", DCHAN_HS_BAD_CIPHERTEXT },
        { "BAD_TAG", DCHAN_HS_BAD_TAG },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strstr(result, names[i].text))
            return names[i].fault;
    fail_msg("unknown result: %s", result);
    return DCHAN_HS_NO_FAULT;
}

static void put_key(struct open_key *k, struct json_object *given, const char *name)
{
    struct buf secret = unhex(json_str(given, name));
    assert_int_equal(secret.len, sizeof k->secret);
    open_key_init_with(k, secret.data);
    buf_clear(&secret);
}

/* One step of a case; what it put out lasts until the next one states it. */
struct run {
    struct dchan_hs hs;
    uint8_t out[DCHAN_ACT_MAX];
    size_t out_len;
};

static void check_result(struct run *r, struct json_object *step)
{
    struct dchan_keys s;
    struct json_object *keys = json_get(step, "result");
    if (json_object_is_type(keys, json_type_string)) {
        assert_int_equal(dchan_hs_end(&r->hs), ERR_AUTH);
        assert_int_equal(r->hs.fault, fault_of(json_object_get_string(keys)));
        assert_int_equal(r->out_len, 0);
        return;
    }
    assert_true(dchan_hs_done(&r->hs));
    dchan_hs_take(&r->hs, &s);
    assert_hex(s.send_key, 32, json_str(keys, "sk"));
    assert_hex(s.receive_key, 32, json_str(keys, "rk"));
}

/* The input is fed byte by byte: pieces must not matter. */
static void run_step(struct run *r, struct json_object *step)
{
    struct json_object *found;
    if (json_object_object_get_ex(step, "input", &found)) {
        struct buf in = unhex(json_object_get_string(found));
        r->out_len = 0;
        for (size_t i = 0; i < in.len; i++) {
            struct span one = span_of(in.data + i, 1);
            if (dchan_hs_feed(&r->hs, &one, r->out, &r->out_len) == OK)
                assert_int_equal(one.len, 0);
        }
        buf_clear(&in);
    }
    if (json_object_object_get_ex(step, "output", &found))
        assert_hex(r->out, r->out_len, json_object_get_string(found));
    if (json_object_object_get_ex(step, "result", &found))
        check_result(r, step);
}

static void run_case(struct json_object *c, const char *prologue)
{
    struct json_object *given = json_get(c, "given"), *steps = json_get(c, "steps");
    struct run r = { .out_len = 0 };
    struct open_key own;
    put_key(&own, given, "ls.priv");
    assert_hex(own.key.pub, IDENTITY_KEY_SIZE, json_str(given, "ls.pub"));
    struct buf e = unhex(json_str(given, "e.priv")), rs = { 0 };
    const bool initiator = strstr(json_str(c, "name"), "initiator") != NULL;
    if (initiator)
        rs = unhex(json_str(given, "rs.pub"));
    const struct dchan_hs_config config = {
        .role = initiator ? DCHAN_INITIATOR : DCHAN_RESPONDER,
        .prologue = span_of(prologue, strlen(prologue)),
        .key = &own.key,
        .remote_key = rs.data,
        .ephemeral = e.data,
    };
    assert_int_equal(dchan_hs_init(&r.hs, &config), OK);
    if (initiator) {
        assert_int_equal(dchan_hs_start(&r.hs, r.out), OK);
        r.out_len = DCHAN_ACT_ONE_SIZE;
    }
    for (size_t i = 0; i < json_object_array_length(steps); i++)
        run_step(&r, json_object_array_get_idx(steps, i));
    buf_clear(&e);
    buf_clear(&rs);
}

static void the_cases_of_bolt_8_pass(void **state)
{
    struct json_object *all = vector_json(BOLT8), *cases = json_get(all, "handshake_cases");
    const char *prologue = json_str(json_get(all, "constants"), "prologue");
    const size_t n = json_object_array_length(cases);
    (void)state;
    assert_non_null(prologue);
    for (size_t i = 0; i < n; i++)
        run_case(json_object_array_get_idx(cases, i), prologue);
    vector_report(BOLT8 " handshakes", n);
    json_object_put(all);
}

/* --- our prologue --- */

struct network_case {
    const uint8_t *magic;
    const char *prologue, *act[3], *session_id;
};

static void check_network(const struct network_case *c)
{
    uint8_t prologue[DCHAN_PROLOGUE_SIZE], e[32], act[DCHAN_ACT_MAX];
    struct session_pair p;
    struct dchan_hs i;
    size_t len;
    dchan_prologue(prologue, c->magic);
    assert_hex(prologue, sizeof prologue, c->prologue);
    session_pair_make(&p, span_of(prologue, sizeof prologue));
    assert_hex(p.initiator.send_key, 32,
               "969ab31b4d288cedf6218839b27a3e2140827047f2c0f01bf5c04435d43511a9");
    assert_hex(p.initiator.receive_key, 32,
               "bb9020b8965f4df047e07f955f3c4b88418984aadc5cdb35096b9ea8fa5c3442");
    assert_memory_equal(p.initiator.send_key, p.responder.receive_key, 32);
    assert_memory_equal(p.initiator.receive_key, p.responder.send_key, 32);
    assert_memory_equal(p.initiator.chaining_key, p.responder.chaining_key, 32);
    assert_memory_equal(p.initiator.remote_key, p.responder_key.key.pub, IDENTITY_KEY_SIZE);
    assert_memory_equal(p.responder.remote_key, p.initiator_key.key.pub, IDENTITY_KEY_SIZE);
    assert_hex(p.initiator.session_id, 32, c->session_id);
    assert_hex(p.responder.session_id, 32, c->session_id);

    memset(e, 0x12, sizeof e);
    assert_int_equal(dchan_hs_init(&i, &(struct dchan_hs_config){
        DCHAN_INITIATOR, span_of(prologue, sizeof prologue), &p.initiator_key.key,
        p.responder_key.key.pub, e }), OK);
    assert_int_equal(dchan_hs_start(&i, act), OK);
    assert_hex(act, DCHAN_ACT_ONE_SIZE, c->act[0]);
    struct buf two = unhex(c->act[1]);
    buf_put_str(&two, "more"); /* stays */
    struct span in = buf_span(&two);
    assert_int_equal(dchan_hs_feed(&i, &in, act, &len), OK);
    assert_hex(act, len, c->act[2]);
    assert_int_equal(in.len, 4);
    dchan_hs_clear(&i);
    buf_clear(&two);
}

static void the_acts_under_our_prologues(void **state)
{
    static const struct network_case cases[] = {
        { mainnet_magic, "6273762d6263612d7065657201e3e1f3e8",
          { "00036360e856310ce5d294e8be33fc807077dc56ac80d95d9cd4ddbd21325eff73f7fb91f44d"
            "134c6c0ce16218a51c65bdab",
            "0002466d7fcae563e5cb09a0d1870bb580344804617879a14949cf22285f1bae3f27e9d689e4"
            "d53e1fc38e3f8c9ee423166e",
            "00b9e3a702e93e3a9948c2ed6e5fd7590a6e1c3a0344cfc9d5b57357049aa2235536cba7be80"
            "67db4e1d033013e473cb773678c0de35cd2fa9a0f491c3068112eff7" },
          "d9765fe53d57c230e1f6f52ec9b58c291ac541ac5283f758171eb6954eb307e7" },
        { regtest_magic, "6273762d6263612d7065657201dab5bffa",
          { "00036360e856310ce5d294e8be33fc807077dc56ac80d95d9cd4ddbd21325eff73f753571d8b"
            "3601c924270287344c97dbd3",
            "0002466d7fcae563e5cb09a0d1870bb580344804617879a14949cf22285f1bae3f278226a800"
            "7d393dee5c04364d0392a6a6",
            "00b9e3a702e93e3a9948c2ed6e5fd7590a6e1c3a0344cfc9d5b57357049aa223553626555680"
            "6f78d583cfa23ce501536ea50bc12ca2b567483d55874cfd54c52adb" },
          "9f46ebd09a7af3681fa7053f87f7cb259e7a81a2f2186a4f6ce1817bfa5932f2" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_network(&cases[i]);
}

/* --- more --- */

static void feed_all(struct dchan_hs *hs, const uint8_t *data, size_t len, uint8_t *reply,
                     size_t *reply_len, enum err expected)
{
    struct span in = span_of(data, len);
    assert_int_equal(dchan_hs_feed(hs, &in, reply, reply_len), expected);
}

static void prologues_of_two_networks_do_not_meet(void **state)
{
    uint8_t ours[DCHAN_PROLOGUE_SIZE], theirs[DCHAN_PROLOGUE_SIZE], act[DCHAN_ACT_MAX],
        reply[DCHAN_ACT_MAX];
    struct open_key a, b;
    struct dchan_hs i, r;
    size_t len;
    (void)state;
    open_key_init(&a, 1);
    open_key_init(&b, 2);
    dchan_prologue(ours, mainnet_magic);
    dchan_prologue(theirs, regtest_magic);
    assert_int_equal(dchan_hs_init(&i, &(struct dchan_hs_config){
        DCHAN_INITIATOR, span_of(ours, sizeof ours), &a.key, b.key.pub, NULL }), OK);
    assert_int_equal(dchan_hs_init(&r, &(struct dchan_hs_config){
        DCHAN_RESPONDER, span_of(theirs, sizeof theirs), &b.key, NULL, NULL }), OK);
    assert_int_equal(dchan_hs_start(&i, act), OK);
    feed_all(&r, act, DCHAN_ACT_ONE_SIZE, reply, &len, ERR_AUTH);
    assert_int_equal(r.fault, DCHAN_HS_BAD_TAG);
    assert_int_equal(len, 0);
}

/* Nothing but the fault is left, and nothing is accepted any more. */
static void assert_dead(struct dchan_hs *hs, enum dchan_hs_fault fault)
{
    struct dchan_hs wiped = { .awaits = DCHAN_HS_FAILED, .fault = fault };
    uint8_t reply[DCHAN_ACT_MAX];
    size_t len = 1;
    assert_int_equal(hs->fault, fault);
    assert_memory_equal(hs->e, wiped.e, sizeof wiped.e);
    assert_memory_equal(hs->ck, wiped.ck, sizeof wiped.ck);
    assert_memory_equal(hs->h, wiped.h, sizeof wiped.h);
    assert_memory_equal(hs->temp_k, wiped.temp_k, sizeof wiped.temp_k);
    feed_all(hs, (const uint8_t *)"x", 1, reply, &len, ERR_AUTH);
    assert_int_equal(len, 0);
    assert_int_equal(dchan_hs_end(hs), ERR_AUTH);
}

/* --- attacks --- */

/* A handshake whose acts somebody on the way sees and changes. */
struct meeting {
    struct dchan_hs i, r;
    uint8_t acts[3][DCHAN_ACT_MAX];
    size_t len[3];
};

static void meeting_init(struct meeting *m, const struct identity_key *initiator,
                         const uint8_t *dialled, const struct identity_key *responder)
{
    *m = (struct meeting){ .len = { DCHAN_ACT_ONE_SIZE } };
    assert_int_equal(dchan_hs_init(&m->i, &(struct dchan_hs_config){
        DCHAN_INITIATOR, span_of("x", 1), initiator, dialled, NULL }), OK);
    assert_int_equal(dchan_hs_init(&m->r, &(struct dchan_hs_config){
        DCHAN_RESPONDER, span_of("x", 1), responder, NULL, NULL }), OK);
    assert_int_equal(dchan_hs_start(&m->i, m->acts[0]), OK);
}

static struct dchan_hs *reader_of(struct meeting *m, int act)
{
    return act == 1 ? &m->i : &m->r;
}

/* Gives the act to whom it is for. False: that one refuses, and is dead. */
static bool give(struct meeting *m, int act)
{
    uint8_t reply[DCHAN_ACT_MAX];
    struct span in = span_of(m->acts[act], m->len[act]);
    size_t len;
    if (dchan_hs_feed(reader_of(m, act), &in, reply, &len) != OK) {
        assert_int_equal(len, 0);
        assert_dead(reader_of(m, act), reader_of(m, act)->fault);
        return false;
    }
    if (act < 2) {
        memcpy(m->acts[act + 1], reply, len);
        m->len[act + 1] = len;
    }
    return true;
}

static void meeting_clear(struct meeting *m)
{
    dchan_hs_clear(&m->i);
    dchan_hs_clear(&m->r);
}

/* Attack E3: of any act. */
static void every_changed_bit_ends_it(void **state)
{
    static const size_t sizes[] = { DCHAN_ACT_ONE_SIZE, DCHAN_ACT_TWO_SIZE, DCHAN_ACT_THREE_SIZE };
    struct open_key a, b;
    struct meeting m;
    (void)state;
    open_key_init(&a, 1);
    open_key_init(&b, 2);
    for (int act = 0; act < 3; act++)
        for (size_t bit = 0; bit < 8 * sizes[act]; bit++) {
            meeting_init(&m, &a.key, b.key.pub, &b.key);
            for (int before = 0; before < act; before++)
                assert_true(give(&m, before));
            assert_int_equal(m.len[act], sizes[act]);
            m.acts[act][bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(give(&m, act));
            meeting_clear(&m);
        }
}

/* Attack E2: each act of one handshake where that of another one is due. */
static void acts_of_another_handshake_are_refused(void **state)
{
    struct open_key a, b;
    struct meeting heard, m;
    (void)state;
    open_key_init(&a, 1);
    open_key_init(&b, 2);
    meeting_init(&heard, &a.key, b.key.pub, &b.key);
    for (int act = 0; act < 3; act++)
        assert_true(give(&heard, act));
    for (int act = 0; act < 3; act++) {
        meeting_init(&m, &a.key, b.key.pub, &b.key);
        for (int before = 0; before < act; before++)
            assert_true(give(&m, before));
        memcpy(m.acts[act], heard.acts[act], heard.len[act]);
        if (act == 0) { /* it may begin one; but what follows is of another key */
            assert_true(give(&m, 0));
            memcpy(m.acts[2], heard.acts[2], heard.len[2]);
            m.len[2] = heard.len[2];
            assert_false(give(&m, 2));
        } else {
            assert_false(give(&m, act));
        }
        meeting_clear(&m);
    }
    meeting_clear(&heard);
}

/* Attack E3: who passes the acts of one dialler on to somebody else ties neither to a third. */
static void acts_for_another_key_are_refused(void **state)
{
    struct open_key a, b, c;
    struct meeting m;
    (void)state;
    open_key_init(&a, 1);
    open_key_init(&b, 2);
    open_key_init(&c, 3);
    meeting_init(&m, &a.key, b.key.pub, &c.key); /* dials b, and c hears it */
    assert_false(give(&m, 0));
    assert_int_equal(m.r.fault, DCHAN_HS_BAD_TAG);
    meeting_clear(&m);
}

static bool agree_with(void *ctx, uint8_t out[32], const uint8_t their_key[IDENTITY_KEY_SIZE])
{
    return ec_ecdh_sha256(out, their_key, ctx);
}

/* Attack E4: who has our static key can be us, and nobody else before us: neither with our key in
 * the place of theirs nor with his own. */
static void whoever_has_our_key_is_no_third_to_us(void **state)
{
    struct open_key us, third, own;
    struct meeting m;
    (void)state;
    open_key_init(&us, 1);
    open_key_init(&third, 2);
    open_key_init(&own, 3);
    uint8_t *const secrets[] = { us.secret, own.secret };
    for (size_t i = 0; i < 2; i++) {
        struct identity_key claimed = third.key;
        claimed.noise_dh = agree_with;
        claimed.ctx = secrets[i];
        meeting_init(&m, &claimed, us.key.pub, &us.key); /* as who dials us */
        assert_true(give(&m, 0));
        assert_true(give(&m, 1));
        assert_false(give(&m, 2));
        assert_int_equal(m.r.fault, DCHAN_HS_BAD_TAG);
        meeting_clear(&m);
        meeting_init(&m, &us.key, third.key.pub, &claimed); /* as whom we dial */
        assert_false(give(&m, 0));
        meeting_clear(&m);
    }
}

static void ephemeral_keys_are_fresh(void **state)
{
    struct session_pair p;
    uint8_t first[DCHAN_ACT_MAX], second[DCHAN_ACT_MAX];
    uint8_t *acts[] = { first, second };
    (void)state;
    session_pair_make(&p, span_of("x", 1));
    for (int i = 0; i < 2; i++) {
        struct dchan_hs hs;
        assert_int_equal(dchan_hs_init(&hs, &(struct dchan_hs_config){
            DCHAN_INITIATOR, span_of("x", 1), &p.initiator_key.key, p.responder_key.key.pub,
            NULL }), OK);
        assert_int_equal(dchan_hs_start(&hs, acts[i]), OK);
        dchan_hs_clear(&hs);
    }
    assert_memory_not_equal(first + 1, second + 1, IDENTITY_KEY_SIZE);
}

static void a_key_that_is_not_to_be_had_ends_it(void **state)
{
    struct session_pair p;
    struct dchan_hs i, r;
    uint8_t act[DCHAN_ACT_MAX], reply[DCHAN_ACT_MAX];
    size_t len;
    (void)state;
    session_pair_make(&p, span_of("x", 1));
    for (int side = 0; side < 2; side++) {
        p.initiator_key.locked = side == 0;
        p.responder_key.locked = side == 1;
        assert_int_equal(dchan_hs_init(&i, &(struct dchan_hs_config){
            DCHAN_INITIATOR, span_of("x", 1), &p.initiator_key.key, p.responder_key.key.pub,
            NULL }), OK);
        assert_int_equal(dchan_hs_init(&r, &(struct dchan_hs_config){
            DCHAN_RESPONDER, span_of("x", 1), &p.responder_key.key, NULL, NULL }), OK);
        assert_int_equal(dchan_hs_start(&i, act), OK);
        feed_all(&r, act, DCHAN_ACT_ONE_SIZE, reply, &len, side == 1 ? ERR_AUTH : OK);
        if (side == 1) {
            assert_dead(&r, DCHAN_HS_NO_KEY);
        } else {
            feed_all(&i, reply, len, act, &len, ERR_AUTH);
            assert_dead(&i, DCHAN_HS_NO_KEY);
        }
        dchan_hs_clear(&i);
        dchan_hs_clear(&r);
    }
}

static void a_remote_key_that_is_none_is_refused(void **state)
{
    struct open_key a;
    struct dchan_hs hs;
    uint8_t key[IDENTITY_KEY_SIZE] = { 4, 1 }, act[DCHAN_ACT_MAX];
    (void)state;
    open_key_init(&a, 1);
    assert_int_equal(dchan_hs_init(&hs, &(struct dchan_hs_config){
        DCHAN_INITIATOR, span_of("x", 1), &a.key, key, NULL }), ERR_RANGE);
    assert_int_equal(dchan_hs_start(&hs, act), ERR_AUTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cases_of_bolt_8_pass),
        cmocka_unit_test(the_acts_under_our_prologues),
        cmocka_unit_test(prologues_of_two_networks_do_not_meet),
        cmocka_unit_test(every_changed_bit_ends_it),
        cmocka_unit_test(acts_of_another_handshake_are_refused),
        cmocka_unit_test(acts_for_another_key_are_refused),
        cmocka_unit_test(whoever_has_our_key_is_no_third_to_us),
        cmocka_unit_test(ephemeral_keys_are_fresh),
        cmocka_unit_test(a_key_that_is_not_to_be_had_ends_it),
        cmocka_unit_test(a_remote_key_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
