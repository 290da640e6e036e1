/*
 * The key store on the engine in memory, whose writes fail on demand, and on LevelDB for what only
 * real files can show.
 */
#include <config.h>

#include "wallet/keystore.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/kv.h"
#include "base/mem.h"
#include "tests/test.h"

enum { KEYS = 5 };

static int64_t time_now, time_step; /* step: between two looks at the clock */

static int64_t test_clock(void)
{
    const int64_t now = time_now;
    time_now += time_step;
    return now;
}

static int64_t mono_now;
static int64_t test_mono(void)
{
    return mono_now;
}

static const struct keystore_options options = {
    .magic = { 0xfa, 0xbf, 0xb5, 0xda }, .now = test_clock, .scrypt = { 2, 1, 1 },
};

static struct span text(const char *s)
{
    return span_of(s, strlen(s));
}

static struct keystore *create(struct kv *kv)
{
    struct keystore *ks;
    assert_int_equal(keystore_create(&ks, kv, &options, NULL), OK);
    return ks;
}

static struct keystore *reopen(struct keystore *ks, struct kv *kv)
{
    struct error e = { .code = OK };
    keystore_close(ks);
    if (keystore_open(&ks, kv, &options, &e))
        fail_msg("%s", e.text);
    return ks;
}

/* Secrets that are easy to find: "SECRET" and a number that no public part has. */
static void make_secret(uint8_t out[32], unsigned i)
{
    memset(out, 'S', 32);
    memcpy(out, "SECRET", 6);
    out[31] = (uint8_t)i;
}

static void make_id(uint8_t out[33], unsigned i)
{
    memset(out, 0, 33);
    out[0] = 2;
    out[32] = (uint8_t)i;
}

static enum err add_key(struct keystore *ks, unsigned i, struct error *e)
{
    uint8_t secret[32], id[33];
    make_secret(secret, i);
    make_id(id, i);
    const struct key_record r = { .kind = KEY_RECORD_SECRET, .form = KEY_RECORD_PLAIN,
                                  .birth = 1000 + i, .id = span_of(id, 33),
                                  .secret = span_of(secret, 32) };
    return keystore_add(ks, &r, 1, e);
}

static enum err check_key(struct keystore *ks, unsigned i, struct error *e)
{
    uint8_t want[32], got[32], id[33];
    make_secret(want, i);
    make_id(id, i);
    enum err rc = keystore_get_secret(ks, span_of(id, 33), got, e);
    if (!rc)
        assert_memory_equal(got, want, 32);
    return rc;
}

static struct keystore_seed make_seed(void)
{
    struct keystore_seed s = { .entropy_len = 16, .seed_len = 64, .flags = 3, .birth = 77 };
    memset(s.entropy, 'E', sizeof s.entropy);
    memcpy(s.entropy, "SECRET", 6);
    memset(s.seed, 'D', sizeof s.seed);
    memcpy(s.seed + 20, "SECRET", 6);
    return s;
}

static void fill(struct keystore *ks)
{
    const struct keystore_seed seed = make_seed();
    assert_int_equal(keystore_set_seed(ks, &seed, NULL), OK);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(add_key(ks, i, NULL), OK);
}

static void check_all(struct keystore *ks)
{
    const struct keystore_seed want = make_seed();
    struct keystore_seed got;
    assert_int_equal(keystore_get_seed(ks, &got, NULL), OK);
    assert_int_equal(got.entropy_len, 16);
    assert_int_equal(got.seed_len, 64);
    assert_memory_equal(got.entropy, want.entropy, 16);
    assert_memory_equal(got.seed, want.seed, 64);
    assert_int_equal(got.flags, 3);
    assert_int_equal(got.birth, 77);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(check_key(ks, i, NULL), OK);
}

/* --- opening --- */

