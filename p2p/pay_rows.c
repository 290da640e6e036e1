#include "p2p/pay_rows.h"

#include <string.h>

#include "base/intmath.h"
#include "base/reader.h"
#include "p2p/dchan_codec.h"

#define TABLE 'q'
#define CREDIT 'c'
#define BEEF 'b'
#define VERSION 1
#define HAS_REQUEST 1 /* flag */
#define KEY_HEAD 10   /* table, kind and contact */

/* --- keys --- */

struct pay_key pay_row_key(enum pay_row_kind kind, uint64_t contact,
                           const uint8_t theirs[IDENTITY_KEY_SIZE], const uint8_t id[PAY_ID_SIZE])
{
    struct pay_key k = { .len = KEY_HEAD };
    k.b[0] = TABLE;
    k.b[1] = (uint8_t)kind;
    be64_put(k.b + 2, contact);
    if (!contact) {
        memcpy(k.b + k.len, theirs, IDENTITY_KEY_SIZE);
        k.len += IDENTITY_KEY_SIZE;
    }
    memcpy(k.b + k.len, id, PAY_ID_SIZE);
    k.len += PAY_ID_SIZE;
    return k;
}

struct pay_key pay_row_key_of(const struct pay_row *r)
{
    return pay_row_key(r->kind, r->contact, r->theirs, r->id);
}

struct pay_key pay_beef_key(const struct pay_row *received)
{
    struct pay_key k = pay_row_key_of(received);
    k.b[1] = BEEF;
    return k;
}

void pay_credit_key(uint8_t out[PAY_CREDIT_KEY_SIZE], const struct outpoint *o)
{
    out[0] = TABLE;
    out[1] = CREDIT;
    memcpy(out + 2, o->txid.b, 32);
    be32_put(out + 34, o->index);
}

static bool read_key(struct pay_row *r, struct span key)
{
    struct reader in;
    reader_init(&in, key.data, key.len);
    const bool ours = read_u8(&in) == TABLE;
    r->kind = (enum pay_row_kind)read_u8(&in);
    r->contact = read_be64(&in);
    if (!r->contact)
        (void)read_bytes(&in, IDENTITY_KEY_SIZE); /* the value has it */
    read_copy(&in, r->id, sizeof r->id);
    return ours && reader_done(&in);
}

/* --- values --- */

struct pay_row_text pay_text_of(struct span s)
{
    struct pay_row_text t = { .len = (uint8_t)MIN_OF(s.len, (size_t)DCHAN_DERIVATION_MAX) };
    if (t.len)
        memcpy(t.b, s.data, t.len);
    return t;
}

void pay_row_write(struct buf *b, const struct pay_row *r)
{
    buf_put_u8(b, VERSION);
    buf_put_u8(b, (uint8_t)r->state);
    buf_put_u8(b, r->has_request ? HAS_REQUEST : 0);
    buf_put(b, r->theirs, sizeof r->theirs);
    buf_put(b, r->ours, sizeof r->ours);
    buf_put_be64(b, r->satoshis);
    buf_put_be64(b, r->fee);
    buf_put_be64(b, (uint64_t)r->created);
    buf_put_be64(b, (uint64_t)r->ended);
    buf_put_be32(b, r->expires);
    buf_put_be16(b, r->status);
    buf_put(b, r->request, sizeof r->request);
    buf_put(b, r->txid.b, sizeof r->txid.b);
    buf_put_v8(b, pay_text_span(&r->prefix));
    buf_put_v16(b, span_of(r->memo, r->memo_len));
    buf_put_v8(b, span_of(r->wallet, strlen(r->wallet)));
    buf_put_u8(b, (uint8_t)r->n);
    for (size_t i = 0; i < r->n; i++) {
        buf_put_be32(b, r->output[i].index);
        buf_put_v8(b, pay_text_span(&r->output[i].suffix));
    }
}

static void read_texts(struct pay_row *r, struct reader *in)
{
    r->prefix = pay_text_of(read_v8(in, DCHAN_DERIVATION_MAX));
    const struct span memo = read_v16(in, DCHAN_TEXT_MAX);
    if (memo.len)
        memcpy(r->memo, memo.data, memo.len);
    r->memo_len = memo.len;
    const struct span wallet = read_v8(in, PAY_WALLET_MAX);
    if (wallet.len)
        memcpy(r->wallet, wallet.data, wallet.len);
    r->wallet[wallet.len] = 0;
}

static void read_outputs(struct pay_row *r, struct reader *in)
{
    r->n = read_u8(in);
    in->failed |= r->n > DCHAN_OUTPUTS_MAX;
    for (size_t i = 0; i < r->n && !in->failed; i++) {
        r->output[i].index = read_be32(in);
        r->output[i].suffix = pay_text_of(read_v8(in, DCHAN_DERIVATION_MAX));
    }
}

