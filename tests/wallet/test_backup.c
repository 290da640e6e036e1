#include <config.h>

#include "wallet/backup.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/kv.h"
#include "base/mem.h"
#include "base/state_file.h"
#include "tests/test.h"

static const uint8_t magic[4] = { 0xfa, 0xbf, 0xb5, 0xda };

static int64_t test_clock(void)
{
    return 0;
}

struct fixture {
    char *dir, *path;
    struct kv *kv;
    struct keystore *ks;
    struct keystore_options options;
    struct error e;
};

static void add_script(struct fixture *f, const char *script)
{
    const struct key_record r = { .kind = KEY_RECORD_SCRIPT,
                                  .id = span_of(script, strlen(script)) };
    assert_int_equal(keystore_add(f->ks, &r, 1, NULL), OK);
}

static const struct keystore_seed seed = { .seed = "SECRET of sixteen", .seed_len = 16 };

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    f->dir = test_dir_make();
    f->path = path_join(f->dir, "backup.dat");
    f->kv = kv_open_mem();
    memcpy(f->options.magic, magic, 4);
    f->options.now = test_clock;
    f->options.scrypt = (struct scrypt_params){ 2, 1, 1 };
    assert_int_equal(keystore_create(&f->ks, f->kv, &f->options, NULL), OK);
    assert_int_equal(keystore_set_seed(f->ks, &seed, NULL), OK);
    add_script(f, "first");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    keystore_close(f->ks);
    kv_close(f->kv);
    test_dir_remove(f->dir);
    free(f->path);
    free(f);
    return 0;
}

static enum err write_backup(struct fixture *f)
{
    return backup_write(f->kv, magic, f->path, NULL, &f->e);
}

static void read_backup(struct fixture *f, struct buf *out)
{
    buf_init(out);
    assert_int_equal(file_read_all(f->path, 1 << 20, out, NULL), OK);
}

/* The backup in a store of its own; the caller closes both. */
static struct keystore *restore(struct fixture *f, struct kv **kv)
{
    struct keystore *ks;
    *kv = kv_open_mem();
    if (backup_restore(*kv, magic, f->path, NULL, &f->e) ||
        keystore_open(&ks, *kv, &f->options, &f->e))
        fail_msg("%s", f->e.text);
    return ks;
}

static bool same_content(struct kv *a, struct kv *b)
{
    struct kv_iter *x = kv_iter_new(a), *y = kv_iter_new(b);
    bool same = true;
    kv_iter_seek(x, "", 0);
    kv_iter_seek(y, "", 0);
    while (same && kv_iter_valid(x) && kv_iter_valid(y)) {
        const struct span n = kv_iter_key(x), m = kv_iter_key(y);
        const struct span v = kv_iter_value(x), w = kv_iter_value(y);
        same = n.len == m.len && mem_equal_var(n.data, m.data, n.len) && v.len == w.len &&
               mem_equal_var(v.data, w.data, v.len);
        kv_iter_next(x);
        kv_iter_next(y);
    }
    same = same && !kv_iter_valid(x) && !kv_iter_valid(y);
    kv_iter_free(x);
    kv_iter_free(y);
    return same;
}

static void a_restored_wallet_is_the_wallet(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct backup_info info, read;
    struct keystore_seed got;
    struct kv *kv;
    struct stat st;
    assert_int_equal(backup_write(f->kv, magic, f->path, &info, &f->e), OK);
    assert_int_equal(info.changes, keystore_changes(f->ks));
    assert_int_equal(info.keys, 2);
    assert_false(info.encrypted);
    assert_int_equal(backup_inspect(f->path, magic, &read, &f->e), OK);
    assert_memory_equal(&info, &read, sizeof info);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct keystore *ks = restore(f, &kv);
    assert_true(same_content(f->kv, kv));
    assert_int_equal(keystore_get_seed(ks, &got, NULL), OK);
    assert_memory_equal(got.seed, seed.seed, 16);
    assert_int_equal(backup_restore(kv, magic, f->path, NULL, &f->e), ERR_EXISTS);
    keystore_close(ks);
    kv_close(kv);
}