static void a_new_store_needs_an_empty_database_and_an_old_one_a_head(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct keystore *ks = NULL;
    struct error e = { .code = OK };
    assert_int_equal(keystore_open(&ks, kv, &options, &e), ERR_NOTFOUND);
    ks = create(kv);
    uint8_t id[KEYSTORE_ID_SIZE], again[KEYSTORE_ID_SIZE];
    keystore_id(ks, id);
    ks = reopen(ks, kv);
    keystore_id(ks, again);
    assert_memory_equal(id, again, sizeof id);
    keystore_close(ks);
    assert_int_equal(keystore_create(&ks, kv, &options, &e), ERR_EXISTS);
    assert_null(ks);
    struct kv_batch *b = kv_batch_new(kv);
    kv_batch_delete(b, "h", 1);
    assert_int_equal(kv_write(kv, b, KV_SYNC, NULL), OK);
    kv_batch_free(b);
    assert_int_equal(keystore_open(&ks, kv, &options, &e), ERR_CORRUPT);
    kv_close(kv);
}

static void another_network_and_a_newer_format_are_refused(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    keystore_close(create(kv));
    struct keystore_options other = options;
    struct keystore *ks;
    struct error e = { .code = OK };
    other.magic[0] ^= 1;
    assert_int_equal(keystore_open(&ks, kv, &other, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "another network"));
    struct buf head;
    bool found = false;
    buf_init(&head);
    assert_int_equal(kv_get(kv, "h", 1, &head, &found, NULL), OK);
    head.data[0]++;
    struct kv_batch *b = kv_batch_new(kv);
    kv_batch_put(b, "h", 1, head.data, head.len);
    assert_int_equal(kv_write(kv, b, KV_SYNC, NULL), OK);
    assert_int_equal(keystore_open(&ks, kv, &options, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "newer program"));
    kv_batch_free(b);
    buf_clear(&head);
    kv_close(kv);
}

static void what_was_added_is_there_after_reopening(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct keystore *ks = create(kv);
    struct keystore_seed none;
    assert_int_equal(keystore_get_seed(ks, &none, NULL), ERR_NOTFOUND);
    fill(ks);
    const uint64_t changes = keystore_changes(ks);
    assert_int_equal(changes, 1 + 1 + KEYS);
    ks = reopen(ks, kv);
    assert_int_equal(keystore_changes(ks), changes);
    assert_int_equal(keystore_state(ks, NULL), KEYSTORE_PLAIN);
    check_all(ks);
    assert_int_equal(check_key(ks, KEYS, NULL), ERR_NOTFOUND);
    keystore_close(ks);
    kv_close(kv);
}

static void nothing_that_is_there_is_replaced(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct keystore *ks = create(kv);
    fill(ks);
    struct error e = { .code = OK };
    struct keystore_seed seed = make_seed();
    seed.seed[0]++;
    assert_int_equal(keystore_set_seed(ks, &seed, &e), ERR_EXISTS);
    assert_int_equal(add_key(ks, 2, &e), ERR_EXISTS);
    assert_non_null(strstr(e.text, "private key 0200"));
    check_all(ks);
    seed.seed_len = 15;
    assert_int_equal(keystore_set_seed(ks, &seed, &e), ERR_RANGE);
    keystore_close(ks);
    kv_close(kv);
}

/* --- what needs no passphrase --- */

struct seen {
    unsigned n;
    uint8_t last;
    struct keystore *ks;
};

static enum err count_record(void *ctx, const struct key_record *r, struct error *e)
{
    struct seen *s = (struct seen *)ctx;
    (void)e;
    assert_int_equal(r->secret.len, 0);
    assert_true(s->n == 0 || r->id.data[r->id.len - 1] > s->last);
    s->last = r->id.data[r->id.len - 1];
    s->n++;
    return OK;
}

static unsigned count(struct keystore *ks, enum key_record_kind kind)
{
    struct seen s = { .n = 0 };
    assert_int_equal(keystore_each(ks, kind, count_record, &s, NULL), OK);
    return s.n;
}

