/* Records on disk: what is found again, what time takes away, what a disk does that refuses. */
#include "p2p/bca_store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/kv.h"
#include "p2p/bca_own.h"
#include "tests/p2p/record_maker.h"
#include "tests/test.h"

#define DAY 86400

static struct bca_store *open_at(const char *dir)
{
    const struct kv_options o = { .cache_bytes = 1 << 20, .write_buffer_bytes = 1 << 20 };
    struct bca_store *s;
    struct kv *kv;
    assert_int_equal(kv_open_leveldb(&kv, dir, &o, NULL), OK);
    assert_int_equal(bca_store_open(&s, kv, NULL, NULL), OK);
    return s;
}

static struct bca_store *open_mem(struct kv **kv)
{
    struct bca_store *s;
    *kv = kv_open_mem();
    assert_int_equal(bca_store_open(&s, *kv, NULL, NULL), OK);
    return s;
}

enum relay { FOR_US, FOR_ALL };

static enum err put(struct bca_store *s, const struct made_record *m, enum relay relay, bool *taken)
{
    struct bca_record r;
    struct bca_facts f;
    assert_int_equal(bca_record_read(&r, buf_span(&m->raw)), BCA_RECORD_GOOD);
    bca_facts_of(&f, &r, buf_span(&m->raw));
    f.relay = relay == FOR_ALL;
    return bca_store_put(s, &r, buf_span(&m->raw), &f, 5, taken, NULL);
}

/* Makes one, puts it, forgets it. Returns whether it was taken. */
static bool put_new(struct bca_store *s, uint8_t who, uint64_t seq, enum relay relay)
{
    struct made_record m;
    bool taken;
    record_make(&m, who, seq, NULL);
    assert_int_equal(put(s, &m, relay, &taken), OK);
    record_clear(&m);
    return taken;
}

/* seq of what is stored of an identity; 0: nothing. */
static uint64_t stored(struct bca_store *s, uint8_t who)
{
    struct made_record m;
    struct bca_record r = { .seq = 0 };
    struct buf raw;
    bool found;
    buf_init(&raw);
    record_make(&m, who, 1, NULL);
    assert_int_equal(bca_store_find(s, m.key, &raw, NULL, &found, NULL), OK);
    if (found)
        assert_int_equal(bca_record_read(&r, buf_span(&raw)), BCA_RECORD_GOOD);
    record_clear(&m);
    buf_clear(&raw);
    return r.seq;
}

static bool is_public(struct bca_store *s, uint8_t who)
{
    struct made_record m;
    struct buf raw;
    bool found;
    buf_init(&raw);
    record_make(&m, who, 1, NULL);
    assert_int_equal(bca_store_find_public(s, m.record_key, &raw, NULL, &found, NULL), OK);
    assert_true(found == (raw.len > 0));
    record_clear(&m);
    buf_clear(&raw);
    return found;
}

static int setup(void **state)
{
    (void)state;
    clock_set_mock(MAKER_NOW);
    return 0;
}

static bool was_reached(struct bca_store *s, uint8_t who)
{
    struct made_record m;
    struct bca_facts f;
    record_make(&m, who, 1, NULL);
    assert_true(bca_store_look(s, m.record_key, &f));
    record_clear(&m);
    return f.reached;
}

static void whom_we_reached_is_known_after_a_restart(void **state)
{
    char *dir = test_dir_make();
    struct bca_store *s = open_at(dir);
    struct made_record m;
    (void)state;
    record_make(&m, 1, 1, NULL);
    assert_int_equal(bca_store_set_reached(s, m.key, NULL), OK); /* nothing is known of it */
    assert_true(put_new(s, 1, 5, FOR_ALL));
    assert_false(was_reached(s, 1));
    assert_int_equal(bca_store_set_reached(s, m.key, NULL), OK);
    assert_true(was_reached(s, 1));
    bca_store_close(s);
    s = open_at(dir);
    assert_true(was_reached(s, 1));
    assert_int_equal(stored(s, 1), 5);
    assert_true(put_new(s, 1, 6, FOR_ALL));
    assert_true(was_reached(s, 1)); /* its next record, too */
    record_clear(&m);
    bca_store_close(s);
    test_dir_remove(dir);
}

