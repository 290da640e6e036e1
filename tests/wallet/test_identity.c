/* The store of identities: what a failed write or a power cut leaves, and that no modifier goes
 * into two addresses; the keys of an identity. */
#include <config.h>

#include "wallet/identity.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "bca/modifiers.h"
#include "bca/verify.h"
#include "tests/wallet/identity_util.h"

enum { MODIFIERS = 8 };
struct fixture {
    struct rig rig;
    struct identity id;
    struct identity_secrets secrets;
};

static struct keystore *store(struct fixture *f)
{
    return wallet_keystore(f->rig.w);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->rig = rig_start(&from_phrase);
    identity_init(&f->id);
    mined_identity(f->rig.w, "alice", MODIFIERS, &f->id);
    assert_int_equal(identity_get_secrets(store(f), &f->id, &f->secrets, NULL), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    identity_clear(&f->id);
    rig_stop(&f->rig);
    free(f);
    return 0;
}

static enum err form_address(struct fixture *f, struct identity_address *a, struct error *e)
{
    return identity_new_address(store(f), &f->id, &f->secrets, &identity_form, a, e);
}

static struct identity loaded(struct fixture *f)
{
    struct identity id;
    bool found;
    identity_init(&id);
    assert_int_equal(identity_load(store(f), "alice", &id, &found, NULL), OK);
    assert_true(found);
    return id;
}

static void an_identity_is_read_as_it_was_stored(void **state)
{
    struct fixture *f = *state;
    f->id.tx_index = 5;
    f->id.tx_depth = 3;
    memset(f->id.tx_siblings, 0x5a, sizeof f->id.tx_siblings);
    f->id.n_used = 2;
    assert_int_equal(identity_store(store(f), &f->id, NULL), OK);
    struct identity id = loaded(f);
    assert_string_equal(id.name, "alice");
    assert_int_equal(id.number, f->id.number);
    assert_int_equal(id.n_modifiers, MODIFIERS);
    assert_int_equal(id.n_used, 2);
    assert_true(id.sent && id.mined);
    assert_memory_equal(id.public_key, f->id.public_key, sizeof id.public_key);
    assert_memory_equal(id.registration, f->id.registration, sizeof id.registration);
    assert_memory_equal(id.marker, f->id.marker, sizeof id.marker);
    assert_memory_equal(id.txid.b, f->id.txid.b, 32);
    assert_memory_equal(id.header, f->id.header, sizeof id.header);
    assert_int_equal(id.tx_index, 5);
    assert_int_equal(id.tx_depth, 3);
    assert_memory_equal(id.tx_siblings, f->id.tx_siblings, 96);
    assert_int_equal(id.tx.len, f->id.tx.len);
    assert_memory_equal(id.tx.data, f->id.tx.data, id.tx.len);
    identity_clear(&id);

    bool found;
    assert_int_equal(identity_remove(store(f), &f->id, NULL), OK);
    identity_init(&id);
    assert_int_equal(identity_load(store(f), "alice", &id, &found, NULL), OK);
    assert_false(found);
}

static void every_modifier_gives_one_address_that_verifies(void **state)
{
    struct fixture *f = *state;
    const struct bca_policy policy = { .rules = bca_rules_get(BCA_NET_REGTEST) };
    uint8_t modifiers[BCA_MODIFIER_SIZE * BCA_MODIFIERS_MAX];
    struct identity_address a, again;
    struct error e = { .code = OK };
    struct bca_verdict v;
    bool found;
    identity_modifiers(&f->secrets, MODIFIERS, modifiers);
    identity_address_init(&a);
    identity_address_init(&again);
    for (unsigned i = 0; i < MODIFIERS; i++) {
        assert_int_equal(form_address(f, &a, NULL), OK);
        bca_verify(a.address, buf_span(&a.params), &policy, &v);
        assert_int_equal(v.result, BCA_VALID);
        assert_memory_equal(v.params.modifier, modifiers + BCA_MODIFIER_SIZE * i, 16);
        assert_int_equal(a.modifier, i);
        assert_int_equal(identity_load_address(store(f), a.address, &again, &found, NULL), OK);
        assert_true(found);
        assert_string_equal(again.name, "alice");
        assert_memory_equal(again.header, f->id.header, sizeof again.header);
        assert_int_equal(again.params.len, a.params.len);
        assert_memory_equal(again.params.data, a.params.data, a.params.len);
    }
    assert_int_equal(form_address(f, &a, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "all 8 modifiers"));
    identity_address_clear(&a);
    identity_address_clear(&again);
}

static void a_duplicate_is_followed_by_two_more_of_its_modifier(void **state)
{
    struct fixture *f = *state;
    const struct bca_policy policy = { .rules = bca_rules_get(BCA_NET_REGTEST) };
    struct identity_address a[3], again;
    struct error e = { .code = OK };
    struct bca_verdict v;
    unsigned count;
    bool found;
    identity_address_init(&again);
    for (unsigned i = 0; i < 3; i++)
        identity_address_init(&a[i]);
    assert_int_equal(form_address(f, &a[0], NULL), OK);
    for (unsigned i = 1; i < 3; i++) {
        assert_int_equal(identity_collided(&a[i - 1], &a[i], NULL), OK);
        assert_int_equal(identity_store_address(store(f), &a[i], NULL), OK);
        bca_verify(a[i].address, buf_span(&a[i].params), &policy, &v);
        assert_int_equal(v.result, BCA_VALID);
        assert_int_equal(v.params.collision_count, i);
        assert_memory_not_equal(a[i].address, a[i - 1].address, sizeof a[i].address);
        assert_memory_equal(a[i].address, identity_prefix, sizeof identity_prefix);
        assert_int_equal(bca_address_sec(a[i].address), bca_address_sec(a[0].address));
        assert_int_equal(identity_load_address(store(f), a[i].address, &again, &found, NULL), OK);
        assert_true(found);
        assert_string_equal(again.name, "alice");
        assert_int_equal(again.modifier, 0);
        assert_memory_equal(again.header, f->id.header, sizeof again.header);
        assert_int_equal(identity_address_collisions(&again, &count, NULL), OK);
        assert_int_equal(count, i);
    }
    assert_int_equal(identity_collided(&a[2], &again, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "all three addresses"));
    again.params.len--;
    assert_int_equal(identity_collided(&again, &a[1], NULL), ERR_PARSE);
    struct identity id = loaded(f);
    assert_int_equal(id.n_used, 1);
    identity_clear(&id);
    identity_address_clear(&again);
    for (unsigned i = 0; i < 3; i++)
        identity_address_clear(&a[i]);
}

static enum err count_modifier(void *ctx, const struct identity_address *a, struct error *e)
{
    (void)e;
    ((unsigned *)ctx)[a->modifier]++;
    return OK;
}

/* What the store says after any of its writes failed or was lost: each modifier below n_used has
 * its address, no other one has. */
static unsigned assert_whole(struct fixture *f)
{
    unsigned seen[BCA_MODIFIERS_MAX] = { 0 };
    struct identity id = loaded(f);
    assert_int_equal(identity_each_address(store(f), count_modifier, seen, NULL), OK);
    for (unsigned i = 0; i < BCA_MODIFIERS_MAX; i++)
        assert_int_equal(seen[i], i < id.n_used);
    const unsigned n = id.n_used;
    identity_clear(&id);
    return n;
}

/* One more address out of the store as it is, as each call does. True: somebody has it. */
static bool form_next(struct fixture *f, bool handed_out[MODIFIERS])
{
    struct identity id = loaded(f);
    struct identity_address a;
    identity_address_init(&a);
    const bool good =
        identity_new_address(store(f), &id, &f->secrets, &identity_form, &a, NULL) == OK;
    if (good) {
        assert_false(handed_out[a.modifier]);
        handed_out[a.modifier] = true;
    }
    identity_address_clear(&a);
    identity_clear(&id);
    return good;
}

static void no_modifier_is_used_twice_whatever_write_fails(void **state)
{
    struct fixture *f = *state;
    bool handed_out[MODIFIERS] = { false };
    unsigned n = 0;
    while (n < MODIFIERS) {
        kv_mem_fail_writes(f->rig.keys, 1);
        assert_false(form_next(f, handed_out));
        kv_mem_fail_writes(f->rig.keys, 0);
        assert_int_equal(assert_whole(f), n);
        assert_true(form_next(f, handed_out));
        kv_mem_power_cut(f->rig.keys);
        assert_int_equal(assert_whole(f), ++n);
    }
    assert_false(form_next(f, handed_out));
}

static void what_does_not_verify_uses_no_modifier(void **state)
{
    struct fixture *f = *state;
    static const uint8_t refused[BCA_PREFIX_SIZE] = { 0xff, 2 };
    struct identity_form wrong = identity_form;
    struct identity_address a;
    struct error e = { .code = OK };
    identity_address_init(&a);
    wrong.prefix = refused;
    assert_int_equal(identity_new_address(store(f), &f->id, &f->secrets, &wrong, &a, &e),
                     ERR_RANGE);
    wrong = identity_form;
    wrong.sec = 7;
    assert_int_equal(identity_new_address(store(f), &f->id, &f->secrets, &wrong, &a, &e),
                     ERR_RANGE);
    f->id.header[40] ^= 1;
    assert_int_equal(form_address(f, &a, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "tx_proof"));
    assert_int_equal(a.params.len, 0);
    assert_int_equal(assert_whole(f), 0);
    identity_address_clear(&a);
}

static void store_raw(struct fixture *f, const struct buf *value)
{
    struct kv_batch *b = kv_batch_new(f->rig.keys);
    kv_batch_put(b, "nalice", 6, value->data, value->len);
    assert_int_equal(kv_write(f->rig.keys, b, KV_SYNC, NULL), OK);
    kv_batch_free(b);
}

static void a_damaged_record_is_an_error_and_no_missing_one(void **state)
{
    struct fixture *f = *state;
    struct buf value;
    bool found;
    struct identity id;
    buf_init(&value);
    identity_init(&id);
    assert_int_equal(kv_get(f->rig.keys, "nalice", 6, &value, &found, NULL), OK);
    for (size_t i = 0; i < value.len; i += 7) {
        value.data[i] ^= 0x40;
        store_raw(f, &value);
        assert_int_not_equal(identity_load(store(f), "alice", &id, &found, NULL), OK);
        value.data[i] ^= 0x40;
    }
    buf_reset(&value);
    struct key_record r = { .kind = KEY_RECORD_IDENTITY, .flags = IDENTITY_USES };
    r.id = text_span("alice");
    struct buf data = { 0 };
    buf_put(&data, (const uint8_t[300]){ 0 }, 300);
    r.data = buf_span(&data);
    key_record_value(&value, &r);
    store_raw(f, &value);
    assert_int_equal(identity_load(store(f), "alice", &id, &found, NULL), ERR_CORRUPT);
    identity_clear(&id);
    buf_clear(&data);
    buf_clear(&value);
}

static void numbers_and_keys_are_each_identity_s_own(void **state)
{
    struct fixture *f = *state;
    struct identity bob;
    struct identity_secrets other, same;
    identity_init(&bob);
    assert_int_equal(identity_create(f->rig.w, "bob", MODIFIERS, &bob, NULL), OK);
    assert_int_equal(identity_get_secrets(store(f), &bob, &other, NULL), OK);
    assert_int_equal(bob.number, f->id.number + 1);
    assert_memory_not_equal(other.key, f->secrets.key, 32);
    assert_memory_not_equal(other.seed, f->secrets.seed, 32);
    assert_memory_not_equal(other.marker, f->secrets.marker, 32);
    rig_reopen(&f->rig);
    assert_int_equal(identity_get_secrets(store(f), &f->id, &same, NULL), OK);
    assert_memory_equal(&same, &f->secrets, sizeof same);
}

/* So the phrase gives the key back; the modifiers are new each time. */
static void the_key_follows_from_seed_and_number(void **state)
{
    struct fixture *f = *state;
    struct identity_secrets again;
    assert_int_equal(identity_secrets_make(f->rig.w, f->id.number, MODIFIERS, &again, NULL), OK);
    assert_memory_equal(again.key, f->secrets.key, 32);
    assert_memory_not_equal(again.seed, f->secrets.seed, 32);
}

static void keys_that_are_not_those_of_the_registration_are_refused(void **state)
{
    struct fixture *f = *state;
    struct identity_secrets s;
    f->id.registration[BCA_REGISTRATION_SIZE - 1] ^= 1;
    assert_int_equal(identity_get_secrets(store(f), &f->id, &s, NULL), ERR_CORRUPT);
    f->id.registration[BCA_REGISTRATION_SIZE - 1] ^= 1;
    f->id.marker[5] ^= 1;
    assert_int_equal(identity_get_secrets(store(f), &f->id, &s, NULL), ERR_CORRUPT);
    f->id.marker[5] ^= 1;
    f->id.public_key[5] ^= 1;
    assert_int_equal(identity_get_secrets(store(f), &f->id, &s, NULL), ERR_NOTFOUND);
}

/* --- passphrases and backups ----------------------------------------------------------------- */

static void keys_are_sealed_with_the_wallet(void **state)
{
    struct fixture *f = *state;
    struct identity bob;
    struct identity_secrets s;
    struct buf value;
    bool found;
    identity_init(&bob);
    buf_init(&value);
    assert_int_equal(keystore_encrypt(store(f), text_span("secret"), NULL), OK);
    assert_int_equal(identity_get_secrets(store(f), &f->id, &s, NULL), ERR_AUTH);
    assert_int_equal(identity_create(f->rig.w, "bob", 1, &bob, NULL), ERR_AUTH);
    assert_int_equal(keystore_unlock(store(f), text_span("secret"), wallet_test_now() + 60, NULL),
                     OK);
    assert_int_equal(identity_get_secrets(store(f), &f->id, &s, NULL), OK);
    assert_memory_equal(&s, &f->secrets, sizeof s);
    assert_int_equal(identity_create(f->rig.w, "bob", 1, &bob, NULL), OK);
    struct buf name = { 0 };
    key_record_name(&name, KEY_RECORD_IDENTITY_KEYS, span_of(bob.public_key, 33));
    assert_int_equal(kv_get(f->rig.keys, name.data, name.len, &value, &found, NULL), OK);
    assert_true(found);
    assert_int_equal(value.data[1], KEY_RECORD_SEALED);
    buf_clear(&name);
    buf_clear(&value);
}

/* The rest of the store as a backup brings it to another directory. */
static void restore(struct fixture *f, const char *dir)
{
    char *path = path_join(dir, "backup");
    const struct wallet_new how = { .backup = path };
    assert_int_equal(wallet_backup(f->rig.w, path, NULL, NULL), OK);
    rig_stop(&f->rig);
    f->rig = rig_start(&how);
    free(path);
}

static void what_was_restored_forms_no_addresses(void **state)
{
    struct fixture *f = *state;
    struct identity_address a, again;
    struct identity_secrets s;
    struct error e = { .code = OK };
    struct identity bob;
    bool found;
    char *dir = test_dir_make();
    identity_init(&bob);
    identity_address_init(&a);
    identity_address_init(&again);
    assert_int_equal(form_address(f, &a, NULL), OK);
    restore(f, dir);
    struct identity id = loaded(f);
    assert_int_equal(id.use, IDENTITY_RESTORED);
    assert_int_equal(identity_unused(&id), 0);
    assert_int_equal(identity_get_secrets(store(f), &id, &s, NULL), OK);
    assert_memory_equal(&s, &f->secrets, sizeof s);
    assert_int_equal(identity_load_address(store(f), a.address, &again, &found, NULL), OK);
    assert_true(found);
    assert_memory_equal(again.params.data, a.params.data, a.params.len);
    assert_int_equal(identity_new_address(store(f), &id, &s, &identity_form, &a, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "restored"));
    assert_int_equal(assert_whole(f), 1);
    /* The first wallet may have registered bob too, after the backup. */
    assert_int_equal(identity_create(f->rig.w, "bob", 1, &bob, NULL), OK);
    assert_true(bob.number > id.number + 1);
    assert_int_equal(bob.use, IDENTITY_OPEN);
    identity_clear(&id);
    identity_address_clear(&a);
    identity_address_clear(&again);
    test_dir_remove(dir);
}

/* The vector of the specification. */
static void the_marker_follows_from_root_and_modifiers(void **state)
{
    (void)state;
    uint8_t root[32], modifier_root[32], secret[32];
    memset(root, 0x51, sizeof root);
    for (size_t i = 0; i < sizeof modifier_root; i++)
        modifier_root[i] = (uint8_t)i;
    assert_true(identity_marker(secret, root, modifier_root));
    struct buf want = unhex("7957fccfd7934469028e795db8d0f92c8b5d8066b5b71bc2f75cacb3186f3e78");
    assert_memory_equal(secret, want.data, sizeof secret);
    buf_clear(&want);
}

static void names_are_of_plain_characters(void **state)
{
    (void)state;
    char name[IDENTITY_NAME_MAX + 2];
    memset(name, 'a', sizeof name);
    name[IDENTITY_NAME_MAX + 1] = 0;
    assert_false(identity_name_allowed(name));
    name[IDENTITY_NAME_MAX] = 0;
    assert_true(identity_name_allowed(name));
    assert_true(identity_name_allowed("My.node-1_x"));
    assert_false(identity_name_allowed(""));
    assert_false(identity_name_allowed("a b"));
    assert_false(identity_name_allowed("a/b"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    ec_init();
    const struct CMUnitTest tests[] = {
        T(an_identity_is_read_as_it_was_stored),
        T(every_modifier_gives_one_address_that_verifies),
        T(a_duplicate_is_followed_by_two_more_of_its_modifier),
        T(no_modifier_is_used_twice_whatever_write_fails),
        T(what_does_not_verify_uses_no_modifier),
        T(a_damaged_record_is_an_error_and_no_missing_one),
        T(numbers_and_keys_are_each_identity_s_own),
        T(the_key_follows_from_seed_and_number),
        T(keys_that_are_not_those_of_the_registration_are_refused),
        T(keys_are_sealed_with_the_wallet),
        T(what_was_restored_forms_no_addresses),
        cmocka_unit_test(the_marker_follows_from_root_and_modifiers),
        cmocka_unit_test(names_are_of_plain_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