static void watched_things_are_kept_and_counted_by_kind(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct keystore *ks = create(kv);
    uint8_t pubkey[33], xpub[78] = { 4 }, account[4] = { 1 };
    make_id(pubkey, 9);
    const struct key_record all[] = {
        { .kind = KEY_RECORD_PUBKEY, .id = span_of(pubkey, 33) },
        { .kind = KEY_RECORD_SCRIPT, .id = text("script") },
        { .kind = KEY_RECORD_SCRIPT, .id = text("scripu") },
        { .kind = KEY_RECORD_XPUB, .id = span_of(xpub, 78), .data = span_of(account, 4) },
    };
    assert_int_equal(keystore_add(ks, all, 4, NULL), OK);
    fill(ks);
    ks = reopen(ks, kv);
    assert_int_equal(count(ks, KEY_RECORD_PUBKEY), 1);
    assert_int_equal(count(ks, KEY_RECORD_SCRIPT), 2);
    assert_int_equal(count(ks, KEY_RECORD_XPUB), 1);
    assert_int_equal(count(ks, KEY_RECORD_SECRET), KEYS);
    assert_int_equal(count(ks, KEY_RECORD_LABEL), 0);
    bool has = false;
    assert_int_equal(keystore_has(ks, KEY_RECORD_SCRIPT, text("scripu"), &has, NULL), OK);
    assert_true(has);
    assert_int_equal(keystore_has(ks, KEY_RECORD_SCRIPT, text("scripv"), &has, NULL), OK);
    assert_false(has);
    keystore_close(ks);
    kv_close(kv);
}

static void a_batch_with_one_bad_record_adds_nothing(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct keystore *ks = create(kv);
    const struct key_record all[] = {
        { .kind = KEY_RECORD_SCRIPT, .id = text("script") },
        { .kind = KEY_RECORD_PUBKEY, .id = text("short") },
    };
    assert_int_equal(keystore_add(ks, all, 2, NULL), ERR_RANGE);
    assert_int_equal(count(ks, KEY_RECORD_SCRIPT), 0);
    keystore_close(ks);
    kv_close(kv);
}

static void labels_are_set_changed_and_removed(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct keystore *ks = create(kv);
    struct buf label;
    bool found = true;
    buf_init(&label);
    assert_int_equal(keystore_get_label(ks, text("addr"), &label, &found, NULL), OK);
    assert_false(found);
    assert_int_equal(keystore_set_label(ks, text("addr"), text("rent"), NULL), OK);
    assert_int_equal(keystore_set_label(ks, text("addr"), text("food"), NULL), OK);
    ks = reopen(ks, kv);
    assert_int_equal(keystore_get_label(ks, text("addr"), &label, &found, NULL), OK);
    assert_true(found && label.len == 4 && memcmp(label.data, "food", 4) == 0);
    assert_int_equal(keystore_set_label(ks, text("addr"), text(""), NULL), OK);
    assert_int_equal(keystore_get_label(ks, text("addr"), &label, &found, NULL), OK);
    assert_false(found);
    char long_label[1025];
    memset(long_label, 'x', sizeof long_label);
    assert_int_equal(keystore_set_label(ks, text("addr"), span_of(long_label, 1025), NULL),
                     ERR_RANGE);
    buf_clear(&label);
    keystore_close(ks);
    kv_close(kv);
}

static uint32_t next(struct keystore *ks, uint32_t account, enum keystore_branch branch)
{
    uint32_t index = 0;
    assert_int_equal(keystore_next_index(ks, account, branch, &index, NULL), OK);
    return index;
}

static void every_branch_counts_for_itself(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct keystore *ks = create(kv);
    uint32_t index;
    assert_int_equal(next(ks, 0, KEYSTORE_RECEIVE), 0);
    assert_int_equal(next(ks, 0, KEYSTORE_RECEIVE), 1);
    assert_int_equal(next(ks, 0, KEYSTORE_CHANGE), 0);
    assert_int_equal(next(ks, 256, KEYSTORE_RECEIVE), 0);
    kv_mem_power_cut(kv); /* what was handed out was synced before */
    ks = reopen(ks, kv);
    assert_int_equal(next(ks, 0, KEYSTORE_RECEIVE), 2);
    assert_int_equal(keystore_raise_index(ks, 0, KEYSTORE_RECEIVE, 57, NULL), OK);
    assert_int_equal(keystore_raise_index(ks, 0, KEYSTORE_RECEIVE, 5, NULL), OK);
    assert_int_equal(keystore_peek_index(ks, 0, KEYSTORE_RECEIVE, &index, NULL), OK);
    assert_int_equal(index, 57);
    assert_int_equal(next(ks, 0, KEYSTORE_RECEIVE), 57);
    keystore_close(ks);
    kv_close(kv);
}

