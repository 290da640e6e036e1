#include "wallet/identity.h"

#include <string.h>

#include "base/mem.h"
#include "base/reader.h"
#include "bca/bsvpeer_bca.h"
#include "wallet/identity_internal.h"

_Static_assert((int)BSVPEER_BCA_REGTEST == BCA_NET_REGTEST, "networks in one order");

void identity_init(struct identity *id)
{
    *id = (struct identity){ .n_used = 0 };
}

void identity_clear(struct identity *id)
{
    buf_clear(&id->tx);
}

bool identity_name_allowed(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-_.";
    const size_t len = strlen(name);
    return len > 0 && len <= IDENTITY_NAME_MAX && strspn(name, allowed) == len;
}

bool identity_may_form(const struct identity *id, struct error *e)
{
    switch (id->use) {
    case IDENTITY_OPEN:
        return true;
    case IDENTITY_RESTORED:
        error_set(e, ERR_NOTFOUND, "%s was restored, and which of its modifiers were used since "
                  "the backup is unknown: register another name", id->name);
        return false;
    case IDENTITY_RECOVERED:
        error_set(e, ERR_NOTFOUND, "%s was recovered by the phrase, which does not tell its "
                  "modifiers: register another name", id->name);
        return false;
    case IDENTITY_MOVING:
        error_set(e, ERR_NOTFOUND, "%s was to move, and its file may not be whole: call bcaexport "
                  "once more", id->name);
        return false;
    case IDENTITY_MOVED:
    case IDENTITY_USES:
        break;
    }
    error_set(e, ERR_NOTFOUND, "%s has moved to another wallet", id->name);
    return false;
}

unsigned identity_unused(const struct identity *id)
{
    return id->use == IDENTITY_OPEN ? (unsigned)(id->n_modifiers - id->n_used) : 0;
}

/* --- records -------------------------------------------------------------------------------- */

static void write_identity(struct buf *out, const struct identity *id)
{
    buf_put_le32(out, id->number);
    buf_put_le32(out, id->moves);
    buf_put_u8(out, id->n_modifiers);
    buf_put_u8(out, id->n_used);
    buf_put_u8(out, id->sent);
    buf_put_u8(out, id->mined);
    buf_put(out, id->public_key, sizeof id->public_key);
    buf_put(out, id->registration, sizeof id->registration);
    buf_put(out, id->marker, sizeof id->marker);
    buf_put(out, id->txid.b, sizeof id->txid.b);
    buf_put(out, id->header, sizeof id->header);
    buf_put_le32(out, id->tx_index);
    buf_put_u8(out, id->tx_depth);
    buf_put(out, id->tx_siblings, (size_t)32 * id->tx_depth);
    buf_put_var_bytes(out, id->tx.data, id->tx.len);
}

static bool read_name(char out[IDENTITY_NAME_MAX + 1], struct span name)
{
    if (name.len > IDENTITY_NAME_MAX)
        return false;
    memcpy(out, name.data, name.len);
    out[name.len] = 0;
    return strlen(out) == name.len && identity_name_allowed(out);
}

static bool read_fields(struct reader *r, struct identity *id)
{
    id->number = read_le32(r);
    id->moves = read_le32(r);
    id->n_modifiers = read_u8(r);
    id->n_used = read_u8(r);
    id->sent = read_u8(r) != 0;
    id->mined = read_u8(r) != 0;
    read_copy(r, id->public_key, sizeof id->public_key);
    read_copy(r, id->registration, sizeof id->registration);
    read_copy(r, id->marker, sizeof id->marker);
    read_copy(r, id->txid.b, sizeof id->txid.b);
    read_copy(r, id->header, sizeof id->header);
    id->tx_index = read_le32(r);
    id->tx_depth = read_u8(r);
    if (r->failed || id->tx_depth > BCA_TX_DEPTH_MAX)
        return false;
    read_copy(r, id->tx_siblings, (size_t)32 * id->tx_depth);
    const struct span tx = read_var_bytes(r);
    if (!reader_done(r) || tx.len > IDENTITY_TX_MAX)
        return false;
    buf_reset(&id->tx);
    buf_put(&id->tx, tx.data, tx.len);
    return id->n_used <= id->n_modifiers;
}

