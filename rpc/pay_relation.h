/*
 * Payment channels in both directions between the same two people (spec channels 8.2): what was
 * paid on either side, and closing all of them together.
 *
 * That nets the sums, and no more would be safe: a close that pays less than the best one is
 * refused by its payee (8.5, message 268), who has nothing but the other side's word that the
 * opposite channel will make up for it. So every channel settles at its best sum, by itself, and
 * what is left of both after the fees is what the sums say to the satoshi. Any thread.
 */
#ifndef RPC_PAY_RELATION_H
#define RPC_PAY_RELATION_H

#include "rpc/pay_call.h"

/* Of channels with the contact of one of the list that no block has spent yet. Satoshis. */
struct pay_relation {
    size_t channels_out, channels_in;
    uint64_t paid, received; /* by us, to us */
};
/* Of each of the list, in its order: the caller's (free). */
struct pay_relation *pay_relations_of(const struct pay_list *l);

/* Closes each open channel the other way than c with its contact. The first error, after all were
 * tried. */
enum err pay_relation_close(const struct rpc_pay_service *s, const struct pay_list *l,
                            const struct pay_channel *c, struct error *e) MUST_CHECK;

#endif
