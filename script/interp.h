/*
 * The interpreter's state and its opcode functions. Internal to script/: others call
 * script_verify. An evaluation runs on one thread; unlocking and locking script share the main
 * stack and the byte budget, and each has its own conditionals, operation count and alternate
 * stack (spec consensus 4.4, 4.5).
 */
#ifndef SCRIPT_INTERP_H
#define SCRIPT_INTERP_H

#include "script/iter.h"
#include "script/num.h"
#include "script/stack.h"
#include "script/verify.h"

#define SCRIPT_ORIGINAL_SIZE_MAX 10000
#define SCRIPT_ORIGINAL_OPS_MAX 500
#define SCRIPT_ORIGINAL_KEYS_MAX 20
#define SCRIPT_ORIGINAL_ELEMENT_MAX 520
#define SCRIPT_ORIGINAL_STACK_MAX 1000

enum script_part { SCRIPT_PART_UNLOCKING, SCRIPT_PART_LOCKING, SCRIPT_PART_REDEEM };

/* One open IF. */
enum { COND_ACTIVE = 1, COND_ELSE_SEEN = 2 };

struct interp_conds {
    uint8_t *level; /* heap beyond the first few */
    size_t n, cap;
    size_t n_false; /* levels that are not active */
    uint8_t first[16];
};

/* A digest already made for this input: many operations of a script may ask for the same. */
struct interp_digest {
    uint32_t hash_type;
    struct span code;
    uint8_t digest[32];
};
#define INTERP_DIGESTS 4

struct interp {
    const struct script_input *in;
    uint32_t flags;
    enum script_era era; /* of the output */
    bool malleable;      /* Chronicle block and version above 1: spec 4.5 */
    enum num_encoding num_encoding;
    uint64_t max_script, max_ops, max_num, max_keys; /* for the era */

    struct stack_budget budget;
    struct stack main;

    /* of the script being run */
    enum script_part part;
    struct stack alt;
    struct interp_conds conds;
    struct script_iter it;
    const uint8_t *code_start; /* after the last executed CODESEPARATOR */
    uint64_t ops;
    bool active;   /* the current opcode is executed */
    bool returned; /* a RETURN inside a branch: the rest is only decoded */
    bool finished; /* a RETURN at top level */
    uint8_t code;  /* the current opcode */

    struct sighash_cache *sighash;
    struct interp_digest digest[INTERP_DIGESTS];
    unsigned n_digests;
};

void interp_init(struct interp *ip, const struct script_input *in, uint32_t flags,
                 struct sighash_cache *sighash);
void interp_clear(struct interp *ip);
enum script_err interp_eval(struct interp *ip, struct span script, enum script_part part);

static inline bool interp_original(const struct interp *ip)
{
    return ip->era == SCRIPT_ERA_ORIGINAL;
}

/* The push is the shortest one for its data. */
bool script_push_is_minimal(const struct script_op *op);

/* Number at this depth under the era's limit. */
enum script_err interp_read_num(struct interp *ip, size_t depth, struct num *n);
/* Pops `pops` elements and pushes n, which is cleared whatever happens. */
enum script_err interp_replace_num(struct interp *ip, size_t pops, struct num *n);
/* Pops `pops` elements and pushes v; a VERIFY form pops it again or fails with `error`. */
enum script_err interp_result_bool(struct interp *ip, size_t pops, bool v);
enum script_err interp_verify_bool(struct interp *ip, size_t pops, bool v, enum script_err error);

/* Opcode functions, by family. */
enum script_err op_push_small(struct interp *ip); /* interp_flow.c */
enum script_err op_bad(struct interp *ip);
enum script_err op_nop(struct interp *ip);
enum script_err op_upgradable_nop(struct interp *ip);
enum script_err op_ver(struct interp *ip);
enum script_err op_if(struct interp *ip);
enum script_err op_verif(struct interp *ip);
enum script_err op_else(struct interp *ip);
enum script_err op_endif(struct interp *ip);
enum script_err op_verify(struct interp *ip);
enum script_err op_return(struct interp *ip);
enum script_err op_checklocktime(struct interp *ip);
enum script_err op_checksequence(struct interp *ip);

enum script_err op_toalt(struct interp *ip); /* interp_stack.c */
enum script_err op_fromalt(struct interp *ip);
enum script_err op_drop(struct interp *ip);
enum script_err op_2drop(struct interp *ip);
enum script_err op_dup(struct interp *ip);
enum script_err op_2dup(struct interp *ip);
enum script_err op_3dup(struct interp *ip);
enum script_err op_2over(struct interp *ip);
enum script_err op_2rot(struct interp *ip);
enum script_err op_2swap(struct interp *ip);
enum script_err op_ifdup(struct interp *ip);
enum script_err op_depth(struct interp *ip);
enum script_err op_nip(struct interp *ip);
enum script_err op_over(struct interp *ip);
enum script_err op_pick_roll(struct interp *ip);
enum script_err op_rot(struct interp *ip);
enum script_err op_swap(struct interp *ip);
enum script_err op_tuck(struct interp *ip);

enum script_err op_cat(struct interp *ip); /* interp_bytes.c */
enum script_err op_split(struct interp *ip);
enum script_err op_num2bin(struct interp *ip);
enum script_err op_bin2num(struct interp *ip);
enum script_err op_size(struct interp *ip);
enum script_err op_substr(struct interp *ip);
enum script_err op_left_right(struct interp *ip);

enum script_err op_invert(struct interp *ip); /* interp_bits.c */
enum script_err op_bitwise(struct interp *ip);
enum script_err op_equal(struct interp *ip);
enum script_err op_shift_bits(struct interp *ip);

enum script_err op_unary_num(struct interp *ip); /* interp_arith.c */
enum script_err op_arithmetic(struct interp *ip);
enum script_err op_compare(struct interp *ip);
enum script_err op_min_max(struct interp *ip);
enum script_err op_within(struct interp *ip);
enum script_err op_shift_num(struct interp *ip);

enum script_err op_hash(struct interp *ip); /* interp_crypto.c */
enum script_err op_codeseparator(struct interp *ip);
enum script_err op_checksig(struct interp *ip);
enum script_err op_checkmultisig(struct interp *ip); /* interp_multisig.c */

/* interp_crypto.c: encodings (spec 4.7), then one signature against one key. */
enum script_err interp_check_encodings(const struct interp *ip, struct span sig, struct span key);
enum script_err interp_check_sig(struct interp *ip, struct span sig, struct span key,
                                 struct span code, bool *valid);
/* Script code for these signatures, FindAndDelete done; *owned is to be freed. */
enum script_err interp_script_code(struct interp *ip, size_t first_sig_depth, size_t n_sigs,
                                   struct span *code, uint8_t **owned);

#endif
