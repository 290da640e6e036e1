/* Payments by a transaction as the options describe them. */
#ifndef NODE_PAYTX_SETUP_H
#define NODE_PAYTX_SETUP_H

#include "node/paytx.h"
#include "node/settings.h"

/* Before the channels start. *out stays NULL with -paychannels=0. */
enum err paytx_setup(struct paytx **out, const struct settings *s, struct channels *c,
                     const struct rpc_env *env, struct feeds *feeds, struct error *e) MUST_CHECK;

#endif
