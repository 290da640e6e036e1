/* Records: keys and text stay in memory no longer than they are needed. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/rand.h"
#include "tests/p2p/dchan_rec_duo.h"

static const char plain_text[] = "nobody else should ever read this";
static const uint8_t ephemeral[32] = "which both sides draw in here...";

static bool holds(const void *memory, const void *what, size_t len)
{
    return memory && memmem(memory, malloc_usable_size((void *)(uintptr_t)memory), what, len);
}

static bool holds_key(const void *memory, const uint8_t key[32])
{
    return holds(memory, key, 32);
}

static void draw_the_same(void *out, size_t len)
{
    assert_int_equal(len, sizeof ephemeral);
    memcpy(out, ephemeral, len);
}

/* --- what goes back to the allocator --- */

static const uint8_t *watched; /* a key that must not be in it; NULL: none */
static bool key_freed, text_moved;

void __real_free(void *p);
void __wrap_free(void *p);
void *__real_try_realloc(void *p, size_t count, size_t size);
void *__wrap_try_realloc(void *p, size_t count, size_t size);

void __wrap_free(void *p)
{
    if (watched)
        key_freed = key_freed || holds_key(p, watched);
    __real_free(p);
}

/* What is moved stays behind. */
void *__wrap_try_realloc(void *p, size_t count, size_t size)
{
    text_moved = text_moved || holds(p, plain_text, sizeof plain_text);
    return __real_try_realloc(p, count, size);
}

static void text_is_not_left_behind_when_the_buffer_grows(void **state)
{
    struct duo d;
    struct span msg;
    uint8_t longer[5000] = { 1 };
    (void)state;
    text_moved = false;
    duo_make(&d, DCHAN_REKEYS_NONE);
    put(d.initiator, plain_text, sizeof plain_text, START);
    put(d.initiator, longer, sizeof longer, START);
    struct span in = dchan_rec_output(d.initiator);
    assert_int_equal(dchan_rec_read(d.responder, &in, START, &msg), OK);
    assert_memory_equal(msg.data, plain_text, sizeof plain_text);
    assert_int_equal(dchan_rec_read(d.responder, &in, START, &msg), OK);
    assert_int_equal(msg.len, sizeof longer);
    assert_false(text_moved);
    duo_clear(&d);
}

/* --- keys --- */

static void no_key_outlives_its_rotation(void **state)
{
    const uint64_t now = START + 600 * SECOND;
    struct duo d;
    (void)state;
    duo_make(&d, DCHAN_REKEYS_BY_DH);
    const struct dchan_keys *old = &d.pair.initiator;
    assert_true(holds_key(d.initiator, old->send_key));
    assert_true(holds_key(d.initiator, old->receive_key));
    assert_true(holds_key(d.initiator, old->chaining_key));
    rand_set_source(draw_the_same);
    assert_int_equal(dchan_rec_tick(d.initiator, now), OK);
    assert_true(holds_key(d.initiator, ephemeral));
    carry(d.initiator, d.responder, 0, now);
    carry(d.responder, d.initiator, 0, now);
    carry(d.initiator, d.responder, 0, now);
    rand_set_source(NULL);
    const struct dchan_rec *both[] = { d.initiator, d.responder };
    for (size_t i = 0; i < COUNT_OF(both); i++) {
        assert_int_equal(dchan_rec_stats(both[i])->agreements, 1);
        assert_false(holds_key(both[i], old->send_key));
        assert_false(holds_key(both[i], old->receive_key));
        assert_false(holds_key(both[i], old->chaining_key));
        assert_false(holds_key(both[i], ephemeral));
    }
    duo_clear(&d);
}

enum end { MALFORMED, WRONG_TAG, FREED };

/* An offer is open, so that there is an ephemeral key as well. */
static void assert_keys_end(enum end end)
{
    struct duo d;
    struct span msg;
    duo_make(&d, DCHAN_REKEYS_BY_DH);
    const struct dchan_keys *s = &d.pair.initiator;
    rand_set_source(draw_the_same);
    assert_int_equal(dchan_rec_tick(d.initiator, START + 600 * SECOND), OK);
    rand_set_source(NULL);
    put(d.responder, "\x00\x16\x01", 3, START); /* a step out of place */
    struct buf b = take_output(d.responder);
    b.data[0] ^= end == WRONG_TAG;
    struct span in = buf_span(&b);
    if (end != FREED)
        assert_int_equal(dchan_rec_read(d.initiator, &in, START, &msg),
                         end == WRONG_TAG ? ERR_AUTH : ERR_PROTO);
    assert_int_equal(holds_key(d.initiator, s->receive_key), end == FREED);
    assert_int_equal(holds_key(d.initiator, ephemeral), end == FREED);
    assert_int_equal(holds_key(d.initiator, s->send_key), end != WRONG_TAG);
    key_freed = false;
    watched = end == FREED ? ephemeral : s->chaining_key;
    dchan_rec_free(d.initiator);
    watched = s->receive_key; /* what the other side sent with */
    dchan_rec_free(d.responder);
    watched = NULL;
    assert_false(key_freed);
    buf_clear(&b);
}

static void keys_end_with_reading_and_with_the_session(void **state)
{
    (void)state;
    assert_keys_end(MALFORMED);
    assert_keys_end(WRONG_TAG);
    assert_keys_end(FREED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_not_left_behind_when_the_buffer_grows),
        cmocka_unit_test(no_key_outlives_its_rotation),
        cmocka_unit_test(keys_end_with_reading_and_with_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
