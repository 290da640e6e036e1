/*
 * Identities of a wallet: registrations and their addresses (spec bca 4, 6). What a registration is
 * worth is asked of the chain at each call, so that a reorganisation needs no telling: its
 * addresses are void as long as their block is not active, and are formed again on the next one
 * that holds the transaction.
 */
#include "rpc/commands.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/merkle_branch.h"
#include "chain/chain.h"
#include "rpc/bca_view.h"
#include "rpc/json_read.h"
#include "rpc/tx_proof.h"
#include "rpc/wallet_pay.h"
#include "wallet/identity.h"

#define MARKER_VALUE 1

/* --- where a registration stands ------------------------------------------------------------ */

enum standing_state { STANDS_UNSENT, STANDS_PENDING, STANDS_CONFIRMING, STANDS_READY, STANDS_LOST };

static const char *const state_names[] = { "unsent", "pending", "confirming", "ready", "lost" };

struct standing {
    enum standing_state state;
    struct header_node *node; /* of its block on the active chain, or NULL */
    uint64_t confirmations;
};

static bool registers(const struct identity *id, const struct tx *tx)
{
    for (size_t i = 0; i < tx->n_out; i++)
        if (tx->out[i].script.len == sizeof id->registration &&
            mem_equal_var(tx->out[i].script.data, id->registration, sizeof id->registration))
            return true;
    return false;
}

static bool see_tx(void *ctx, const struct history_tx *t)
{
    struct identity *id = ctx;
    if (t->abandoned || !registers(id, t->tx))
        return true;
    id->sent = true;
    id->txid = t->tx->id;
    return false;
}

/* A crash may have come between the transaction and its name in the store. */
static enum err find_sent(struct wallet *w, struct identity *id, struct error *e)
{
    return id->sent ? OK : history_list(wallet_history(w), 0, see_tx, id, e);
}

/* What the wallet says of a transaction. */
struct told {
    bool lost;
    bool mined;
    struct block_hash block;
};

static bool take_told(void *ctx, const struct history_tx *t)
{
    *(struct told *)ctx = (struct told){ .lost = t->abandoned || t->confirmations < 0,
                                         .mined = t->height != HISTORY_NO_HEIGHT,
                                         .block = t->block };
    return true;
}

static void stand_on(struct rpc_call *call, const struct block_hash *block, struct standing *s)
{
    struct bca_view view;
    struct chain *c = call->env->chain;
    bca_view_init(&view, call);
    bca_view_find(&view, NULL, block, &s->confirmations);
    if (!s->confirmations)
        return;
    s->node = header_index_find(chain_headers(c), block);
    s->state = s->confirmations < view.rules->min_conf ? STANDS_CONFIRMING : STANDS_READY;
}

/* The wallet is locked by the caller. */
static enum err find_standing(struct rpc_call *call, struct wallet *w, struct identity *id,
                              struct standing *s, struct error *e)
{
    struct told told = { .mined = false };
    bool found = false;
    *s = (struct standing){ .state = STANDS_UNSENT };
    enum err rc = find_sent(w, id, e);
    if (rc || !id->sent)
        return rc;
    s->state = STANDS_PENDING;
    rc = history_get_tx(wallet_history(w), &id->txid, take_told, &told, &found, e);
    if (rc || !found)
        return rc;
    if (told.lost)
        s->state = STANDS_LOST;
    else if (told.mined)
        stand_on(call, &told.block, s);
    return OK;
}

/* --- parameters ----------------------------------------------------------------------------- */

/* NULL: call has failed. */
static const char *take_name(struct rpc_call *call)
{
    const char *name = rpc_text(call, 0, "");
    if (identity_name_allowed(name))
        return name;
    rpc_fail(call, RPC_INVALID_PARAMETER,
             "a name has 1 to %d letters, digits, or characters of -_. (not '%.100s')",
             IDENTITY_NAME_MAX, name);
    return NULL;
}

