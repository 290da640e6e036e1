#include "rpc/identity_call.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/mem.h"
#include "chain/bca_view.h"
#include "chain/chain.h"

/* --- parameters ----------------------------------------------------------------------------- */

const char *rpc_identity_name(struct rpc_call *call, size_t i)
{
    const char *name = rpc_text(call, i, "");
    if (identity_name_allowed(name))
        return name;
    rpc_fail(call, RPC_INVALID_PARAMETER,
             "a name has 1 to %d letters, digits, or characters of -_. (not '%.100s')",
             IDENTITY_NAME_MAX, name);
    return NULL;
}

static bool read_prefix(const char *text, uint8_t prefix[BCA_PREFIX_SIZE])
{
    static const uint8_t zeros[8];
    const char *slash = strchr(text, '/');
    char address[INET6_ADDRSTRLEN];
    uint8_t all[16];
    const size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof address || (slash && strcmp(slash, "/64") != 0))
        return false;
    memcpy(address, text, len);
    address[len] = 0;
    if (inet_pton(AF_INET6, address, all) != 1 ||
        !mem_equal_var(all + BCA_PREFIX_SIZE, zeros, sizeof zeros))
        return false;
    memcpy(prefix, all, BCA_PREFIX_SIZE);
    return true;
}

bool rpc_identity_prefix(struct rpc_call *call, size_t i, enum bca_network network,
                         uint8_t prefix[BCA_PREFIX_SIZE])
{
    const char *text = rpc_text(call, i, "");
    if (!read_prefix(text, prefix)) {
        rpc_fail(call, RPC_INVALID_PARAMETER,
                 "prefix must be the first half of an IPv6 address, as 2001:db8:0:1::/64 "
                 "(not '%.100s')", text);
        return false;
    }
    const bool global = (prefix[0] & 0xe0) == 0x20 || network != BCA_NET_MAIN;
    if (!global || !bca_prefix_allowed(prefix))
        rpc_fail(call, RPC_INVALID_PARAMETER, "no address is formed in the prefix %.100s", text);
    return global && bca_prefix_allowed(prefix);
}

bool rpc_identity_address(struct rpc_call *call, size_t i, uint8_t address[BCA_ADDRESS_SIZE])
{
    const char *text = rpc_text(call, i, "");
    if (inet_pton(AF_INET6, text, address) == 1)
        return true;
    rpc_fail(call, RPC_NOT_FOUND, "Invalid IPv6 address: %.100s", text);
    return false;
}

void jw_put_identity_address_as(struct json_writer *w, const char *key,
                                const uint8_t address[BCA_ADDRESS_SIZE])
{
    char text[INET6_ADDRSTRLEN];
    jw_put_text(w, key, inet_ntop(AF_INET6, address, text, sizeof text));
}

void jw_put_identity_address(struct json_writer *w, const uint8_t address[BCA_ADDRESS_SIZE])
{
    jw_put_identity_address_as(w, "address", address);
}

/* --- where a registration stands ------------------------------------------------------------ */

const char *rpc_identity_state_name(enum standing_state state)
{
    static const char *const names[] = { "unsent", "pending", "confirming", "ready", "lost",
                                         "restored", "moving", "moved" };
    return names[state];
}

static bool has_script(const struct tx_out *out, const uint8_t *script, size_t len)
{
    return out->script.len == len && mem_equal_var(out->script.data, script, len);
}

/* With the marker that is ours: anybody may copy the registration and pay us something beside
 * it. */
