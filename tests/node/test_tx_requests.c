#include "base/bytes.h"
#include "base/intmath.h"
#include "node/tx_requests.h"
#include "tests/test.h"

#define PEERS 4
#define LOG_MAX 200000

/* What was asked, in order. */
struct asked { void *peer; struct txid id; };
static struct asked asked[LOG_MAX];
static size_t n_asked;

static void note_ask(void *ctx, void *peer, const struct txid *id)
{
    (void)ctx;
    assert_true(n_asked < LOG_MAX);
    asked[n_asked++] = (struct asked){ peer, *id };
}

static struct txid id_of(uint64_t n)
{
    struct txid id = { { 0 } };
    le64_put(id.b, n);
    return id;
}

struct fixture {
    struct tx_requests *r;
    struct tx_announcer *peers[PEERS]; /* 0 is preferred */
    int names[PEERS];
};

static int setup_with(void **state, size_t max_each, size_t max_total)
{
    static struct fixture f;
    const struct tx_requests_options o = { .max_each = max_each, .max_total = max_total,
                                           .ask = note_ask };
    f.r = tx_requests_new(&o);
    for (size_t i = 0; i < PEERS; i++)
        f.peers[i] = tx_requests_add_peer(f.r, &f.names[i], i == 0);
    n_asked = 0;
    *state = &f;
    return 0;
}

static int setup(void **state) { return setup_with(state, 100000, 200000); }
static int setup_small(void **state) { return setup_with(state, 50, 100); }

static int teardown(void **state)
{
    struct fixture *f = *state;
    tx_requests_free(f->r);
    return 0;
}

static bool announce(struct fixture *f, size_t peer, uint64_t id, int64_t now)
{
    const struct txid txid = id_of(id);
    return tx_requests_announce(f->r, f->peers[peer], &txid, now);
}

static bool arrive(struct fixture *f, size_t peer, uint64_t id, int64_t now)
{
    const struct txid txid = id_of(id);
    return tx_requests_arrived(f->r, f->peers[peer], &txid, now);
}

static void not_found(struct fixture *f, size_t peer, uint64_t id, int64_t now)
{
    const struct txid txid = id_of(id);
    tx_requests_not_found(f->r, f->peers[peer], &txid, now);
}

/* The last request went to this peer for this transaction, as the n-th of all. */
static void assert_last(struct fixture *f, size_t n, size_t peer, uint64_t id)
{
    const struct txid want = id_of(id);
    assert_int_equal(n_asked, n);
    assert_ptr_equal(asked[n - 1].peer, &f->names[peer]);
    assert_memory_equal(asked[n - 1].id.b, want.b, sizeof(want.b));
}

static void the_first_announcer_is_asked_at_once_and_nobody_else(void **state)
{
    struct fixture *f = *state;
    assert_true(announce(f, 1, 7, 0));
    assert_last(f, 1, 1, 7);
    assert_true(announce(f, 2, 7, 10));
    assert_true(announce(f, 0, 7, 20));
    assert_int_equal(n_asked, 1);
    assert_true(arrive(f, 1, 7, 50));
    assert_int_equal(tx_requests_count(f->r), 0);
    for (size_t i = 0; i < PEERS; i++)
        assert_int_equal(tx_requests_announced(f->peers[i]), 0);
    tx_requests_tick(f->r, 100000);
    assert_int_equal(n_asked, 1);
}

static void after_a_time_out_the_preferred_announcer_is_next(void **state)
{
    struct fixture *f = *state;
    announce(f, 1, 7, 0);
    announce(f, 2, 7, 1);
    announce(f, 0, 7, 2);
    tx_requests_tick(f->r, TX_REQUEST_TIMEOUT_MS - 1);
    assert_int_equal(n_asked, 1);
    tx_requests_tick(f->r, TX_REQUEST_TIMEOUT_MS);
    assert_last(f, 2, 0, 7);
    tx_requests_tick(f->r, 2 * TX_REQUEST_TIMEOUT_MS);
    assert_last(f, 3, 2, 7);
    tx_requests_tick(f->r, 3 * TX_REQUEST_TIMEOUT_MS);
    assert_int_equal(tx_requests_count(f->r), 0); /* all had their turn */
}

static void announcing_again_gives_no_second_turn(void **state)
{
    struct fixture *f = *state;
    announce(f, 1, 7, 0);
    announce(f, 2, 7, 1);
    tx_requests_tick(f->r, TX_REQUEST_TIMEOUT_MS);
    assert_last(f, 2, 2, 7);
    for (int i = 0; i < 100; i++)
        announce(f, 1, 7, TX_REQUEST_TIMEOUT_MS + i);
    assert_int_equal(n_asked, 2);
    announce(f, 3, 7, TX_REQUEST_TIMEOUT_MS + 200);
    tx_requests_tick(f->r, 2 * TX_REQUEST_TIMEOUT_MS);
    assert_last(f, 3, 3, 7);
}