/* "2001:db8:0:1::/64" or without its end. False: call has failed. */
static bool take_prefix(struct rpc_call *call, enum bca_network network,
                        uint8_t prefix[BCA_PREFIX_SIZE])
{
    static const uint8_t zeros[8];
    const char *text = rpc_text(call, 1, ""), *slash = strchr(text, '/');
    char address[INET6_ADDRSTRLEN];
    uint8_t all[16];
    const size_t len = slash ? (size_t)(slash - text) : strlen(text);
    bool good = len < sizeof address && (!slash || strcmp(slash, "/64") == 0);
    if (good) {
        memcpy(address, text, len);
        address[len] = 0;
        good = inet_pton(AF_INET6, address, all) == 1 &&
               mem_equal_var(all + BCA_PREFIX_SIZE, zeros, sizeof zeros);
    }
    if (!good) {
        rpc_fail(call, RPC_INVALID_PARAMETER,
                 "prefix must be the first half of an IPv6 address, as 2001:db8:0:1::/64 "
                 "(not '%.100s')", text);
        return false;
    }
    memcpy(prefix, all, BCA_PREFIX_SIZE);
    const bool global = (prefix[0] & 0xe0) == 0x20 || network != BCA_NET_MAIN;
    if (!global || !bca_prefix_allowed(prefix))
        rpc_fail(call, RPC_INVALID_PARAMETER, "no address is formed in the prefix %.100s", text);
    return global && bca_prefix_allowed(prefix);
}

/* False: call has failed. */
static bool take_address(struct rpc_call *call, uint8_t address[BCA_ADDRESS_SIZE])
{
    const char *text = rpc_text(call, 0, "");
    if (inet_pton(AF_INET6, text, address) == 1)
        return true;
    rpc_fail(call, RPC_NOT_FOUND, "Invalid IPv6 address: %.100s", text);
    return false;
}

static void put_address(struct json_writer *w, const uint8_t address[BCA_ADDRESS_SIZE])
{
    char text[INET6_ADDRSTRLEN];
    jw_put_text(w, "address", inet_ntop(AF_INET6, address, text, sizeof text));
}

/* --- bcaregister ---------------------------------------------------------------------------- */

struct registering {
    struct rpc_call *call;
    struct wallet *w;
    struct identity id;
    struct identity_secrets *secrets;
    bool known; /* by an earlier try */
    struct standing standing;
    struct wallet_send send;
    struct tx *tx;
};

static enum err make_identity(struct registering *g, struct error *e)
{
    enum err rc = keystore_state(wallet_keystore(g->w), NULL) == KEYSTORE_LOCKED
                      ? error_set(e, ERR_AUTH, "the wallet is locked")
                      : OK;
    if (!rc && !g->known)
        rc = identity_take_number(g->w, &g->id.number, e);
    if (!rc)
        rc = identity_secrets_get(g->w, g->id.number, g->secrets, e);
    if (rc)
        return rc;
    identity_make(&g->id, g->secrets);
    g->id.sent = g->id.mined = false;
    return identity_store(wallet_identities(g->w), &g->id, e);
}

/* A name of which nothing went out is free again. After a failed write one cannot know that: it
 * stays, and the next try finds out (find_sent). */
static void forget(struct registering *g, enum err why)
{
    struct error e = { .code = OK };
    const bool nothing_made = why == ERR_RANGE || why == ERR_NOTFOUND || why == ERR_AUTH;
    if (!g->known && nothing_made && identity_remove(wallet_identities(g->w), g->id.name, &e))
        log_warn("wallet \"%s\": %s", wallet_name(g->w), e.text);
}

