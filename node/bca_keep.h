/*
 * Keeps addresses of identities on the network interfaces they were assigned to (p2p/assigned.h):
 * puts them back after a restart and when an interface comes back, replaces them when they are old
 * (-bcarotate) or the prefix of the interface changes, and takes retired ones off. Which address
 * comes next is decided by the methods that people use. Once a minute it has the proofs kept whose
 * blocks may be pruned.
 *
 * A thread of its own, which waits for the kernel, the chain and wallets. The functions belong to
 * the main thread.
 */
#ifndef NODE_BCA_KEEP_H
#define NODE_BCA_KEEP_H

#include "node/settings.h"
#include "rpc/command.h"

struct bca_keep;

/* Reads the list, which *assigned is then for the methods. */
enum err bca_keep_open(struct bca_keep **out, const struct settings *s,
                       struct assigned **assigned, struct error *e) MUST_CHECK;
/* env is complete. */
enum err bca_keep_start(struct bca_keep *k, const struct rpc_env *env,
                        struct error *e) MUST_CHECK;
void bca_keep_cancel(struct bca_keep *k); /* it ends soon; NULL is fine, as for the others */
void bca_keep_stop(struct bca_keep *k);   /* ends the thread; before wallets and chain are closed */
void bca_keep_free(struct bca_keep *k);   /* after all methods have ended */

#endif