static bool registers(const struct identity *id, const struct tx *tx)
{
    uint32_t marker;
    return bca_marker_find(tx, &marker) &&
           has_script(&tx->out[marker - 1], id->registration, sizeof id->registration) &&
           has_script(&tx->out[marker], id->marker, sizeof id->marker);
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

static bool is_lost(const struct history_tx *t)
{
    return t->abandoned || t->confirmations < 0;
}

/* What the wallet says of a transaction. */
struct told {
    bool lost;
    bool mined;
    struct block_hash block;
};

static bool take_told(void *ctx, const struct history_tx *t)
{
    *(struct told *)ctx = (struct told){ .lost = is_lost(t),
                                         .mined = t->height != HISTORY_NO_HEIGHT,
                                         .block = t->block };
    return true;
}

static void stand_on(struct rpc_call *call, const struct block_hash *block, struct standing *s)
{
    struct bca_view view;
    struct chain *c = call->env->chain;
    bca_view_init(&view, call->env->chain);
    bca_view_find(&view, NULL, block, &s->confirmations);
    if (!s->confirmations)
        return;
    s->node = header_index_find(chain_headers(c), block);
    s->state = s->confirmations < view.rules->min_conf ? STANDS_CONFIRMING : STANDS_READY;
}

/* Its transaction is not in the wallet: it came with the identity. */
static struct told as_stored(const struct identity *id)
{
    struct bca_work work;
    bca_work_read(id->header, &work);
    return (struct told){ .mined = id->mined, .block = work.hash };
}

static enum err ask_wallet(struct wallet *w, const struct identity *id, struct told *told,
                           struct error *e)
{
    bool found = false;
    const enum err rc = history_get_tx(wallet_history(w), &id->txid, take_told, told, &found, e);
    if (!rc && !found)
        *told = as_stored(id);
    return rc;
}

static bool see_living(void *ctx, const struct history_tx *t)
{
    struct identity *id = ctx;
    if (is_lost(t) || !registers(id, t->tx))
        return true;
    id->txid = t->tx->id;
    id->mined = false; /* the proof that is stored is of the other one */
    return false;
}

/* One that is lost may have been made anew, and the earlier one be mined after all. */
static enum err ask_for_living(struct wallet *w, struct identity *id, struct told *told,
                               struct error *e)
{
    enum err rc = ask_wallet(w, id, told, e);
    if (rc || !told->lost)
        return rc;
    rc = history_list(wallet_history(w), 0, see_living, id, e);
    return rc ? rc : ask_wallet(w, id, told, e);
}

/* Of an identity that was sent. */
static enum standing_state by_use(enum identity_use use, enum standing_state state)
{
    switch (use) {
    case IDENTITY_RESTORED:
    case IDENTITY_RECOVERED:
        return state == STANDS_LOST ? STANDS_LOST : STANDS_RESTORED;
    case IDENTITY_MOVING:
        return STANDS_MOVING;
    case IDENTITY_MOVED:
        return STANDS_MOVED;
    case IDENTITY_OPEN:
    case IDENTITY_USES:
        break;
    }
    return state;
}

enum err rpc_identity_standing(struct rpc_call *call, struct wallet *w, struct identity *id,
                               struct standing *s, struct error *e)
{
    struct told told = { .mined = false };
    *s = (struct standing){ .state = STANDS_UNSENT };
    enum err rc = find_sent(w, id, e);
    if (rc || !id->sent)
        return rc;
    s->state = STANDS_PENDING;
    rc = ask_for_living(w, id, &told, e);
    if (!rc && told.mined)
        stand_on(call, &told.block, s);
    s->state = by_use(id->use, told.lost ? STANDS_LOST : s->state);
    return rc;
}

bool rpc_identity_load(struct rpc_call *call, struct wallet *w, const char *name,
                       struct identity *id, struct standing *s)
{
    struct error e = { .code = OK };
    bool found = false;
    wallet_lock(w);
    enum err rc = identity_load(wallet_keystore(w), name, id, &found, &e);
    if (!rc && found)
        rc = rpc_identity_standing(call, w, id, s, &e);
    wallet_unlock(w);
    if (rc)
        rpc_wallet_fail(call, &e);
    else if (!found)
        rpc_fail(call, RPC_NOT_FOUND, "there is no identity %s in this wallet", name);
    return !rc && found;
}

enum address_state rpc_identity_address_state(struct rpc_call *call,
                                              const struct identity_address *a)
{
    struct standing s = { .state = STANDS_PENDING };
    struct bca_work work;
    bca_work_read(a->header, &work);
    stand_on(call, &work.hash, &s);
    return s.state == STANDS_READY ? ADDRESS_READY : s.node ? ADDRESS_CONFIRMING : ADDRESS_VOID;
}

const char *rpc_identity_address_state_name(enum address_state state)
{
    static const char *const names[] = { "void", "confirming", "ready" };
    return names[state];
}
