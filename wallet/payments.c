/*
 * The record of a payment (KEY_RECORD_PAYMENT):
 *
 *   id    direction 1 (r: received, s: sent) | identity key of the other side 33 | prefix
 *   data  txid 32 | compact count | per output: index 4, suffix with its compact length
 */
#include <config.h>

#include "wallet/payments.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "base/reader.h"
#include "base/secret.h"
#include "script/template.h"
#include "wallet/wallet_internal.h"

#define ID_HEAD (1 + EC_PUBKEY_SIZE)
#define OUTPUT_MIN_SIZE 6 /* index, length and one character of a suffix */

/* --- record --- */

static void put_id(struct buf *out, const struct payment *p)
{
    buf_put_u8(out, p->received ? 'r' : 's');
    buf_put(out, p->other, sizeof p->other);
    buf_put(out, p->prefix.data, p->prefix.len);
}

static void put_data(struct buf *out, const struct payment *p)
{
    buf_put(out, p->txid.b, sizeof p->txid.b);
    buf_put_compact(out, p->n);
    for (size_t i = 0; i < p->n; i++) {
        buf_put_le32(out, p->output[i].index);
        buf_put_var_bytes(out, p->output[i].suffix.data, p->output[i].suffix.len);
    }
}

static bool read_payment(struct payment *p, const struct key_record *r)
{
    struct reader in;
    if (r->id.len <= ID_HEAD)
        return false;
    p->received = r->id.data[0] == 'r';
    memcpy(p->other, r->id.data + 1, sizeof p->other);
    p->prefix = span_of(r->id.data + ID_HEAD, r->id.len - ID_HEAD);
    reader_init(&in, r->data.data, r->data.len);
    read_copy(&in, p->txid.b, sizeof p->txid.b);
    p->n = read_count(&in, OUTPUT_MIN_SIZE);
    if (in.failed || p->n > PAYMENT_OUTPUTS_MAX)
        return false;
    for (size_t i = 0; i < p->n; i++) {
        p->output[i].index = read_le32(&in);
        p->output[i].suffix = read_var_bytes(&in);
    }
    return reader_done(&in);
}

/* --- identity --- */

static enum err identity_locked(struct wallet *w, uint8_t out[32], struct error *e)
{
    struct keystore_seed *seed = (struct keystore_seed *)secret_alloc(sizeof *seed);
    enum err rc = keystore_get_seed(w->ks, seed, e);
    if (!rc)
        sha256(out, seed->seed, seed->seed_len);
    secret_free(seed);
    return rc;
}

enum err payments_identity_secret(struct wallet *w, uint8_t out[32], struct error *e)
{
    memset(out, 0, 32);
    wallet_lock(w);
    const enum err rc = identity_locked(w, out, e);
    wallet_unlock(w);
    return rc;
}

static enum err key_of_seed(struct wallet *w, uint8_t out[EC_PUBKEY_SIZE], struct error *e)
{
    uint8_t secret[32];
    enum err rc = identity_locked(w, secret, e);
    if (!rc && !ec_pubkey_of(out, secret))
        rc = error_set(e, ERR_RANGE, "the seed of the wallet gives no identity key");
    secure_wipe(secret, sizeof secret);
    return rc;
}

static enum err remember_key(struct wallet *w, const uint8_t key[EC_PUBKEY_SIZE], struct error *e)
{
    const struct key_record r = { .kind = KEY_RECORD_PAYEE, .form = KEY_RECORD_PUBLIC,
                                  .birth = w->birth, .data = span_of(key, EC_PUBKEY_SIZE) };
    bool has;
    const enum err rc = keystore_has(w->ks, KEY_RECORD_PAYEE, r.id, &has, e);
    return rc || has ? rc : keystore_add(w->ks, &r, 1, e);
}

static enum err remembered_key(struct wallet *w, uint8_t out[EC_PUBKEY_SIZE], bool *found,
                               struct error *e)
{
    struct buf data;
    buf_init(&data);
    const enum err rc =
        keystore_get_data(w->ks, KEY_RECORD_PAYEE, span_of(NULL, 0), &data, found, e);
    if (!rc && *found)
        memcpy(out, data.data, EC_PUBKEY_SIZE);
    buf_clear(&data);
    return rc;
}

