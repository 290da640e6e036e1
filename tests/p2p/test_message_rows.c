/* What messages are on disk, and pages of them. */
#include <config.h>

#include "p2p/message_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "p2p/message_page.h"
#include "tests/test.h"

static struct message_head head(uint64_t number)
{
    struct message_head h = { .number = number, .state = MESSAGE_STATE_UNREAD, .contact = 7,
                              .created_ms = 1, .stored_ms = 2, .ended_ms = 3, .read_ms = 4,
                              .ttl = 5, .has_seq = true, .seq = number, .missing = 6, .code = 7,
                              .content_type_len = 3, .content_type = "a/b", .body_len = 9 };
    memset(h.key, 0x11, sizeof h.key);
    memset(h.our_key, 0x22, sizeof h.our_key);
    memset(h.id, (int)number, sizeof h.id);
    return h;
}

/* --- rows --- */

static void a_head_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct message_head h = head(3), back;
    struct buf b, again;
    h.has_reply_to = h.late = true;
    memset(h.reply_to, 0x33, sizeof h.reply_to);
    buf_init(&b);
    message_head_write(&b, &h);
    assert_true(message_head_read(&back, 3, buf_span(&b)));
    buf_init(&again);
    message_head_write(&again, &back);
    assert_int_equal(again.len, b.len);
    assert_memory_equal(again.data, b.data, b.len);
    assert_true(back.late && back.has_reply_to && !back.ours && !back.reset && !back.has_thread);
    assert_int_equal(back.missing, 6);
    assert_int_equal(back.body_len, 9);
    buf_clear(&again);
    for (size_t cut = 0; cut < b.len; cut++)
        assert_false(message_head_read(&back, 3, span_of(b.data, cut)));
    b.data[2] = 77; /* no such state */
    assert_false(message_head_read(&back, 3, buf_span(&b)));
    b.data[2] = MESSAGE_STATE_READ;
    b.data[0]++; /* a version to come */
    assert_false(message_head_read(&back, 3, buf_span(&b)));
    buf_clear(&b);
}

static void the_key_of_the_outbox_is_that_of_the_specification(void **state)
{
    (void)state;
    const struct message_outbox o = { .key = { 2, 1 }, .id = { 9 }, .created_ms = 0x0102,
                                      .contact = 7, .number = 8, .ttl = 5, .bytes = 6 };
    struct message_outbox back;
    const struct message_key key = message_key_outbox(o.key, o.created_ms, o.id);
    struct buf b;
    assert_int_equal(key.len, 1 + 33 + 8 + 16);
    assert_int_equal(key.b[0], 'o');
    assert_memory_equal(key.b + 1, o.key, 33);
    assert_int_equal(be64_get(key.b + 34), 0x0102);
    assert_memory_equal(key.b + 42, o.id, 16);
    buf_init(&b);
    message_outbox_write(&b, &o);
    assert_true(message_outbox_read(&back, span_of(key.b, key.len), buf_span(&b)));
    assert_memory_equal(back.key, o.key, sizeof o.key);
    assert_memory_equal(back.id, o.id, sizeof o.id);
    assert_int_equal(back.created_ms, o.created_ms);
    assert_int_equal(back.contact, 7);
    assert_int_equal(back.number, 8);
    assert_int_equal(back.ttl, 5);
    assert_int_equal(back.bytes, 6);
    assert_false(message_outbox_read(&back, span_of(key.b, key.len - 1), buf_span(&b)));
    assert_false(message_outbox_read(&back, span_of(key.b, key.len), span_of(b.data, b.len - 1)));
    buf_clear(&b);
}

static void an_entry_is_read_as_it_was_written(void **state)
{
    (void)state;
    const struct message_entry x = { .kind = 2, .number = 5, .id = { 1 }, .key = { 3 },
                                     .state = MESSAGE_STATE_EXPIRED };
    struct message_entry back;
    struct buf b;
    memset(&back, 0, sizeof back);
    buf_init(&b);
    message_entry_write(&b, &x);
    assert_true(message_entry_read(&back, buf_span(&b)));
    assert_int_equal(back.kind, x.kind);
    assert_int_equal(back.number, x.number);
    assert_int_equal(back.state, x.state);
    assert_memory_equal(back.id, x.id, sizeof x.id);
    assert_memory_equal(back.key, x.key, sizeof x.key);
    assert_false(message_entry_read(&back, span_of(b.data, b.len - 1)));
    buf_clear(&b);
}

/* Who is a contact and who is a stranger has no common name, nor one that begins another. */
static void names_do_not_begin_each_other(void **state)
{
    (void)state;
    static const uint8_t key[33] = { 2 }, ours[33] = { 3 };
    struct message_name a, b, c;
    message_name_contact(&a, 1);
    message_name_contact(&b, 256);
    message_name_stranger(&c, key, ours);
    assert_int_equal(a.len, b.len);
    assert_memory_not_equal(a.b, b.b, a.len);
    assert_int_not_equal(a.b[0], c.b[0]);
    assert_int_equal(c.len, MESSAGE_NAME_MAX);
}

/* --- pages --- */

struct pages {
    struct kv *kv;
    struct message_shown out[MESSAGE_PAGE_MAX];
    size_t n;
    unsigned asked, give_up_at;
};

