#include <config.h>

#include "node/paytx_setup.h"

static unsigned number(const struct config *c, const char *name)
{
    return (unsigned)config_int(c, name);
}

enum err paytx_setup(struct paytx **out, const struct settings *s, struct channels *c,
                     const struct rpc_env *env, struct feeds *feeds, struct error *e)
{
    const struct paytx_limits limits = {
        .requests = number(s->config, "paymentrequests"),
        .requests_per_hour = number(s->config, "paymentrequestrate"),
        .failures_per_hour = number(s->config, "paymentfailures"),
    };
    *out = NULL;
    return config_bool(s->config, "paychannels")
               ? paytx_new(out, c, s->net_dir, &limits, env, feeds, e)
               : OK;
}
