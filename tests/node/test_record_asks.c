/* Whom a record is asked of, and who comes next when nobody answers. */
#include "node/record_asks.h"

#include <string.h>

#include "tests/test.h"

#define PEERS 4

struct bench {
    struct record_asks asks;
    struct record_asker peers[PEERS];
};

static const uint8_t *key(uint8_t n)
{
    static uint8_t keys[256][32];
    memset(keys[n], n, 32);
    return keys[n];
}

static void start(struct bench *b)
{
    record_asks_init(&b->asks);
    for (size_t i = 0; i < PEERS; i++)
        record_asker_join(&b->peers[i], &b->asks);
}

static void finish(struct bench *b)
{
    for (size_t i = 0; i < PEERS; i++)
        record_asker_leave(&b->peers[i]);
    assert_int_equal(b->asks.asked.n, 0);
    record_asks_clear(&b->asks);
}

/* All of them announce the record all the time: who is asked of it now, or PEERS. */
static size_t turn(struct bench *b, uint8_t record, int64_t now_ms)
{
    size_t found = PEERS;
    record_asks_expire(&b->asks, now_ms);
    for (struct list_link *l = list_first(&b->asks.peers); l; l = list_next(&b->asks.peers, l)) {
        struct record_asker *p = LIST_ITEM(l, struct record_asker, link);
        if (record_asker_find(p, key(record)) == RECORD_FREE)
            record_asker_note(p, key(record), now_ms);
    }
    for (size_t i = 0; i < PEERS; i++)
        if (record_asker_find(&b->peers[i], key(record)) == RECORD_ASKED_HERE)
            found = i;
    return found;
}

static void a_record_is_asked_of_one_at_a_time(void **state)
{
    struct bench b;
    (void)state;
    start(&b);
    assert_int_equal(turn(&b, 1, 0), 0);
    assert_int_equal(turn(&b, 1, RECORD_ASKED_MS - 1), 0);
    assert_int_equal(record_asker_find(&b.peers[1], key(1)), RECORD_ASKED_ELSEWHERE);
    assert_int_equal(record_asker_find(&b.peers[1], key(2)), RECORD_FREE);
    assert_false(record_asker_answered(&b.peers[1], key(1))); /* nobody answers for another */
    assert_true(record_asker_answered(&b.peers[0], key(1)));
    assert_false(record_asker_answered(&b.peers[0], key(1)));
    assert_int_equal(record_asker_find(&b.peers[1], key(1)), RECORD_FREE);
    finish(&b);
}

/* Attack B2: three peers came first, announce it every moment and never give it. */
static void who_never_answers_is_asked_once_in_each_round(void **state)
{
    struct bench b;
    unsigned asked[PEERS + 1] = { 0 };
    (void)state;
    start(&b);
    for (int64_t now = 0; now < 2 * PEERS * (int64_t)RECORD_ASKED_MS; now += 1000) {
        const size_t who = turn(&b, 1, now);
        if (now % RECORD_ASKED_MS == 0)
            asked[who]++;
    }
    for (size_t i = 0; i < PEERS; i++)
        assert_int_equal(asked[i], 2);
    finish(&b);
}

/* The same with less patience: the three say at once that they have nothing, or what we have. */
static void who_answers_in_vain_is_asked_once_in_each_round(void **state)
{
    struct bench b;
    unsigned asked[PEERS + 1] = { 0 };
    (void)state;
    start(&b);
    for (int64_t now = 0; now < 2 * PEERS; now++) {
        const size_t who = turn(&b, 1, 1000 * now);
        asked[who]++;
        assert_true(record_asker_answered(&b.peers[who], key(1)));
    }
    for (size_t i = 0; i < PEERS; i++)
        assert_int_equal(asked[i], 2);
    finish(&b);
}

static void each_peer_is_looked_at_whoever_goes_behind(void **state)
{
    struct bench b;
    (void)state;
    start(&b);
    for (uint8_t i = 0; i < PEERS; i++)
        record_asker_note(&b.peers[i], key(i), 0);
    record_asker_note(&b.peers[1], key(9), 1);
    record_asks_expire(&b.asks, RECORD_ASKED_MS);
    for (uint8_t i = 0; i < PEERS; i++)
        assert_int_equal(record_asker_find(&b.peers[0], key(i)), RECORD_FREE);
    assert_int_equal(record_asker_find(&b.peers[1], key(9)), RECORD_ASKED_HERE);
    assert_int_equal(b.asks.peers.n, PEERS);
    finish(&b);
}

static void what_is_asked_of_a_peer_has_a_limit_and_is_free_when_it_leaves(void **state)
{
    struct bench b;
    uint8_t record[32] = { 0 };
    (void)state;
    start(&b);
    for (unsigned i = 0; i < RECORD_ASKED_EACH; i++) {
        assert_false(record_asker_is_full(&b.peers[2]));
        record[0] = (uint8_t)i;
        record_asker_note(&b.peers[2], record, 0);
    }
    assert_true(record_asker_is_full(&b.peers[2]));
    record_asker_leave(&b.peers[2]);
    assert_int_equal(record_asker_find(&b.peers[1], record), RECORD_FREE);
    record_asker_join(&b.peers[2], &b.asks);
    finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_asked_of_one_at_a_time),
        cmocka_unit_test(who_never_answers_is_asked_once_in_each_round),
        cmocka_unit_test(who_answers_in_vain_is_asked_once_in_each_round),
        cmocka_unit_test(each_peer_is_looked_at_whoever_goes_behind),
        cmocka_unit_test(what_is_asked_of_a_peer_has_a_limit_and_is_free_when_it_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
