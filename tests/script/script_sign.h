/* Signing for tests: the single input of a spend, with any hash type and any flaw. */
#ifndef TESTS_SCRIPT_SCRIPT_SIGN_H
#define TESTS_SCRIPT_SCRIPT_SIGN_H

#include "base/buf.h"
#include "script/verify.h"

/* Main network (spec consensus 1.1). */
extern const struct script_heights main_heights;

enum { BLOCK_P = 100000, BLOCK_G = 700000, BLOCK_C = 950000 };

/* Flags of a block at this height that spends a coin of that height. */
uint32_t flags_at(int32_t block, int32_t coin);
/* What the mempool would ask for at the same heights. */
uint32_t policy_at(int32_t block, int32_t coin);

enum sig_flaw { SIG_GOOD, SIG_HIGH_S, SIG_WRONG, SIG_NOT_DER };

struct signing {
    struct span code;    /* script code to sign */
    int32_t version;
    int64_t amount;
    uint32_t flags;      /* choose the digest form */
    uint8_t hash_type;
    enum sig_flaw flaw;
    unsigned secret;     /* 1.. */
};

/* The signature with its hash type, for the transaction that spend_init makes. */
struct buf sign_spend(struct span lock, const struct signing *s);
/* Key of a small secret; bytes 33, or 65 when not compressed. */
struct buf key_of(unsigned secret, bool compressed);
/* The same with first byte 06 or 07. */
struct buf hybrid_key_of(unsigned secret);

/* "<key> CHECKSIG" and then what text says. */
struct buf key_lock(unsigned secret, const char *more);

/* Locks with key_lock(1, more), signs, runs. */
enum script_err run_signed(const char *more, const struct signing *s, uint32_t flags);

#endif