enum err identity_record_read(const struct key_record *record, struct identity *out,
                              struct error *e)
{
    struct reader r;
    reader_init(&r, record->data.data, record->data.len);
    if (record->flags >= IDENTITY_USES || !read_name(out->name, record->id) ||
        !read_fields(&r, out))
        return error_set(e, ERR_CORRUPT, "the record of an identity is damaged");
    out->use = (enum identity_use)record->flags;
    const bool known = out->use != IDENTITY_RECOVERED;
    if (known ? !bca_modifier_count_allowed(out->n_modifiers) : out->n_modifiers != 0)
        return error_set(e, ERR_CORRUPT, "the record of an identity is damaged");
    return OK;
}

static void write_address(struct buf *out, const struct identity_address *a)
{
    buf_put_u8(out, a->modifier);
    buf_put(out, a->header, sizeof a->header);
    buf_put_var_bytes(out, a->name, strlen(a->name));
    buf_put_var_bytes(out, a->params.data, a->params.len);
}

enum err identity_address_record_read(const struct key_record *record,
                                      struct identity_address *out, struct error *e)
{
    struct reader r;
    reader_init(&r, record->data.data, record->data.len);
    out->modifier = read_u8(&r);
    read_copy(&r, out->header, sizeof out->header);
    const struct span name = read_var_bytes(&r), params = read_var_bytes(&r);
    if (!reader_done(&r) || !read_name(out->name, name))
        return error_set(e, ERR_CORRUPT, "the record of an address is damaged");
    memcpy(out->address, record->id.data, sizeof out->address);
    buf_reset(&out->params);
    buf_put(&out->params, params.data, params.len);
    return OK;
}

/* --- the store ------------------------------------------------------------------------------ */

static struct span name_of(const char *name)
{
    return span_of(name, strlen(name));
}

struct key_record identity_record(const struct identity *id, struct buf *room)
{
    buf_init(room);
    write_identity(room, id);
    return (struct key_record){ .kind = KEY_RECORD_IDENTITY, .form = KEY_RECORD_PUBLIC,
                                .flags = (uint32_t)id->use, .id = name_of(id->name),
                                .data = buf_span(room) };
}

struct key_record identity_address_record(const struct identity_address *a, struct buf *room)
{
    buf_init(room);
    write_address(room, a);
    return (struct key_record){ .kind = KEY_RECORD_BCA, .form = KEY_RECORD_PUBLIC,
                                .id = span_of(a->address, sizeof a->address),
                                .data = buf_span(room) };
}

enum err identity_store(struct keystore *ks, const struct identity *id, struct error *e)
{
    struct buf room;
    const struct key_record r = identity_record(id, &room);
    enum err rc = keystore_replace(ks, &r, 1, e);
    buf_clear(&room);
    return rc;
}

struct key_record identity_keys_record(const struct identity *id, struct span secret)
{
    return (struct key_record){ .kind = KEY_RECORD_IDENTITY_KEYS, .form = KEY_RECORD_PLAIN,
                                .id = span_of(id->public_key, sizeof id->public_key),
                                .secret = secret };
}

enum err identity_store_with_keys(struct keystore *ks, const struct identity *id,
                                const struct identity_secrets *s, struct error *e)
{
    uint8_t secret[IDENTITY_SECRETS_SIZE];
    struct buf room;
    bool has;
    identity_secrets_write(secret, s);
    const struct key_record r[] = { identity_record(id, &room),
                                    identity_keys_record(id, span_of(secret, sizeof secret)) };
    enum err rc = keystore_has(ks, KEY_RECORD_IDENTITY_KEYS, r[1].id, &has, e);
    if (!rc && has)
        rc = error_set(e, ERR_EXISTS, "the wallet has the key of this identity already");
    if (!rc)
        rc = keystore_replace(ks, r, 2, e);
    buf_clear(&room);
    secure_wipe(secret, sizeof secret);
    return rc;
}