static void put(struct pages *p, const struct message_head *h)
{
    const struct message_key key = message_key_number(TABLE_HEAD, h->number);
    const struct message_key last = message_key_last();
    struct kv_batch *batch = kv_batch_new(p->kv);
    uint8_t totals[16] = { 0 };
    struct buf b;
    buf_init(&b);
    message_head_write(&b, h);
    kv_batch_put(batch, key.b, key.len, b.data, b.len);
    be64_put(totals, h->number);
    kv_batch_put(batch, last.b, last.len, totals, sizeof totals);
    assert_int_equal(kv_write(p->kv, batch, KV_SYNC, NULL), OK);
    kv_batch_free(batch);
    buf_clear(&b);
}

static int setup(void **state)
{
    struct pages *p = xcalloc(1, sizeof *p);
    p->kv = kv_open_mem();
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pages *p = *state;
    kv_close(p->kv);
    free(p);
    return 0;
}

static bool given_up(void *ctx)
{
    struct pages *p = ctx;
    return ++p->asked == p->give_up_at;
}

static enum err load(struct pages *p, const struct message_whose *whose, uint64_t from,
                     size_t count)
{
    const struct message_page page = { whose, from, count, given_up, p };
    return message_page_load(p->kv, &page, p->out, &p->n, NULL);
}

static void numbers_are(const struct pages *p, size_t n, const uint64_t *want)
{
    assert_int_equal(p->n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(p->out[i].head.number, want[i]);
}
#define ARE(p, ...) \
    numbers_are(p, sizeof((uint64_t[]){ __VA_ARGS__ }) / 8, (uint64_t[]){ __VA_ARGS__ })

/* Every third one is of contact 8; numbers are not all there. */
static void put_many(struct pages *p)
{
    for (uint64_t i = 2; i <= 2000; i += 2) {
        struct message_head h = head(i);
        h.contact = i % 3 ? 7 : 8;
        put(p, &h);
    }
}

static void pages_begin_at_a_number_or_end_with_the_newest(void **state)
{
    struct pages *p = *state;
    const struct message_whose eight = { .id = 8 };
    assert_int_equal(load(p, NULL, 0, 10), OK);
    assert_int_equal(p->n, 0);
    put_many(p);
    assert_int_equal(load(p, NULL, 0, 3), OK);
    ARE(p, 1996, 1998, 2000);
    assert_int_equal(load(p, NULL, 1, 3), OK);
    ARE(p, 2, 4, 6);
    assert_int_equal(load(p, NULL, 1999, 3), OK);
    ARE(p, 2000);
    assert_int_equal(load(p, &eight, 0, 3), OK);
    ARE(p, 1986, 1992, 1998);
    assert_int_equal(load(p, &eight, 7, 3), OK);
    ARE(p, 12, 18, 24);
    assert_int_equal(load(p, &eight, 0, 1000), OK); /* over many windows */
    assert_int_equal(p->n, 333);
    assert_int_equal(p->out[0].head.number, 6);
    for (size_t i = 1; i < p->n; i++)
        assert_int_equal(p->out[i].head.number, p->out[i - 1].head.number + 6);
}

static void a_page_that_nobody_wants_any_more_ends(void **state)
{
    struct pages *p = *state;
    const struct message_whose nobody = { .id = 99 };
    put_many(p);
    p->give_up_at = 2;
    assert_int_equal(load(p, &nobody, 0, 3), ERR_CANCELLED);
    p->asked = 0;
    assert_int_equal(load(p, &nobody, 1, 3), ERR_CANCELLED);
}

static void strangers_belong_to_the_contact_they_became(void **state)
{
    struct pages *p = *state;
    struct message_whose whose = { .id = 9 };
    struct message_head h = head(1);
    h.contact = 0;
    put(p, &h);
    memcpy(whose.key, h.key, sizeof whose.key);
    assert_int_equal(load(p, &whose, 0, 3), OK);
    ARE(p, 1);
    whose.key[5] ^= 1;
    assert_int_equal(load(p, &whose, 0, 3), OK);
    assert_int_equal(p->n, 0);
}

/* By number they came 1 3 2 (late), with one of another sender and one of ours in between. */
static void a_late_one_stands_where_it_was_sent(void **state)
{
    struct pages *p = *state;
    struct message_head h[5];
    for (uint64_t i = 0; i < 5; i++)
        h[i] = head(i + 1);
    h[0].seq = 1;
    h[1].contact = 8; /* another sender, with a seq of its own */
    h[1].seq = 50;
    h[2].seq = 3;
    h[3].ours = true;
    h[3].seq = 60;
    h[4].seq = 2;
    h[4].late = true;
    for (size_t i = 0; i < 5; i++)
        put(p, &h[i]);
    assert_int_equal(load(p, NULL, 0, 10), OK);
    ARE(p, 1, 2, 5, 3, 4);
    h[2].reset = true; /* its seq says nothing */
    put(p, &h[2]);
    assert_int_equal(load(p, NULL, 1, 10), OK);
    ARE(p, 1, 2, 3, 4, 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_is_read_as_it_was_written),
        cmocka_unit_test(the_key_of_the_outbox_is_that_of_the_specification),
        cmocka_unit_test(an_entry_is_read_as_it_was_written),
        cmocka_unit_test(names_do_not_begin_each_other),
        TEST(pages_begin_at_a_number_or_end_with_the_newest),
        TEST(a_page_that_nobody_wants_any_more_ends),
        TEST(strangers_belong_to_the_contact_they_became),
        TEST(a_late_one_stands_where_it_was_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