static void records_are_there_again_after_a_restart(void **state)
{
    char *dir = test_dir_make();
    struct bca_store *s = open_at(dir);
    (void)state;
    assert_true(put_new(s, 1, 5, FOR_ALL));
    assert_true(put_new(s, 2, 6, FOR_US));
    assert_true(put_new(s, 1, 9, FOR_ALL));
    bca_store_close(s);
    s = open_at(dir);
    assert_int_equal(stored(s, 1), 9);
    assert_int_equal(stored(s, 2), 6);
    assert_int_equal(stored(s, 3), 0);
    assert_true(is_public(s, 1));
    assert_false(is_public(s, 2)); /* it was given to us alone */
    assert_false(put_new(s, 1, 8, FOR_ALL));
    assert_true(put_new(s, 2, 6, FOR_ALL)); /* it came by gossip, too */
    assert_true(is_public(s, 2));
    assert_false(put_new(s, 2, 6, FOR_US));
    assert_true(is_public(s, 2));
    bca_store_close(s);
    test_dir_remove(dir);
}

/* E2: a record that has gone is not played back. */
static void a_number_is_remembered_as_long_as_a_record_of_it_could_be_valid(void **state)
{
    char *dir = test_dir_make();
    struct bca_store *s = open_at(dir);
    struct bca_store_counts counts;
    (void)state;
    assert_true(put_new(s, 1, 10, FOR_ALL));
    clock_set_mock(MAKER_NOW + 10 + DAY + 7199);
    assert_int_equal(bca_store_expire(s, NULL), OK);
    assert_int_equal(stored(s, 1), 10);
    clock_set_mock(MAKER_NOW + 10 + DAY + 7200);
    assert_int_equal(bca_store_expire(s, NULL), OK);
    assert_int_equal(stored(s, 1), 0);
    assert_false(put_new(s, 1, 9, FOR_ALL));
    bca_store_close(s);
    s = open_at(dir);
    assert_false(put_new(s, 1, 9, FOR_ALL));
    assert_true(put_new(s, 1, 10, FOR_ALL)); /* the same one may come back */
    clock_set_mock(MAKER_NOW + 10 + 14 * DAY + 7199);
    assert_int_equal(bca_store_expire(s, NULL), OK);
    bca_store_count(s, &counts);
    assert_true(counts.records == 0 && counts.remembered == 1);
    clock_set_mock(MAKER_NOW + 10 + 14 * DAY + 7200);
    assert_int_equal(bca_store_expire(s, NULL), OK);
    bca_store_count(s, &counts);
    assert_true(counts.records == 0 && counts.remembered == 0);
    bca_store_close(s);
    s = open_at(dir);
    bca_store_count(s, &counts);
    assert_int_equal(counts.remembered, 0);
    bca_store_close(s);
    test_dir_remove(dir);
}

static void a_contact_keeps_its_last_record(void **state)
{
    struct kv *kv;
    struct bca_store *s = open_mem(&kv);
    struct made_record m;
    (void)state;
    record_make(&m, 1, 3, NULL);
    bca_store_set_contact(s, m.key, true); /* before its record is known */
    assert_true(put_new(s, 1, 3, FOR_ALL));
    assert_true(put_new(s, 2, 3, FOR_ALL));
    clock_set_mock(MAKER_NOW + 2 * DAY);
    assert_int_equal(bca_store_expire(s, NULL), OK);
    assert_int_equal(stored(s, 1), 3);
    assert_int_equal(stored(s, 2), 0);
    assert_false(is_public(s, 1)); /* nobody else gets what has expired */
    bca_store_set_contact(s, m.key, false);
    assert_int_equal(bca_store_expire(s, NULL), OK);
    assert_int_equal(stored(s, 1), 0);
    record_clear(&m);
    bca_store_close(s);
}

static void equivocation_ends_giving_on(void **state)
{
    struct kv *kv;
    struct bca_store *s = open_mem(&kv);
    struct made_record m;
    (void)state;
    record_make(&m, 1, 3, NULL);
    assert_true(put_new(s, 1, 3, FOR_ALL));
    assert_int_equal(bca_store_mark_equivocal(s, m.record_key, NULL), OK);
    assert_int_equal(stored(s, 1), 3);
    assert_false(is_public(s, 1));
    assert_true(put_new(s, 1, 4, FOR_ALL)); /* what follows is a record as any */
    assert_true(is_public(s, 1));
    record_clear(&m);
    bca_store_close(s);
}

