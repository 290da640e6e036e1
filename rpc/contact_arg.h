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
 * A key, key@address, an address or a record (hex), as parameter i, into key, addresses and alias of
 * out, which has the policy of a new contact then. False: call has failed.
 */
bool rpc_contact_parse(struct rpc_call *call, size_t i, struct contact *out);

/* Changes what the object names. False: call has failed with the member and what it may be. */
bool rpc_contact_policy(struct rpc_call *call, struct json_object *object, struct contact *c);

void rpc_contact_write(struct rpc_call *call, const struct contact *c);

#endif
