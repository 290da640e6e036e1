/*
 * The process is cloned with handshakes and sessions in it, and both copies go on (attacks E6).
 * Every key that is used, with its nonce, is written down by both: no pair may come twice. What
 * both seal alike would give away nothing, but counts as well.
 */
#include <config.h>

#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/aead.h"
#include "tests/p2p/dchan_duo.h"
#include "tests/test.h"

#define USES_MAX 4096
#define START DUO_START
#define HOUR_MS 3600000
#define MESSAGES 20

struct use {
    uint8_t key[AEAD_KEY_SIZE], nonce[12];
    pid_t by;
};

static struct {
    size_t n;
    struct use list[USES_MAX];
} *uses; /* of both; one runs after the other */

static struct {
    const struct aead_ctx *ctx;
    uint8_t key[AEAD_KEY_SIZE];
} keys[16];

static void note(const uint8_t *key, const uint8_t *nonce)
{
    struct use *u = &uses->list[uses->n++];
    assert_true(uses->n < USES_MAX);
    memcpy(u->key, key, sizeof u->key);
    memcpy(u->nonce, nonce, sizeof u->nonce);
    u->by = getpid();
}

bool __real_aead_seal(enum aead_kind kind, const uint8_t key[AEAD_KEY_SIZE], struct span iv,
                      struct span aad, struct span plain, uint8_t *out);
bool __wrap_aead_seal(enum aead_kind kind, const uint8_t key[AEAD_KEY_SIZE], struct span iv,
                      struct span aad, struct span plain, uint8_t *out);
void __real_aead_ctx_set_key(struct aead_ctx *c, const uint8_t key[AEAD_KEY_SIZE]);
void __wrap_aead_ctx_set_key(struct aead_ctx *c, const uint8_t key[AEAD_KEY_SIZE]);
bool __real_aead_ctx_seal(struct aead_ctx *c, const uint8_t iv[12], struct span plain,
                          uint8_t *out);
bool __wrap_aead_ctx_seal(struct aead_ctx *c, const uint8_t iv[12], struct span plain,
                          uint8_t *out);

bool __wrap_aead_seal(enum aead_kind kind, const uint8_t key[AEAD_KEY_SIZE], struct span iv,
                      struct span aad, struct span plain, uint8_t *out)
{
    note(key, iv.data);
    return __real_aead_seal(kind, key, iv, aad, plain, out);
}

void __wrap_aead_ctx_set_key(struct aead_ctx *c, const uint8_t key[AEAD_KEY_SIZE])
{
    size_t i = 0;
    while (keys[i].ctx && keys[i].ctx != c)
        i++;
    assert_true(i < sizeof keys / sizeof keys[0]);
    keys[i].ctx = c;
    memcpy(keys[i].key, key, sizeof keys[i].key);
    __real_aead_ctx_set_key(c, key);
}

bool __wrap_aead_ctx_seal(struct aead_ctx *c, const uint8_t iv[12], struct span plain,
                          uint8_t *out)
{
    size_t i = 0;
    while (keys[i].ctx != c)
        i++;
    note(keys[i].key, iv);
    return __real_aead_ctx_seal(c, iv, plain, out);
}

static pid_t original;