enum err identity_create(struct wallet *w, const char *name, unsigned n, struct identity *out,
                         struct error *e)
{
    struct identity_secrets s;
    struct identity id = { .n_modifiers = (uint8_t)n };
    memcpy(id.name, name, strlen(name) + 1);
    enum err rc = keystore_state(wallet_keystore(w), NULL) == KEYSTORE_LOCKED
                      ? error_set(e, ERR_AUTH, "the wallet is locked")
                      : identity_take_number(wallet_keystore(w), &id.number, e);
    if (!rc)
        rc = identity_secrets_make(w, id.number, n, &s, e);
    if (!rc) {
        BUG_ON(!identity_scripts(&s, n, id.registration, id.marker));
        memcpy(id.public_key, s.public_key, sizeof id.public_key);
        rc = identity_store_with_keys(wallet_keystore(w), &id, &s, e);
    }
    secure_wipe(&s, sizeof s);
    if (rc)
        return rc;
    identity_clear(out);
    *out = id;
    return OK;
}

enum err identity_remove(struct keystore *ks, const struct identity *id, struct error *e)
{
    const struct key_record r[] = { { .kind = KEY_RECORD_IDENTITY, .id = name_of(id->name) },
                                    identity_keys_record(id, span_of(NULL, 0)) };
    return keystore_remove(ks, r, 2, e);
}

/* The seed of the modifiers is unknown. */
static enum err check_recovered(const struct identity *id, const struct identity_secrets *s,
                                struct error *e)
{
    uint8_t marker[SCRIPT_P2PKH_SIZE];
    if (mem_equal_var(s->public_key, id->public_key, sizeof id->public_key) &&
        identity_marker_script(s, marker) && mem_equal_var(marker, id->marker, sizeof marker))
        return OK;
    return error_set(e, ERR_CORRUPT, "the keys of %s are not those of its registration", id->name);
}

enum err identity_check_secrets(const struct identity *id, const struct identity_secrets *s,
                              struct error *e)
{
    uint8_t registration[BCA_REGISTRATION_SIZE], marker[SCRIPT_P2PKH_SIZE];
    if (id->use == IDENTITY_RECOVERED)
        return check_recovered(id, s, e);
    if (identity_scripts(s, id->n_modifiers, registration, marker) &&
        mem_equal_var(registration, id->registration, sizeof registration) &&
        mem_equal_var(marker, id->marker, sizeof marker))
        return OK;
    return error_set(e, ERR_CORRUPT, "the keys of %s are not those of its registration", id->name);
}

enum err identity_get_secrets(struct keystore *ks, const struct identity *id,
                              struct identity_secrets *out, struct error *e)
{
    uint8_t secret[KEY_RECORD_SECRET_MAX];
    size_t len;
    enum err rc = keystore_open_secret(ks, KEY_RECORD_IDENTITY_KEYS,
                                       span_of(id->public_key, sizeof id->public_key), secret,
                                       &len, e);
    if (!rc && !identity_secrets_read(out, secret))
        rc = error_set(e, ERR_CORRUPT, "the key of %s is none", id->name);
    if (!rc)
        rc = identity_check_secrets(id, out, e);
    secure_wipe(secret, sizeof secret);
    return rc;
}

static enum err take_identity(void *ctx, const struct key_record *r, struct error *e)
{
    return identity_record_read(r, ctx, e);
}

enum err identity_load(struct keystore *ks, const char *name, struct identity *out, bool *found,
                       struct error *e)
{
    return keystore_find(ks, KEY_RECORD_IDENTITY, name_of(name), take_identity, out, found, e);
}

static enum err take_address(void *ctx, const struct key_record *r, struct error *e)
{
    return identity_address_record_read(r, ctx, e);
}

enum err identity_load_address(struct keystore *ks, const uint8_t address[BCA_ADDRESS_SIZE],
                               struct identity_address *out, bool *found, struct error *e)
{
    return keystore_find(ks, KEY_RECORD_BCA, span_of(address, BCA_ADDRESS_SIZE), take_address,
                         out, found, e);
}

