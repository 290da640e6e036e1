#include "wallet/identity_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/reader.h"
#include "base/secret.h"
#include "base/state_file.h"
#include "bca/verify.h"
#include "wallet/identity_internal.h"
#include "wallet/master_key.h"

static const struct state_file_kind file_kind = { "BCAX", 1 };

enum { FORM_PLAIN, FORM_SEALED };
enum { FRAME_HEAD = 12, VERSION_AT = 8, IV_SIZE = 12, RECORD_MIN = 4, FIRST_RECORDS = 2 };

void identity_file_init(struct identity_file *f)
{
    *f = (struct identity_file){ .n = 0 };
}

void identity_file_clear(struct identity_file *f)
{
    for (size_t i = 0; i < f->n; i++)
        identity_address_clear(&f->addresses[i]);
    free(f->addresses);
    identity_clear(&f->id);
    secure_wipe(f, sizeof *f);
}

/* --- writing -------------------------------------------------------------------------------- */

static void put_record(struct buf *out, const struct key_record *r)
{
    struct buf name, value;
    buf_init(&name);
    buf_init(&value);
    key_record_name(&name, r->kind, r->id);
    key_record_value(&value, r);
    buf_put_var_bytes(out, name.data, name.len);
    buf_put_var_bytes(out, value.data, value.len);
    buf_clear(&name);
    buf_wipe(&value);
}

static void put_address(struct buf *out, const struct identity_address *a)
{
    struct buf room;
    const struct key_record r = identity_address_record(a, &room);
    put_record(out, &r);
    buf_clear(&room);
}

static enum err put_body(struct buf *out, const struct identity_file *f, struct error *e)
{
    uint8_t secret[IDENTITY_SECRETS_SIZE];
    struct buf room;
    /* At once: a buffer that grows would leave copies of secrets. */
    if (f->n > IDENTITY_FILE_ADDRESSES_MAX || !buf_try_reserve(out, IDENTITY_FILE_MAX))
        return error_set(e, ERR_NOMEM, "no memory for a file of an identity");
    identity_secrets_write(secret, &f->secrets);
    const struct key_record id = identity_record(&f->id, &room);
    const struct key_record keys =
        identity_keys_record(&f->id, span_of(secret, sizeof secret));
    buf_put_compact(out, FIRST_RECORDS + f->n);
    put_record(out, &id);
    put_record(out, &keys);
    for (size_t i = 0; i < f->n; i++)
        put_address(out, &f->addresses[i]);
    buf_clear(&room);
    secure_wipe(secret, sizeof secret);
    return OK;
}

static enum err put_sealed(struct buf *out, const struct buf *body, struct span passphrase,
                           const struct scrypt_params *scrypt, struct error *e)
{
    uint8_t *key = secret_alloc(MASTER_KEY_SIZE);
    uint8_t iv[IV_SIZE];
    struct buf cipher;
    buf_init(&cipher);
    enum err rc = rand_secret(key, MASTER_KEY_SIZE, e);
    if (!rc)
        rc = rand_secret(iv, sizeof iv, e);
    if (!rc)
        rc = master_key_seal(&cipher, key, passphrase, scrypt, e);
    if (!rc) {
        buf_put_var_bytes(out, cipher.data, cipher.len);
        buf_put(out, iv, sizeof iv);
        const bool sealed =
            aead_seal(AEAD_CHACHA20_POLY1305, key, span_of(iv, sizeof iv), buf_span(&cipher),
                      buf_span(body), buf_extend(out, body->len + AEAD_TAG_SIZE));
        BUG_ON(!sealed);
    }
    buf_clear(&cipher);
    secret_free(key);
    return rc;
}

enum err identity_file_write(struct buf *out, const struct identity_file *f,
                             const uint8_t magic[4], struct span passphrase,
                             const struct scrypt_params *scrypt, struct error *e)
{
    struct buf body;
    buf_init(&body);
    enum err rc = put_body(&body, f, e);
    if (!rc && !buf_try_reserve(out, IDENTITY_FILE_MAX))
        rc = error_set(e, ERR_NOMEM, "no memory for a file of an identity");
    if (!rc) {
        state_file_begin(out, &file_kind, magic);
        buf_put_u8(out, passphrase.len ? FORM_SEALED : FORM_PLAIN);
        if (passphrase.len)
            rc = put_sealed(out, &body, passphrase, scrypt, e);
        else
            buf_put(out, body.data, body.len);
        state_file_finish(out);
    }
    buf_wipe(&body);
    return rc;
}

