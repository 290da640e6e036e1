/* Messages between two machines of which either may die at any write, over a link that loses,
 * repeats and mixes up what it carries: each arrives once, and both event logs say so once. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/p2p/message_duo.h"
#include "tests/test.h"

#define TEXTS_MAX 1024

/* What a side's user was told is sent. */
struct ledger {
    char text[TEXTS_MAX][24];
    size_t n;
    size_t tried;
};

struct world {
    struct message_duo duo;
    struct ledger sent[2];
};

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    duo_init(&w->duo);
    duo_start(&w->duo);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    duo_clear(&w->duo);
    free(w);
    return 0;
}

static void say(struct world *w, int at)
{
    struct ledger *l = &w->sent[at];
    struct duo_side *s = &w->duo.sides[at];
    char text[24];
    assert_true(l->n < TEXTS_MAX);
    snprintf(text, sizeof text, "%d says %zu", at, ++l->tried);
    if (s->store && !duo_send(s, text, NULL))
        memcpy(l->text[l->n++], text, sizeof text);
}

/* --- the end: everybody lives, the link is good --- */

static void heal(struct world *w)
{
    struct message_duo *d = &w->duo;
    for (int i = 0; i < 2; i++) {
        if (!d->sides[i].store)
            duo_revive(&d->sides[i]);
        duo_fail_writes(&d->sides[i], 0);
        duo_lie(&d->sides[i], 0);
    }
    duo_connect(d);
    duo_pass(d, 130); /* pauses end, what was lost is sent again */
}

struct tally {
    const struct ledger *sent;
    size_t times[TEXTS_MAX];        /* each text came */
    uint8_t by_seq[2 * TEXTS_MAX];
    size_t wrong;                   /* without seq, with one that came before, or marked so */
};

static void count(void *ctx, const struct message_head *h, struct span body)
{
    struct tally *t = ctx;
    for (size_t i = 0; i < t->sent->n; i++)
        t->times[i] += body.len == strlen(t->sent->text[i]) &&
                       memcmp(body.data, t->sent->text[i], body.len) == 0;
    t->wrong += !h->has_seq || h->reset || h->seq >= sizeof t->by_seq || t->by_seq[h->seq]++;
}

/* All that its user was told is sent is there once, and says which it is. */
static void check_received(struct duo_side *to, const struct ledger *sent)
{
    struct tally *t = xcalloc(1, sizeof *t);
    t->sent = sent;
    duo_each_received(to, count, t);
    assert_int_equal(t->wrong, 0);
    for (size_t i = 0; i < sent->n; i++)
        assert_int_equal(t->times[i], 1);
    free(t);
}

/* The event log has each number once: entries rise (message_duo.c), and none is missing. */
static void check_news(struct duo_side *s, size_t received, size_t delivered)
{
    assert_int_equal(duo_news(s, MESSAGE_RECEIVED), received);
    assert_int_equal(duo_news(s, MESSAGE_DELIVERED), delivered);
    assert_int_equal(duo_news(s, MESSAGE_FAILED), 0);
}

static void check(struct world *w)
{
    struct message_duo *d = &w->duo;
    size_t received[2];
    for (int i = 0; i < 2; i++) {
        struct duo_side *from = &d->sides[i], *to = &d->sides[!i];
        check_received(to, &w->sent[i]);
        received[!i] = duo_count(to, false, 0);
        assert_int_equal(duo_count(from, true, MESSAGE_STATE_DELIVERED), received[!i]);
        assert_int_equal(duo_count(from, true, 0), received[!i]);
        assert_true(received[!i] >= w->sent[i].n && received[!i] <= w->sent[i].tried);
        assert_int_equal(duo_rows(from, "o"), 0);
    }
    for (int i = 0; i < 2; i++)
        check_news(&d->sides[i], received[i], received[!i]);
}

/* --- power cuts at every write --- */

static void talk(struct world *w)
{
    struct message_duo *d = &w->duo;
    duo_connect(d);
    for (int i = 0; i < 3; i++) {
        say(w, 0);
        say(w, 1);
        duo_run(d);
    }
}

