/*
 * Ways through the tree of keys (BIP32): "m/44'/236'/0'/0/5", where ' (or h) marks a hardened step.
 * Pure functions, any thread.
 */
#ifndef WALLET_HDPATH_H
#define WALLET_HDPATH_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define HDPATH_MAX 255 /* steps: the depth of a key is one byte */
#define HDPATH_HARDENED UINT32_C(0x80000000)

/* Coin types (SLIP-44). */
#define HDPATH_COIN_BSV 236
#define HDPATH_COIN_TEST 1

struct hdpath {
    size_t n;
    uint32_t step[HDPATH_MAX];
};

/* The "m" in front may be missing; ERR_PARSE names the step that is wrong. */
enum err hdpath_parse(struct hdpath *p, const char *text, struct error *e) MUST_CHECK;
/* Appends the text with "m" and '. */
void hdpath_format(struct buf *out, const struct hdpath *p);
/* m/44'/coin'/account' (BIP44); change and index come behind it. ERR_RANGE from 2^31 on. */
enum err hdpath_account(struct hdpath *p, uint32_t coin, uint32_t account,
                        struct error *e) MUST_CHECK;

#endif