static int begin(void **state)
{
    (void)state;
    original = getpid();
    memset(keys, 0, sizeof keys);
    uses = mmap(NULL, sizeof *uses, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return uses == MAP_FAILED ? -1 : 0;
}

/* A copy in which an assertion failed came back into the frame of the tests. */
static int end(void **state)
{
    (void)state;
    if (getpid() != original)
        _exit(1);
    return munmap(uses, sizeof *uses);
}

static bool is_same_use(const struct use *a, const struct use *b)
{
    return memcmp(a->key, b->key, sizeof a->key) == 0 &&
           memcmp(a->nonce, b->nonce, sizeof a->nonce) == 0;
}

static void assert_no_pair_comes_twice(void)
{
    for (size_t i = 0; i < uses->n; i++)
        for (size_t k = 0; k < i; k++)
            assert_false(is_same_use(&uses->list[i], &uses->list[k]));
}

static size_t uses_by(pid_t process)
{
    size_t n = 0;
    for (size_t i = 0; i < uses->n; i++)
        n += uses->list[i].by == process;
    return n;
}

/* The copy does it first, then the original; the number of seals of each since the fork. */
static void do_in_both(void (*go_on)(void *what, bool copy), void *what, size_t *by_copy,
                       size_t *by_original)
{
    const size_t before = uses_by(getpid());
    const pid_t copy = fork();
    int status = 1;
    if (copy == 0) {
        go_on(what, true);
        _exit(0);
    }
    assert_int_equal(waitpid(copy, &status, 0), copy);
    assert_int_equal(status, 0);
    go_on(what, false);
    *by_copy = uses_by(copy);
    *by_original = uses_by(getpid()) - before;
    assert_no_pair_comes_twice();
}

/* --- records --- */

static void seal_messages(void *what, bool copy)
{
    struct dchan_rec *rec = what;
    for (int i = 0; i < MESSAGES; i++)
        assert_int_equal(dchan_rec_put(rec, span_of(copy ? "child" : "hello", 5),
                                       span_of(NULL, 0), START), copy ? ERR_AUTH : OK);
    assert_int_equal(dchan_rec_tick(rec, START + HOUR_MS), copy ? ERR_AUTH : OK);
    assert_true((dchan_rec_output(rec).len == 0) == copy);
}

static void a_copy_of_a_session_seals_nothing(void **state)
{
    struct session_pair pair;
    size_t by_copy, by_original;
    (void)state;
    session_pair_make(&pair, span_of("x", 1));
    uses->n = 0; /* of the handshake, whose keys are fixed */
    struct dchan_rec *rec = dchan_rec_new(DCHAN_INITIATOR, &pair.initiator, START);
    dchan_rec_allow(rec, DCHAN_REKEYS_BY_DH, START);
    assert_int_equal(dchan_rec_put(rec, span_of("hello", 5), span_of(NULL, 0), START), OK);
    do_in_both(seal_messages, rec, &by_copy, &by_original);
    assert_int_equal(by_copy, 0);
    assert_in_range(by_original, 2 * MESSAGES, 2 * MESSAGES + 4); /* and what the hour brings */
    dchan_rec_free(rec);
}

static void read_on(void *what, bool copy)
{
    struct dchan_rec *const *rec = what;
    struct span in = dchan_rec_output(rec[0]), msg;
    assert_int_equal(dchan_rec_read(rec[1], &in, START, &msg), copy ? ERR_AUTH : OK);
    assert_int_equal(msg.len, copy ? 0 : 5);
    assert_int_equal(dchan_rec_put(rec[1], span_of("hello", 5), span_of(NULL, 0), START),
                     copy ? ERR_AUTH : OK);
}

static void a_copy_of_a_session_reads_nothing(void **state)
{
    struct session_pair pair;
    size_t by_copy, by_original;
    (void)state;
    session_pair_make(&pair, span_of("x", 1));
    uses->n = 0;
    struct dchan_rec *rec[] = { dchan_rec_new(DCHAN_INITIATOR, &pair.initiator, START),
                                dchan_rec_new(DCHAN_RESPONDER, &pair.responder, START) };
    assert_int_equal(dchan_rec_put(rec[0], span_of("hello", 5), span_of(NULL, 0), START), OK);
    do_in_both(read_on, rec, &by_copy, &by_original);
    assert_int_equal(by_copy, 0);
    assert_int_equal(by_original, 2);
    dchan_rec_free(rec[0]);
    dchan_rec_free(rec[1]);
}

/* --- whole sessions --- */

/* Long enough for pings and rotations. */
static void let_time_pass(void *what, bool copy)
{
    struct duo *d = what;
    duo_pass(d, 300);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(d->ends[i].closes, copy ? 1 : 0);
        if (copy)
            assert_int_equal(dchan_session_output(d->ends[i].session, d->now_ms).len, 0);
    }
}

static void sessions_end_in_the_copy_alone(void **state)
{
    struct duo d;
    size_t by_copy, by_original;
    (void)state;
    duo_up(&d);
    do_in_both(let_time_pass, &d, &by_copy, &by_original);
    assert_int_equal(by_copy, 0);
    assert_true(by_original >= 8); /* pings and their answers, of both sides */
    duo_clear(&d);
}

struct arrival {
    struct duo d;
    struct buf bytes;
};

static void let_them_arrive(void *what, bool copy)
{
    struct arrival *a = what;
    const struct duo_end *end = &a->d.ends[1];
    dchan_session_feed(end->session, buf_span(&a->bytes), a->d.now_ms);
    assert_int_equal(end->closes, copy ? 1 : 0);
    if (copy)
        assert_int_equal(end->closing.why, DCHAN_CLOSED_LOCAL);
}