static void note(void *ctx, const struct bca_news *news)
{
    struct bca_news *last = ctx;
    *last = *news;
}

static void listeners_hear_of_what_is_new(void **state)
{
    struct bca_news last = { .seq = 0 };
    struct kv *kv;
    struct bca_store *s = open_mem(&kv);
    struct made_record m;
    (void)state;
    record_make(&m, 1, 3, NULL);
    bca_store_listen(s, note, &last);
    assert_true(put_new(s, 1, 3, FOR_ALL));
    assert_true(last.seq == 3 && last.relay && last.source == 5);
    assert_memory_equal(last.key, m.key, sizeof m.key);
    assert_memory_equal(last.record_key, m.record_key, sizeof m.record_key);
    last.seq = 0;
    assert_false(put_new(s, 1, 2, FOR_ALL));
    assert_int_equal(last.seq, 0);
    assert_true(put_new(s, 1, 4, FOR_US));
    assert_true(last.seq == 4 && !last.relay);
    record_clear(&m);
    bca_store_close(s);
}

static void a_sample_is_of_public_records(void **state)
{
    struct kv *kv;
    struct bca_store *s = open_mem(&kv);
    uint8_t keys[16][32];
    (void)state;
    assert_int_equal(bca_store_sample(s, keys, 16), 0);
    for (uint8_t who = 1; who <= 8; who++)
        assert_true(put_new(s, who, 1, who <= 4 ? FOR_ALL : FOR_US));
    for (unsigned turn = 0; turn < 20; turn++) {
        const size_t n = bca_store_sample(s, keys, 16);
        assert_true(n >= 1 && n <= 4);
        for (size_t i = 0; i < n; i++) {
            struct bca_facts f;
            assert_true(bca_store_look(s, keys[i], &f) && f.relay);
        }
        assert_true(bca_store_sample(s, keys, 2) <= 2);
    }
    assert_int_equal(bca_store_list(s, keys, 0, 16), 8);
    assert_int_equal(bca_store_list(s, keys, 7, 16), 1);
    bca_store_close(s);
}

/* A disk that refuses is an error, and the record can come again. */
static void a_write_that_fails_is_no_verdict(void **state)
{
    struct kv *kv;
    struct bca_store *s = open_mem(&kv);
    struct made_record m;
    bool taken;
    (void)state;
    record_make(&m, 1, 3, NULL);
    kv_mem_fail_writes(kv, 1);
    assert_int_equal(put(s, &m, FOR_ALL, &taken), ERR_IO);
    assert_int_equal(stored(s, 1), 0);
    kv_mem_fail_writes(kv, 0);
    assert_int_equal(put(s, &m, FOR_ALL, &taken), OK);
    assert_true(taken);
    assert_int_equal(stored(s, 1), 3);
    record_clear(&m);
    bca_store_close(s);
}

/* Neither the record of before goes, nor those that would have made room for the new one. */
static void a_write_that_fails_leaves_what_was_there(void **state)
{
    const struct bca_limits few = { .records = 9 };
    struct kv *kv = kv_open_mem();
    struct bca_store *s;
    struct made_record old, fresh, others[8], newcomer;
    struct bca_facts f;
    bool taken;
    (void)state;
    assert_int_equal(bca_store_open(&s, kv, &few, NULL), OK);
    record_make(&old, 1, 3, NULL);
    record_make(&fresh, 1, 4, NULL);
    assert_int_equal(put(s, &old, FOR_ALL, &taken), OK);
    bca_store_set_contact(s, old.key, true);
    for (uint8_t i = 0; i < 8; i++) { /* then it is full */
        record_make(&others[i], (uint8_t)(10 + i), 1, NULL);
        assert_int_equal(put(s, &others[i], FOR_ALL, &taken), OK);
    }
    record_make(&newcomer, 30, 1, NULL);
    kv_mem_fail_writes(kv, 1);
    assert_int_equal(put(s, &fresh, FOR_ALL, &taken), ERR_IO);
    assert_int_equal(put(s, &newcomer, FOR_ALL, &taken), ERR_IO);
    assert_int_equal(stored(s, 1), 3);
    for (uint8_t i = 0; i < 8; i++)
        assert_int_equal(stored(s, (uint8_t)(10 + i)), 1);
    kv_mem_fail_writes(kv, 0);
    bca_record_key(f.record_key, old.key);
    assert_true(bca_store_look(s, f.record_key, &f) && f.seq == 3);
    assert_int_equal(put(s, &old, FOR_ALL, &taken), OK);
    assert_false(taken); /* it has not been forgotten */
    for (uint8_t i = 0; i < 8; i++)
        record_clear(&others[i]);
    record_clear(&newcomer);
    record_clear(&fresh);
    record_clear(&old);
    bca_store_close(s);
}