static void indices_end_where_hardened_ones_begin(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct keystore *ks = create(kv);
    uint32_t index = 0;
    assert_int_equal(keystore_raise_index(ks, 0, KEYSTORE_CHANGE, 0x80000001, NULL), ERR_RANGE);
    assert_int_equal(keystore_raise_index(ks, 0, KEYSTORE_CHANGE, 0x7fffffff, NULL), OK);
    assert_int_equal(next(ks, 0, KEYSTORE_CHANGE), 0x7fffffff);
    assert_int_equal(keystore_next_index(ks, 0, KEYSTORE_CHANGE, &index, NULL), ERR_RANGE);
    keystore_close(ks);
    kv_close(kv);
}

/* --- encryption --- */

static void an_encrypted_wallet_gives_secrets_while_unlocked(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct keystore *ks = create(kv);
    struct error e = { .code = OK };
    int64_t until;
    fill(ks);
    assert_int_equal(keystore_encrypt(ks, text("open sesame"), NULL), OK);
    assert_int_equal(keystore_encrypt(ks, text("again"), NULL), ERR_EXISTS);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(keystore_state(ks, NULL), KEYSTORE_LOCKED);
        assert_int_equal(check_key(ks, 0, &e), ERR_AUTH);
        assert_non_null(strstr(e.text, "walletpassphrase"));
        assert_int_equal(add_key(ks, KEYS + 10, &e), ERR_AUTH);
        assert_int_equal(count(ks, KEY_RECORD_SECRET), KEYS + (unsigned)round);
        time_now = 1000;
        assert_int_equal(keystore_unlock(ks, text("open sesamf"), 1060, &e), ERR_AUTH);
        assert_int_equal(keystore_state(ks, NULL), KEYSTORE_LOCKED);
        assert_int_equal(keystore_unlock(ks, text("open sesame"), 1060, &e), OK);
        assert_int_equal(keystore_state(ks, &until), KEYSTORE_UNLOCKED);
        assert_int_equal(until, 1060);
        check_all(ks);
        assert_int_equal(add_key(ks, KEYS + (unsigned)round, NULL), OK);
        assert_int_equal(check_key(ks, KEYS + (unsigned)round, NULL), OK);
        ks = reopen(ks, kv); /* and is locked again */
    }
    keystore_close(ks);
    kv_close(kv);
}

static void unlocking_ends_with_its_time_or_on_request(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct keystore *ks = create(kv);
    fill(ks);
    assert_int_equal(keystore_encrypt(ks, text("pass"), NULL), OK);
    time_now = 5000;
    assert_int_equal(keystore_unlock(ks, text("pass"), 5010, NULL), OK);
    time_now = 5009;
    assert_int_equal(check_key(ks, 1, NULL), OK);
    time_now = 5010;
    assert_int_equal(check_key(ks, 1, NULL), ERR_AUTH);
    assert_int_equal(keystore_state(ks, NULL), KEYSTORE_LOCKED);
    assert_int_equal(keystore_unlock(ks, text("pass"), 6000, NULL), OK);
    /* A wrong passphrase leaves an unlocked wallet as it is. */
    assert_int_equal(keystore_unlock(ks, text("sap"), 7000, NULL), ERR_AUTH);
    assert_int_equal(check_key(ks, 1, NULL), OK);
    keystore_lock(ks);
    assert_int_equal(check_key(ks, 1, NULL), ERR_AUTH);
    keystore_close(ks);
    kv_close(kv);
}