static void who_let_us_wait_comes_after_others(void **state)
{
    struct fixture *f = *state;
    announce(f, 0, 1, 0);
    tx_requests_tick(f->r, TX_REQUEST_TIMEOUT_MS); /* the preferred one did not deliver */
    announce(f, 3, 2, 3000);
    announce(f, 0, 2, 3001);
    announce(f, 1, 2, 3002);
    not_found(f, 3, 2, 3010);
    assert_last(f, 3, 1, 2);
    not_found(f, 1, 2, 3020);
    assert_last(f, 4, 0, 2);
}

static void notfound_moves_on_at_once_and_only_from_who_was_asked(void **state)
{
    struct fixture *f = *state;
    announce(f, 1, 7, 0);
    announce(f, 2, 7, 0);
    not_found(f, 2, 7, 5);
    not_found(f, 3, 7, 5);
    assert_int_equal(n_asked, 1);
    not_found(f, 1, 7, 10);
    assert_last(f, 2, 2, 7);
    not_found(f, 2, 7, 20);
    assert_int_equal(tx_requests_count(f->r), 0);
}

static void a_peer_that_leaves_hands_its_requests_to_others(void **state)
{
    struct fixture *f = *state;
    announce(f, 1, 7, 0);
    announce(f, 2, 7, 0);
    announce(f, 1, 8, 0);
    tx_requests_remove_peer(f->r, f->peers[1], 10);
    f->peers[1] = tx_requests_add_peer(f->r, &f->names[1], false);
    assert_last(f, 3, 2, 7);
    assert_int_equal(tx_requests_count(f->r), 1);
    tx_requests_remove_peer(f->r, f->peers[2], 10);
    f->peers[2] = tx_requests_add_peer(f->r, &f->names[2], false);
    assert_int_equal(tx_requests_count(f->r), 0);
}

static void an_unasked_copy_ends_the_request(void **state)
{
    struct fixture *f = *state;
    announce(f, 1, 7, 0);
    announce(f, 2, 7, 0);
    assert_false(arrive(f, 3, 7, 5)); /* not asked, yet it is here */
    assert_int_equal(tx_requests_count(f->r), 0);
    assert_false(arrive(f, 1, 7, 6));
}

static void requests_open_at_a_peer_are_bounded_and_go_on_as_it_delivers(void **state)
{
    struct fixture *f = *state;
    const size_t many = 3 * TX_REQUEST_WINDOW_START;
    for (size_t i = 0; i < many; i++)
        assert_true(announce(f, 1, i, 0));
    assert_int_equal(tx_requests_open(f->peers[1]), TX_REQUEST_WINDOW_START);
    for (size_t i = 0; i < many; i++)
        assert_true(arrive(f, 1, i, (int64_t)i));
    assert_int_equal(n_asked, many);
    assert_int_equal(tx_requests_open(f->peers[1]), 0);
    assert_int_equal(tx_requests_count(f->r), 0);
}

static void another_announcer_with_room_is_asked_in_place_of_a_full_one(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i <= TX_REQUEST_WINDOW_START; i++)
        announce(f, 1, i, 0);
    assert_int_equal(n_asked, TX_REQUEST_WINDOW_START);
    announce(f, 2, TX_REQUEST_WINDOW_START, 1);
    assert_last(f, TX_REQUEST_WINDOW_START + 1, 2, TX_REQUEST_WINDOW_START);
}

static void the_window_shrinks_when_nothing_comes(void **state)
{
    struct fixture *f = *state;
    int64_t now = 0;
    for (size_t i = 0; i < 20000; i++)
        announce(f, 1, i, now);
    for (int round = 0; round < 12; round++) {
        now += TX_REQUEST_TIMEOUT_MS;
        tx_requests_tick(f->r, now);
    }
    assert_int_equal(tx_requests_open(f->peers[1]), TX_REQUEST_WINDOW_MIN);
}

static void a_peer_that_delivers_slowly_and_in_order_is_waited_for_up_to_a_limit(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 100; i++)
        announce(f, 1, i, 0);
    announce(f, 2, 99, 0);
    int64_t now = 0;
    for (size_t i = 0; now + 1000 < TX_REQUEST_LIMIT_MS; i++) { /* one a second */
        now += 1000;
        tx_requests_tick(f->r, now);
        assert_true(arrive(f, 1, i, now));
        assert_int_equal(n_asked, 100);
    }
    tx_requests_tick(f->r, TX_REQUEST_LIMIT_MS);
    assert_last(f, 101, 2, 99);
}

static void what_is_passed_over_is_asked_from_another(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 100; i++)
        announce(f, 1, i, 0);
    announce(f, 2, 0, 0);
    for (size_t i = 1; i < 5; i++)
        assert_true(arrive(f, 1, i, (int64_t)i * 500));
    tx_requests_tick(f->r, TX_REQUEST_TIMEOUT_MS);
    assert_last(f, 101, 2, 0); /* though the peer goes on delivering others */
    assert_int_equal(tx_requests_open(f->peers[1]), 95);
}

