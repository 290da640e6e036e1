#include <config.h>

#include "rpc/channel_call.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "p2p/netaddr.h"
#include "rpc/wallet_call.h"

struct channels *rpc_channels(struct rpc_call *call)
{
    if (!call->env->channels)
        rpc_fail(call, RPC_METHOD_NOT_FOUND,
                 "this node has no direct channels (-channel=0 or -disablewallet)");
    rpc_wallet_keys_changed(call);
    return call->env->channels;
}

struct rpc_result rpc_channel_fail(struct rpc_call *call, const struct error *e)
{
    switch (e->code) {
    case ERR_EXISTS:
    case ERR_RANGE:
    case ERR_PARSE:
        return rpc_fail(call, RPC_INVALID_PARAMETER, "%s", e->text);
    case OK:
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_CORRUPT:
    case ERR_NOTFOUND:
    case ERR_BUSY:
    case ERR_CANCELLED:
    case ERR_TIMEOUT:
    case ERR_AUTH:
    case ERR_PROTO:
    case ERR_NOSPACE:
        break;
    }
    return rpc_fail_error(call, e);
}

bool rpc_channel_ask(struct rpc_call *call, struct channels *c,
                     void (*begin)(struct channels *c, struct channels_request *r),
                     struct channels_request *r)
{
    struct error e = { .code = OK };
    if (!channels_ask(c, begin, r, &e))
        return true;
    rpc_channel_fail(call, &e);
    return false;
}

/* Outlives the command when that ends first, as at a stop. */
struct answering {
    struct channels *c;
    struct channels_request *r;
};

void *rpc_channel_answer_ctx(struct channels *c, struct channels_request *r)
{
    struct answering *a = xmalloc(sizeof(*a));
    *a = (struct answering){ c, r };
    return a;
}

void rpc_channel_answer(void *ctx, enum err rc, const struct error *e)
{
    struct answering *a = ctx;
    if (channels_is_waiting(a->c, a->r))
        channels_answer(a->c, a->r, rc, e);
    free(a);
}

struct contact *rpc_channel_contact(struct channels *c, struct channels_request *r,
                                    const char *text)
{
    struct error e;
    struct contact *contact = contacts_find(channels_contacts(c), text);
    if (!contact) {
        contact_unknown(text, &e);
        channels_answer(c, r, ERR_NOTFOUND, &e);
    }
    return contact;
}

const char *rpc_channel_address_text(char out[RPC_CHANNEL_ADDRESS_MAX],
                                     const struct contact_address *a)
{
    struct netaddr addr;
    char text[NETADDR_TEXT_MAX];
    netaddr_from_ipv6(&addr, a->address, a->port);
    (void)snprintf(out, RPC_CHANNEL_ADDRESS_MAX, "%s",
                   netaddr_print(text, &addr, NETADDR_WITH_PORT));
    return out;
}

enum err rpc_channel_address(struct contact_address *out, const char *text, uint16_t default_port,
                             struct error *e)
{
    struct netaddr addr;
    if (netaddr_parse(&addr, text, default_port, NULL) || netaddr_is_ipv4(&addr) ||
        addr.scope_id || !addr.port)
        return error_set(e, ERR_PARSE, "\"%.80s\" is no IPv6 address, with or without a port "
                         "([2001:db8::1]:9944)", text);
    memcpy(out->address, addr.ip, sizeof out->address);
    out->port = addr.port;
    return OK;
}
