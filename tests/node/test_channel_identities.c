/* What wallets have and do not have any more, as direct channels are handed it. */
#include "node/channel_identities.h"

#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "p2p/bca_own.h"
#include "tests/chain/chain_builder.h"
#include "tests/test.h"
#include "tests/wallet/identity_util.h"

#define PASSPHRASE "open sesame"
enum { IDS_MAX = 8 };

/* --- the channels: they hold what they are handed --- */

struct channels {
    struct channel_identity *ids[IDS_MAX];
    size_t n;
    unsigned handed; /* how often */
};

void channel_identity_unref(struct channel_identity *id)
{
    if (id && __atomic_sub_fetch(&id->refs, 1, __ATOMIC_ACQ_REL) == 0)
        id->release(id);
}

static void let_go(struct channels *c)
{
    while (c->n)
        channel_identity_unref(c->ids[--c->n]);
}

void channels_set_identities(struct channels *c, struct channel_identity **ids, size_t n)
{
    let_go(c);
    assert_true(n <= IDS_MAX);
    for (size_t i = 0; i < n; i++)
        c->ids[c->n++] = ids[i];
    c->handed++;
}

bool channels_call(struct channels *c, void (*fn)(struct channels *c, void *ctx), void *ctx)
{
    fn(c, ctx);
    return true;
}

/* --- a chain, wallets --- */

struct bench {
    struct test_chain t;
    struct wallets *all;
    struct bca_store *records;
    struct channels channels;
    struct channel_identities *ci;
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    struct chain_params p = test_params(1);
    test_chain_open(&b->t, &p, 1);
    char *dir = path_join(b->t.dir, "wallets");
    b->all = wallets_new(dir, &wallet_test_params, NULL, NULL);
    free(dir);
    assert_int_equal(bca_store_open(&b->records, kv_open_mem(), NULL, NULL), OK);
    b->ci = channel_identities_new(b->all, NULL, b->t.chain, b->records);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    channel_identities_stop(b->ci);
    let_go(&b->channels);
    channel_identities_free(b->ci);
    bca_store_close(b->records);
    wallets_free(b->all);
    test_chain_close(&b->t);
    free(b);
    return 0;
}

static struct wallet *make_wallet(struct bench *b, const char *name)
{
    const struct wallet_new how = { .birth = 1 };
    struct wallet *w;
    assert_int_equal(wallets_create(b->all, name, &how, &w, NULL), OK);
    return w;
}

static void add(struct wallet *w, const char *name)
{
    struct identity id;
    identity_init(&id);
    wallet_lock(w);
    mined_identity(w, name, 1, &id);
    wallet_unlock(w);
    identity_clear(&id);
}

static void start(struct bench *b)
{
    assert_int_equal(channel_identities_start(b->ci, &b->channels, NULL), OK);
}

static void encrypt(struct wallet *w)
{
    wallet_lock(w);
    assert_int_equal(keystore_encrypt(wallet_keystore(w), text_span(PASSPHRASE), NULL), OK);
    wallet_unlock(w);
}

static void unlock(struct wallet *w)
{
    wallet_lock(w);
    assert_int_equal(keystore_unlock(wallet_keystore(w), text_span(PASSPHRASE),
                                     wallet_test_now() + 60, NULL), OK);
    wallet_unlock(w);
}

static void lock(struct wallet *w)
{
    wallet_lock(w);
    keystore_lock(wallet_keystore(w));
    wallet_unlock(w);
}

static bool signs(const struct channel_identity *id)
{
    static const char tag[] = IDENTITY_TAG_PREFIX "test";
    uint8_t sig[IDENTITY_SIG_SIZE], digest[32];
    sha256_tagged(digest, tag, "text", 4);
    return id->key.sign(id->key.ctx, sig, tag, span_of("text", 4)) &&
           ec_verify_rs(id->key.pub, sig, digest);
}

static bool agrees(const struct channel_identity *id)
{
    uint8_t out[32];
    return id->key.noise_dh(id->key.ctx, out, id->key.pub);
}

static void assert_names(const struct bench *b, size_t n, const char *const *names)
{
    assert_int_equal(b->channels.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(b->channels.ids[i]->name, names[i]);
        assert_true(signs(b->channels.ids[i]) && agrees(b->channels.ids[i]));
    }
}

/* --- tests --- */

static void nothing_is_handed_twice(void **state)
{
    struct bench *b = *state;
    start(b);
    assert_int_equal(b->channels.handed, 1); /* that there is none */
    struct wallet *w = make_wallet(b, "w");
    channel_identities_refresh(b->ci);
    assert_int_equal(b->channels.handed, 1);
    add(w, "alice");
    channel_identities_refresh(b->ci);
    channel_identities_refresh(b->ci);
    assert_int_equal(b->channels.handed, 2);
    assert_names(b, 1, (const char *const[]){ "alice" });
    wallet_unref(w);
}

static void a_name_that_another_wallet_has_is_told_with_its_wallet(void **state)
{
    struct bench *b = *state;
    struct wallet *a = make_wallet(b, "a"), *c = make_wallet(b, "c");
    char name[WALLET_NAME_MAX + 1];
    add(c, "alice");
    add(a, "zoe");
    add(a, "alice");
    start(b);
    assert_names(b, 3, (const char *const[]){ "zoe", "alice", "c/alice" });
    channel_identity_wallet(b->channels.ids[2], name);
    assert_string_equal(name, "c");
    wallet_unref(a);
    wallet_unref(c);
}

