/* bcarotate: a new address of an identity in place of an older one (spec bca 10). */
#include "rpc/commands.h"

#include <string.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/identity_form.h"
#include "rpc/identity_link.h"

struct rotating {
    struct identity_forming g;
    const char *name;
    struct identity_address old;
    bool found;
    struct assigned_address at; /* where the old one is */
    bool in_use;                /* it is on an interface, not retired */
};

static void copy_address(struct identity_address *out, const struct identity_address *in)
{
    struct buf params = out->params;
    *out = *in;
    out->params = params;
    buf_reset(&out->params);
    buf_put(&out->params, in->params.data, in->params.len);
}

/* One that is in use on an interface goes before others, then the newest. */
static enum err see_address(void *ctx, const struct identity_address *a, struct error *e)
{
    struct rotating *r = ctx;
    struct assigned_address at;
    (void)e;
    if (strcmp(a->name, r->name) != 0)
        return OK;
    const bool in_use = rpc_link_find(r->g.call, r->g.w, a->address, &at) && !at.retired;
    if (r->found && (r->in_use != in_use ? r->in_use : a->modifier < r->old.modifier))
        return OK;
    copy_address(&r->old, a);
    r->found = true;
    r->in_use = in_use;
    if (in_use)
        r->at = at;
    return OK;
}

/* The wallet is locked by the caller. */
static enum err load_old(struct rotating *r, const uint8_t *address, struct error *e)
{
    struct keystore *ks = wallet_keystore(r->g.w);
    if (!address)
        return identity_each_address(ks, see_address, r, e);
    const enum err rc = identity_load_address(ks, address, &r->old, &r->found, e);
    r->found = r->found && strcmp(r->old.name, r->name) == 0;
    r->in_use = r->found && rpc_link_find(r->g.call, r->g.w, address, &r->at) && !r->at.retired;
    return rc;
}

/* False: call has failed. */
static bool take_old(struct rotating *r)
{
    struct rpc_call *call = r->g.call;
    struct error e = { .code = OK };
    uint8_t address[BCA_ADDRESS_SIZE];
    const bool given = rpc_has(call, 1);
    if (given && !rpc_identity_address(call, 1, address))
        return false;
    wallet_lock(r->g.w);
    const enum err rc = load_old(r, given ? address : NULL, &e);
    wallet_unlock(r->g.w);
    if (rc)
        rpc_wallet_fail(call, &e);
    else if (!r->found && given)
        rpc_fail(call, RPC_NOT_FOUND, "this wallet has not formed this address of %s", r->name);
    else if (!r->found)
        rpc_fail(call, RPC_WALLET_ERROR, "%s has no address yet: bcanew forms one", r->name);
    return !rc && r->found;
}

/* Of the interface, in case it has changed; else that of the old address. No modifier is spent on
 * an address that could not be put there. */
static bool take_prefix(struct rotating *r)
{
    if (r->in_use)
        return rpc_link_possible(r->g.call, r->at.interface) &&
               rpc_link_prefix(r->g.call, r->g.view.network, r->at.interface, r->old.address,
                               r->g.prefix);
    memcpy(r->g.prefix, r->old.address, sizeof r->g.prefix);
    return true;
}

/* What an earlier call has formed and could not put there, when it would be good there now: each
 * call that fails would cost a modifier else. */
static bool take_spare(struct rotating *r)
{
    struct identity_forming *g = &r->g;
    struct assigned_address there;
    bool found = false;
    if (!r->in_use || !mem_equal_var(r->at.spare, g->prefix, sizeof g->prefix) ||
        assigned_find(g->call->env->assigned, r->at.spare, &there)) /* by bcaassign */
        return false;
    wallet_lock(g->w);
    const enum err rc = identity_load_address(wallet_keystore(g->w), r->at.spare, &g->made, &found,
                                              NULL);
    wallet_unlock(g->w);
    return !rc && found && strcmp(g->made.name, r->name) == 0 &&
           rpc_identity_address_state(g->call, &g->made) == ADDRESS_READY;
}

/* For the next call. Only lost, not wrong, when it fails. */
static void keep_spare(struct rotating *r)
{
    struct error e = { .code = OK };
    memcpy(r->at.spare, r->g.made.address, sizeof r->at.spare);
    if (assigned_put(r->g.call->env->assigned, NULL, &r->at, &e))
        log_warn("addresses on interfaces: %s", e.text);
}

static bool assign(struct rotating *r)
{
    struct identity_forming *g = &r->g;
    const bool done = rpc_link_assign(g->call, g->w, r->at.interface, &g->made, &r->at);
    if (!done)
        keep_spare(r);
    return done;
}

/* Each step takes nothing from the one before when it fails, but for a modifier the first time. */
static bool rotate(struct rotating *r)
{
    struct identity_forming *g = &r->g;
    return rpc_identity_ready(g, r->name) && take_old(r) && take_prefix(r) &&
           (take_spare(r) || rpc_identity_form(g)) && (!r->in_use || assign(r));
}

static struct rpc_result put_rotated(struct rotating *r)
{
    const struct identity_address *made = &r->g.made;
    struct json_writer *w = r->g.call->out;
    jw_object_open(w);
    jw_put_identity_address(w, made->address);
    jw_put_u64(w, "sec", bca_address_sec(made->address));
    if (!rpc_link_put_collisions(r->g.call, made))
        return rpc_failed(r->g.call);
    jw_put_u64(w, "unused", identity_unused(&r->g.id));
    jw_put_hex(w, "params", made->params.data, made->params.len);
    if (r->in_use)
        jw_put_text(w, "interface", r->at.interface);
    jw_put_identity_address_as(w, "replaced", r->old.address);
    jw_object_close(w);
    return rpc_done();
}

static struct rpc_result cmd_bcarotate(struct rpc_call *call)
{
    struct rotating r = { .found = false };
    rpc_identity_forming_init(&r.g, call);
    r.name = rpc_identity_name(call, 0);
    if (!r.name || !rpc_link_ready(call))
        return rpc_failed(call);
    r.g.w = rpc_wallet(call);
    if (!r.g.w)
        return rpc_failed(call);
    identity_address_init(&r.old);
    assigned_begin(call->env->assigned);
    const bool done = rotate(&r);
    assigned_end(call->env->assigned);
    const struct rpc_result result = done ? put_rotated(&r) : rpc_failed(call);
    identity_address_clear(&r.old);
    rpc_identity_forming_clear(&r.g);
    return result;
}

static const struct rpc_command rows[] = {
    { .name = "bcarotate",
      .category = "identity",
      .where = RPC_ON_WAITER,
      .fn = cmd_bcarotate,
      .help = "Forms an address of an identity with the next modifier, in the prefix of one it "
              "has. When that one is on an interface the new one is put there, with duplicate "
              "address detection as by bcaassign and in the prefix that the interface has now; the "
              "old one takes no new connections and goes when those it has have ended, after 2 "
              "days at the latest. What could not be put there is tried again by the next call, as "
              "long as the prefix is the same and the node runs. See -bcarotate for doing so by "
              "the clock.",
      .result = "{address, sec, collision_count, unused, params, interface (when on one), "
                "replaced}",
      .example = "alice",
      .params = { { "name", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Of the identity" },
                  { "address", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "The one that is replaced (default: the newest that is on an interface, else "
                    "the newest)" } } },
};
const struct rpc_group rpc_bca_rotate_commands = { rows, COUNT_OF(rows) };
