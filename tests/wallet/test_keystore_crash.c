/*
 * A key store on real files and its backup, in a child that ends, or whose disk is full, at its
 * n-th write, sync, rename or open, for every n. After each step that succeeded the child notes it;
 * what was noted must be there afterwards.
 */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/kv.h"
#include "tests/fault/preload.h"
#include "tests/test.h"
#include "wallet/backup.h"
#include "wallet/keystore.h"

static const uint8_t magic[4] = { 0xfa, 0xbf, 0xb5, 0xda };

static int64_t test_clock(void)
{
    return 0;
}

static const struct keystore_options options = {
    .magic = { 0xfa, 0xbf, 0xb5, 0xda }, .now = test_clock, .scrypt = { 2, 1, 1 },
};

/* The steps of the child, each noted by its letter. */
enum step { CREATE = 'c', KEY = 'k', INDEX = 'i', ENCRYPT = 'e', CHANGE = 'p', BACKUP = 'b' };
static const char plan[] = "ckikbiekibpkib";

struct place {
    char *db, *backup, *notes;
};

/* Only the calls on files below "victim" count. */
static struct place place_of(const char *dir)
{
    return (struct place){ path_join(dir, "victim/db"), path_join(dir, "victim/backup.dat"),
                           path_join(dir, "notes") };
}

static void place_clear(struct place *p)
{
    free(p->db);
    free(p->backup);
    free(p->notes);
}

static struct span text(const char *s)
{
    return span_of(s, strlen(s));
}

static void key_of(unsigned n, uint8_t id[33], uint8_t secret[32])
{
    memset(id, 0, 33);
    id[0] = 2;
    id[32] = (uint8_t)n;
    memset(secret, 'S', 32);
    memcpy(secret, "SECRET", 6);
    secret[31] = (uint8_t)n;
}

/* How often the step is among the first n of the plan. */
static unsigned times(enum step step, size_t n)
{
    unsigned count = 0;
    for (size_t i = 0; i < n; i++)
        count += plan[i] == (char)step;
    return count;
}

static enum err add_key(struct keystore *ks, unsigned n, struct error *e)
{
    uint8_t id[33], secret[32];
    key_of(n, id, secret);
    const struct key_record r = { .kind = KEY_RECORD_SECRET, .form = KEY_RECORD_PLAIN,
                                  .id = span_of(id, 33), .secret = span_of(secret, 32) };
    return keystore_add(ks, &r, 1, e);
}

static enum err encrypt(struct keystore *ks, struct error *e)
{
    enum err rc = keystore_encrypt(ks, text("one"), e);
    return rc ? rc : keystore_unlock(ks, text("one"), 100, e);
}

static enum err do_step(size_t at, struct kv *kv, struct keystore **ks, const struct place *p,
                        struct error *e)
{
    uint32_t index;
    switch ((enum step)plan[at]) {
    case CREATE:
        return keystore_create(ks, kv, &options, e);
    case KEY:
        return add_key(*ks, times(KEY, at), e);
    case INDEX:
        return keystore_next_index(*ks, 0, KEYSTORE_RECEIVE, &index, e);
    case ENCRYPT:
        return encrypt(*ks, e);
    case CHANGE:
        return keystore_change_passphrase(*ks, text("one"), text("two"), e);
    case BACKUP:
        return backup_write(kv, magic, p->backup, NULL, e);
    }
    return ERR_RANGE;
}

static int child(const char *dir)
{
    struct place p = place_of(dir);
    struct error e = { .code = OK };
    const struct kv_options o = { .write_buffer_bytes = 1 << 20 };
    struct kv *kv;
    struct keystore *ks = NULL;
    enum err rc = kv_open_leveldb(&kv, p.db, &o, &e);
    const int notes = open(p.notes, O_WRONLY | O_CREAT | O_APPEND, 0600);
    for (size_t at = 0; !rc && plan[at]; at++) {
        rc = do_step(at, kv, &ks, &p, &e);
        if (!rc && write(notes, &plan[at], 1) != 1)
            return 2;
    }
    close(notes);
    keystore_close(ks);
    kv_close(kv);
    place_clear(&p);
    return rc ? 1 : 0;
}

