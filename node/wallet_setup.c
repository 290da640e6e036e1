#include "node/wallet_setup.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#define DIRECTORY "wallets"

static struct wallet_params params_of(const struct settings *s)
{
    const struct chain_params *c = &s->params;
    struct wallet_params p = {
        .network = c->network == NETWORK_MAIN ? HDKEY_MAIN : HDKEY_TEST,
        .address_version = c->address_version,
        .secret_version = c->secret_version,
        .coin_type = (uint32_t)config_int(s->config, "walletcointype"),
        .gap_limit = (uint32_t)config_int(s->config, "walletgaplimit"),
        .now = clock_now,
        .mono_ms = clock_mono_ms,
    };
    memcpy(p.magic, c->disk_magic, sizeof p.magic); /* -magicbytes changes the other */
    return p;
}

static void loaded(struct wallet *w)
{
    log_info("wallet \"%s\" is loaded", wallet_name(w));
    wallet_unref(w);
}

static enum err load(struct wallets *all, const char *name, struct error *e)
{
    struct wallet *w = NULL;
    enum err rc = wallets_load(all, name, &w, e);
    if (rc == ERR_NOTFOUND) {
        rc = wallets_create(all, name, &(struct wallet_new){ .phrase = NULL }, &w, e);
        if (!rc)
            log_info("wallet \"%s\" has been made", name);
    }
    if (rc)
        return error_prefix(e, rc, "-wallet=%s", name);
    loaded(w);
    return OK;
}

static void is_default(void *ctx, const char *name)
{
    *(bool *)ctx |= strcmp(name, RPC_WALLET_DEFAULT) == 0;
}

/* Nobody asked for it by name, so that a node whose wallet cannot be opened runs all the same. */
static void load_default(struct wallets *all)
{
    struct error e = { .code = OK };
    struct wallet *w = NULL;
    bool there = false;
    enum err rc = wallets_each_on_disk(all, is_default, &there, &e);
    if (!rc && there)
        rc = wallets_load(all, RPC_WALLET_DEFAULT, &w, &e);
    if (rc)
        log_error("wallet \"%s\" is not loaded: %s", RPC_WALLET_DEFAULT, e.text);
    else if (there)
        loaded(w);
}

enum err wallet_setup(const struct settings *s, struct wallet_follow *f, struct wallets **out,
                      struct error *e)
{
    const struct wallet_params p = params_of(s);
    const char *const *names;
    const size_t n = config_list(s->config, "wallet", &names);
    char *dir = path_join(s->net_dir, DIRECTORY);
    *out = wallets_new(dir, &p, wallet_follow_wake, f);
    free(dir);
    enum err rc = OK;
    if (!n)
        load_default(*out);
    for (size_t i = 0; !rc && i < n; i++)
        rc = load(*out, names[i], e);
    return rc;
}

struct rpc_wallet_service wallet_setup_service(const struct settings *s, struct wallets *all,
                                               struct wallet_follow *f)
{
    return (struct rpc_wallet_service){
        .wallets = all,
        .fee_per_kb = config_amount(s->config, "paytxfee"),
        .dir = s->net_dir,
        .pruned = config_int(s->config, "prune") > 0,
        .settle = wallet_follow_settle,
        .let_go = wallet_follow_let_go,
        .trouble = wallet_follow_trouble,
        .progress = wallet_follow_progress,
        .resend = wallet_follow_resend,
        .memory = wallet_follow_memory,
        .ctx = f,
    };
}
