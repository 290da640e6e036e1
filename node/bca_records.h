/*
 * Announced records of identities as the node keeps them: the store, the intake with the chain's
 * word on addresses, and one thread for all that waits: signatures, the chain, the disk, wallets.
 * What peers send comes from the loop as jobs, and goes back to it as letters; both are bounded.
 */
#ifndef NODE_BCA_RECORDS_H
#define NODE_BCA_RECORDS_H

#include "base/queue.h"
#include "node/settings.h"
#include "p2p/bca_intake.h"
#include "rpc/command.h"

struct bca_records;

/* Before the network: opens the store in the network's directory. */
enum err bca_records_open(struct bca_records **out, const struct settings *s, struct chain *chain,
                          struct error *e) MUST_CHECK;
/* For everybody, on any thread, until bca_records_free. */
struct bca_store *bca_records_store(struct bca_records *r);
struct bca_intake *bca_records_intake(struct bca_records *r);

/* The thread. Its calls have an end of their own, env is copied. */
enum err bca_records_start(struct bca_records *r, const struct rpc_env *env,
                           struct error *e) MUST_CHECK;
void bca_records_cancel(struct bca_records *r); /* it begins nothing new; NULL is fine */
void bca_records_stop(struct bca_records *r);   /* after the network; NULL is fine */
void bca_records_free(struct bca_records *r);   /* NULL is fine */

/* --- between the loop and the thread --- */

/* What a peer has sent, or wants. */
struct bca_job {
    struct queue_node node;
    enum { BCA_JOB_JUDGE, BCA_JOB_SERVE, BCA_JOB_OFFER, BCA_JOB_REACHED } kind;
    uint64_t peer;
    struct buf data;                    /* to be judged: records behind one another */
    size_t n;
    uint32_t sizes[MSG_BCAREC_MAX];     /* of these */
    struct msg_bca_item *items;         /* to be served; n, then n_refused more */
    size_t n_refused;                   /* that are not looked for */
    struct {                            /* data is the record that a contact shows; or, of one
                                           that was reached, the key alone */
        /* The thread; not when it ends before. */
        void (*judged)(struct bca_job *job, const struct bca_answer *a);
        void *ctx;
        uint8_t key[IDENTITY_KEY_SIZE];
        uint32_t req;
    } offer;
};
struct bca_job *bca_job_new(uint64_t peer);
void bca_job_free(struct bca_job *job);
/* Any thread. Takes the job; false: there are too many, it is freed. */
bool bca_records_submit(struct bca_records *r, struct bca_job *job);

/* What the thread, or any other, has to say to the loop. */
struct bca_letter {
    struct bca_letter *next;
    enum {
        BCA_LETTER_NEWS,   /* a record may be announced */
        BCA_LETTER_ANSWER, /* a bcarec for the peer */
        BCA_LETTER_SCORE,  /* the peer misbehaved */
        BCA_LETTER_DONE,   /* a job of the peer has ended */
        BCA_LETTER_LOOK,   /* peers are asked for a record */
    } kind;
    uint64_t peer;
    struct msg_bca_item item;
    int score;
    const char *why;   /* static */
    struct buf payload;
};
/* Once the network exists, on the loop: from then on `take` gets each letter, on the loop, and
 * does not keep it. */
void bca_records_attach(struct bca_records *r, struct net *net,
                        void (*take)(void *ctx, struct bca_letter *l), void *ctx);
/* Asks all peers that answer for a record of this key; what comes of it is news (bca_store.h). */
void bca_records_look_for(struct bca_records *r, const uint8_t key[IDENTITY_KEY_SIZE]);

#endif