static void a_clock_that_is_set_back_leaves_nothing_open_for_longer(void **state)
{
    struct keystore_options o = options;
    struct keystore *ks;
    (void)state;
    struct kv *kv = kv_open_mem();
    o.mono_ms = test_mono;
    assert_int_equal(keystore_create(&ks, kv, &o, NULL), OK);
    fill(ks);
    assert_int_equal(keystore_encrypt(ks, text("pass"), NULL), OK);
    time_now = 5000;
    mono_now = 700;
    assert_int_equal(keystore_unlock(ks, text("pass"), 5010, NULL), OK);
    time_now = 1000;
    mono_now = 10699;
    assert_int_equal(check_key(ks, 1, NULL), OK);
    mono_now = 10700;
    assert_int_equal(check_key(ks, 1, NULL), ERR_AUTH);
    assert_int_equal(keystore_state(ks, NULL), KEYSTORE_LOCKED);
    assert_int_equal(keystore_unlock(ks, text("pass"), INT64_MAX, NULL), OK);
    assert_int_equal(check_key(ks, 1, NULL), OK);
    /* Nor is one that is asleep with the machine. */
    assert_int_equal(keystore_unlock(ks, text("pass"), 1010, NULL), OK);
    time_now = 1010;
    assert_int_equal(keystore_state(ks, NULL), KEYSTORE_LOCKED);
    keystore_close(ks);
    kv_close(kv);
}

static void the_time_that_stretching_takes_is_not_lost(void **state)
{
    int64_t until;
    (void)state;
    struct kv *kv = kv_open_mem();
    struct keystore *ks = create(kv);
    fill(ks);
    assert_int_equal(keystore_encrypt(ks, text("pass"), NULL), OK);
    time_now = 5000;
    time_step = 30;
    assert_int_equal(keystore_unlock(ks, text("pass"), 5010, NULL), OK);
    time_step = 0;
    time_now = 5039;
    assert_int_equal(keystore_state(ks, &until), KEYSTORE_UNLOCKED);
    assert_int_equal(until, 5040);
    time_now = 5040;
    assert_int_equal(keystore_state(ks, NULL), KEYSTORE_LOCKED);
    keystore_close(ks);
    kv_close(kv);
}

static void a_new_passphrase_takes_the_place_of_the_old(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct keystore *ks = create(kv);
    fill(ks);
    assert_int_equal(keystore_unlock(ks, text("x"), 10, NULL), ERR_NOTFOUND); /* not encrypted */
    assert_int_equal(keystore_encrypt(ks, text("old"), NULL), OK);
    assert_int_equal(keystore_change_passphrase(ks, text("wrong"), text("new"), NULL), ERR_AUTH);
    assert_int_equal(keystore_change_passphrase(ks, text("old"), text(""), NULL), ERR_RANGE);
    assert_int_equal(keystore_change_passphrase(ks, text("old"), text("new"), NULL), OK);
    ks = reopen(ks, kv);
    time_now = 1;
    assert_int_equal(keystore_unlock(ks, text("old"), 100, NULL), ERR_AUTH);
    assert_int_equal(keystore_unlock(ks, text("new"), 100, NULL), OK);
    check_all(ks);
    keystore_close(ks);
    kv_close(kv);
}

static void every_record_of(struct kv *kv, struct buf *out)
{
    struct kv_iter *it = kv_iter_new(kv);
    for (kv_iter_seek(it, "", 0); kv_iter_valid(it); kv_iter_next(it)) {
        const struct span name = kv_iter_key(it), value = kv_iter_value(it);
        buf_put(out, name.data, name.len);
        buf_put(out, value.data, value.len);
    }
    kv_iter_free(it);
}

static bool holds_secret(const struct buf *b)
{
    return memmem(b->data, b->len, "SECRET", 6) != NULL;
}

static void no_record_of_an_encrypted_wallet_holds_a_plain_secret(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct keystore *ks = create(kv);
    struct buf all;
    buf_init(&all);
    fill(ks);
    every_record_of(kv, &all);
    assert_true(holds_secret(&all));
    assert_int_equal(keystore_encrypt(ks, text("pass"), NULL), OK);
    time_now = 1;
    assert_int_equal(keystore_unlock(ks, text("pass"), 100, NULL), OK);
    assert_int_equal(add_key(ks, KEYS, NULL), OK);
    buf_reset(&all);
    every_record_of(kv, &all);
    assert_false(holds_secret(&all));
    buf_clear(&all);
    keystore_close(ks);
    kv_close(kv);
}