static enum err identity_key_locked(struct wallet *w, uint8_t out[EC_PUBKEY_SIZE],
                                    struct error *e)
{
    bool found = false;
    enum err rc = OK;
    if (keystore_state(w->ks, NULL) == KEYSTORE_LOCKED)
        rc = remembered_key(w, out, &found, e);
    if (rc || found)
        return rc;
    rc = key_of_seed(w, out, e);
    return rc ? rc : remember_key(w, out, e);
}

enum err payments_identity_key(struct wallet *w, uint8_t out[EC_PUBKEY_SIZE], struct error *e)
{
    wallet_lock(w);
    const enum err rc = identity_key_locked(w, out, e);
    wallet_unlock(w);
    return rc;
}

/* --- accepting --- */

struct derived {
    uint8_t secret[32], key[EC_PUBKEY_SIZE];
};

static bool same_span(struct span a, struct span b)
{
    return a.len == b.len && mem_equal_var(a.data, b.data, a.len);
}

static enum err check_named_once(const struct payment *p, size_t i, struct error *e)
{
    for (size_t k = 0; k < i; k++)
        if (p->output[k].index == p->output[i].index ||
            same_span(p->output[k].suffix, p->output[i].suffix))
            return error_set(e, ERR_RANGE, "output %u: its index or suffix is named twice",
                             p->output[i].index);
    return OK;
}

/* The key of output i, which the output must pay. */
static enum err derive_output(const struct payment *p, size_t i, const uint8_t identity[32],
                              const struct tx *tx, struct derived *out, struct error *e)
{
    const struct payment_output *o = &p->output[i];
    const struct brc29_place place = { p->prefix, o->suffix };
    uint8_t script[SCRIPT_P2PKH_SIZE];
    enum err rc = check_named_once(p, i, e);
    if (!rc && o->index >= tx->n_out)
        rc = error_set(e, ERR_RANGE, "output %u: the transaction has no more than %zu", o->index,
                       tx->n_out);
    if (!rc)
        rc = brc29_secret(out->secret, identity, p->other, &place, e);
    if (rc)
        return rc;
    ec_pubkey_of(out->key, out->secret);
    script_make_for_key(script, span_of(out->key, EC_PUBKEY_SIZE));
    if (!same_span(tx->out[o->index].script, span_of(script, sizeof script)))
        return error_set(e, ERR_RANGE, "output %u does not pay the key of this payment", o->index);
    if (tx->out[o->index].value <= 0)
        return error_set(e, ERR_RANGE, "output %u is worth nothing", o->index);
    return OK;
}

static enum err derive_all(const struct payment *p, const uint8_t identity[32],
                           const struct tx *tx, struct derived *out, struct error *e)
{
    enum err rc = p->n && p->n <= PAYMENT_OUTPUTS_MAX
                      ? OK
                      : error_set(e, ERR_RANGE, "a payment has 1 to %d outputs",
                                  PAYMENT_OUTPUTS_MAX);
    for (size_t i = 0; i < p->n && !rc; i++)
        rc = derive_output(p, i, identity, tx, &out[i], e);
    return rc;
}

/* known: it is there, and is the same. */
static enum err look_for(struct wallet *w, struct span id, struct span data, bool *known,
                         struct error *e)
{
    struct buf old;
    buf_init(&old);
    enum err rc = keystore_get_data(w->ks, KEY_RECORD_PAYMENT, id, &old, known, e);
    if (!rc && *known && !same_span(buf_span(&old), data))
        rc = error_set(e, ERR_EXISTS, "the prefix was used for another payment of this sender");
    buf_clear(&old);
    return rc;
}