static void a_backup_of_an_encrypted_wallet_is_encrypted(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    const struct span pass = span_of("pass", 4);
    struct keystore_seed got;
    struct buf file;
    struct kv *kv;
    assert_int_equal(write_backup(f), OK);
    read_backup(f, &file);
    assert_non_null(memmem(file.data, file.len, "SECRET", 6));
    buf_clear(&file);
    assert_int_equal(keystore_encrypt(f->ks, pass, NULL), OK);
    assert_int_equal(write_backup(f), OK);
    read_backup(f, &file);
    assert_null(memmem(file.data, file.len, "SECRET", 6));
    buf_clear(&file);
    struct keystore *ks = restore(f, &kv);
    assert_int_equal(keystore_get_seed(ks, &got, NULL), ERR_AUTH);
    assert_int_equal(keystore_unlock(ks, pass, 10, NULL), OK);
    assert_int_equal(keystore_get_seed(ks, &got, NULL), OK);
    assert_memory_equal(got.seed, seed.seed, 16);
    keystore_close(ks);
    kv_close(kv);
}

/* Writes to the existing file, which must be refused and stay. */
static void check_kept(struct fixture *f, struct kv *kv, const char *why)
{
    struct buf before, after;
    read_backup(f, &before);
    assert_int_equal(backup_write(kv, magic, f->path, NULL, &f->e), ERR_EXISTS);
    assert_non_null(strstr(f->e.text, why));
    read_backup(f, &after);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, after.len);
    buf_clear(&before);
    buf_clear(&after);
}

static void a_newer_backup_is_never_replaced_by_an_older_one(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct kv *old_kv;
    assert_int_equal(write_backup(f), OK);
    assert_int_equal(write_backup(f), OK); /* the same again is fine */
    struct keystore *old = restore(f, &old_kv);
    add_script(f, "second");
    assert_int_equal(write_backup(f), OK);
    check_kept(f, old_kv, "is newer than this wallet");
    /* An old state that was written more often but knows fewer keys. */
    for (int i = 0; i < 3; i++)
        assert_int_equal(keystore_set_label(old, span_of("a", 1), span_of("b", 1), NULL), OK);
    assert_true(keystore_changes(old) > keystore_changes(f->ks));
    check_kept(f, old_kv, "is newer than this wallet");
    keystore_close(old);
    kv_close(old_kv);
}