struct identity_walk {
    identity_fn fn;
    identity_address_fn address_fn;
    void *ctx;
};

static enum err see_identity(void *ctx, const struct key_record *r, struct error *e)
{
    const struct identity_walk *walk = ctx;
    struct identity id;
    identity_init(&id);
    enum err rc = identity_record_read(r, &id, e);
    if (!rc)
        rc = walk->fn(walk->ctx, &id, e);
    identity_clear(&id);
    return rc;
}

enum err identity_each(struct keystore *ks, identity_fn fn, void *ctx, struct error *e)
{
    struct identity_walk walk = { .fn = fn, .ctx = ctx };
    return keystore_each(ks, KEY_RECORD_IDENTITY, see_identity, &walk, e);
}

static enum err see_address(void *ctx, const struct key_record *r, struct error *e)
{
    const struct identity_walk *walk = ctx;
    struct identity_address a;
    identity_address_init(&a);
    enum err rc = identity_address_record_read(r, &a, e);
    if (!rc)
        rc = walk->address_fn(walk->ctx, &a, e);
    identity_address_clear(&a);
    return rc;
}

enum err identity_each_address(struct keystore *ks, identity_address_fn fn, void *ctx,
                               struct error *e)
{
    struct identity_walk walk = { .address_fn = fn, .ctx = ctx };
    return keystore_each(ks, KEY_RECORD_BCA, see_address, &walk, e);
}

static enum err mark_restored(void *ctx, const struct identity *id, struct error *e)
{
    struct identity marked = *id; /* the transaction stays the caller's */
    switch (id->use) {
    case IDENTITY_OPEN:
        marked.use = IDENTITY_RESTORED;
        break;
    case IDENTITY_MOVING:
        marked.use = IDENTITY_MOVED;
        break;
    case IDENTITY_RESTORED:
    case IDENTITY_MOVED:
    case IDENTITY_RECOVERED:
    case IDENTITY_USES:
        return OK;
    }
    return identity_store(ctx, &marked, e);
}

enum err identity_mark_restored(struct keystore *ks, struct error *e)
{
    enum err rc = identity_each(ks, mark_restored, ks, e);
    return rc ? rc : identity_skip_numbers(ks, e);
}

/* --- addresses ------------------------------------------------------------------------------ */

void identity_address_init(struct identity_address *a)
{
    *a = (struct identity_address){ .modifier = 0 };
}

void identity_address_clear(struct identity_address *a)
{
    buf_clear(&a->params);
}

static enum err explain(enum bsvpeer_bca_error code, const struct bsvpeer_bca_report *report,
                        struct error *e)
{
    switch (code) {
    case BSVPEER_BCA_OK:
        return report->result == BSVPEER_BCA_VALID
                   ? OK
                   : error_set(e, ERR_RANGE, "the address would not pass verification (%s)",
                               report->failed_step);
    case BSVPEER_BCA_ERROR_PREFIX:
        return error_set(e, ERR_RANGE, "no address is formed in this prefix");
    case BSVPEER_BCA_ERROR_COLLISION:
        return error_set(e, ERR_RANGE, "three collisions, which has a chance of 2^-177");
    case BSVPEER_BCA_ERROR_MEMORY:
        return error_set(e, ERR_NOMEM, "no memory to form an address");
    case BSVPEER_BCA_ERROR_ARGUMENT:
    case BSVPEER_BCA_ERROR_FORMAT:
        break;
    }
    return error_set(e, ERR_RANGE, "an address cannot have this sec or stand on this block");
}

