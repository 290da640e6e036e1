/*
 * What a side of a payment channel gives to a helper, a contact that keeps it (spec channels 8.8):
 * the body of a message of content type PAYCHAN_HELP_TYPE, big-endian:
 *
 *   id 32 | role 1 | copy 224 (paychan_copy.h) | n 8 | paid 8 | close fee 4 |
 *   signature of the payer 64 (payer: zeros) | length 2, close that the payee has signed (payer:
 *   none)
 *
 * With n = 0 and no close it asks for what is kept. A helper can close a channel earlier than its
 * payee would, and with a sum that it was given: it can take nothing. Pure functions, any thread;
 * ec_init must have been called.
 */
#ifndef WALLET_PAYCHAN_HELP_H
#define WALLET_PAYCHAN_HELP_H

#include "wallet/paychan_copy.h"

#define PAYCHAN_HELP_TYPE "application/bcapeer-chan"
enum { PAYCHAN_HELP_TX_MAX = 1000 };

struct paychan_help {
    uint8_t id[PAYCHAN_ID_SIZE];
    enum paychan_role role;       /* of who gives it */
    uint8_t copy[PAYCHAN_COPY_SIZE];
    uint64_t n, paid, close_fee;
    uint8_t sig[EC_SIG_SIZE];
    struct span tx;               /* borrowed */
};

void paychan_put_help(struct buf *out, const struct paychan_help *h);
/* tx borrows. ERR_PARSE. */
enum err paychan_get_help(struct paychan_help *h, struct span in, struct error *e) MUST_CHECK;
bool paychan_help_asks(const struct paychan_help *h);
/*
 * Terms and funding of the channel, into an otherwise empty *c; of a payee the close as well (*tx:
 * a reference for the caller, else NULL), which pays what is said, by the payer's signature.
 * ERR_PARSE: it is not sound.
 */
enum err paychan_check_help(const struct paychan_help *h, struct paychan *c, struct tx **tx,
                            struct error *e) MUST_CHECK;

#endif
