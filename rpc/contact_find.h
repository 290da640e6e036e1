/*
 * The key that belongs to an address (spec channels 1): by the records that are kept, then by those
 * of the node at the address. Workers and waiters.
 */
#ifndef RPC_CONTACT_FIND_H
#define RPC_CONTACT_FIND_H

#include "p2p/contacts.h"
#include "rpc/command.h"

/* Fills in the key of a contact that has only addresses, when a record proves it for one. */
void rpc_contact_find(struct rpc_call *call, struct contact *c);
/* Connects to its first address on the Bitcoin port, once; records come by themselves then, and
 * one that fits gives the contact its key. */
void rpc_contact_ask_there(struct rpc_call *call, const struct contact *c);

#endif