/* Sealed records of one wallet in another, or plain ones in an encrypted one, are refused. */
static void a_record_that_does_not_belong_is_refused_by_name(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct keystore *ks = create(kv);
    struct buf plain, name;
    struct error e = { .code = OK };
    uint8_t id[33];
    bool found;
    buf_init(&plain);
    buf_init(&name);
    fill(ks);
    make_id(id, 3);
    key_record_name(&name, KEY_RECORD_SECRET, span_of(id, 33));
    assert_int_equal(kv_get(kv, name.data, name.len, &plain, &found, NULL), OK);
    assert_int_equal(keystore_encrypt(ks, text("pass"), NULL), OK);
    struct kv_batch *b = kv_batch_new(kv);
    kv_batch_put(b, name.data, name.len, plain.data, plain.len);
    assert_int_equal(kv_write(kv, b, KV_SYNC, NULL), OK);
    time_now = 1;
    assert_int_equal(keystore_unlock(ks, text("pass"), 100, NULL), OK);
    assert_int_equal(check_key(ks, 3, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "private key 0200"));
    assert_int_equal(check_key(ks, 2, &e), OK);
    kv_batch_free(b);
    buf_clear(&plain);
    buf_clear(&name);
    keystore_close(ks);
    kv_close(kv);
}

static void a_damaged_record_is_refused_by_name_and_the_others_stay(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct keystore *ks = create(kv);
    struct buf value, name;
    struct error e = { .code = OK };
    struct seen seen = { .n = 0 };
    uint8_t id[33];
    bool found;
    buf_init(&value);
    buf_init(&name);
    fill(ks);
    make_id(id, 3);
    key_record_name(&name, KEY_RECORD_SECRET, span_of(id, 33));
    assert_int_equal(kv_get(kv, name.data, name.len, &value, &found, NULL), OK);
    value.data[value.len - 10] ^= 4;
    struct kv_batch *b = kv_batch_new(kv);
    kv_batch_put(b, name.data, name.len, value.data, value.len);
    assert_int_equal(kv_write(kv, b, KV_SYNC, NULL), OK);
    assert_int_equal(check_key(ks, 3, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "private key 0200"));
    assert_int_equal(keystore_each(ks, KEY_RECORD_SECRET, count_record, &seen, &e), ERR_CORRUPT);
    assert_int_equal(seen.n, 3);
    assert_int_equal(keystore_encrypt(ks, text("pass"), &e), ERR_CORRUPT);
    assert_int_equal(keystore_state(ks, NULL), KEYSTORE_PLAIN);
    assert_int_equal(check_key(ks, 4, &e), OK);
    kv_batch_free(b);
    buf_clear(&value);
    buf_clear(&name);
    keystore_close(ks);
    kv_close(kv);
}

/* --- crashes --- */

/* What the work below got done before a write failed. */
struct done {
    bool seed, encrypted, changed;
    unsigned keys;
    uint32_t indices; /* handed out: 0 .. indices - 1 */
};

static bool take_indices(struct keystore *ks, struct done *d)
{
    uint32_t index = 0;
    for (int i = 0; i < 3; i++) {
        if (keystore_next_index(ks, 0, KEYSTORE_RECEIVE, &index, NULL))
            return false;
        assert_int_equal(index, d->indices);
        d->indices++;
    }
    return true;
}

static bool add_keys(struct keystore *ks, unsigned from, unsigned to, struct done *d)
{
    for (unsigned i = from; i < to; i++, d->keys++)
        if (add_key(ks, i, NULL))
            return false;
    return true;
}

static void work(struct keystore *ks, struct done *d)
{
    const struct keystore_seed seed = make_seed();
    time_now = 1;
    d->seed = keystore_set_seed(ks, &seed, NULL) == OK;
    if (!d->seed || !add_keys(ks, 0, 2, d) || !take_indices(ks, d))
        return;
    d->encrypted = keystore_encrypt(ks, text("one"), NULL) == OK;
    if (!d->encrypted || keystore_unlock(ks, text("one"), 100, NULL) ||
        !add_keys(ks, 2, 4, d) || !take_indices(ks, d))
        return;
    d->changed = keystore_change_passphrase(ks, text("one"), text("two"), NULL) == OK;
    if (d->changed)
        (void)take_indices(ks, d);
}

