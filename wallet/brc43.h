/*
 * Invoice numbers (BRC-43; spec brc-notes 2): level, protocol and key id in one text, from which
 * BRC-42 derives keys. Pure functions, any thread.
 */
#ifndef WALLET_BRC43_H
#define WALLET_BRC43_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/*
 * The text of the standard and the programs in use set different limits. What is made here stays
 * within both and off the names that are reserved (BRC-44, BRC-98); what others made need not.
 */
enum brc43_use { BRC43_MAKE, BRC43_ACCEPT };

#define BRC43_LEVEL_MAX 2

/*
 * Appends "<level>-<protocol>-<key id>". The protocol is trimmed and put in lower case; the key id
 * stays as it is. ERR_RANGE with the rule when one of the three breaks it; out is then as before.
 */
enum err brc43_invoice(struct buf *out, unsigned level, struct span protocol, struct span key_id,
                       enum brc43_use use, struct error *e) MUST_CHECK;

/* Appends the invoice number of a message (BRC-77, BRC-78): level 2, the key id in Base64. */
#define BRC43_KEY_ID_SIZE 32
void brc43_message_invoice(struct buf *out, const char *protocol,
                           const uint8_t key_id[BRC43_KEY_ID_SIZE]);

#endif
