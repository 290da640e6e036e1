#include <config.h>

#include "node/channel_services.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "p2p/kept_forwards.h"
#include "p2p/chan_relay.h"
#include "p2p/services.h"

struct channel_services {
    struct local_streams streams;
    struct services *services;
    struct forwards *forwards;
    struct kept_forwards *kept;
    struct chan_relay *relay; /* NULL: -channelrelay=0 */
};

static struct chan_relay *make_relay(struct channels *channels, const struct config *config)
{
    const struct chan_relay_limits limits = {
        .streams = (unsigned)config_int(config, "channelrelaystreams"),
        .streams_per_contact = (unsigned)config_int(config, "channelrelaypercontact"),
        .bytes_per_day = config_size(config, "channelrelaybytes"),
    };
    return config_bool(config, "channelrelay") ? chan_relay_new(channels, &limits) : NULL;
}

enum err channel_services_open(struct channel_services **out, struct channels *channels,
                               const struct config *config, struct error *e)
{
    struct channel_services *s = xcalloc(1, sizeof(*s));
    struct net_strings specs;
    specs.n = config_list(config, "channelservice", &specs.v);
    *out = s;
    local_streams_init(&s->streams, channels, (size_t)config_int(config, "channelstreams"),
                       1000 * (uint64_t)config_int(config, "channelstreamidle"));
    struct net_strings rates;
    rates.n = config_list(config, "channelrate", &rates.v);
    enum err rc = stream_rates_read(&s->streams.rates, &rates, e);
    if (!rc)
        rc = services_new(&s->services, &s->streams, &specs, e);
    if (rc)
        return rc;
    s->forwards = forwards_new(&s->streams);
    s->relay = make_relay(channels, config);
    return kept_forwards_new(&s->kept, &s->streams, s->forwards, e);
}

void channel_services_set_payments(struct channel_services *s, const struct stream_payments *p)
{
    s->streams.payments = p;
}

uint64_t channel_services_paid(struct channel_services *s, uint64_t contact, struct span ref,
                               uint64_t amount)
{
    const size_t head = sizeof PAY_REF_SERVICE - 1;
    if (ref.len == 0)
        return services_settle(s->services, contact, amount);
    if (ref.len <= head || memcmp(ref.data, PAY_REF_SERVICE, head) != 0)
        return amount;
    return services_paid(s->services, contact, span_of(ref.data + head, ref.len - head), amount)
               ? 0
               : amount;
}

void channel_services_payments_failed(struct channel_services *s)
{
    services_payments_failed(s->services);
}

void channel_services_show(const struct channel_services *s, struct rpc_env *env)
{
    env->services = s->services;
    env->forwards = s->forwards;
    env->kept_forwards = s->kept;
    env->relay = s->relay;
}

/* Streams have ended with their sessions. */
void channel_services_free(struct channel_services *s)
{
    if (!s)
        return;
    chan_relay_free(s->relay);
    kept_forwards_free(s->kept);
    forwards_free(s->forwards);
    services_free(s->services);
    free(s);
}
