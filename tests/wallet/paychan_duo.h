/*
 * Payer and payee of one channel with what surrounds them: disks, a session, a chain. A side can be
 * killed between any two steps of its work; it then goes on from its disk. Disks write at once, or
 * (lazy) what waits together, as a journal does: meanwhile further steps are taken.
 */
#ifndef TESTS_WALLET_PAYCHAN_DUO_H
#define TESTS_WALLET_PAYCHAN_DUO_H

#include "tests/wallet/pair.h"
#include "wallet/paychan.h"
#include "wallet/paychan_record.h"

#define DUO_QUEUE 256
#define DUO_SUMS 4096
#define DUO_WAITING 64

struct duo;

/* A step whose record is not on the disk. */
struct duo_waiting {
    struct paychan_result said;
    struct buf record; /* as it was then */
};

struct duo_side {
    struct duo *duo;
    struct duo_side *other;
    enum paychan_role role;
    struct paychan c;
    struct buf disk; /* empty: nothing is stored */
    struct duo_waiting waiting[DUO_WAITING];
    size_t n_waiting;
    bool flushing;
    struct person identity, key;
    uint8_t pkh[PAYCHAN_PKH_SIZE], nonce[32];
    bool locked;         /* the secret is not to be had */
    /* What the machine said. */
    struct paychan_result last;
    unsigned alarms, refused_msgs;
    enum paychan_fail last_fail; /* that was received */
    bool forgotten, session_ended;
    uint64_t served;     /* payee: by PAYCHAN_DO_SERVE */
    /* Messages on their way to this side. */
    struct paychan_event queue[DUO_QUEUE];
    struct tx *queue_tx[DUO_QUEUE];
    size_t q_first, q_len;
};

struct duo {
    struct duo_side payer, payee;
    struct paychan_view view;
    struct paychan_policy policy;
    uint64_t capacity, close_fee, refund_fee;
    uint32_t expiry;
    bool session;
    bool lazy;          /* disks write what waits when nothing else is to be done */
    bool funding_sent, wallet_funds; /* the wallet answers PAYCHAN_DO_FUND at once */
    uint32_t funding_height;
    struct tx *funding, *pool_spend, *chain_spend;
    uint32_t spend_height;
    unsigned crash_in;  /* points until the side at work is killed; 0: never */
    unsigned crashes;
    /* What the payer signed and sent, by n. */
    uint64_t signed_paid[DUO_SUMS];
    uint64_t highest_signed;
};

void duo_init(struct duo *d);
void duo_clear(struct duo *d);
/* What the wallet would make for the channel as it is agreed on. */
const struct tx *duo_make_funding(struct duo *d);
/* A user's or the chain's event for one side: step, write, do. */
void duo_give(struct duo_side *s, struct paychan_event ev);
/* Delivers and writes until nothing is under way. */
void duo_run(struct duo *d);
/* Delivers alone: what a lazy disk waits for grows. */
void duo_deliver(struct duo *d);
bool duo_deliver_one(struct duo *d); /* false: nothing is under way */
void duo_connect(struct duo *d);
void duo_disconnect(struct duo *d);
/* Blocks: funding and spends that were broadcast go into the first. */
void duo_mine(struct duo *d, unsigned n);
/* The last n blocks leave the chain; what they held goes back to the pool. */
void duo_undo(struct duo *d, unsigned n);

/* Opens, funds and confirms by so many blocks. */
void duo_open(struct duo *d, unsigned blocks);
enum err duo_pay(struct duo *d, uint64_t amount);
enum err duo_close(struct duo_side *s, uint64_t fee);
void duo_kill(struct duo_side *s); /* now */

#endif