/* Unless it is there, by hand or from the last time. */
static enum err add_key(struct wallet *w, const uint8_t key[EC_PUBKEY_SIZE], struct error *e)
{
    struct wallet_entry entry = { .spendable = true, .of_payment = true,
                                  .key_len = EC_PUBKEY_SIZE };
    uint8_t script[SCRIPT_P2PKH_SIZE];
    struct wallet_key known;
    script_make_for_key(script, span_of(key, EC_PUBKEY_SIZE));
    if (wallet_find_key_locked(w, span_of(script, sizeof script), &known) && known.spendable)
        return OK;
    memcpy(entry.key, key, EC_PUBKEY_SIZE);
    return wallet_add_key(w, &entry, e);
}

/* For lack of memory it may have failed the last time, when the keys were on disk already. */
static enum err add_keys(struct wallet *w, const struct payment *p, const struct derived *d,
                         struct error *e)
{
    enum err rc = OK;
    /* A block that is being told was not looked through for these keys. */
    w->feed.again |= w->feed.open && w->feed.passed_over;
    for (size_t i = 0; i < p->n && !rc; i++)
        rc = add_key(w, d[i].key, e);
    return rc ? rc : history_owners_changed(w->history, e);
}

static enum err store_received(struct wallet *w, const struct payment *p, const struct derived *d,
                               struct span id, struct span data, struct error *e)
{
    struct key_record r[PAYMENT_OUTPUTS_MAX + 1];
    size_t n = 0;
    enum err rc = OK;
    for (size_t i = 0; i < p->n && !rc; i++) {
        const struct span key = span_of(d[i].key, EC_PUBKEY_SIZE);
        bool has;
        rc = keystore_has(w->ks, KEY_RECORD_SECRET, key, &has, e);
        if (!rc && !has) /* else it was imported by hand */
            r[n++] = (struct key_record){ .kind = KEY_RECORD_SECRET, .form = KEY_RECORD_PLAIN,
                                          .flags = WALLET_SECRET_OF_PAYMENT, .birth = w->birth,
                                          .id = key, .secret = span_of(d[i].secret, 32) };
    }
    r[n++] = (struct key_record){ .kind = KEY_RECORD_PAYMENT, .form = KEY_RECORD_PUBLIC,
                                  .birth = w->birth, .id = id, .data = data };
    return rc ? rc : keystore_add(w->ks, r, n, e);
}

static enum err accept_locked(struct wallet *w, const struct payment *p, const struct derived *d,
                              struct error *e)
{
    struct buf id, data;
    bool known = false;
    buf_init(&id);
    buf_init(&data);
    put_id(&id, p);
    put_data(&data, p);
    enum err rc = look_for(w, buf_span(&id), buf_span(&data), &known, e);
    if (!rc && !known)
        rc = store_received(w, p, d, buf_span(&id), buf_span(&data), e);
    if (!rc)
        rc = add_keys(w, p, d, e);
    buf_clear(&id);
    buf_clear(&data);
    return rc;
}

struct accepting {
    uint8_t identity[32];
    struct derived d[PAYMENT_OUTPUTS_MAX];
};

static enum err check_unused(struct wallet *w, const struct payment *p, struct error *e)
{
    struct buf id, data;
    bool known;
    buf_init(&id);
    buf_init(&data);
    put_id(&id, p);
    put_data(&data, p);
    const enum err rc = look_for(w, buf_span(&id), buf_span(&data), &known, e);
    buf_clear(&id);
    buf_clear(&data);
    return rc;
}

enum err payments_check_as(struct wallet *w, const uint8_t identity[32], struct payment *p,
                           const struct tx *tx, struct error *e)
{
    struct accepting *s = (struct accepting *)secret_alloc(sizeof *s);
    p->received = true;
    p->txid = tx->id;
    enum err rc = derive_all(p, identity, tx, s->d, e);
    secret_free(s);
    if (rc)
        return rc;
    wallet_lock(w);
    rc = check_unused(w, p, e);
    wallet_unlock(w);
    return rc;
}

