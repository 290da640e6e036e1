/*
 * Which coins pay for a transaction. Coins that match without change come first (change costs an
 * output now and an input later), else as few coins as possible with change worth having. Fees are
 * counted for exact sizes, rounded up. Pure but for memory; any thread.
 */
#ifndef WALLET_SELECT_H
#define WALLET_SELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Outputs below are dust to the network (spec consensus 5.1). */
#define DUST_SATOSHIS 1
/* A coin a kilobyte: no sane rate is above. */
#define FEE_RATE_MAX UINT64_C(100000000)
#define SELECT_NOBODY SIZE_MAX

enum select_use {
    SELECT_MAY,
    SELECT_MUST,     /* in any case */
    SELECT_LOCKED,   /* not; counted for the report */
    SELECT_IMMATURE, /* the same */
};

struct select_coin {
    int64_t value;
    uint32_t input_size; /* bytes of the signed input that spends it */
    enum select_use use;
    uint8_t tier;        /* a higher one is touched only when lower ones do not suffice */
};

struct select_recipient {
    int64_t amount;
    bool pays_fee; /* the fee is taken from what these get, in equal parts */
};

struct select_request {
    const struct select_coin *coins;
    size_t n_coins;
    const struct select_recipient *to;
    size_t n_to;
    size_t n_outputs, outputs_size; /* of all outputs but change, those with data too */
    uint32_t change_size;           /* bytes of the output */
    uint32_t change_input_size;     /* bytes of the input that will spend it */
    uint64_t fee_sat_per_kb;
    size_t max_to;   /* recipient who gets all there is, whatever its amount says; SELECT_NOBODY */
    bool must_alone; /* no others but those that must */
    size_t max_size; /* of the transaction; 0: any */
};

enum select_status {
    SELECT_OK,
    SELECT_INSUFFICIENT,
    SELECT_DUST,      /* a recipient gets less than DUST_SATOSHIS, perhaps after the fee */
    SELECT_TOO_LARGE, /* enough coins, but none that fit */
    SELECT_REFUSED,   /* sums beyond all money, or a rate beyond FEE_RATE_MAX */
    SELECT_NOMEM,
};

struct select_result {
    enum select_status status;
    size_t *chosen; /* indices of coins, ascending */
    size_t n_chosen;
    int64_t *amounts; /* what each recipient gets */
    int64_t total, fee, change; /* total = amounts + fee + change; change 0: no such output */
    size_t size;                /* of the transaction that the fee is counted for */
    /* With SELECT_INSUFFICIENT: what more it takes; with any: what cannot be used now. */
    int64_t missing, immature, locked;
};

void select_coins(const struct select_request *r, struct select_result *out);
void select_result_clear(struct select_result *out);

/* Rounded up; size below 2^32. */
int64_t select_fee(uint64_t fee_sat_per_kb, size_t size);
/* The least change worth an output: what it costs to spend it, and no dust. */
int64_t select_change_min(const struct select_request *r);
/* Bytes of a transaction but for its inputs and outputs themselves. */
size_t select_frame_size(size_t n_in, size_t n_out);

#endif
