/* What the script tests share: the text form of scripts, flag names, credit and spend pairs. */
#ifndef TESTS_SCRIPT_SCRIPT_UTIL_H
#define TESTS_SCRIPT_SCRIPT_UTIL_H

#include "base/buf.h"
#include "base/tx.h"
#include "script/verify.h"

/*
 * Script from words: decimal numbers, 0x raw bytes, 'text' pushed, opcode names with or without
 * OP_. Fails the test on anything else. Caller clears.
 */
struct buf script_asm(const char *text);

/* "P2SH,STRICTENC" and so on, "" and "NONE". */
uint32_t script_flags_parse(const char *names);

/* False when the name is neither of ours nor a short form used in the vectors. */
bool script_err_by_vector_name(const char *name, enum script_err *err);

/* One input spending one output: credit as a coinbase pays the script, spend takes it. */
struct spend {
    struct buf lock;
    struct tx *tx;
    struct script_input in;
    struct script_limits limits;
};

/* The lock is copied; unlock goes into the only input of a transaction of this version. */
void spend_init(struct spend *s, int32_t version, struct span unlock, struct span lock,
                int64_t amount, uint32_t flags);
void spend_clear(struct spend *s);
enum script_err spend_run(const struct spend *s);

/* Whole evaluation from text, version 1, amount 0. */
enum script_err run_text(const char *unlock, const char *lock, uint32_t flags);
enum script_err run_text_version(const char *unlock, const char *lock, uint32_t flags,
                                 int32_t version);

#endif