/* identity NULL: the wallet's own. */
static enum err accept_as(struct wallet *w, const uint8_t *identity, struct payment *p,
                          const struct tx *tx, struct error *e)
{
    struct accepting *s = (struct accepting *)secret_alloc(sizeof *s);
    enum err rc = OK;
    p->received = true;
    p->txid = tx->id;
    wallet_lock(w);
    if (identity)
        memcpy(s->identity, identity, sizeof s->identity);
    else
        rc = identity_locked(w, s->identity, e);
    if (!rc)
        rc = derive_all(p, s->identity, tx, s->d, e);
    if (!rc)
        rc = accept_locked(w, p, s->d, e);
    wallet_unlock(w);
    secret_free(s);
    return rc;
}

enum err payments_accept(struct wallet *w, struct payment *p, const struct tx *tx, struct error *e)
{
    return accept_as(w, NULL, p, tx, e);
}

enum err payments_accept_as(struct wallet *w, const uint8_t identity[32], struct payment *p,
                            const struct tx *tx, struct error *e)
{
    return accept_as(w, identity, p, tx, e);
}

/* --- sending --- */

struct making {
    struct wallet *w;
    struct payment *p;
    uint8_t (*script)[SCRIPT_P2PKH_SIZE]; /* one of each output */
};

/* Parts first, since the buffer moves while it grows. */
static enum err make_parts(struct payment_sent *out, size_t n, struct error *e)
{
    struct payment *p = &out->payment;
    size_t end[PAYMENT_OUTPUTS_MAX + 1];
    for (size_t i = 0; i <= n; i++) {
        const enum err rc = brc29_new_part(&out->parts, e);
        if (rc)
            return rc;
        end[i] = out->parts.len;
    }
    p->prefix = span_of(out->parts.data, end[0]);
    for (size_t i = 0; i < n; i++)
        p->output[i].suffix = span_of(out->parts.data + end[i], end[i + 1] - end[i]);
    p->n = n;
    return OK;
}

static enum err make_scripts(const struct making *m, const uint8_t identity[32], struct error *e)
{
    uint8_t key[EC_PUBKEY_SIZE];
    enum err rc = OK;
    for (size_t i = 0; i < m->p->n && !rc; i++) {
        const struct brc29_place place = { m->p->prefix, m->p->output[i].suffix };
        rc = brc29_key_of_payee(key, identity, m->p->other, &place, e);
        if (!rc)
            script_make_for_key(m->script[i], span_of(key, EC_PUBKEY_SIZE));
    }
    return rc;
}

static enum err make_scripts_of_wallet(const struct making *m, struct error *e)
{
    uint8_t identity[32];
    enum err rc = payments_identity_secret(m->w, identity, e);
    if (!rc)
        rc = make_scripts(m, identity, e);
    secure_wipe(identity, sizeof identity);
    return rc;
}

static enum err find_output(const struct making *m, const struct tx *tx, size_t i,
                            struct error *e)
{
    const struct span script = span_of(m->script[i], SCRIPT_P2PKH_SIZE);
    for (size_t k = 0; k < tx->n_out; k++)
        if (same_span(tx->out[k].script, script)) {
            m->p->output[i].index = (uint32_t)k;
            return OK;
        }
    return error_set(e, ERR_CORRUPT, "the transaction lacks an output of the payment");
}

static enum err store_sent(void *ctx, const struct tx *tx, struct error *e)
{
    const struct making *m = (const struct making *)ctx;
    struct buf id, data;
    enum err rc = OK;
    for (size_t i = 0; i < m->p->n && !rc; i++)
        rc = find_output(m, tx, i, e);
    if (rc)
        return rc;
    m->p->txid = tx->id;
    buf_init(&id);
    buf_init(&data);
    put_id(&id, m->p);
    put_data(&data, m->p);
    const struct key_record r = { .kind = KEY_RECORD_PAYMENT, .form = KEY_RECORD_PUBLIC,
                                  .birth = m->w->birth, .id = buf_span(&id),
                                  .data = buf_span(&data) };
    rc = keystore_add(m->w->ks, &r, 1, e);
    buf_clear(&id);
    buf_clear(&data);
    return rc;
}

