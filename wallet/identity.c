#include "wallet/identity.h"

#include <string.h>

#include "base/mem.h"
#include "base/reader.h"
#include "bca/bsvpeer_bca.h"

enum { RECORD_VERSION = 1, PREFIX_NAME = 'n', PREFIX_ADDRESS = 'a' };

#define KEY_MAX (1 + IDENTITY_NAME_MAX)
_Static_assert(IDENTITY_NAME_MAX >= BCA_ADDRESS_SIZE, "the longest key is that of a name");
_Static_assert((int)BSVPEER_BCA_REGTEST == BCA_NET_REGTEST, "networks in one order");

struct row_key {
    uint8_t bytes[KEY_MAX];
    size_t len;
};

static struct row_key key_of(char prefix, const void *id, size_t len)
{
    struct row_key k = { .len = 1 + len };
    k.bytes[0] = (uint8_t)prefix;
    memcpy(k.bytes + 1, id, len);
    return k;
}

static struct row_key name_key(const char *name)
{
    return key_of(PREFIX_NAME, name, strlen(name));
}

static struct row_key address_key(const uint8_t address[BCA_ADDRESS_SIZE])
{
    return key_of(PREFIX_ADDRESS, address, BCA_ADDRESS_SIZE);
}

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

void identity_make(struct identity *id, const struct identity_secrets *s)
{
    memcpy(id->public_key, s->public_key, sizeof id->public_key);
    identity_scripts(s, id->n_modifiers, id->registration, id->marker);
}

/* --- records -------------------------------------------------------------------------------- */