static size_t noted(const struct place *p)
{
    struct buf b;
    buf_init(&b);
    enum err rc = file_read_all(p->notes, 100, &b, NULL);
    const size_t n = rc ? 0 : b.len;
    buf_clear(&b);
    return n;
}

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

static bool files_hold_secret(const char *dir)
{
    struct all_files all = { .dir = dir };
    buf_init(&all.bytes);
    assert_int_equal(path_list(dir, append_file, &all, NULL), OK);
    const bool holds = memmem(all.bytes.data, all.bytes.len, "SECRET", 6) != NULL;
    buf_clear(&all.bytes);
    return holds;
}

static void check_keys(struct keystore *ks, size_t done)
{
    for (unsigned n = 0; n < times(KEY, done); n++) {
        uint8_t id[33], want[32], got[32];
        key_of(n, id, want);
        assert_int_equal(keystore_get_secret(ks, span_of(id, 33), got, NULL), OK);
        assert_memory_equal(got, want, 32);
    }
}

/* Either of the two around the step that was cut short. */
static void unlock(struct keystore *ks, size_t done)
{
    enum err rc = ERR_AUTH;
    if (times(CHANGE, done) == 0)
        rc = keystore_unlock(ks, text("one"), 100, NULL);
    if (rc && (times(CHANGE, done) > 0 || plan[done] == CHANGE))
        rc = keystore_unlock(ks, text("two"), 100, NULL);
    assert_int_equal(rc, OK);
}

static void check_store(struct keystore *ks, const struct place *p, size_t done)
{
    const bool encrypted = keystore_state(ks, NULL) != KEYSTORE_PLAIN;
    uint32_t index;
    assert_true(encrypted || times(ENCRYPT, done) == 0);
    if (encrypted) {
        unlock(ks, done);
        assert_false(files_hold_secret(p->db));
    }
    check_keys(ks, done);
    assert_int_equal(keystore_next_index(ks, 0, KEYSTORE_RECEIVE, &index, NULL), OK);
    assert_true(index == times(INDEX, done) || index == times(INDEX, done) + 1);
}

static size_t last_backup(size_t done)
{
    while (done > 0 && plan[done - 1] != BACKUP)
        done--;
    return done;
}

/* The backup is that of the last noted step, or of the one that was cut short. */
static void check_backup(const struct place *p, size_t done)
{
    struct backup_info info;
    const size_t last = last_backup(done);
    enum err rc = backup_inspect(p->backup, magic, &info, NULL);
    if (last == 0 && rc == ERR_NOTFOUND)
        return;
    assert_int_equal(rc, OK);
    assert_true(info.keys >= times(KEY, last));
    assert_true(info.encrypted || times(ENCRYPT, last) == 0);
}

static void check_sound(const char *dir, bool whole)
{
    struct place p = place_of(dir);
    const size_t done = noted(&p);
    assert_true(!whole || done == strlen(plan));
    const struct kv_options o = { .write_buffer_bytes = 1 << 20 };
    struct error e = { .code = OK };
    struct kv *kv;
    struct keystore *ks;
    enum err rc = kv_open_leveldb(&kv, p.db, &o, &e);
    if (!rc)
        rc = keystore_open(&ks, kv, &options, &e);
    if (rc == OK) {
        check_store(ks, &p, done);
        keystore_close(ks);
    } else if (done > 0 || rc != ERR_NOTFOUND) {
        fail_msg("after %zu steps: %s", done, e.text);
    }
    check_backup(&p, done);
    kv_close(kv);
    place_clear(&p);
}

static void a_crash_at_any_call_leaves_what_was_done(void **state)
{
    (void)state;
    fault_need();
    fault_at_every_call("victim", "exit", FAULT_KILLED, check_sound);
}

static void a_torn_write_at_any_call_leaves_what_was_done(void **state)
{
    (void)state;
    fault_need();
    fault_at_every_call("victim", "torn", FAULT_KILLED, check_sound);
}

static void a_full_disk_at_any_call_is_an_error_and_leaves_what_was_done(void **state)
{
    (void)state;
    fault_need();
    fault_at_every_call("victim", "ENOSPC", 1, check_sound);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return child(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_at_any_call_leaves_what_was_done),
        cmocka_unit_test(a_torn_write_at_any_call_leaves_what_was_done),
        cmocka_unit_test(a_full_disk_at_any_call_is_an_error_and_leaves_what_was_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