static void assert_counts(struct bca_store *s, size_t records, size_t remembered)
{
    struct bca_store_counts counts;
    bca_store_count(s, &counts);
    assert_int_equal(counts.records, records);
    assert_int_equal(counts.remembered, remembered);
}

/* What is still on disk is still known, and goes when the disk takes it. */
static void what_could_not_be_taken_off_the_disk_has_not_expired(void **state)
{
    struct kv *kv;
    struct bca_store *s = open_mem(&kv);
    (void)state;
    for (uint8_t i = 1; i <= 20; i++)
        assert_true(put_new(s, i, 10, FOR_ALL));
    clock_set_mock(MAKER_NOW + 10 + DAY + 7200);
    kv_mem_fail_writes(kv, 1);
    assert_int_equal(bca_store_expire(s, NULL), ERR_IO);
    assert_counts(s, 20, 0);
    kv_mem_fail_writes(kv, 0);
    assert_int_equal(bca_store_expire(s, NULL), OK);
    assert_counts(s, 0, 20);
    clock_set_mock(MAKER_NOW + 10 + 14 * DAY + 7200);
    kv_mem_fail_writes(kv, 1);
    assert_int_equal(bca_store_expire(s, NULL), ERR_IO);
    assert_counts(s, 0, 20);
    assert_false(put_new(s, 1, 9, FOR_ALL));
    kv_mem_fail_writes(kv, 0);
    assert_int_equal(bca_store_expire(s, NULL), OK);
    assert_counts(s, 0, 0);
    bca_store_close(s);
}

/* Neither of the marks counts before it is on disk, so that it is made again. */
static void a_mark_that_could_not_be_written_is_none(void **state)
{
    struct kv *kv;
    struct bca_store *s = open_mem(&kv);
    struct made_record m;
    (void)state;
    record_make(&m, 1, 1, NULL);
    assert_true(put_new(s, 1, 5, FOR_ALL));
    kv_mem_fail_writes(kv, 1);
    assert_int_equal(bca_store_set_reached(s, m.key, NULL), ERR_IO);
    assert_int_equal(bca_store_mark_equivocal(s, m.record_key, NULL), ERR_IO);
    assert_false(was_reached(s, 1));
    assert_true(is_public(s, 1));
    kv_mem_fail_writes(kv, 0);
    assert_int_equal(bca_store_set_reached(s, m.key, NULL), OK);
    assert_int_equal(bca_store_mark_equivocal(s, m.record_key, NULL), OK);
    assert_true(was_reached(s, 1));
    assert_false(is_public(s, 1));
    record_clear(&m);
    bca_store_close(s);
}

static void put_row(struct kv *kv, const struct made_record *m, uint8_t flags)
{
    uint8_t key[33] = "r";
    struct kv_batch *b = kv_batch_new(kv);
    struct buf row;
    buf_init(&row);
    memcpy(key + 1, m->record_key, 32);
    buf_put_u8(&row, flags);
    buf_put_le64(&row, MAKER_NOW);
    buf_put(&row, m->raw.data, m->raw.len);
    kv_batch_put(b, key, sizeof key, row.data, row.len);
    assert_int_equal(kv_write(kv, b, KV_SYNC, NULL), OK);
    kv_batch_free(b);
    buf_clear(&row);
}