static bool known_state(unsigned state) { return state >= PAY_OPEN && state <= PAY_LOST; }

bool pay_row_read(struct pay_row *r, struct span key, struct span value)
{
    struct reader in;
    *r = (struct pay_row){ .n = 0 };
    if (!read_key(r, key))
        return false;
    reader_init(&in, value.data, value.len);
    if (read_u8(&in) != VERSION)
        return false;
    r->state = (enum pay_row_state)read_u8(&in);
    r->has_request = read_u8(&in) & HAS_REQUEST;
    read_copy(&in, r->theirs, sizeof r->theirs);
    read_copy(&in, r->ours, sizeof r->ours);
    r->satoshis = read_be64(&in);
    r->fee = read_be64(&in);
    r->created = (int64_t)read_be64(&in);
    r->ended = (int64_t)read_be64(&in);
    r->expires = read_be32(&in);
    r->status = read_be16(&in);
    read_copy(&in, r->request, sizeof r->request);
    read_copy(&in, r->txid.b, sizeof r->txid.b);
    read_texts(r, &in);
    read_outputs(r, &in);
    return reader_done(&in) && known_state(r->state);
}

const char *pay_state_name(enum pay_row_state s)
{
    switch (s) {
    case PAY_OPEN:
        return "open";
    case PAY_PAID:
        return "paid";
    case PAY_EXPIRED:
        return "expired";
    case PAY_MAKING:
        return "making";
    case PAY_PENDING:
        return "pending";
    case PAY_ACCEPTED:
        return "accepted";
    case PAY_REFUSED:
        return "refused";
    case PAY_TAKEN_BACK:
        return "taken back";
    case PAY_SETTLED:
        return "settled";
    case PAY_LOST:
        return "lost";
    }
    return "unknown";
}

const char *pay_status_name(unsigned status)
{
    static const char *const names[] = { "accepted", "invalid", "wrong amount", "proof missing",
                                         "refused" };
    return status < COUNT_OF(names) ? names[status] : "unknown";
}

/* --- reading --- */

enum err pay_row_load(struct kv *kv, const struct pay_key *key, struct pay_row *r, bool *found,
                      struct error *e)
{
    struct buf value;
    buf_init(&value);
    enum err rc = kv_get(kv, key->b, key->len, &value, found, e);
    if (!rc && *found && !pay_row_read(r, span_of(key->b, key->len), buf_span(&value)))
        rc = error_set(e, ERR_CORRUPT, "a payment in the database of direct channels is damaged");
    buf_clear(&value);
    return rc;
}

static bool is_row(struct span key) { return key.data[1] != CREDIT && key.data[1] != BEEF; }

static bool begins_with(struct span key, struct span start)
{
    return key.len > start.len && memcmp(key.data, start.data, start.len) == 0;
}

static enum err each_from(struct kv *kv, struct span start, pay_row_fn fn, void *ctx,
                          struct error *e)
{
    struct kv_iter *it = kv_iter_new(kv);
    enum err rc = OK;
    for (kv_iter_seek(it, start.data, start.len);
         !rc && kv_iter_valid(it) && begins_with(kv_iter_key(it), start); kv_iter_next(it)) {
        struct pay_row r;
        if (!is_row(kv_iter_key(it)))
            continue;
        rc = pay_row_read(&r, kv_iter_key(it), kv_iter_value(it))
                 ? fn(ctx, &r, e)
                 : error_set(e, ERR_CORRUPT, "a payment in the database of direct channels is "
                             "damaged");
    }
    if (!rc)
        rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

enum err pay_rows_each(struct kv *kv, pay_row_fn fn, void *ctx, struct error *e)
{
    static const uint8_t start[1] = { TABLE };
    return each_from(kv, span_of(start, sizeof start), fn, ctx, e);
}

enum err pay_rows_of(struct kv *kv, uint64_t contact, pay_row_fn fn, void *ctx, struct error *e)
{
    static const uint8_t kinds[] = { PAY_RECEIVED, PAY_REQUESTED_BY_US, PAY_REQUESTED_OF_US,
                                     PAY_SENT };
    uint8_t start[KEY_HEAD] = { TABLE };
    enum err rc = OK;
    be64_put(start + 2, contact);
    for (size_t i = 0; i < COUNT_OF(kinds) && !rc; i++) {
        start[1] = kinds[i];
        rc = each_from(kv, span_of(start, sizeof start), fn, ctx, e);
    }
    return rc;
}