/* Else a contact for whom "alice" was chosen would be shown another identity meanwhile. */
static void a_name_stays_with_an_identity_that_is_locked(void **state)
{
    struct bench *b = *state;
    struct wallet *a = make_wallet(b, "a"), *c = make_wallet(b, "c");
    add(a, "alice");
    add(c, "alice");
    encrypt(a);
    start(b);
    assert_names(b, 1, (const char *const[]){ "c/alice" });
    unlock(a);
    channel_identities_refresh(b->ci);
    assert_names(b, 2, (const char *const[]){ "alice", "c/alice" });
    lock(a);
    channel_identities_lock(b->ci, "a");
    assert_names(b, 1, (const char *const[]){ "c/alice" });
    wallet_unref(a);
    wallet_unref(c);
}

static void keys_outlive_the_passphrase_and_not_the_users_lock(void **state)
{
    struct bench *b = *state;
    struct wallet *w = make_wallet(b, "w"), *other = make_wallet(b, "x");
    add(w, "alice");
    add(other, "bob");
    encrypt(w);
    start(b);
    assert_names(b, 1, (const char *const[]){ "bob" });
    unlock(w);
    channel_identities_refresh(b->ci);
    assert_names(b, 2, (const char *const[]){ "alice", "bob" });
    lock(w); /* its time is over */
    channel_identities_refresh(b->ci);
    assert_names(b, 2, (const char *const[]){ "alice", "bob" });

    struct channel_identity *in_use = b->channels.ids[0]; /* as by a session */
    __atomic_add_fetch(&in_use->refs, 1, __ATOMIC_ACQ_REL);
    channel_identities_lock(b->ci, "w");
    assert_names(b, 1, (const char *const[]){ "bob" });
    assert_false(signs(in_use));
    assert_false(agrees(in_use));
    channel_identity_unref(in_use);
    wallet_unref(w);
    wallet_unref(other);
}

/* Somebody unlocks it again before the lock is told of, or another wallet goes on with the identity
 * within one look: all is as it was but the copy of the key. */
static void a_key_that_was_wiped_is_replaced_where_the_rest_is_the_same(void **state)
{
    struct bench *b = *state;
    struct wallet *w = make_wallet(b, "w");
    add(w, "alice");
    start(b);
    channel_identities_lock(b->ci, "w");
    assert_names(b, 1, (const char *const[]){ "alice" });
    wallet_unref(w);
}

static void announce(struct bench *b, enum bca_publication mode, uint64_t seq)
{
    struct bca_own own = { .mode = mode, .seq = seq, .wallet = "w", .name = "alice" };
    memcpy(own.key, b->channels.ids[0]->key.pub, sizeof own.key);
    assert_int_equal(bca_own_put(b->records, &own, NULL), OK);
    channel_identities_refresh(b->ci);
}

static void sessions_tell_the_number_of_the_record_of_now(void **state)
{
    struct bench *b = *state;
    struct wallet *w = make_wallet(b, "w");
    add(w, "alice");
    start(b);
    assert_int_equal(b->channels.ids[0]->seq, 0);
    announce(b, BCA_CONTACTS, 7);
    assert_int_equal(b->channels.ids[0]->seq, 7);
    announce(b, BCA_PUBLIC, 9);
    assert_int_equal(b->channels.ids[0]->seq, 9);
    announce(b, BCA_PRIVATE, 10); /* the last one, which is no announcement */
    assert_int_equal(b->channels.ids[0]->seq, 0);
    wallet_unref(w);
}

static void spoil(struct wallet *w)
{
    static const uint8_t nothing[300];
    const struct key_record r = { .kind = KEY_RECORD_IDENTITY, .flags = IDENTITY_USES,
                                  .id = text_span("zzz"),
                                  .data = span_of(nothing, sizeof nothing) };
    wallet_lock(w);
    assert_int_equal(keystore_replace(wallet_keystore(w), &r, 1, NULL), OK);
    wallet_unlock(w);
}

static void a_wallet_that_cannot_be_read_ends_no_session(void **state)
{
    struct bench *b = *state;
    struct wallet *w = make_wallet(b, "w"), *bad = make_wallet(b, "x");
    add(w, "alice");
    add(bad, "bob");
    start(b);
    spoil(bad);
    add(w, "carol");
    channel_identities_refresh(b->ci);
    assert_names(b, 2, (const char *const[]){ "alice", "bob" });
    /* but those of one that is locked do, whatever else cannot be read */
    channel_identities_lock(b->ci, "w");
    assert_int_equal(b->channels.n, 0);
    wallet_unref(w);
    wallet_unref(bad);
}

static void nothing_is_handed_after_the_stop(void **state)
{
    struct bench *b = *state;
    struct wallet *w = make_wallet(b, "w");
    start(b);
    channel_identities_stop(b->ci);
    add(w, "alice");
    channel_identities_refresh(b->ci);
    channel_identities_lock(b->ci, "w");
    assert_int_equal(b->channels.handed, 1);
    wallet_unref(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_handed_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_that_another_wallet_has_is_told_with_its_wallet,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_stays_with_an_identity_that_is_locked, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(keys_outlive_the_passphrase_and_not_the_users_lock, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_key_that_was_wiped_is_replaced_where_the_rest_is_the_same,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(sessions_tell_the_number_of_the_record_of_now, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_wallet_that_cannot_be_read_ends_no_session, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(nothing_is_handed_after_the_stop, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