static enum err send_registration(struct registering *g, struct error *e)
{
    const struct wallet_recipient to[] = {
        { .script = span_of(g->id.registration, sizeof g->id.registration) },
        { .script = span_of(g->id.marker, sizeof g->id.marker), .value = MARKER_VALUE },
    };
    int64_t fee;
    g->send.to = to;
    g->send.n = COUNT_OF(to);
    g->send.change_last = true; /* the marker is the output after the registration */
    g->send.max_size = IDENTITY_TX_MAX;
    enum err rc = wallet_send(g->w, &g->send, &g->tx, &fee, e);
    if (rc) {
        forget(g, rc);
        return rc;
    }
    g->id.sent = true;
    g->id.txid = g->tx->id;
    return identity_store(wallet_identities(g->w), &g->id, e);
}

/* Until the transaction is stored. The wallet is locked by the caller; false: call has failed. */
static bool register_identity(struct registering *g)
{
    struct error e = { .code = OK };
    enum err rc = identity_load(wallet_identities(g->w), g->id.name, &g->id, &g->known, &e);
    if (!rc && g->known)
        rc = find_standing(g->call, g->w, &g->id, &g->standing, &e);
    if (!rc && g->known && g->standing.state != STANDS_UNSENT &&
        g->standing.state != STANDS_LOST) {
        rpc_fail(g->call, RPC_INVALID_PARAMETER, "there is an identity %s already", g->id.name);
        return false;
    }
    if (!rc)
        rc = make_identity(g, &e);
    if (rc) {
        rpc_wallet_fail(g->call, &e);
        return false;
    }
    if (!send_registration(g, &e))
        return true;
    rpc_wallet_fail_send(g->call, &e);
    return false;
}

/* False: call has failed. */
static bool take_registration(struct registering *g)
{
    struct rpc_call *call = g->call;
    const int64_t n = rpc_int(call, 1, BCA_MODIFIERS_MAX);
    g->send = rpc_wallet_send(call);
    if (n < 1 || n > BCA_MODIFIERS_MAX || !bca_modifier_count_allowed((size_t)n))
        rpc_fail(call, RPC_INVALID_PARAMETER, "modifiers must be 1, 2, 4, 8, 16 or 32");
    else if (rpc_has(call, 2) && (!json_get_amount(call->argv[2], &g->send.fee_per_kb) ||
                                  g->send.fee_per_kb < 0))
        rpc_fail(call, RPC_TYPE_ERROR, "Invalid amount for fee_rate");
    else
        g->id.n_modifiers = (uint8_t)n;
    return g->id.n_modifiers != 0;
}

static struct rpc_result register_and_submit(struct registering *g)
{
    struct json_writer *w = g->call->out;
    wallet_lock(g->w);
    const bool made = register_identity(g);
    wallet_unlock(g->w);
    if (!made || !rpc_wallet_submit(g->call, g->w, g->tx))
        return rpc_failed(g->call);
    jw_object_open(w);
    jw_put_hash(w, "txid", g->tx->id.b);
    jw_put_text(w, "state", state_names[STANDS_PENDING]);
    jw_object_close(w);
    return rpc_done();
}

static struct rpc_result cmd_bcaregister(struct rpc_call *call)
{
    struct registering g = { .call = call };
    const char *name = take_name(call);
    if (!name)
        return rpc_failed(call);
    g.w = rpc_wallet(call);
    if (!g.w)
        return rpc_failed(call);
    memcpy(g.id.name, name, strlen(name) + 1);
    struct identity_secrets secrets;
    g.secrets = &secrets;
    const struct rpc_result result =
        take_registration(&g) ? register_and_submit(&g) : rpc_failed(call);
    secure_wipe(&secrets, sizeof secrets);
    tx_unref(g.tx);
    identity_clear(&g.id);
    wallet_unref(g.w);
    return result;
}

/* --- bcanew --------------------------------------------------------------------------------- */

struct forming {
    struct rpc_call *call;
    struct wallet *w;
    struct bca_view view;
    struct identity id;
    struct standing standing;
    struct identity_form form;
    struct identity_address made;
};