static void check_after_crash(struct keystore *ks, const struct done *d)
{
    struct keystore_seed seed;
    const bool encrypted = keystore_state(ks, NULL) != KEYSTORE_PLAIN;
    assert_int_equal(encrypted, d->encrypted);
    if (encrypted)
        assert_int_equal(keystore_unlock(ks, text(d->changed ? "two" : "one"), 100, NULL), OK);
    assert_int_equal(keystore_get_seed(ks, &seed, NULL), d->seed ? OK : ERR_NOTFOUND);
    for (unsigned i = 0; i < d->keys; i++)
        assert_int_equal(check_key(ks, i, NULL), OK);
    assert_int_equal(check_key(ks, d->keys, NULL), ERR_NOTFOUND);
    assert_int_equal(next(ks, 0, KEYSTORE_RECEIVE), d->indices);
}

/* The write fails, then power goes: whatever was reported done is there, and nothing else. */
static void a_failed_write_at_any_point_leaves_the_state_before_it(void **state)
{
    (void)state;
    bool failed = true;
    unsigned n = 0;
    while (failed) {
        struct kv *kv = kv_open_mem();
        struct keystore *ks = create(kv);
        struct done d = { .keys = 0 };
        kv_mem_fail_writes(kv, ++n);
        work(ks, &d);
        failed = d.indices < 9;
        kv_mem_fail_writes(kv, 0);
        kv_mem_power_cut(kv);
        ks = reopen(ks, kv);
        check_after_crash(ks, &d);
        keystore_close(ks);
        kv_close(kv);
    }
    assert_true(n >= 16);
}

static void a_new_store_whose_first_write_fails_is_none(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct keystore *ks;
    kv_mem_fail_writes(kv, 1);
    assert_int_equal(keystore_create(&ks, kv, &options, NULL), ERR_IO);
    assert_null(ks);
    kv_mem_fail_writes(kv, 0);
    assert_int_equal(keystore_open(&ks, kv, &options, NULL), ERR_NOTFOUND);
    keystore_close(create(kv));
    kv_close(kv);
}

/* --- files --- */

struct all_files {
    const char *dir;
    struct buf bytes;
};

static void append_file(void *ctx, const char *name)
{
    struct all_files *all = (struct all_files *)ctx;
    struct buf one;
    char *path = path_join(all->dir, name);
    buf_init(&one);
    assert_int_equal(file_read_all(path, 1 << 26, &one, NULL), OK);
    buf_put(&all->bytes, one.data, one.len);
    buf_clear(&one);
    free(path);
}

/* Whether any file of the database has the bytes. */
static bool files_hold(const char *dir, const void *bytes, size_t len)
{
    struct all_files all = { .dir = dir };
    buf_init(&all.bytes);
    assert_int_equal(path_list(dir, append_file, &all, NULL), OK);
    const bool holds = memmem(all.bytes.data, all.bytes.len, bytes, len) != NULL;
    buf_clear(&all.bytes);
    return holds;
}

static struct kv *open_leveldb(const char *dir)
{
    const struct kv_options o = { .write_buffer_bytes = 1 << 20 };
    struct kv *kv;
    assert_int_equal(kv_open_leveldb(&kv, dir, &o, NULL), OK);
    return kv;
}

/* The wallet's history before encryption: how its plain records came to lie in the files. */
enum history { ALL_AT_ONCE, REOPENED, COMPACTED, HISTORIES };

static struct keystore *with_history(enum history h, const char *dir, struct kv **kv)
{
    *kv = open_leveldb(dir);
    struct keystore *ks = create(*kv);
    fill(ks);
    if (h == ALL_AT_ONCE)
        return ks;
    if (h == COMPACTED)
        kv_compact(*kv);
    for (unsigned i = 0; i < 3; i++) {
        keystore_close(ks);
        kv_close(*kv);
        *kv = open_leveldb(dir);
        assert_int_equal(keystore_open(&ks, *kv, &options, NULL), OK);
        assert_int_equal(add_key(ks, KEYS + i, NULL), OK);
    }
    return ks;
}

