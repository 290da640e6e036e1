/*
 * Two sessions of direct channels connected in memory, what their owners were told, and an attacker
 * who has the keys of one of them.
 */
#ifndef TESTS_P2P_DCHAN_DUO_H
#define TESTS_P2P_DCHAN_DUO_H

#include "p2p/dchan_session.h"
#include "tests/p2p/dchan_fixture.h"

#define DUO_START UINT64_C(1000000) /* milliseconds */
#define DUO_TAKEN_MAX 64

struct duo;

/* One side and its owner. */
struct duo_end {
    struct duo *duo;
    struct open_key key;
    struct dchan_session *session;
    struct dchan_session_ops ops;
    struct dchan_session_config config;
    struct dchan_shares shares;
    struct dchan_policy policy;      /* of the other side */
    struct bca_policy proof;
    bool knows, own_key, holds;      /* what the callbacks answer */
    size_t ups, closes, goings;
    enum dchan_goaway_reason reason; /* of the last going */
    struct dchan_closing closing;    /* its text: */
    char closing_text[64];
    uint16_t taken[DUO_TAKEN_MAX];   /* types that came to the handler */
    size_t n_taken;
    uint8_t renews[32];
    bool has_renews;
};

struct duo {
    struct duo_end ends[2]; /* 0 dials */
    uint64_t now_ms;
};

/* All features, bare keys allowed; change ends[] and then duo_start. */
void duo_init(struct duo *d);
void duo_start(struct duo *d);
void duo_clear(struct duo *d);

/* Moves bytes both ways until there are none. */
void duo_settle(struct duo *d);
/* duo_init, duo_start, duo_settle; both are up. */
void duo_up(struct duo *d);
/* Time passes, a second at a time, with ticks and all bytes moved. */
void duo_pass(struct duo *d, uint64_t seconds);

/* The bytes that wait at an end leave it; the caller clears. */
struct buf duo_take_output(struct duo_end *e);
/* All bytes of an end go over to the other. */
void duo_move(struct duo *d, int from);

/* --- an attacker in the place of an end, who seals what he likes --- */

void duo_seal(struct duo *d, int attacker, struct span msg);
/* It arrives at the other. */
void duo_attack(struct duo *d, int attacker, struct span msg);
/* What the other answered: the next message opened, empty when there is none. Borrowed. */
struct span duo_answer(struct duo *d, int attacker);
/*
 * Instead of duo_up: the handshake is done with an attacker who dialled (0) and has sent nothing
 * since. twin, unless NULL, seals under the same keys.
 */
void duo_greeting(struct duo *d, struct dchan_rec **twin);

/* The next answer has this type; there is none. */
void duo_assert_answer(struct duo *d, int attacker, uint16_t type);
void duo_assert_silent(struct duo *d, int attacker);
/* The other has closed, and nothing of it waits. */
void duo_assert_closed(struct duo *d, int attacker, enum dchan_closed why, unsigned code);
/* It says why and is gone; and, as error: nothing else leaves, whatever comes. */
void duo_assert_told(struct duo *d, int attacker, unsigned code);
void duo_assert_error(struct duo *d, int attacker, unsigned code);

#endif
