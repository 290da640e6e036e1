#include <config.h>

#include "node/paytx_setup.h"

#include <stdlib.h>

#include "base/file.h"

#define DIRECTORY "payments"

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
        .messages_per_s = number(s->config, "paymentrate"),
    };
    *out = NULL;
    if (!config_bool(s->config, "paychannels"))
        return OK;
    char *dir = path_join(s->net_dir, DIRECTORY);
    const enum err rc = paytx_new(out, c, dir, &limits, env, feeds, e);
    free(dir);
    return rc;
}