static void files_of_an_encrypted_wallet_hold_no_plain_secret(void **state)
{
    (void)state;
    for (int h = 0; h < HISTORIES; h++) {
        char *dir = test_dir_make();
        struct kv *kv;
        struct keystore *ks = with_history((enum history)h, dir, &kv);
        assert_true(files_hold(dir, "SECRET", 6));
        assert_int_equal(keystore_encrypt(ks, text("pass"), NULL), OK);
        assert_false(files_hold(dir, "SECRET", 6));
        keystore_close(ks);
        kv_close(kv);
        assert_false(files_hold(dir, "SECRET", 6));
        kv = open_leveldb(dir);
        assert_int_equal(keystore_open(&ks, kv, &options, NULL), OK);
        time_now = 1;
        assert_int_equal(keystore_unlock(ks, text("pass"), 100, NULL), OK);
        check_all(ks);
        keystore_close(ks);
        kv_close(kv);
        test_dir_remove(dir);
    }
}

static void the_master_key_under_an_old_passphrase_leaves_the_files(void **state)
{
    (void)state;
    char *dir = test_dir_make();
    struct kv *kv = open_leveldb(dir);
    struct keystore *ks = create(kv);
    struct buf cipher;
    bool found;
    buf_init(&cipher);
    fill(ks);
    assert_int_equal(keystore_encrypt(ks, text("old"), NULL), OK);
    assert_int_equal(kv_get(kv, "e", 1, &cipher, &found, NULL), OK);
    assert_true(files_hold(dir, cipher.data, cipher.len));
    assert_int_equal(keystore_change_passphrase(ks, text("old"), text("new"), NULL), OK);
    assert_false(files_hold(dir, cipher.data, cipher.len));
    buf_clear(&cipher);
    keystore_close(ks);
    kv_close(kv);
    test_dir_remove(dir);
}

/* Dies between the change and the rewrite of the files: the mark makes the next opening finish. */
static void opening_finishes_a_rewrite_that_was_cut_short(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct keystore *ks = create(kv);
    bool found = false;
    struct buf value;
    buf_init(&value);
    fill(ks);
    kv_mem_fail_writes(kv, 2); /* the removal of the mark */
    assert_int_equal(keystore_encrypt(ks, text("pass"), NULL), OK);
    kv_mem_fail_writes(kv, 0);
    assert_int_equal(kv_get(kv, "z", 1, &value, &found, NULL), OK);
    assert_true(found);
    ks = reopen(ks, kv);
    found = false;
    assert_int_equal(kv_get(kv, "z", 1, &value, &found, NULL), OK);
    assert_false(found);
    assert_int_equal(keystore_state(ks, NULL), KEYSTORE_LOCKED);
    buf_clear(&value);
    keystore_close(ks);
    kv_close(kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_store_needs_an_empty_database_and_an_old_one_a_head),
        cmocka_unit_test(another_network_and_a_newer_format_are_refused),
        cmocka_unit_test(what_was_added_is_there_after_reopening),
        cmocka_unit_test(nothing_that_is_there_is_replaced),
        cmocka_unit_test(watched_things_are_kept_and_counted_by_kind),
        cmocka_unit_test(a_batch_with_one_bad_record_adds_nothing),
        cmocka_unit_test(labels_are_set_changed_and_removed),
        cmocka_unit_test(every_branch_counts_for_itself),
        cmocka_unit_test(indices_end_where_hardened_ones_begin),
        cmocka_unit_test(an_encrypted_wallet_gives_secrets_while_unlocked),
        cmocka_unit_test(unlocking_ends_with_its_time_or_on_request),
        cmocka_unit_test(a_clock_that_is_set_back_leaves_nothing_open_for_longer),
        cmocka_unit_test(the_time_that_stretching_takes_is_not_lost),
        cmocka_unit_test(a_new_passphrase_takes_the_place_of_the_old),
        cmocka_unit_test(no_record_of_an_encrypted_wallet_holds_a_plain_secret),
        cmocka_unit_test(a_record_that_does_not_belong_is_refused_by_name),
        cmocka_unit_test(a_damaged_record_is_refused_by_name_and_the_others_stay),
        cmocka_unit_test(a_failed_write_at_any_point_leaves_the_state_before_it),
        cmocka_unit_test(a_new_store_whose_first_write_fails_is_none),
        cmocka_unit_test(files_of_an_encrypted_wallet_hold_no_plain_secret),
        cmocka_unit_test(the_master_key_under_an_old_passphrase_leaves_the_files),
        cmocka_unit_test(opening_finishes_a_rewrite_that_was_cut_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