/* --- reading -------------------------------------------------------------------------------- */

static enum err damaged(struct error *e)
{
    return error_set(e, ERR_CORRUPT, "the file is damaged");
}

static struct span read_rest(struct reader *in)
{
    const size_t n = in->left;
    return span_of(read_bytes(in, n), n);
}

static enum err read_record(struct reader *in, enum key_record_kind kind, struct key_record *r,
                            struct error *e)
{
    const struct span name = read_var_bytes(in), value = read_var_bytes(in);
    if (in->failed)
        return damaged(e);
    const enum err rc = key_record_read(r, name, value, e);
    return rc || r->kind == kind ? rc : damaged(e);
}

static enum err read_keys(struct identity_file *f, const struct key_record *r, struct error *e)
{
    if (r->form != KEY_RECORD_PLAIN || !identity_secrets_read(&f->secrets, r->secret.data) ||
        !mem_equal_var(r->id.data, f->id.public_key, sizeof f->id.public_key) ||
        !mem_equal_var(f->secrets.public_key, f->id.public_key, sizeof f->id.public_key))
        return damaged(e);
    return identity_check_secrets(&f->id, &f->secrets, e);
}

static enum err read_addresses(struct identity_file *f, struct reader *in, size_t n,
                               struct error *e)
{
    enum err rc = OK;
    if (n > IDENTITY_FILE_ADDRESSES_MAX)
        return damaged(e);
    f->addresses = xcalloc(n ? n : 1, sizeof *f->addresses);
    while (!rc && f->n < n) {
        struct key_record r;
        rc = read_record(in, KEY_RECORD_BCA, &r, e);
        if (!rc)
            rc = identity_address_record_read(&r, &f->addresses[f->n++], e);
    }
    return rc;
}

static enum err read_body(struct identity_file *f, struct span body, struct error *e)
{
    struct reader in;
    struct key_record r;
    reader_init(&in, body.data, body.len);
    const size_t n = read_count(&in, RECORD_MIN);
    if (n < FIRST_RECORDS)
        return damaged(e);
    enum err rc = read_record(&in, KEY_RECORD_IDENTITY, &r, e);
    if (!rc)
        rc = identity_record_read(&r, &f->id, e);
    if (!rc)
        rc = read_record(&in, KEY_RECORD_IDENTITY_KEYS, &r, e);
    if (!rc)
        rc = read_keys(f, &r, e);
    if (!rc)
        rc = read_addresses(f, &in, n - FIRST_RECORDS, e);
    return rc || reader_done(&in) ? rc : damaged(e);
}

static enum err open_body(struct reader *in, struct span passphrase, uint8_t *out, size_t *len,
                          struct error *e)
{
    const struct span value = read_var_bytes(in);
    uint8_t iv[IV_SIZE];
    read_copy(in, iv, sizeof iv);
    const struct span sealed = read_rest(in);
    static const uint8_t name[] = { 'e' };
    struct key_record cipher;
    if (in->failed || sealed.len < AEAD_TAG_SIZE)
        return damaged(e);
    if (!passphrase.len)
        return error_set(e, ERR_AUTH, "the file is sealed: give its passphrase");
    uint8_t *key = secret_alloc(MASTER_KEY_SIZE);
    enum err rc = key_record_read(&cipher, span_of(name, sizeof name), value, e);
    if (!rc)
        rc = master_key_check(&cipher, e);
    if (!rc)
        rc = master_key_unseal(key, &cipher, passphrase, e);
    if (!rc && !aead_open(AEAD_CHACHA20_POLY1305, key, span_of(iv, sizeof iv), value, sealed, out))
        rc = damaged(e);
    *len = sealed.len - AEAD_TAG_SIZE;
    secret_free(key);
    return rc;
}