/* As a database that is opened again may have it (base/kv_mend.h). */
static void a_failed_write_that_is_there_all_the_same_is_what_counts(void **state)
{
    struct kv *kv;
    struct bca_store *s = open_mem(&kv);
    struct made_record old, fresh;
    bool taken;
    (void)state;
    record_make(&old, 1, 3, NULL);
    record_make(&fresh, 1, 4, NULL);
    assert_int_equal(put(s, &old, FOR_ALL, &taken), OK);
    bca_store_set_contact(s, old.key, true);
    kv_mem_fail_writes(kv, 1);
    assert_int_equal(put(s, &fresh, FOR_ALL, &taken), ERR_IO);
    kv_mem_fail_writes(kv, 0);
    put_row(kv, &fresh, 1);
    assert_true(is_public(s, 1));
    assert_int_equal(stored(s, 1), 4);
    assert_int_equal(put(s, &old, FOR_ALL, &taken), OK);
    assert_false(taken);
    clock_set_mock(MAKER_NOW + 15 * DAY);
    assert_int_equal(bca_store_expire(s, NULL), OK);
    assert_int_equal(stored(s, 1), 4); /* it still is a contact's */
    record_clear(&old);
    record_clear(&fresh);
    bca_store_close(s);
}

/* --- two threads --- */

#define RACES 400

struct race {
    struct bca_store *s;
    struct made_record made[RACES];
    atomic_bool ends;
};

static void *put_all(void *arg)
{
    struct race *r = arg;
    bool taken;
    for (size_t i = 0; i < RACES; i++)
        assert_int_equal(put(r->s, &r->made[i], i % 2 ? FOR_US : FOR_ALL, &taken), OK);
    atomic_store(&r->ends, true);
    return NULL;
}

/* Every second record is for us alone: a reader beside the writer never gets it as a public one. */
static void what_is_for_us_alone_is_never_read_in_place_of_a_public_one(void **state)
{
    static struct race r;
    struct bca_record got;
    struct kv *kv;
    struct buf raw;
    pthread_t writer;
    bool found;
    (void)state;
    r.s = open_mem(&kv);
    atomic_init(&r.ends, false);
    buf_init(&raw);
    for (size_t i = 0; i < RACES; i++)
        record_make(&r.made[i], 1, i + 2, NULL);
    assert_int_equal(pthread_create(&writer, NULL, put_all, &r), 0);
    while (!atomic_load(&r.ends)) {
        buf_reset(&raw);
        assert_int_equal(bca_store_find_public(r.s, r.made[0].record_key, &raw, NULL, &found,
                                               NULL), OK);
        if (found) {
            assert_int_equal(bca_record_read(&got, buf_span(&raw)), BCA_RECORD_GOOD);
            assert_int_equal(got.seq % 2, 0);
        }
    }
    pthread_join(writer, NULL);
    for (size_t i = 0; i < RACES; i++)
        record_clear(&r.made[i]);
    buf_clear(&raw);
    bca_store_close(r.s);
}

static void rows_that_are_none_are_dropped(void **state)
{
    char *dir = test_dir_make();
    struct bca_store *s = open_at(dir);
    const struct kv_options o = { .cache_bytes = 1 << 20, .write_buffer_bytes = 1 << 20 };
    uint8_t key[33] = "r";
    struct kv *kv;
    bool found;
    struct buf row;
    (void)state;
    assert_true(put_new(s, 1, 5, FOR_ALL));
    bca_store_close(s);
    assert_int_equal(kv_open_leveldb(&kv, dir, &o, NULL), OK);
    struct kv_batch *b = kv_batch_new(kv);
    kv_batch_put(b, key, sizeof key, "nothing of sense", 16);
    key[0] = 's';
    kv_batch_put(b, key, sizeof key, "short", 5);
    kv_batch_put(b, "x", 1, "", 0);
    assert_int_equal(kv_write(kv, b, KV_SYNC, NULL), OK);
    kv_batch_free(b);
    kv_close(kv);
    s = open_at(dir);
    assert_int_equal(stored(s, 1), 5);
    bca_store_close(s);
    buf_init(&row);
    assert_int_equal(kv_open_leveldb(&kv, dir, &o, NULL), OK);
    assert_int_equal(kv_get(kv, key, sizeof key, &row, &found, NULL), OK);
    assert_false(found);
    kv_close(kv);
    buf_clear(&row);
    test_dir_remove(dir);
}

/* --- own identities --- */