/* False: call has failed. */
static bool load_ready(struct forming *g, const char *name)
{
    struct error e = { .code = OK };
    bool found = false;
    wallet_lock(g->w);
    enum err rc = identity_load(wallet_identities(g->w), name, &g->id, &found, &e);
    if (!rc && found)
        rc = find_standing(g->call, g->w, &g->id, &g->standing, &e);
    wallet_unlock(g->w);
    if (rc)
        rpc_wallet_fail(g->call, &e);
    else if (!found)
        rpc_fail(g->call, RPC_NOT_FOUND, "there is no identity %s in this wallet", name);
    else if (g->standing.state != STANDS_READY)
        rpc_fail(g->call, RPC_WALLET_ERROR,
                 "the registration of %s is %s: it has %u confirmations and needs %u", name,
                 state_names[g->standing.state], (unsigned)g->standing.confirmations,
                 g->view.rules->min_conf);
    else
        return true;
    return false;
}

static enum err keep_tx(void *ctx, const struct tx *tx, struct error *e)
{
    struct buf *raw = ctx;
    if (tx->raw.len > IDENTITY_TX_MAX)
        return error_set(e, ERR_CORRUPT, "the registration has %zu bytes", tx->raw.len);
    buf_reset(raw);
    buf_put(raw, tx->raw.data, tx->raw.len);
    return OK;
}

/* Transaction, header and way to the root as the block has them. False: call has failed. */
static bool take_proof(struct forming *g)
{
    struct error e = { .code = OK };
    struct merkle_branch branch;
    struct block_header h;
    struct identity *id = &g->id;
    const struct header_node *node = g->standing.node;
    bool found = false;
    enum err rc = tx_proof_branch(g->call, node, &id->txid, keep_tx, &id->tx, &branch, &found, &e);
    if (!rc && (!found || branch.n > BCA_TX_DEPTH_MAX))
        rc = error_set(&e, ERR_NOTFOUND, "the registration is not in its block");
    if (rc) {
        rpc_fail_error(g->call, &e);
        return false;
    }
    header_of_node(&h, node);
    block_header_put(id->header, &h);
    id->tx_index = (uint32_t)branch.index;
    id->tx_depth = (uint8_t)branch.n;
    bca_tx_siblings(&branch, id->txid.b, id->tx_siblings);
    id->mined = true;
    return true;
}

static bool has_proof(const struct forming *g)
{
    struct bca_work work;
    bca_work_read(g->id.header, &work);
    return g->id.mined && block_hash_equal(&work.hash, &g->standing.node->hash);
}

/* Another call may have used modifiers since the identity was loaded: what is on disk counts. */
static enum err form_locked(struct forming *g, struct error *e)
{
    struct identity now;
    struct identity_secrets secrets;
    bool found;
    identity_init(&now);
    enum err rc = identity_load(wallet_identities(g->w), g->id.name, &now, &found, e);
    if (!rc && (!found || (now.sent && !txid_equal(&now.txid, &g->id.txid))))
        rc = error_set(e, ERR_BUSY, "the identity was changed meanwhile");
    identity_clear(&now);
    if (!rc) {
        g->id.n_used = now.n_used;
        rc = identity_secrets_get(g->w, g->id.number, &secrets, e);
    }
    if (!rc)
        rc = identity_new_address(wallet_identities(g->w), &g->id, &secrets, &g->form, &g->made,
                                  e);
    secure_wipe(&secrets, sizeof secrets);
    return rc;
}

static struct rpc_result form(struct forming *g)
{
    struct error e = { .code = OK };
    struct json_writer *w = g->call->out;
    wallet_lock(g->w);
    const enum err rc = form_locked(g, &e);
    wallet_unlock(g->w);
    if (rc == ERR_NOTFOUND)
        return rpc_fail(g->call, RPC_WALLET_ERROR, "%s", e.text);
    if (rc)
        return rpc_wallet_fail(g->call, &e);
    jw_object_open(w);
    put_address(w, g->made.address);
    jw_put_u64(w, "sec", bca_address_sec(g->made.address));
    jw_put_i64(w, "unused", g->id.n_modifiers - g->id.n_used);
    jw_put_hex(w, "params", g->made.params.data, g->made.params.len);
    jw_object_close(w);
    return rpc_done();
}

