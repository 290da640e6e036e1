/*
 * What direct channels carry for programs of this machine and for contacts among each other, as the
 * options describe it: exposed services, forwards, the relay. Made before the channels start and
 * freed after they have stopped and their store is freed.
 */
#ifndef NODE_CHANNEL_SERVICES_H
#define NODE_CHANNEL_SERVICES_H

#include "base/config.h"
#include "p2p/channels.h"
#include "p2p/stream_meter.h"
#include "rpc/command.h"

struct channel_services;

/* ERR_PARSE, ERR_RANGE: a -channelservice is wrong; ERR_CORRUPT. */
enum err channel_services_open(struct channel_services **out, struct channels *channels,
                               const struct config *config, struct error *e) MUST_CHECK;
/* Before the channels start, and NULL before what is given ends. */
void channel_services_set_payments(struct channel_services *s, const struct stream_payments *p);
/* Of struct paychans_takers. What is left of the amount: it is for nothing here. */
uint64_t channel_services_paid(struct channel_services *s, uint64_t contact, struct span ref,
                               uint64_t amount);
void channel_services_payments_failed(struct channel_services *s);
/* Where commands find them. */
void channel_services_show(const struct channel_services *s, struct rpc_env *env);
void channel_services_free(struct channel_services *s); /* NULL is fine */

#endif