/* The victim's n-th write and all after it do not reach its disk, then it dies. */
static void cut_at(struct world *w, int victim, uint64_t n)
{
    struct message_duo *d = &w->duo;
    duo_fail_writes(&d->sides[victim], n);
    talk(w);
    duo_kill(&d->sides[victim]);
    duo_revive(&d->sides[victim]);
    talk(w);
    heal(w);
    check(w);
}

static void power_cuts_at_every_write(void **state)
{
    struct world *w = *state;
    for (int victim = 0; victim < 2; victim++)
        for (uint64_t n = 1; n <= 12; n++) {
            teardown(state);
            setup(state);
            w = *state;
            cut_at(w, victim, n);
        }
    assert_true(w->sent[0].n >= 5); /* of six at most one was in the way of the last cut */
}

/* A death between the write and what it is followed by: the other side never hears of it. */
static void deaths_before_the_answer(void **state)
{
    struct world *w = *state;
    struct message_duo *d = &w->duo;
    for (int i = 0; i < 20; i++) {
        duo_connect(d);
        say(w, 0);
        while (d->sides[0].n_out)
            duo_arrive(&d->sides[0], 0);
        duo_kill(&d->sides[1]); /* stored; the acknowledgement goes with it */
        duo_revive(&d->sides[1]);
        say(w, 1);
        duo_connect(d);
        duo_settle(&d->sides[1]);
        while (d->sides[1].n_out)
            duo_arrive(&d->sides[1], 0);
        duo_kill(&d->sides[0]);
        duo_revive(&d->sides[0]);
    }
    heal(w);
    check(w);
    assert_int_equal(w->sent[0].n, 20);
    assert_int_equal(w->sent[1].n, 20);
}

/* --- everything at random --- */

static void disturb_link(struct message_duo *d, struct duo_side *s)
{
    if (!s->n_out)
        return;
    const size_t i = duo_random(d, s->n_out), k = duo_random(d, s->n_out);
    const struct duo_packet p = s->out[i];
    switch (duo_random(d, 4)) {
    case 0:
        s->out[i] = s->out[k];
        s->out[k] = p;
        break;
    case 1:
        duo_repeat(s, i);
        break;
    case 2:
        if (duo_random(d, 3) == 0) {
            free(p.data);
            memmove(&s->out[i], &s->out[i + 1], (--s->n_out - i) * sizeof p);
        }
        break;
    default:
        duo_arrive(s, i);
        break;
    }
}

static void die(struct message_duo *d, struct duo_side *s)
{
    if (duo_random(d, 2))
        duo_fail_writes(s, 1 + duo_random(d, 3));
    duo_kill(s);
    /* its event log loses its end */
    s->n_news -= duo_random(d, 1 + (s->n_news < 4 ? s->n_news : 4));
}

static void step(struct world *w)
{
    struct message_duo *d = &w->duo;
    const int at = (int)duo_random(d, 2);
    struct duo_side *s = &d->sides[at];
    const uint64_t dice = duo_random(d, 100);
    if (!s->store) {
        duo_revive(s);
    } else if (dice < 12) {
        say(w, at);
    } else if (dice < 70) {
        disturb_link(d, s);
    } else if (dice < 80) {
        duo_settle(s);
    } else if (dice < 90) {
        d->now_ms += duo_random(d, 20000);
        messages_tick(s->m, d->now_ms);
    } else if (dice < 94 && d->sides[!at].store) {
        duo_connect(d);
    } else if (dice < 96) {
        duo_fail_writes(s, duo_random(d, 3)); /* full for a while, or no longer */
    } else if (dice < 97) {
        duo_lie(s, (unsigned)duo_random(d, 3));
    } else if (dice < 99) {
        die(d, s);
    }
}

static void nothing_is_lost_or_doubled_whatever_happens(void **state)
{
    const uint64_t seeds = getenv("BSVPEER_LONG") ? 200 : 6;
    size_t said = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        teardown(state);
        setup(state);
        struct world *w = *state;
        w->duo.random ^= seed * UINT64_C(0x9e3779b97f4a7c15);
        for (int i = 0; i < 1500; i++)
            step(w);
        heal(w);
        heal(w);
        check(w);
        said += w->sent[0].n;
    }
    assert_true(said > 20 * seeds);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(power_cuts_at_every_write),
        TEST(deaths_before_the_answer),
        TEST(nothing_is_lost_or_doubled_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