/* False: call has failed. */
static bool take_sec(struct rpc_call *call, int *sec)
{
    const int64_t given = rpc_int(call, 2, -1);
    *sec = (int)given;
    if (!rpc_has(call, 2) || (given >= 0 && given <= BCA_SEC_MAX))
        return true;
    rpc_fail(call, RPC_INVALID_PARAMETER, "sec must be 0 to %d", BCA_SEC_MAX);
    return false;
}

static struct rpc_result cmd_bcanew(struct rpc_call *call)
{
    struct forming g = { .call = call };
    uint8_t prefix[BCA_PREFIX_SIZE];
    const char *name = take_name(call);
    bca_view_init(&g.view, call);
    g.form = (struct identity_form){ .network = g.view.network, .prefix = prefix };
    if (!name || !take_prefix(call, g.view.network, prefix) || !take_sec(call, &g.form.sec))
        return rpc_failed(call);
    g.w = rpc_wallet(call);
    if (!g.w)
        return rpc_failed(call);
    const bool ready = load_ready(&g, name) && (has_proof(&g) || take_proof(&g));
    const struct rpc_result result = ready ? form(&g) : rpc_failed(call);
    identity_address_clear(&g.made);
    identity_clear(&g.id);
    wallet_unref(g.w);
    return result;
}

/* --- bcaparams, bcalist --------------------------------------------------------------------- */

static const char *address_state(struct rpc_call *call, const struct identity_address *a)
{
    struct standing s = { .state = STANDS_PENDING };
    struct bca_work work;
    bca_work_read(a->header, &work);
    stand_on(call, &work.hash, &s);
    return s.state == STANDS_READY ? "ready" : s.node ? "confirming" : "void";
}

static struct rpc_result put_params(struct rpc_call *call, const struct identity_address *a,
                                    bool found)
{
    if (!found)
        return rpc_fail(call, RPC_NOT_FOUND, "this wallet has not formed this address");
    if (strcmp(address_state(call, a), "void") == 0)
        return rpc_fail(call, RPC_WALLET_ERROR, "the address is void: its block is not on the "
                        "active chain; form another one with bcanew");
    jw_hex(call->out, a->params.data, a->params.len);
    return rpc_done();
}

static struct rpc_result cmd_bcaparams(struct rpc_call *call)
{
    struct error e = { .code = OK };
    struct identity_address a;
    uint8_t address[BCA_ADDRESS_SIZE];
    bool found = false;
    if (!take_address(call, address))
        return rpc_failed(call);
    struct wallet *w = rpc_wallet(call);
    if (!w)
        return rpc_failed(call);
    identity_address_init(&a);
    wallet_lock(w);
    const enum err rc = identity_load_address(wallet_identities(w), address, &a, &found, &e);
    wallet_unlock(w);
    const struct rpc_result result = rc ? rpc_wallet_fail(call, &e) : put_params(call, &a, found);
    identity_address_clear(&a);
    wallet_unref(w);
    return result;
}

struct listing {
    struct rpc_call *call;
    struct wallet *w;
};

static enum err put_identity(void *ctx, const struct identity *id, struct error *e)
{
    struct listing *g = ctx;
    struct json_writer *w = g->call->out;
    struct standing s;
    struct identity now = *id; /* the transaction stays the caller's */
    enum err rc = find_standing(g->call, g->w, &now, &s, e);
    if (rc)
        return rc;
    jw_object_open(w);
    jw_put_text(w, "name", id->name);
    jw_put_text(w, "state", state_names[s.state]);
    jw_put_u64(w, "confirmations", s.confirmations);
    if (now.sent)
        jw_put_hash(w, "txid", now.txid.b);
    jw_put_hex(w, "public_key", id->public_key, sizeof id->public_key);
    jw_put_u64(w, "modifiers", id->n_modifiers);
    jw_put_i64(w, "unused", id->n_modifiers - id->n_used);
    jw_object_close(w);
    return OK;
}