static void numbers_of_own_records_survive_a_power_cut(void **state)
{
    struct kv *kv;
    struct bca_store *s = open_mem(&kv);
    struct bca_own own = { .mode = BCA_PUBLIC, .seq = 77, .wallet = "w", .name = "alice",
                           .record = "bytes", .record_len = 5 }, got;
    struct buf raw, row;
    bool found;
    (void)state;
    buf_init(&raw);
    buf_init(&row);
    own.key[0] = 2;
    assert_false(bca_own_get(s, own.key, &got));
    assert_false(bca_own_record(s, own.key, &raw));
    assert_int_equal(bca_own_put(s, &own, NULL), OK);
    kv_mem_power_cut(kv);
    uint8_t key[34] = "o\x02";
    assert_int_equal(kv_get(kv, key, sizeof key, &row, &found, NULL), OK);
    assert_true(found);
    assert_true(bca_own_get(s, own.key, &got));
    assert_true(got.seq == 77 && got.mode == BCA_PUBLIC && !got.doubled);
    assert_string_equal(got.name, "alice");
    assert_true(bca_own_record(s, own.key, &raw));
    assert_int_equal(raw.len, 5);
    own.seq = 78;
    kv_mem_fail_writes(kv, 1);
    assert_int_equal(bca_own_put(s, &own, NULL), ERR_IO);
    kv_mem_fail_writes(kv, 0);
    assert_true(bca_own_get(s, own.key, &got) && got.seq == 77);
    buf_clear(&raw);
    buf_clear(&row);
    bca_store_close(s);
}

static void own_rows_are_read_again(void **state)
{
    char *dir = test_dir_make();
    struct bca_store *s = open_at(dir);
    struct bca_own own = { .mode = BCA_CONTACTS, .open = true, .seq = 5,
                           .wallet = "w", .name = "bob" };
    struct bca_own *all, got;
    struct bca_record seen = { .seq = 5, .key = { 3 } };
    const struct span raw = span_of("x", 1);
    bool doubled;
    size_t n;
    (void)state;
    own.key[0] = 3;
    assert_int_equal(bca_own_put(s, &own, NULL), OK);
    assert_int_equal(bca_own_see(s, &seen, raw, &doubled, NULL), OK);
    assert_false(doubled); /* none of ours is known */
    seen.seq = 6;
    assert_int_equal(bca_own_see(s, &seen, raw, &doubled, NULL), OK);
    assert_true(doubled);
    bca_store_close(s);
    s = open_at(dir);
    assert_int_equal(bca_own_list(s, &all, &n, NULL), OK);
    assert_int_equal(n, 1);
    assert_true(all[0].mode == BCA_CONTACTS && all[0].doubled && all[0].seq == 5 && all[0].open);
    assert_string_equal(all[0].name, "bob");
    assert_true(bca_own_get(s, own.key, &got) && got.record_len == 0);
    seen.key[0] = 2;
    assert_int_equal(bca_own_see(s, &seen, raw, &doubled, NULL), OK);
    assert_false(doubled); /* not ours */
    free(all);
    assert_int_equal(bca_own_forget(s, own.key, NULL), OK);
    assert_false(bca_own_get(s, own.key, &got));
    bca_store_close(s);
    s = open_at(dir);
    assert_false(bca_own_get(s, own.key, &got));
    bca_store_close(s);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(whom_we_reached_is_known_after_a_restart, setup),
        cmocka_unit_test_setup(records_are_there_again_after_a_restart, setup),
        cmocka_unit_test_setup(a_number_is_remembered_as_long_as_a_record_of_it_could_be_valid,
                               setup),
        cmocka_unit_test_setup(a_contact_keeps_its_last_record, setup),
        cmocka_unit_test_setup(equivocation_ends_giving_on, setup),
        cmocka_unit_test_setup(listeners_hear_of_what_is_new, setup),
        cmocka_unit_test_setup(a_sample_is_of_public_records, setup),
        cmocka_unit_test_setup(a_write_that_fails_is_no_verdict, setup),
        cmocka_unit_test_setup(a_write_that_fails_leaves_what_was_there, setup),
        cmocka_unit_test_setup(what_could_not_be_taken_off_the_disk_has_not_expired, setup),
        cmocka_unit_test_setup(a_mark_that_could_not_be_written_is_none, setup),
        cmocka_unit_test_setup(a_failed_write_that_is_there_all_the_same_is_what_counts, setup),
        cmocka_unit_test_setup(what_is_for_us_alone_is_never_read_in_place_of_a_public_one,
                               setup),
        cmocka_unit_test_setup(rows_that_are_none_are_dropped, setup),
        cmocka_unit_test_setup(numbers_of_own_records_survive_a_power_cut, setup),
        cmocka_unit_test_setup(own_rows_are_read_again, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
