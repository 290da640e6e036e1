/* Payment channels as the options describe them. */
#ifndef NODE_PAYCHAN_SETUP_H
#define NODE_PAYCHAN_SETUP_H

#include "node/paychans.h"
#include "node/settings.h"

/* Before the channels start. *out stays NULL with -paychannels=0. */
enum err paychan_setup(struct paychans **out, const struct settings *s, struct channels *c,
                       const struct rpc_env *env, struct feeds *feeds, struct relay *relay,
                       struct error *e) MUST_CHECK;

#endif