static enum err put_formed(void *ctx, const struct identity_address *a, struct error *e)
{
    (void)e;
    struct listing *g = ctx;
    struct json_writer *w = g->call->out;
    jw_object_open(w);
    put_address(w, a->address);
    jw_put_text(w, "name", a->name);
    jw_put_text(w, "state", address_state(g->call, a));
    jw_put_u64(w, "modifier_index", a->modifier);
    jw_object_close(w);
    return OK;
}

static enum err put_list(struct listing *g, struct error *e)
{
    struct json_writer *w = g->call->out;
    jw_object_open(w);
    jw_key(w, "identities");
    jw_array_open(w);
    enum err rc = identity_each(wallet_identities(g->w), put_identity, g, e);
    jw_array_close(w);
    jw_key(w, "addresses");
    jw_array_open(w);
    if (!rc)
        rc = identity_each_address(wallet_identities(g->w), put_formed, g, e);
    jw_array_close(w);
    jw_object_close(w);
    return rc;
}

static struct rpc_result cmd_bcalist(struct rpc_call *call)
{
    struct error e = { .code = OK };
    struct listing g = { call, rpc_wallet(call) };
    struct rpc_held held;
    if (!g.w)
        return rpc_failed(call);
    rpc_hold(call, &held);
    wallet_lock(g.w);
    enum err rc = put_list(&g, &e);
    wallet_unlock(g.w);
    rc = rpc_release(call, &held, rc, &e);
    wallet_unref(g.w);
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

static const struct rpc_command rows[] = {
    { .name = "bcaregister",
      .category = "identity",
      .where = RPC_ON_WORKER,
      .fn = cmd_bcaregister,
      .help = "Registers an identity: a key of its own and modifiers for as many addresses, in a "
              "transaction of at most 800 bytes whose marker output revokes it when it is spent. "
              "A registration that was refused or lost is made anew under the same name.",
      .result = "{txid, state}",
      .example = "alice",
      .params = { { "name", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Its name in this wallet" },
                  { "modifiers", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "1, 2, 4, 8, 16 or 32 (the default)" },
                  { "fee_rate", RPC_AMOUNT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "BSV for 1000 bytes, in place of the usual fee" } } },
    { .name = "bcalist",
      .category = "identity",
      .where = RPC_ON_WORKER,
      .fn = cmd_bcalist,
      .help = "The identities of the wallet and the addresses it has formed. An address is void "
              "when its block is no longer on the active chain.",
      .result = "{identities:[{name, state:\"unsent\", \"pending\", \"confirming\", \"ready\" or "
                "\"lost\", confirmations, txid (when sent), public_key, modifiers, unused}...], "
                "addresses:[{address, name, state:\"ready\", \"confirming\" or \"void\", "
                "modifier_index}...]}",
      .example = "" },
    { .name = "bcanew",
      .category = "identity",
      .where = RPC_ON_WORKER,
      .fn = cmd_bcanew,
      .help = "Forms an address of an identity whose registration is deep enough, with the next "
              "modifier, which no other address gets. It is stored before it is shown.",
      .result = "{address, sec, unused, params}",
      .example = "alice 2001:db8:0:1::/64",
      .params = { { "name", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Of the identity" },
                  { "prefix", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The /64 it is formed in" },
                  { "sec", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "0 to 7 (default: as the difficulty of the block allows)" } } },
    { .name = "bcaparams",
      .category = "identity",
      .where = RPC_ON_WORKER,
      .fn = cmd_bcaparams,
      .help = "The parameters that go with an address of this wallet, unless it is void.",
      .result = "\"hex\"",
      .example = "2001:db8:0:1:463:14a9:f8f8:78",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The IPv6 address" } } },
};
const struct rpc_group rpc_bca_identity_commands = { rows, COUNT_OF(rows) };
