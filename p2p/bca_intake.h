/*
 * What is done with a record that somebody shows us (spec channels 1.2), cheap things first: read,
 * times and addresses, its number against the store, the pause between two updates of a key,
 * signature, proof of the address, store. A record of gossip that comes too early is kept until the
 * pause ends, the newest of a key; one whose proof cannot be judged yet is tried again for an hour.
 *
 * Where this differs from the order of the specification it does so against forgery and floods:
 * only a record with a valid signature takes the place of one that waits, and counts as
 * equivocation; and the last word of a key of which nothing is known is not taken from gossip,
 * since it proves no address, so that anybody could make as many as he likes.
 *
 * Any thread that may wait for the disk and for whoever judges addresses.
 */
#ifndef P2P_BCA_INTAKE_H
#define P2P_BCA_INTAKE_H

#include "p2p/bca_store.h"

/* By which way a record came. */
enum bca_way {
    BCA_BY_GOSSIP,  /* from a Bitcoin peer: it may be given on */
    BCA_BY_SESSION, /* from its identity over a direct channel: it is for us alone */
    BCA_BY_USER,    /* the same, by the user's hand; as the last one without limits of rate */
    BCA_OF_OURS,    /* as it is announced */
    BCA_OF_OURS_DIRECT, /* the same, for contacts alone */
};

struct bca_offer {
    struct span raw;
    enum bca_way way;
    uint64_t peer; /* of gossip: told when it has misbehaved */
};

enum bca_outcome {
    BCA_TAKEN,
    BCA_KNOWN,   /* it, or one that goes before it */
    BCA_WAITS,   /* until the pause of its key ends */
    BCA_PARKED,  /* until its proof can be judged; also said of what has to be shown again */
    BCA_REFUSED, /* for the fault */
    BCA_BUSY,    /* too many signatures at the moment: to be shown again */
};
const char *bca_outcome_name(enum bca_outcome outcome);
struct bca_answer {
    enum bca_outcome outcome;
    enum bca_record_fault fault; /* when refused */
};

struct bca_intake_config {
    /* The last step: bca_record_check_bca with the views of the chain. ERR_*: it could not look. */
    enum err (*check_bca)(void *ctx, const struct bca_record *r, enum bca_record_fault *fault,
                          struct error *e);
    /* A peer showed what it could see to be false. Holds no lock. */
    void (*misbehaved)(void *ctx, uint64_t peer, int score, const char *why);
    void *ctx;
    bool any_address;    /* regtest */
    /* Zero: the default in brackets. */
    int64_t pause_s;     /* between two updates of a key, [600] */
    unsigned signatures; /* a second, [200] */
    size_t waiting;      /* records, [1024] */
    size_t parked;       /* records, [256] */
    int64_t park_s;      /* [3600] */
    int64_t failure_s;   /* for so long a proof that failed is not tried again, [3600] */
};

struct bca_intake;
struct bca_intake *bca_intake_new(struct bca_store *store, const struct bca_intake_config *c);
void bca_intake_free(struct bca_intake *in); /* NULL is fine */

enum err bca_intake_offer(struct bca_intake *in, const struct bca_offer *o, struct bca_answer *a,
                          struct error *e) MUST_CHECK;
/* What waited long enough, once; and what is parked, once more. An error ends it: what could not be
 * judged stays for the next time. */
enum err bca_intake_retry(struct bca_intake *in, struct error *e) MUST_CHECK;

/* A record that nobody showed and is worth asking for: one with this number. Loop too. */
bool bca_intake_wants(struct bca_intake *in, const uint8_t record_key[32], uint64_t seq);

struct bca_intake_counts { size_t waiting, parked, memory /* bytes */; };
void bca_intake_count(struct bca_intake *in, struct bca_intake_counts *out);

#endif