static enum err send(const struct making *m, const int64_t *amounts, const struct wallet_send *how,
                     struct payment_sent *out, struct error *e)
{
    struct wallet_recipient to[PAYMENT_OUTPUTS_MAX];
    struct wallet_send s = *how;
    for (size_t i = 0; i < m->p->n; i++)
        to[i] = (struct wallet_recipient){ span_of(m->script[i], SCRIPT_P2PKH_SIZE), amounts[i],
                                           false };
    s.to = to;
    s.n = m->p->n;
    s.keep = store_sent;
    s.keep_ctx = (void *)(uintptr_t)m;
    return wallet_send(m->w, &s, &out->tx, &out->fee, e);
}

enum err payments_send(struct wallet *w, const uint8_t payee[EC_PUBKEY_SIZE],
                       const int64_t *amounts, size_t n, const struct wallet_send *how,
                       struct payment_sent *out, struct error *e)
{
    uint8_t script[PAYMENT_OUTPUTS_MAX][SCRIPT_P2PKH_SIZE];
    const struct making m = { w, &out->payment, script };
    *out = (struct payment_sent){ .tx = NULL };
    buf_init(&out->parts);
    if (!n || n > PAYMENT_OUTPUTS_MAX)
        return error_set(e, ERR_RANGE, "a payment has 1 to %d outputs", PAYMENT_OUTPUTS_MAX);
    memcpy(out->payment.other, payee, EC_PUBKEY_SIZE);
    enum err rc = make_parts(out, n, e);
    if (!rc)
        rc = make_scripts_of_wallet(&m, e);
    return rc ? rc : send(&m, amounts, how, out, e);
}

enum err payments_send_as(struct wallet *w, const uint8_t identity[32],
                          const uint8_t payee[EC_PUBKEY_SIZE], const struct brc29_place *place,
                          int64_t amount, const struct wallet_send *how, struct payment_sent *out,
                          struct error *e)
{
    uint8_t script[1][SCRIPT_P2PKH_SIZE];
    const struct making m = { w, &out->payment, script };
    *out = (struct payment_sent){ .tx = NULL };
    buf_init(&out->parts);
    memcpy(out->payment.other, payee, EC_PUBKEY_SIZE);
    buf_put(&out->parts, place->prefix.data, place->prefix.len);
    buf_put(&out->parts, place->suffix.data, place->suffix.len);
    out->payment.prefix = span_of(out->parts.data, place->prefix.len);
    out->payment.output[0].suffix = span_of(out->parts.data + place->prefix.len,
                                            place->suffix.len);
    out->payment.n = 1;
    const enum err rc = make_scripts(&m, identity, e);
    return rc ? rc : send(&m, &amount, how, out, e);
}

void payment_sent_clear(struct payment_sent *s)
{
    tx_unref(s->tx);
    buf_clear(&s->parts);
    *s = (struct payment_sent){ .tx = NULL };
}

enum err payments_prefix_was_sent(struct wallet *w, const uint8_t payee[EC_PUBKEY_SIZE],
                                  struct span prefix, bool *sent, struct error *e)
{
    struct payment p = { .received = false, .prefix = prefix };
    struct buf id;
    buf_init(&id);
    memcpy(p.other, payee, sizeof p.other);
    put_id(&id, &p);
    wallet_lock(w);
    const enum err rc = keystore_has(w->ks, KEY_RECORD_PAYMENT, buf_span(&id), sent, e);
    wallet_unlock(w);
    buf_clear(&id);
    return rc;
}

/* --- all of them --- */

struct each {
    payment_fn fn;
    void *ctx;
};

static enum err tell(void *ctx, const struct key_record *r, struct error *e)
{
    const struct each *all = (const struct each *)ctx;
    struct payment p;
    char text[KEY_RECORD_TEXT_MAX];
    if (!read_payment(&p, r))
        return error_set(e, ERR_CORRUPT, "%s is damaged", key_record_text(text, r));
    return all->fn(all->ctx, &p, e);
}

enum err payments_each(struct wallet *w, payment_fn fn, void *ctx, struct error *e)
{
    struct each all = { fn, ctx };
    wallet_lock(w);
    const enum err rc = keystore_each(w->ks, KEY_RECORD_PAYMENT, tell, &all, e);
    wallet_unlock(w);
    return rc;
}