/* Its first act is to read: it does not tell its owner that somebody changed the bytes. */
static void a_copy_blames_nobody_for_its_end(void **state)
{
    struct arrival a;
    size_t by_copy, by_original;
    (void)state;
    duo_up(&a.d);
    dchan_session_ping(a.d.ends[0].session, a.d.now_ms += 1000);
    a.bytes = duo_take_output(&a.d.ends[0]);
    assert_true(a.bytes.len > 0);
    do_in_both(let_them_arrive, &a, &by_copy, &by_original);
    assert_int_equal(by_copy, 0);
    buf_clear(&a.bytes);
    duo_clear(&a.d);
}

static void meet(void *what, bool copy)
{
    struct duo *d = what;
    (void)copy;
    duo_up(d);
    assert_int_equal(d->ends[0].ups + d->ends[1].ups, 2);
}

static void both_copies_may_begin_sessions_anew(void **state)
{
    struct duo d;
    size_t by_copy, by_original;
    (void)state;
    do_in_both(meet, &d, &by_copy, &by_original);
    assert_int_equal(by_copy, by_original);
    assert_true(by_copy > 4);
    duo_clear(&d);
}

/* --- handshakes --- */

struct shaking {
    struct session_pair keys;
    struct dchan_hs initiator, responder;
    uint8_t act[DCHAN_ACT_MAX], reply[DCHAN_ACT_MAX];
    size_t len;
};

static void begin_shaking(struct shaking *s)
{
    session_pair_make(&s->keys, span_of("x", 1));
    uses->n = 0;
    assert_int_equal(dchan_hs_init(&s->initiator, &(struct dchan_hs_config){
        DCHAN_INITIATOR, span_of("x", 1), &s->keys.initiator_key.key,
        s->keys.responder_key.key.pub, NULL }), OK);
    assert_int_equal(dchan_hs_init(&s->responder, &(struct dchan_hs_config){
        DCHAN_RESPONDER, span_of("x", 1), &s->keys.responder_key.key, NULL, NULL }), OK);
    assert_int_equal(dchan_hs_start(&s->initiator, s->act), OK);
    s->len = DCHAN_ACT_ONE_SIZE;
}

static void end_shaking(struct shaking *s)
{
    dchan_hs_clear(&s->initiator);
    dchan_hs_clear(&s->responder);
}

static void assert_refuses_copy(struct dchan_hs *hs, const uint8_t *act, size_t len, bool copy)
{
    uint8_t reply[DCHAN_ACT_MAX];
    size_t n;
    struct span in = span_of(act, len);
    assert_int_equal(dchan_hs_feed(hs, &in, reply, &n), copy ? ERR_AUTH : OK);
    assert_int_equal(hs->fault, copy ? DCHAN_HS_COPIED : DCHAN_HS_NO_FAULT);
    if (copy)
        assert_int_equal(n, 0);
}

static void answer_act_one(void *what, bool copy)
{
    struct shaking *s = what;
    assert_refuses_copy(&s->responder, s->act, s->len, copy);
}

static void answer_act_two(void *what, bool copy)
{
    struct shaking *s = what;
    assert_refuses_copy(&s->initiator, s->reply, s->len, copy);
}

static void handshakes_end_in_the_copy_alone(void **state)
{
    struct shaking s;
    struct span in;
    size_t by_copy, by_original;
    (void)state;
    begin_shaking(&s);
    do_in_both(answer_act_one, &s, &by_copy, &by_original);
    assert_int_equal(by_copy, 0);
    assert_int_equal(by_original, 1);
    end_shaking(&s);
    begin_shaking(&s);
    in = span_of(s.act, s.len);
    assert_int_equal(dchan_hs_feed(&s.responder, &in, s.reply, &s.len), OK);
    do_in_both(answer_act_two, &s, &by_copy, &by_original);
    assert_int_equal(by_copy, 0);
    assert_int_equal(by_original, 2);
    end_shaking(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_copy_of_a_session_seals_nothing, begin, end),
        cmocka_unit_test_setup_teardown(a_copy_of_a_session_reads_nothing, begin, end),
        cmocka_unit_test_setup_teardown(sessions_end_in_the_copy_alone, begin, end),
        cmocka_unit_test_setup_teardown(a_copy_blames_nobody_for_its_end, begin, end),
        cmocka_unit_test_setup_teardown(both_copies_may_begin_sessions_anew, begin, end),
        cmocka_unit_test_setup_teardown(handshakes_end_in_the_copy_alone, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