/* What was restored goes on with fewer of them, and comes to more changes. */
static void a_backup_with_more_addresses_of_identities_is_kept(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    static const uint8_t address[16] = { 0x20, 1 }, data[90] = { 0 };
    const struct key_record r = { .kind = KEY_RECORD_BCA, .id = span_of(address, sizeof address),
                                  .data = span_of(data, sizeof data) };
    struct kv *old_kv;
    assert_int_equal(write_backup(f), OK);
    struct keystore *old = restore(f, &old_kv);
    assert_int_equal(keystore_replace(f->ks, &r, 1, NULL), OK);
    assert_int_equal(write_backup(f), OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(keystore_set_label(old, span_of("a", 1), span_of("b", 1), NULL), OK);
    check_kept(f, old_kv, "is newer than this wallet");
    keystore_close(old);
    kv_close(old_kv);
}

static void what_is_no_backup_of_this_wallet_is_kept(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct kv *kv = kv_open_mem();
    struct keystore *other;
    assert_int_equal(keystore_create(&other, kv, &f->options, NULL), OK);
    assert_int_equal(write_backup(f), OK);
    check_kept(f, kv, "another wallet"); /* an empty one at that */
    assert_int_equal(file_replace(f->path, "a letter to mother", 18, NULL), OK);
    check_kept(f, kv, "not a good backup");
    keystore_close(other);
    kv_close(kv);
}

static void a_wallet_with_a_damaged_record_gives_no_backup(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct buf value;
    bool found;
    buf_init(&value);
    assert_int_equal(kv_get(f->kv, "wfirst", 6, &value, &found, NULL), OK);
    assert_true(found);
    value.data[3] ^= 1;
    struct kv_batch *b = kv_batch_new(f->kv);
    kv_batch_put(b, "wfirst", 6, value.data, value.len);
    assert_int_equal(kv_write(f->kv, b, KV_SYNC, NULL), OK);
    assert_int_equal(write_backup(f), ERR_CORRUPT);
    assert_non_null(strstr(f->e.text, "watched script 6669727374"));
    assert_false(path_exists(f->path));
    kv_batch_free(b);
    buf_clear(&value);
}

static const uint8_t identity_key[33] = { 2 }, identity_secret[96] = "SECRET keys of an identity";

static void add_identity(struct fixture *f, const uint8_t (*data)[300])
{
    const struct key_record r[] = {
        { .kind = KEY_RECORD_IDENTITY, .id = span_of("alice", 5),
          .data = span_of(*data, sizeof *data) },
        { .kind = KEY_RECORD_IDENTITY_KEYS, .form = KEY_RECORD_PLAIN,
          .id = span_of(identity_key, sizeof identity_key),
          .secret = span_of(identity_secret, sizeof identity_secret) },
    };
    assert_int_equal(keystore_replace(f->ks, r, 2, NULL), OK);
}

static enum err take_data(void *ctx, const struct key_record *r, struct error *e)
{
    (void)e;
    buf_reset(ctx);
    buf_put(ctx, r->data.data, r->data.len);
    return OK;
}

static void identities_are_in_a_backup_as_they_were_last(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    static const uint8_t first[300] = { 1 }, second[300] = { 2 };
    uint8_t secret[KEY_RECORD_SECRET_MAX];
    struct buf data = { 0 };
    struct kv *kv;
    size_t len;
    bool found;
    add_identity(f, &first);
    assert_int_equal(write_backup(f), OK);
    add_identity(f, &second);
    assert_int_equal(write_backup(f), OK);
    struct keystore *ks = restore(f, &kv);
    assert_int_equal(keystore_find(ks, KEY_RECORD_IDENTITY, span_of("alice", 5), take_data, &data,
                                   &found, NULL), OK);
    assert_true(found);
    assert_int_equal(data.len, sizeof second);
    assert_memory_equal(data.data, second, sizeof second);
    assert_int_equal(keystore_open_secret(ks, KEY_RECORD_IDENTITY_KEYS,
                                          span_of(identity_key, sizeof identity_key), secret, &len,
                                          NULL), OK);
    assert_int_equal(len, sizeof identity_secret);
    assert_memory_equal(secret, identity_secret, len);
    keystore_close(ks);
    kv_close(kv);
    buf_clear(&data);
}

/* One that was never registered: the backup with it may be replaced. */
static void an_identity_that_went_makes_a_wallet_no_older(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    static const uint8_t data[300] = { 1 };
    const struct key_record r[] = {
        { .kind = KEY_RECORD_IDENTITY, .id = span_of("alice", 5) },
        { .kind = KEY_RECORD_IDENTITY_KEYS, .id = span_of(identity_key, sizeof identity_key) },
    };
    bool has;
    add_identity(f, &data);
    assert_int_equal(write_backup(f), OK);
    assert_int_equal(keystore_remove(f->ks, r, 2, NULL), OK);
    assert_int_equal(keystore_has(f->ks, KEY_RECORD_IDENTITY, r[0].id, &has, NULL), OK);
    assert_false(has);
    assert_int_equal(write_backup(f), OK);
}

static void a_damaged_identity_gives_no_backup(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    static const uint8_t data[300] = { 1 };
    struct kv_batch *b = kv_batch_new(f->kv);
    add_identity(f, &data);
    kv_batch_put(b, "nalice", 6, data, sizeof data);
    assert_int_equal(kv_write(f->kv, b, KV_SYNC, NULL), OK);
    assert_int_equal(write_backup(f), ERR_CORRUPT);
    assert_non_null(strstr(f->e.text, "identity 616c696365"));
    assert_false(path_exists(f->path));
    kv_batch_free(b);
}

static void every_changed_byte_and_length_of_a_file_is_noticed(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct buf file;
    struct kv *kv = kv_open_mem();
    bool empty = false;
    assert_int_equal(write_backup(f), OK);
    read_backup(f, &file);
    for (size_t i = 0; i < file.len; i++) {
        file.data[i] ^= 0x20;
        assert_int_equal(file_replace(f->path, file.data, file.len, NULL), OK);
        assert_int_equal(backup_restore(kv, magic, f->path, NULL, &f->e), ERR_CORRUPT);
        assert_non_null(strstr(f->e.text, f->path));
        file.data[i] ^= 0x20;
    }
    for (size_t len = 0; len < file.len; len += 7) {
        assert_int_equal(file_replace(f->path, file.data, len, NULL), OK);
        assert_int_equal(backup_restore(kv, magic, f->path, NULL, &f->e), ERR_CORRUPT);
    }
    assert_int_equal(kv_is_empty(kv, &empty, NULL), OK);
    assert_true(empty);
    buf_clear(&file);
    kv_close(kv);
}

/* --- files made by others, with right checksums --- */

static void put_label(struct buf *out, const char *subject)
{
    const struct key_record r = { .kind = KEY_RECORD_LABEL, .data = span_of("x", 1),
                                  .id = span_of(subject, strlen(subject)) };
    struct buf name, value;
    buf_init(&name);
    buf_init(&value);
    key_record_name(&name, r.kind, r.id);
    key_record_value(&value, &r);
    buf_put_var_bytes(out, name.data, name.len);
    buf_put_var_bytes(out, value.data, value.len);
    buf_clear(&name);
    buf_clear(&value);
}

static void put_stored(struct fixture *f, struct buf *out, const char *name)
{
    struct buf value;
    bool found = false;
    buf_init(&value);
    assert_int_equal(kv_get(f->kv, name, strlen(name), &value, &found, NULL), OK);
    assert_true(found);
    buf_put_var_bytes(out, name, strlen(name));
    buf_put_var_bytes(out, value.data, value.len);
    buf_clear(&value);
}

static void begin_file(struct buf *out, size_t records)
{
    static const struct state_file_kind kind = { "WBAK", 1 };
    buf_init(out);
    state_file_begin(out, &kind, magic);
    buf_put_compact(out, records);
}

static void check_refused(struct fixture *f, struct buf *file, const char *why)
{
    struct kv *kv = kv_open_mem();
    bool empty = false;
    state_file_finish(file);
    assert_int_equal(file_replace(f->path, file->data, file->len, NULL), OK);
    assert_int_equal(backup_restore(kv, magic, f->path, NULL, &f->e), ERR_CORRUPT);
    if (!strstr(f->e.text, why))
        fail_msg("%s", f->e.text);
    assert_int_equal(kv_is_empty(kv, &empty, NULL), OK);
    assert_true(empty);
    kv_close(kv);
    buf_clear(file);
}

static void files_that_fit_their_checksum_and_no_wallet_are_refused(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct buf file;
    begin_file(&file, 2); /* twice the same name */
    put_label(&file, "a");
    put_label(&file, "a");
    check_refused(f, &file, "not in order");
    begin_file(&file, 2);
    put_label(&file, "b");
    put_label(&file, "a");
    check_refused(f, &file, "not in order");
    begin_file(&file, 1);
    put_label(&file, "a");
    check_refused(f, &file, "lost its head");
    begin_file(&file, 0xffffffff); /* many records in a short file */
    put_label(&file, "a");
    check_refused(f, &file, "cut short");
    begin_file(&file, 1);
    put_label(&file, "a");
    put_label(&file, "b");
    check_refused(f, &file, "too long");
    begin_file(&file, 1);
    buf_put_var_bytes(&file, "?", 1);
    buf_put_var_bytes(&file, "value", 5);
    check_refused(f, &file, "no known kind");
}

static void plain_and_sealed_secrets_do_not_go_together(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct buf plain, file;
    bool found;
    buf_init(&plain);
    assert_int_equal(kv_get(f->kv, "s", 1, &plain, &found, NULL), OK);
    assert_int_equal(keystore_encrypt(f->ks, span_of("pass", 4), NULL), OK);
    begin_file(&file, 4);
    put_stored(f, &file, "c");
    put_stored(f, &file, "e");
    put_stored(f, &file, "h");
    buf_put_var_bytes(&file, "s", 1);
    buf_put_var_bytes(&file, plain.data, plain.len);
    check_refused(f, &file, "encrypted and has a plain secret");
    begin_file(&file, 3);
    put_stored(f, &file, "c");
    put_stored(f, &file, "h");
    put_stored(f, &file, "s");
    check_refused(f, &file, "no master key");
    buf_clear(&plain);
}

static void another_network_is_refused(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    static const uint8_t other[4] = { 1, 2, 3, 4 };
    struct kv *kv = kv_open_mem();
    assert_int_equal(backup_write(f->kv, other, f->path, NULL, &f->e), ERR_RANGE);
    assert_int_equal(write_backup(f), OK);
    assert_int_equal(backup_restore(kv, other, f->path, NULL, &f->e), ERR_CORRUPT);
    assert_non_null(strstr(f->e.text, "another network"));
    kv_close(kv);
}

static void a_restore_whose_write_fails_leaves_nothing(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct kv *kv = kv_open_mem();
    bool empty = false;
    assert_int_equal(write_backup(f), OK);
    kv_mem_fail_writes(kv, 1);
    assert_int_equal(backup_restore(kv, magic, f->path, NULL, &f->e), ERR_IO);
    kv_mem_fail_writes(kv, 0);
    assert_int_equal(kv_is_empty(kv, &empty, NULL), OK);
    assert_true(empty);
    assert_int_equal(backup_restore(kv, magic, f->path, NULL, &f->e), OK);
    kv_close(kv);
    char *nowhere = path_join(f->dir, "missing");
    assert_int_equal(backup_inspect(nowhere, magic, NULL, &f->e), ERR_NOTFOUND);
    free(nowhere);
}

#define BACKUP_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BACKUP_TEST(a_restored_wallet_is_the_wallet),
        BACKUP_TEST(a_backup_of_an_encrypted_wallet_is_encrypted),
        BACKUP_TEST(a_newer_backup_is_never_replaced_by_an_older_one),
        BACKUP_TEST(a_backup_with_more_addresses_of_identities_is_kept),
        BACKUP_TEST(what_is_no_backup_of_this_wallet_is_kept),
        BACKUP_TEST(a_wallet_with_a_damaged_record_gives_no_backup),
        BACKUP_TEST(identities_are_in_a_backup_as_they_were_last),
        BACKUP_TEST(an_identity_that_went_makes_a_wallet_no_older),
        BACKUP_TEST(a_damaged_identity_gives_no_backup),
        BACKUP_TEST(every_changed_byte_and_length_of_a_file_is_noticed),
        BACKUP_TEST(files_that_fit_their_checksum_and_no_wallet_are_refused),
        BACKUP_TEST(plain_and_sealed_secrets_do_not_go_together),
        BACKUP_TEST(another_network_is_refused),
        BACKUP_TEST(a_restore_whose_write_fails_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
