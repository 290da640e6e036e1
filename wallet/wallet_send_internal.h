/*
 * What the files of sending share. wallet_choose.c looks over recipients and coins and chooses;
 * wallet_send.c makes the transaction.
 */
#ifndef WALLET_WALLET_SEND_INTERNAL_H
#define WALLET_WALLET_SEND_INTERNAL_H

#include "wallet/select.h"
#include "wallet/txbuild.h"
#include "wallet/wallet_internal.h"

/* What select.h does not need to know of a coin. */
struct candidate {
    struct outpoint at;
    int32_t height;
    bool extra; /* that of the request, which the history does not know */
};

struct sending {
    struct wallet *w;
    const struct wallet_send *s;
    struct candidate *candidates;
    struct select_coin *coins;
    size_t n, cap;
    bool nomem;
    struct outpoint *named;      /* sorted, when others are added to them */
    bool funds;                  /* the named coins must be spent, and others may */
    struct select_recipient *to; /* the recipients but those that carry data */
    size_t n_to;
    struct select_result chosen;
    struct buf scripts;          /* of the chosen coins */
    struct txbuild_input *in;
    struct txbuild_output *out;
    struct signing_key *keys;    /* secret memory */
    uint8_t change_script[SCRIPT_P2PKH_SIZE];
};

enum err sending_no_memory(struct error *e) MUST_CHECK;
bool sending_carries_data(const struct wallet_recipient *r);
enum err sending_list_recipients(struct sending *g, struct error *e) MUST_CHECK;
/* Makes all coins that could pay, or those that are named, candidates. When both are, the named
 * ones are sorted first: is_named then tells them apart. */
enum err sending_list_coins(struct sending *g, struct error *e) MUST_CHECK;
enum err sending_list_named_coins(struct sending *g, struct error *e) MUST_CHECK;
enum err sending_sort_named(struct sending *g, struct error *e) MUST_CHECK;
bool sending_is_named(const struct sending *g, const struct outpoint *at);
/* The coin of the request, which the history does not know. */
enum err sending_add_extra(struct sending *g, struct error *e) MUST_CHECK;
/* Among those that were listed. ERR_NOTFOUND: they do not suffice; ERR_RANGE. */
enum err sending_choose(struct sending *g, struct error *e) MUST_CHECK;

#endif