static void time_that_we_did_not_listen_is_not_the_peers(void **state)
{
    struct fixture *f = *state;
    announce(f, 1, 7, 0);
    announce(f, 2, 7, 0);
    tx_requests_note_progress(f->peers[1], 5000);
    tx_requests_tick(f->r, 5000 + TX_REQUEST_TIMEOUT_MS - 1);
    assert_int_equal(n_asked, 1);
    tx_requests_tick(f->r, 5000 + TX_REQUEST_TIMEOUT_MS);
    assert_last(f, 2, 2, 7);
}

static void a_peer_has_its_share_of_places(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 0; i < 50; i++)
        assert_true(announce(f, 1, i, 0));
    assert_false(announce(f, 1, 1000, 0));
    assert_int_equal(tx_requests_announced(f->peers[1]), 50);
}

static void one_who_takes_all_places_gives_way_to_another(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 0; i < 50; i++) {
        assert_true(announce(f, 1, i, 0)); /* asked for */
        assert_true(announce(f, 2, i, 0)); /* remembered */
    }
    for (uint64_t i = 0; i < 24; i++)
        assert_true(announce(f, 3, i, 1));
    assert_int_equal(tx_requests_announced(f->peers[1]), 50);
    assert_int_equal(tx_requests_announced(f->peers[2]), 26);
    while (announce(f, 3, tx_requests_announced(f->peers[3]), 2))
        continue; /* up to an equal share */
    assert_int_equal(tx_requests_announced(f->peers[2]), 25);
    assert_int_equal(tx_requests_announced(f->peers[3]), 25);
    assert_int_equal(n_asked, 50);
}

static void old_announcements_that_found_no_room_go(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < TX_REQUEST_WINDOW_START + 10; i++)
        announce(f, 1, i, 0);
    const int64_t step = TX_REQUEST_TIMEOUT_MS / 2;
    for (int64_t now = step; now <= TX_ANNOUNCEMENT_MAX_AGE_MS; now += step)
        tx_requests_tick(f->r, now);
    tx_requests_tick(f->r, TX_ANNOUNCEMENT_MAX_AGE_MS + step);
    assert_int_equal(tx_requests_count(f->r), 0);
}

/*
 * attacks B2: the attacker is first to announce, delivers nothing, and announces 60,000 that do not
 * exist; the honest peer, who announces a moment later, delivers 100 ms after it is asked.
 */
static void simulate_withholding(struct fixture *f, size_t attackers, size_t honest)
{
    const uint64_t wanted = 1000000;
    const int64_t round_trip = 100;
    int64_t honest_asked = -1, now = 0;
    for (size_t i = 1; i <= attackers; i++)
        announce(f, i, wanted, 0);
    for (uint64_t i = 0; i < 60000; i++)
        announce(f, 1 + i % attackers, i, 1);
    announce(f, honest, wanted, 20);
    for (now = 20; now < 60000; now += 10) {
        for (size_t i = 1; i <= attackers; i++)
            announce(f, i, wanted, now); /* the right to be asked first shall not come back */
        tx_requests_tick(f->r, now);
        const struct txid id = id_of(wanted);
        for (size_t i = 0; i < n_asked && honest_asked < 0; i++)
            if (asked[i].peer == &f->names[honest] && txid_equal(&asked[i].id, &id))
                honest_asked = now;
        if (honest_asked >= 0 && now >= honest_asked + round_trip)
            break;
    }
    assert_true(arrive(f, honest, wanted, now));
    assert_true(now <= TX_REQUEST_TIMEOUT_MS + round_trip);
}

static void attack_B2_a_withheld_transaction_comes_within_one_time_out(void **state)
{
    simulate_withholding(*state, 1, 2); /* the honest one is no better placed */
}

static void attack_B2_two_that_withhold_do_not_outweigh_a_preferred_peer(void **state)
{
    simulate_withholding(*state, 2, 0);
}

#define WITH(test, before) cmocka_unit_test_setup_teardown(test, before, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(the_first_announcer_is_asked_at_once_and_nobody_else, setup),
        WITH(after_a_time_out_the_preferred_announcer_is_next, setup),
        WITH(announcing_again_gives_no_second_turn, setup),
        WITH(who_let_us_wait_comes_after_others, setup),
        WITH(notfound_moves_on_at_once_and_only_from_who_was_asked, setup),
        WITH(a_peer_that_leaves_hands_its_requests_to_others, setup),
        WITH(an_unasked_copy_ends_the_request, setup),
        WITH(requests_open_at_a_peer_are_bounded_and_go_on_as_it_delivers, setup),
        WITH(another_announcer_with_room_is_asked_in_place_of_a_full_one, setup),
        WITH(the_window_shrinks_when_nothing_comes, setup),
        WITH(a_peer_that_delivers_slowly_and_in_order_is_waited_for_up_to_a_limit, setup),
        WITH(what_is_passed_over_is_asked_from_another, setup),
        WITH(time_that_we_did_not_listen_is_not_the_peers, setup),
        WITH(a_peer_has_its_share_of_places, setup_small),
        WITH(one_who_takes_all_places_gives_way_to_another, setup_small),
        WITH(old_announcements_that_found_no_room_go, setup),
        WITH(attack_B2_a_withheld_transaction_comes_within_one_time_out, setup),
        WITH(attack_B2_two_that_withhold_do_not_outweigh_a_preferred_peer, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