static enum err read_sealed(struct identity_file *f, struct reader *in, struct span passphrase,
                            struct error *e)
{
    struct buf body;
    buf_init(&body);
    if (!buf_try_reserve(&body, IDENTITY_FILE_MAX))
        return error_set(e, ERR_NOMEM, "no memory for a file of an identity");
    enum err rc = open_body(in, passphrase, body.data, &body.len, e);
    if (!rc)
        rc = read_body(f, buf_span(&body), e);
    buf_wipe(&body);
    return rc;
}

/* --- what belongs together ------------------------------------------------------------------ */

static enum err check_address(const struct identity_file *f, const struct identity_address *a,
                              const struct bca_policy *policy, struct error *e)
{
    const struct identity *id = &f->id;
    uint8_t modifier[BCA_MODIFIER_SIZE];
    struct bca_verdict v;
    bca_verify(a->address, buf_span(&a->params), policy, &v);
    bool good = v.result == BCA_VALID && a->modifier < id->n_used &&
                v.params.modifier_index == a->modifier && strcmp(a->name, id->name) == 0 &&
                mem_equal_var(v.params.header, a->header, sizeof a->header) &&
                mem_equal_var(v.params.public_key, id->public_key, sizeof id->public_key);
    if (good) {
        bca_modifier_derive(modifier, f->secrets.seed, a->modifier);
        good = mem_equal_var(modifier, v.params.modifier, sizeof modifier);
        secure_wipe(modifier, sizeof modifier);
    }
    return good ? OK : error_set(e, ERR_CORRUPT, "an address of the file is not of its identity");
}

static enum err check_registration(const struct identity_file *f, enum bca_network network,
                                   struct error *e)
{
    uint8_t hash[32];
    sha256d(hash, f->id.tx.data, f->id.tx.len);
    if (f->id.use != IDENTITY_MOVING || !f->id.sent || !f->id.mined ||
        !mem_equal_var(hash, f->id.txid.b, sizeof hash))
        return error_set(e, ERR_CORRUPT, "the file has no registration that could move");
    const enum err rc = identity_check_proof(&f->id, &f->secrets, network, e);
    return rc == ERR_RANGE ? error_set(e, ERR_CORRUPT, "the registration of the file does not "
                                                       "belong to its key, or has no good proof")
                           : rc;
}

static enum err check(const struct identity_file *f, enum bca_network network, struct error *e)
{
    const struct bca_policy policy = { .rules = bca_rules_get(network) };
    enum err rc = check_registration(f, network, e);
    for (size_t i = 0; !rc && i < f->n; i++)
        rc = check_address(f, &f->addresses[i], &policy, e);
    return rc;
}

/* Why it is none of ours, before the frame is looked at as a whole. */
static enum err check_head(struct span content, const uint8_t magic[4], struct error *e)
{
    const uint8_t *p = content.data;
    if (content.len < FRAME_HEAD || !mem_equal_var(p + 4, file_kind.tag, 4))
        return error_set(e, ERR_CORRUPT, "this is no file of an identity");
    if (!mem_equal_var(p, magic, 4))
        return error_set(e, ERR_RANGE, "the identity belongs to another network");
    if (le32_get(p + VERSION_AT) > file_kind.version)
        return error_set(e, ERR_RANGE, "the file was written by a newer program");
    return OK;
}

enum err identity_file_read(struct identity_file *f, struct span content, const uint8_t magic[4],
                            enum bca_network network, struct span passphrase, struct error *e)
{
    struct reader in;
    enum err rc = check_head(content, magic, e);
    if (!rc)
        rc = state_file_open(&in, content.data, content.len, &file_kind, magic, e);
    if (rc)
        return rc;
    switch (read_u8(&in)) {
    case FORM_PLAIN:
        rc = read_body(f, read_rest(&in), e);
        break;
    case FORM_SEALED:
        rc = read_sealed(f, &in, passphrase, e);
        break;
    default:
        return damaged(e);
    }
    return rc ? rc : check(f, network, e);
}