static void write_identity(struct buf *out, const struct identity *id)
{
    buf_put_u8(out, RECORD_VERSION);
    buf_put_le32(out, id->number);
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

static enum err check_version(struct reader *r, const char *what, struct error *e)
{
    const uint8_t version = read_u8(r);
    if (r->failed)
        return error_set(e, ERR_CORRUPT, "the record of %s is empty", what);
    if (version != RECORD_VERSION)
        return error_set(e, ERR_RANGE, "the record of %s is of version %u", what, version);
    return OK;
}

static bool read_fields(struct reader *r, struct identity *id)
{
    id->number = read_le32(r);
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
    return bca_modifier_count_allowed(id->n_modifiers) && id->n_used <= id->n_modifiers;
}

static enum err read_identity(struct span name, struct span value, struct identity *out,
                              struct error *e)
{
    struct reader r;
    reader_init(&r, value.data, value.len);
    enum err rc = check_version(&r, "an identity", e);
    if (!rc && (!read_name(out->name, name) || !read_fields(&r, out)))
        rc = error_set(e, ERR_CORRUPT, "the record of an identity is damaged");
    return rc;
}

static void write_address(struct buf *out, const struct identity_address *a)
{
    buf_put_u8(out, RECORD_VERSION);
    buf_put_u8(out, a->modifier);
    buf_put(out, a->header, sizeof a->header);
    buf_put_var_bytes(out, a->name, strlen(a->name));
    buf_put_var_bytes(out, a->params.data, a->params.len);
}

static enum err read_address(struct span address, struct span value, struct identity_address *out,
                             struct error *e)
{
    struct reader r;
    reader_init(&r, value.data, value.len);
    enum err rc = check_version(&r, "an address", e);
    if (rc)
        return rc;
    out->modifier = read_u8(&r);
    read_copy(&r, out->header, sizeof out->header);
    const struct span name = read_var_bytes(&r), params = read_var_bytes(&r);
    if (!reader_done(&r) || address.len != sizeof out->address || !read_name(out->name, name) ||
        params.len > BSVPEER_BCA_PARAMS_MAX)
        return error_set(e, ERR_CORRUPT, "the record of an address is damaged");
    memcpy(out->address, address.data, sizeof out->address);
    buf_reset(&out->params);
    buf_put(&out->params, params.data, params.len);
    return OK;
}

/* --- the store ------------------------------------------------------------------------------ */

static void put_identity(struct kv_batch *b, const struct identity *id)
{
    const struct row_key key = name_key(id->name);
    struct buf value;
    buf_init(&value);
    write_identity(&value, id);
    kv_batch_put(b, key.bytes, key.len, value.data, value.len);
    buf_clear(&value);
}

static void put_address(struct kv_batch *b, const struct identity_address *a)
{
    const struct row_key key = address_key(a->address);
    struct buf value;
    buf_init(&value);
    write_address(&value, a);
    kv_batch_put(b, key.bytes, key.len, value.data, value.len);
    buf_clear(&value);
}

static enum err write_and_free(struct kv *kv, struct kv_batch *b, struct error *e)
{
    const enum err rc = kv_write(kv, b, KV_SYNC, e);
    kv_batch_free(b);
    return rc;
}

enum err identity_store(struct kv *kv, const struct identity *id, struct error *e)
{
    struct kv_batch *b = kv_batch_new(kv);
    put_identity(b, id);
    return write_and_free(kv, b, e);
}

enum err identity_remove(struct kv *kv, const char *name, struct error *e)
{
    const struct row_key key = name_key(name);
    struct kv_batch *b = kv_batch_new(kv);
    kv_batch_delete(b, key.bytes, key.len);
    return write_and_free(kv, b, e);
}

enum err identity_load(struct kv *kv, const char *name, struct identity *out, bool *found,
                       struct error *e)
{
    const struct row_key key = name_key(name);
    struct buf value;
    buf_init(&value);
    enum err rc = kv_get(kv, key.bytes, key.len, &value, found, e);
    if (!rc && *found)
        rc = read_identity(span_of(name, strlen(name)), buf_span(&value), out, e);
    buf_clear(&value);
    return rc;
}

enum err identity_load_address(struct kv *kv, const uint8_t address[BCA_ADDRESS_SIZE],
                               struct identity_address *out, bool *found, struct error *e)
{
    const struct row_key key = address_key(address);
    struct buf value;
    buf_init(&value);
    enum err rc = kv_get(kv, key.bytes, key.len, &value, found, e);
    if (!rc && *found)
        rc = read_address(span_of(address, BCA_ADDRESS_SIZE), buf_span(&value), out, e);
    buf_clear(&value);
    return rc;
}

/* Each row of a kind: what its key has behind the prefix, and its value. */
typedef enum err (*row_fn)(void *ctx, struct span id, struct span value, struct error *e);

static enum err each_row(struct kv *kv, char prefix, row_fn fn, void *ctx, struct error *e)
{
    struct kv_iter *it = kv_iter_new(kv);
    enum err rc = OK;
    for (kv_iter_seek(it, &prefix, 1); !rc && kv_iter_valid(it); kv_iter_next(it)) {
        const struct span key = kv_iter_key(it);
        if (key.data[0] != (uint8_t)prefix)
            break;
        rc = fn(ctx, span_of(key.data + 1, key.len - 1), kv_iter_value(it), e);
    }
    if (!rc)
        rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

struct identity_walk {
    identity_fn fn;
    identity_address_fn address_fn;
    void *ctx;
};

static enum err see_identity(void *ctx, struct span name, struct span value, struct error *e)
{
    const struct identity_walk *walk = ctx;
    struct identity id;
    identity_init(&id);
    enum err rc = read_identity(name, value, &id, e);
    if (!rc)
        rc = walk->fn(walk->ctx, &id, e);
    identity_clear(&id);
    return rc;
}

enum err identity_each(struct kv *kv, identity_fn fn, void *ctx, struct error *e)
{
    struct identity_walk walk = { .fn = fn, .ctx = ctx };
    return each_row(kv, PREFIX_NAME, see_identity, &walk, e);
}

static enum err see_address(void *ctx, struct span address, struct span value, struct error *e)
{
    const struct identity_walk *walk = ctx;
    struct identity_address a;
    identity_address_init(&a);
    enum err rc = read_address(address, value, &a, e);
    if (!rc)
        rc = walk->address_fn(walk->ctx, &a, e);
    identity_address_clear(&a);
    return rc;
}

enum err identity_each_address(struct kv *kv, identity_address_fn fn, void *ctx, struct error *e)
{
    struct identity_walk walk = { .address_fn = fn, .ctx = ctx };
    return each_row(kv, PREFIX_ADDRESS, see_address, &walk, e);
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

enum err identity_new_address(struct kv *kv, struct identity *id, const struct identity_secrets *s,
                              const struct identity_form *form, struct identity_address *out,
                              struct error *e)
{
    if (id->n_used == id->n_modifiers)
        return error_set(e, ERR_NOTFOUND, "all %u modifiers of %s are used: register another "
                         "identity", id->n_modifiers, id->name);
    enum err rc = form_address(id, s, form, out, e);
    if (rc)
        return rc;
    out->modifier = id->n_used;
    memcpy(out->header, id->header, sizeof out->header);
    memcpy(out->name, id->name, sizeof out->name);
    struct kv_batch *b = kv_batch_new(kv);
    id->n_used++;
    put_identity(b, id);
    put_address(b, out);
    rc = write_and_free(kv, b, e);
    if (rc)
        id->n_used--;
    return rc;
}
