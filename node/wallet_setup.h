/* Wallets as the options describe them. Main thread. */
#ifndef NODE_WALLET_SETUP_H
#define NODE_WALLET_SETUP_H

#include "node/settings.h"
#include "node/wallet_follow.h"
#include "rpc/wallet_call.h"

/* Opens the directory of the wallets and loads those that are asked for; names that do not exist
 * are made. The caller frees *out, also after an error (it may be NULL then). */
enum err wallet_setup(const struct settings *s, struct wallet_follow *f, struct wallets **out,
                      struct error *e) MUST_CHECK;
struct rpc_wallet_service wallet_setup_service(const struct settings *s, struct wallets *all,
                                               struct wallet_follow *f);

#endif
