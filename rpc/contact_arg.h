/*
 * Contacts as commands take and show them: what contactadd is given, the policy object of
 * contactset, one contact as an object. Workers.
 */
#ifndef RPC_CONTACT_ARG_H
#define RPC_CONTACT_ARG_H

#include "p2p/contacts.h"
#include "rpc/command.h"

struct json_object;

/*
 * A key, key@address, an address or a record (hex), as parameter i, into key, addresses and alias
 * of out, which has the policy of a new contact then. False: call has failed.
 */
bool rpc_contact_parse(struct rpc_call *call, size_t i, struct contact *out);

/* Changes what the object names; any thread. ERR_RANGE, ERR_PARSE: the text says which member and
 * what it may be. */
enum err rpc_contact_set(struct json_object *policy, uint16_t default_port, struct contact *c,
                         struct error *e) MUST_CHECK;
/* Of addresses without one. */
uint16_t rpc_contact_default_port(const struct rpc_call *call);

void rpc_contact_write(struct rpc_call *call, const struct contact *c);

#endif
