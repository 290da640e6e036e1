/*
 * What direct channels carry for programs of this machine and for contacts among each other, as the
 * options describe it: exposed services, forwards, the relay. Made before the channels start and
 * freed after they have stopped and their store is freed.
 */
#ifndef NODE_CHANNEL_SERVICES_H
#define NODE_CHANNEL_SERVICES_H

#include "base/config.h"
#include "p2p/channels.h"
#include "rpc/command.h"

struct channel_services;

/* ERR_PARSE, ERR_RANGE: a -channelservice is wrong; ERR_CORRUPT. */
enum err channel_services_open(struct channel_services **out, struct channels *channels,
                               const struct config *config, struct error *e) MUST_CHECK;
/* Where commands find them. */
void channel_services_show(const struct channel_services *s, struct rpc_env *env);
void channel_services_free(struct channel_services *s); /* NULL is fine */

#endif
