/*
 * Judgement of a block, header or transaction by the rules, as opposed to trouble in looking
 * things up (enum err). A function that judges returns `enum err` for the second and fills a
 * verdict for the first; the verdict means something only when it returned OK.
 *
 * Reasons are the reference node's strings, so that tests, peers and RPC clients can compare.
 */
#ifndef CHAIN_VERDICT_H
#define CHAIN_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

/* Codes of the `reject` message, spec p2p 3.1. */
enum verdict_code {
    REJECT_NONE = 0, /* valid */
    REJECT_MALFORMED = 0x01,
    REJECT_INVALID = 0x10,
    REJECT_OBSOLETE = 0x11,
    REJECT_DUPLICATE = 0x12,
    REJECT_SOFT_FREEZE = 0x13,
    REJECT_NONSTANDARD = 0x40,
    REJECT_DUST = 0x41,
    REJECT_FEE = 0x42,
    REJECT_CHECKPOINT = 0x43,
    REJECT_TOO_BUSY = 0x44,
    REJECT_RATE = 0x45,
    /* From here on never sent to peers. */
    REJECT_HIGH_FEE = 0x100,
    REJECT_KNOWN = 0x101,
    REJECT_CONFLICT = 0x102,
    REJECT_MEMPOOL_FULL = 0x103,
};

struct verdict {
    enum verdict_code code;
    char reason[128];        /* "bad-txnmrklroot" */
    char detail[160];        /* for the log: which transaction, which script error */
    unsigned ban_score;      /* 0..100 */
    bool corruption; /* the bytes may have been damaged on the way: judge the message, not the hash
                      */
    bool temporary;          /* may become valid later (time-too-new): never stored */
    uint64_t tx; /* of a block: index of the transaction that breaks the rule, plus one; 0: none */
};

static inline bool verdict_ok(const struct verdict *v) { return v->code == REJECT_NONE; }

/* Sets code, score and reason; returns false, so that a check can `return verdict_set(...)`. */
bool verdict_set(struct verdict *v, enum verdict_code code, unsigned ban_score, const char *reason);
/* The same, flagged as possible corruption of the message. */
bool verdict_set_corrupt(struct verdict *v, unsigned ban_score, const char *reason);
void verdict_detail(struct verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
