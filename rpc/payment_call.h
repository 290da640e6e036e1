/*
 * What commands ask of payments by a transaction over direct channels (node/paytx.h). The node
 * fills the functions in (rpc_env.transactions). Amounts are satoshis. What there is is read from
 * the store of the channels (p2p/pay_rows.h).
 */
#ifndef RPC_PAYMENT_CALL_H
#define RPC_PAYMENT_CALL_H

#include "p2p/pay_rows.h"

struct payment_asking {
    const char *contact; /* alias or key */
    uint64_t satoshis;
    uint32_t seconds;    /* it is good for */
    const char *memo;
};

struct payment_paying {
    const char *contact;
    uint64_t satoshis;   /* 0: what the request asks for */
    const char *memo;    /* stays here: no message has it */
    bool has_request;
    uint8_t request[PAY_ID_SIZE];
};

/* Once for each payment, on any thread. rc: why it was not made, or what the payee says against it;
 * row is borrowed. */
typedef void (*payment_done_fn)(void *ctx, enum err rc, const struct pay_row *row,
                                const struct error *e);

struct rpc_payment_service {
    /* Waits until the request is on disk; it is sent as soon as the contact is there. */
    enum err (*request)(void *ctx, const struct payment_asking *in, struct pay_row *out,
                        struct error *e);
    /* Any thread, does not wait: done is called when the payee has answered, or will not for now,
     * as row->state tells. in is copied. */
    void (*pay)(void *ctx, const struct payment_paying *in, payment_done_fn done,
                void *done_ctx);
    void *ctx;
};

#endif