static enum err form_address(const struct identity *id, const struct identity_secrets *s,
                             const struct identity_form *form, struct identity_address *out,
                             struct error *e)
{
    uint8_t modifiers[BCA_MODIFIER_SIZE * BCA_MODIFIERS_MAX];
    struct bsvpeer_bca_report report = { .sec = 0 };
    const struct bsvpeer_bca_input in = {
        .network = (enum bsvpeer_bca_network)form->network,
        .public_key = id->public_key,
        .modifiers = modifiers,
        .n_modifiers = id->n_modifiers,
        .modifier_index = id->n_used,
        .transaction = id->tx.data,
        .transaction_len = id->tx.len,
        .header = id->header,
        .tx_index = id->tx_index,
        .tx_depth = id->tx_depth,
        .tx_siblings = id->tx_siblings,
        .subnet_prefix = form->prefix,
        .sec = form->sec < 0 ? BSVPEER_BCA_DEFAULT : form->sec,
    };
    size_t len = BSVPEER_BCA_PARAMS_MAX;
    identity_modifiers(s, id->n_modifiers, modifiers);
    buf_reset(&out->params);
    buf_reserve(&out->params, len);
    const enum bsvpeer_bca_error code =
        bsvpeer_bca_form(&in, out->address, out->params.data, &len, &report);
    secure_wipe(modifiers, sizeof modifiers);
    const enum err rc = explain(code, &report, e);
    out->params.len = rc ? 0 : len;
    return rc;
}

enum err identity_check_proof(const struct identity *id, const struct identity_secrets *s,
                              enum bca_network network, struct error *e)
{
    static const uint8_t any[BCA_PREFIX_SIZE] = { 0x20, 0x01, 0x0d, 0xb8 };
    const struct identity_form form = { .network = network, .prefix = any, .sec = -1 };
    struct identity unused = *id; /* the transaction stays the caller's */
    struct identity_address nobody_s;
    unused.n_used = 0;
    identity_address_init(&nobody_s);
    const enum err rc = form_address(&unused, s, &form, &nobody_s, e);
    identity_address_clear(&nobody_s);
    return rc;
}

static enum err need_modifier(const struct identity *id, struct error *e)
{
    struct error why;
    if (!identity_may_form(id, &why))
        return error_set(e, ERR_NOTFOUND, "%s", why.text);
    if (id->n_used < id->n_modifiers)
        return OK;
    return error_set(e, ERR_NOTFOUND, "all %u modifiers of %s are used: register another identity",
                     id->n_modifiers, id->name);
}

/* Both in one change. */
static enum err store_formed(struct keystore *ks, const struct identity *id,
                             const struct identity_address *a, struct error *e)
{
    struct buf data, address_data;
    const struct key_record r[] = { identity_record(id, &data),
                                    identity_address_record(a, &address_data) };
    enum err rc = keystore_replace(ks, r, 2, e);
    buf_clear(&data);
    buf_clear(&address_data);
    return rc;
}

/* Who has the identity now would form the same one. */
static enum err refuse_moved(struct keystore *ks, const char *name, struct error *e)
{
    struct identity id;
    bool found;
    identity_init(&id);
    enum err rc = identity_load(ks, name, &id, &found, e);
    if (!rc && found && (id.use == IDENTITY_MOVING || id.use == IDENTITY_MOVED))
        rc = error_set(e, ERR_RANGE, "%s has moved to another wallet", name);
    identity_clear(&id);
    return rc;
}

enum err identity_store_address(struct keystore *ks, const struct identity_address *a,
                                struct error *e)
{
    struct buf data;
    const struct key_record r[] = { identity_address_record(a, &data) };
    enum err rc = refuse_moved(ks, a->name, e);
    if (!rc)
        rc = keystore_replace(ks, r, 1, e);
    buf_clear(&data);
    return rc;
}

enum err identity_new_address(struct keystore *ks, struct identity *id,
                              const struct identity_secrets *s, const struct identity_form *form,
                              struct identity_address *out, struct error *e)
{
    enum err rc = need_modifier(id, e);
    if (!rc)
        rc = form_address(id, s, form, out, e);
    if (rc)
        return rc;
    out->modifier = id->n_used;
    memcpy(out->header, id->header, sizeof out->header);
    memcpy(out->name, id->name, sizeof out->name);
    id->n_used++;
    rc = store_formed(ks, id, out, e);
    if (rc)
        id->n_used--;
    return rc;
}
