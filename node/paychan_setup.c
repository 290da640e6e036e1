#include "node/paychan_setup.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"

#define DIRECTORY "paychannels"

static uint64_t number(const struct config *c, const char *name)
{
    return (uint64_t)config_int(c, name);
}

static struct paychan_policy read_policy(const struct config *c)
{
    const uint64_t rate = number(c, "paychannelfee");
    return (struct paychan_policy){
        .capacity_min = number(c, "paychannelmin"),
        .capacity_max = number(c, "paychannelmax"),
        .close_margin = (uint16_t)number(c, "paychannelmargin"),
        .min_depth = (uint8_t)number(c, "paychanneldepth"),
        .unconfirmed_max = number(c, "paychannelunconfirmed"),
        .shallow_max = number(c, "paychannelshallow"),
        .unsettled_max = number(c, "paychannelunsettled"),
        .close_fee_min = (PAYCHAN_CLOSE_SIZE_MAX * rate + 999) / 1000,
    };
}

static char *export_file(const struct settings *s)
{
    const char *name = config_string(s->config, "paychannelexport");
    if (!name || !*name)
        return NULL;
    return *name == '/' ? xstrdup(name) : path_join(s->net_dir, name);
}

enum err paychan_setup(struct paychans **out, const struct settings *s, struct channels *c,
                       const struct rpc_env *env, struct feeds *feeds, struct relay *relay,
                       struct error *e)
{
    *out = NULL;
    if (!config_bool(s->config, "paychannels"))
        return OK;
    char *dir = path_join(s->net_dir, DIRECTORY);
    char *export_path = export_file(s);
    const char *const *nodes;
    const size_t n_nodes = config_list(s->config, "paychannelnode", &nodes);
    const struct paychans_config config = {
        .dir = dir,
        .gather_us = (unsigned)number(s->config, "paychannelgather"),
        .compact_bytes = number(s->config, "paychanneljournal") << 10,
        .policy = read_policy(s->config),
        .fee_per_kb = number(s->config, "paychannelfee"),
        .nodes = nodes,
        .n_nodes = n_nodes,
        .networks = (unsigned)number(s->config, "paychannelpeers"),
        .retry_s = (unsigned)number(s->config, "paychannelretry"),
        .child_blocks = (unsigned)number(s->config, "paychannelchild"),
        .live_max = (unsigned)number(s->config, "paychannelcount"),
        .opens_per_hour = (unsigned)number(s->config, "paychannelopens"),
        .strangers = config_bool(s->config, "paychannelstrangers"),
        .stranger_live = (unsigned)number(s->config, "paychannelstrangercount"),
        .stranger_opens = (unsigned)number(s->config, "paychannelstrangeropens"),
        .strangers_per_48 = (unsigned)number(s->config, "paychannelstrangersper48"),
        .pays_per_s = (unsigned)number(s->config, "paychannelrate"),
        .pay_wait_ms = number(s->config, "paychannelwait") * 1000,
        .export_path = export_path,
        .helper = config_string(s->config, "paychannelhelper"),
        .help_s = (unsigned)number(s->config, "paychannelhelperinterval"),
        .kept_max = (unsigned)number(s->config, "paychannelkept"),
    };
    const enum err rc = paychans_new(out, c, &config, env, feeds, relay, e);
    free(dir);
    free(export_path);
    return rc;
}
