/*
 * A direction is a key, its chaining key and a nonce that counts uses. BOLT 8 rotates when the
 * nonce comes to 1000; a packet takes two uses and every other rotation sets the nonce to 0, so
 * that this never falls between length and body. A message that rotates (rekey, dh_answer) is
 * sealed and counted like any other first, with the rotation of the nonce if it comes to that, and
 * then rotates its own direction.
 *
 * The key also enters the derivation of an agreement: both directions start from one chaining key
 * and share the agreed secret, without it two that never rotated would get the same key.
 */
#include "p2p/dchan_rec.h"

#include <stdlib.h>
#include <string.h>

#include "base/aead.h"
#include "base/ec.h"
#include "base/intmath.h"
#include "base/kdf.h"
#include "base/mem.h"
#include "base/process_copy.h"
#include "p2p/dchan_noise.h"

#define ROTATE_AT 1000
#define REKEY_AFTER_MS 120000
#define REKEY_RECEIVED_MS 10000 /* no two of them in that time */
#define DH_AFTER_MS 600000
#define DH_AFTER_BYTES (UINT64_C(1) << 30)
#define DH_RECEIVED_MS 60000    /* no two offers in that time */
#define DH_SENT_MS 90000        /* well above, as the network may push two together */
#define DH_TIMEOUT_MS 30000
#define OUT_COMPACT_MIN 65536   /* bytes before the start worth moving the rest for */
#define OUT_KEEP_MAX 262144     /* of memory when nothing waits */

_Static_assert(DCHAN_LENGTH_SIZE == 2 + AEAD_TAG_SIZE, "sealed length");
_Static_assert(DCHAN_PACKET_EXTRA == DCHAN_LENGTH_SIZE + AEAD_TAG_SIZE, "length and body");

struct direction {
    struct aead_ctx *aead; /* NULL: dead */
    uint8_t key[32], chaining_key[32];
    uint64_t nonce;
    uint64_t rotated_ms;
    uint32_t *rotations;
};

struct dchan_rec {
    enum dchan_role role;
    uint64_t copy; /* the process whose keys these are */
    enum dchan_rekeys rekeys;
    struct direction send, receive;
    struct dchan_rec_stats stats;

    struct buf out;
    size_t out_start; /* bytes of it that were written */
    size_t out_max;   /* that may wait */
    bool bye_sent, bye_received;

    uint8_t length[DCHAN_LENGTH_SIZE];
    size_t body_size; /* sealed, of the packet that is arriving; 0: its length is */
    size_t collected; /* bytes of length or body that have arrived */
    struct buf body;
    enum err failed;
    enum dchan_error error;

    enum { DH_NONE, DH_OFFERED, DH_ANSWERED } dh;
    uint8_t dh_secret[32]; /* offered: of our ephemeral key; answered: the agreement */
    uint64_t dh_started_ms, dh_bytes;
    uint64_t rekey_received_ms, offer_received_ms;
    bool has_rekey_received, has_offer_received, has_offered;
};

/* --- directions --- */

static void direction_init(struct direction *d, enum aead_use use, const uint8_t key[32],
                           const struct dchan_keys *s, uint64_t now_ms, uint32_t *rotations)
{
    *d = (struct direction){ .aead = aead_ctx_new(use), .rotated_ms = now_ms,
                             .rotations = rotations };
    memcpy(d->key, key, sizeof d->key);
    memcpy(d->chaining_key, s->chaining_key, sizeof d->chaining_key);
    aead_ctx_set_key(d->aead, d->key);
}

static void direction_kill(struct direction *d)
{
    aead_ctx_free(d->aead);
    secure_wipe(d, sizeof *d);
}

/* (ck, k) = HKDF(ck, k | secret); secret: 32 bytes or NULL. */
static void rotate(struct direction *d, const uint8_t *secret, uint64_t now_ms)
{
    uint8_t material[64], both[64];
    memcpy(material, d->key, 32);
    if (secret)
        memcpy(material + 32, secret, 32);
    BUG_ON(!hkdf_sha256(both, sizeof both, span_of(d->chaining_key, 32),
                        span_of(material, secret ? 64 : 32), span_of(NULL, 0)));
    memcpy(d->chaining_key, both, 32);
    memcpy(d->key, both + 32, 32);
    aead_ctx_set_key(d->aead, d->key);
    secure_wipe(material, sizeof material);
    secure_wipe(both, sizeof both);
    d->nonce = 0;
    d->rotated_ms = now_ms;
    ++*d->rotations;
}

static void count_use(struct direction *d, uint64_t now_ms)
{
    if (++d->nonce == ROTATE_AT)
        rotate(d, NULL, now_ms);
}

/* len bytes at p in place, and the tag behind them. */
static void seal(struct direction *d, uint8_t *p, size_t len, uint64_t now_ms)
{
    uint8_t iv[NOISE_IV_SIZE];
    noise_iv(iv, d->nonce);
    BUG_ON(!aead_ctx_seal(d->aead, iv, span_of(p, len), p));
    count_use(d, now_ms);
}

static bool unseal(struct direction *d, struct span sealed, uint8_t *out, uint64_t now_ms)
{
    uint8_t iv[NOISE_IV_SIZE];
    noise_iv(iv, d->nonce);
    if (!aead_ctx_open(d->aead, iv, sealed, out))
        return false;
    count_use(d, now_ms);
    return true;
}

/* --- life --- */

struct dchan_rec *dchan_rec_new(enum dchan_role role, const struct dchan_keys *s,
                                uint64_t now_ms)
{
    struct dchan_rec *rec = xcalloc(1, sizeof *rec);
    rec->role = role;
    rec->copy = process_copy_number();
    rec->out_max = DCHAN_OUT_MAX;
    rec->body.secret = true; /* growing leaves no text behind */
    direction_init(&rec->send, AEAD_SEAL, s->send_key, s, now_ms, &rec->stats.rotations_sent);
    direction_init(&rec->receive, AEAD_OPEN, s->receive_key, s, now_ms,
                   &rec->stats.rotations_received);
    return rec;
}

void dchan_rec_set_out_max(struct dchan_rec *rec, size_t max) { rec->out_max = max; }

void dchan_rec_free(struct dchan_rec *rec)
{
    if (!rec)
        return;
    direction_kill(&rec->send);
    direction_kill(&rec->receive);
    buf_clear(&rec->body);
    buf_clear(&rec->out);
    secure_wipe(rec, sizeof *rec);
    free(rec);
}

void dchan_rec_allow(struct dchan_rec *rec, enum dchan_rekeys rekeys, uint64_t now_ms)
{
    rec->rekeys = rekeys;
    rec->dh_started_ms = now_ms;
}

const struct dchan_rec_stats *dchan_rec_stats(const struct dchan_rec *rec)
{
    return &rec->stats;
}

void dchan_rec_shrink(struct dchan_rec *rec)
{
    if (rec->out.len == 0)
        buf_clear(&rec->out);
    if (rec->body_size == 0)
        buf_clear(&rec->body);
}

/* --- sending --- */

static size_t waiting(const struct dchan_rec *rec)
{
    return rec->out.len - rec->out_start;
}

bool dchan_rec_is_copy(const struct dchan_rec *rec)
{
    return rec->copy != process_copy_number();
}

/*
 * A copy of the process would seal its own messages under the nonces of the original (attacks E6):
 * it forgets the keys, and sends nothing more.
 */
static bool is_copy(struct dchan_rec *rec)
{
    if (!dchan_rec_is_copy(rec))
        return false;
    direction_kill(&rec->send);
    direction_kill(&rec->receive);
    secure_wipe(rec->dh_secret, sizeof rec->dh_secret);
    rec->dh = DH_NONE;
    rec->failed = ERR_AUTH;
    buf_clear(&rec->out);
    rec->out_start = 0;
    return true;
}

/* Moves the unwritten rest to the front when at least as much lies before it. */
static void compact(struct dchan_rec *rec)
{
    if (rec->out_start < OUT_COMPACT_MIN || rec->out_start < waiting(rec))
        return;
    memmove(rec->out.data, rec->out.data + rec->out_start, waiting(rec));
    rec->out.len -= rec->out_start;
    rec->out_start = 0;
}

enum err dchan_rec_put(struct dchan_rec *rec, struct span head, struct span body, uint64_t now_ms)
{
    const size_t len = head.len + body.len, size = len + DCHAN_PACKET_EXTRA;
    if (head.len < DCHAN_MSG_MIN || head.len > DCHAN_MSG_MAX || body.len > DCHAN_MSG_MAX ||
        len > DCHAN_MSG_MAX)
        return ERR_RANGE;
    if (is_copy(rec))
        return ERR_AUTH;
    if (!rec->send.aead || rec->bye_sent)
        return ERR_CANCELLED;
    if (waiting(rec) + size > rec->out_max)
        return ERR_BUSY;
    compact(rec);
    if (!buf_try_reserve(&rec->out, size))
        return ERR_NOMEM;
    uint8_t *length = buf_extend(&rec->out, size), *text = length + DCHAN_LENGTH_SIZE;
    be16_put(length, (uint16_t)len);
    memcpy(text, head.data, head.len);
    if (body.len)
        memcpy(text + head.len, body.data, body.len);
    rec->bye_sent = be16_get(text) == DCHAN_BYE;
    seal(&rec->send, length, DCHAN_LENGTH_SIZE - AEAD_TAG_SIZE, now_ms);
    seal(&rec->send, text, len, now_ms);
    rec->stats.bytes_sent += size;
    rec->dh_bytes += size;
    return OK;
}

struct span dchan_rec_output(const struct dchan_rec *rec)
{
    return span_of(rec->out.data + rec->out_start, waiting(rec));
}

void dchan_rec_written(struct dchan_rec *rec, size_t n)
{
    BUG_ON(n > waiting(rec));
    rec->out_start += n;
    if (rec->out_start < rec->out.len)
        return;
    rec->out_start = 0;
    if (rec->out.cap > OUT_KEEP_MAX)
        buf_clear(&rec->out);
    else
        buf_reset(&rec->out);
}

/* A message of at most a type and a key. */
static enum err put_small(struct dchan_rec *rec, uint16_t type, struct span fields, uint64_t now_ms)
{
    uint8_t head[DCHAN_TYPE_SIZE];
    be16_put(head, type);
    return dchan_rec_put(rec, span_of(head, sizeof head), fields, now_ms);
}

/* And right after it the key is another. */
static enum err put_rekey(struct dchan_rec *rec, enum dchan_rekey_kind kind, const uint8_t *secret,
                          uint64_t now_ms)
{
    const uint8_t byte = (uint8_t)kind;
    const enum err rc = put_small(rec, DCHAN_REKEY, span_of(&byte, 1), now_ms);
    if (rc == OK)
        rotate(&rec->send, secret, now_ms);
    return rc;
}

enum err dchan_rec_rekey(struct dchan_rec *rec, uint64_t now_ms)
{
    return put_rekey(rec, DCHAN_REKEY_HASH, NULL, now_ms);
}

/* --- agreement --- */

static void dh_finish(struct dchan_rec *rec)
{
    secure_wipe(rec->dh_secret, sizeof rec->dh_secret);
    rec->dh = DH_NONE;
    rec->stats.agreements++;
}

static void dh_begin(struct dchan_rec *rec, int state, uint64_t now_ms)
{
    rec->dh = state;
    rec->dh_started_ms = now_ms;
    rec->dh_bytes = 0;
}

static enum err dh_offer(struct dchan_rec *rec, uint64_t now_ms)
{
    uint8_t key[IDENTITY_KEY_SIZE];
    if (!noise_draw_key(rec->dh_secret, key))
        return OK; /* the next tick tries again; until then keys rotate by hash */
    dh_begin(rec, DH_OFFERED, now_ms);
    rec->has_offered = true;
    return put_small(rec, DCHAN_DH_OFFER, span_of(key, sizeof key), now_ms);
}

static bool dh_due(const struct dchan_rec *rec, uint64_t now_ms)
{
    const uint64_t age = now_ms - rec->dh_started_ms;
    if (rec->role != DCHAN_INITIATOR || rec->rekeys != DCHAN_REKEYS_BY_DH || rec->dh != DH_NONE ||
        (rec->has_offered && age < DH_SENT_MS))
        return false;
    return age >= DH_AFTER_MS || rec->dh_bytes >= DH_AFTER_BYTES;
}

static bool rekey_due(const struct dchan_rec *rec, uint64_t now_ms)
{
    return rec->rekeys != DCHAN_REKEYS_NONE && rec->send.nonce > 0 &&
           now_ms - rec->send.rotated_ms >= REKEY_AFTER_MS;
}

enum err dchan_rec_tick(struct dchan_rec *rec, uint64_t now_ms)
{
    enum err rc = OK;
    if (is_copy(rec))
        return ERR_AUTH;
    if (!rec->send.aead || rec->bye_sent)
        return OK;
    if (rec->dh != DH_NONE && now_ms - rec->dh_started_ms >= DH_TIMEOUT_MS)
        return ERR_TIMEOUT;
    if (rekey_due(rec, now_ms))
        rc = dchan_rec_rekey(rec, now_ms);
    if (rc == OK && dh_due(rec, now_ms))
        rc = dh_offer(rec, now_ms);
    return rc;
}

/* --- receiving --- */

/* Final for reading. `error` can still be sent. */
static enum err refuse(struct dchan_rec *rec, enum err why, enum dchan_error error)
{
    direction_kill(&rec->receive);
    secure_wipe(rec->dh_secret, sizeof rec->dh_secret);
    rec->dh = DH_NONE;
    rec->failed = why;
    rec->error = error;
    return why;
}

/* A wrong tag: nothing is answered, and what waits is not sent either. */
static enum err refuse_tag(struct dchan_rec *rec)
{
    direction_kill(&rec->send);
    buf_clear(&rec->out);
    rec->out_start = 0;
    return refuse(rec, ERR_AUTH, DCHAN_NO_ERROR);
}

enum dchan_error dchan_rec_error(const struct dchan_rec *rec)
{
    return rec->error;
}

bool dchan_rec_clean_end(const struct dchan_rec *rec)
{
    return rec->bye_received && !rec->failed && rec->body_size == 0 && rec->collected == 0;
}

/* Less than `limit` since the last one, which *last becomes. */
static bool too_soon(bool *has_last, uint64_t *last, uint64_t limit, uint64_t now_ms)
{
    const bool soon = *has_last && now_ms - *last < limit;
    *has_last = true;
    *last = now_ms;
    return soon;
}

static enum err take_rekey_by_hash(struct dchan_rec *rec, uint64_t now_ms)
{
    if (too_soon(&rec->has_rekey_received, &rec->rekey_received_ms, REKEY_RECEIVED_MS, now_ms))
        return refuse(rec, ERR_PROTO, DCHAN_ERROR_LIMIT);
    rotate(&rec->receive, NULL, now_ms);
    return OK;
}

/* Responder: the last step of an agreement. */
static enum err take_rekey_by_dh(struct dchan_rec *rec, uint64_t now_ms)
{
    if (rec->dh != DH_ANSWERED)
        return refuse(rec, ERR_PROTO, DCHAN_ERROR_MALFORMED);
    rotate(&rec->receive, rec->dh_secret, now_ms);
    dh_finish(rec);
    return OK;
}

/* Responder: answers, and from then on sends under the new key. */
static enum err take_offer(struct dchan_rec *rec, const uint8_t *their_key, uint64_t now_ms)
{
    uint8_t secret[32], key[IDENTITY_KEY_SIZE];
    if (rec->role == DCHAN_INITIATOR)
        return refuse(rec, ERR_PROTO, DCHAN_ERROR_MALFORMED);
    if (too_soon(&rec->has_offer_received, &rec->offer_received_ms, DH_RECEIVED_MS, now_ms))
        return refuse(rec, ERR_PROTO, DCHAN_ERROR_LIMIT);
    if (rec->dh != DH_NONE)
        return refuse(rec, ERR_PROTO, DCHAN_ERROR_MALFORMED);
    if (rec->bye_sent)
        return OK; /* nothing of ours follows that could be rekeyed, nor an answer */
    if (!noise_draw_key(secret, key))
        return refuse(rec, ERR_IO, DCHAN_NO_ERROR);
    const bool ok = ec_ecdh_sha256(rec->dh_secret, their_key, secret);
    secure_wipe(secret, sizeof secret);
    if (!ok)
        return refuse(rec, ERR_PROTO, DCHAN_ERROR_MALFORMED);
    const enum err rc = put_small(rec, DCHAN_DH_ANSWER, span_of(key, sizeof key), now_ms);
    if (rc)
        return refuse(rec, rc, DCHAN_NO_ERROR);
    dh_begin(rec, DH_ANSWERED, now_ms);
    rotate(&rec->send, rec->dh_secret, now_ms);
    return OK;
}

/* Initiator. After `bye` of ours there is no direction left to rekey but theirs. */
static enum err take_answer(struct dchan_rec *rec, const uint8_t *their_key, uint64_t now_ms)
{
    uint8_t secret[32];
    enum err rc = OK;
    if (rec->dh != DH_OFFERED)
        return refuse(rec, ERR_PROTO, DCHAN_ERROR_MALFORMED);
    if (!ec_ecdh_sha256(secret, their_key, rec->dh_secret))
        return refuse(rec, ERR_PROTO, DCHAN_ERROR_MALFORMED);
    rotate(&rec->receive, secret, now_ms);
    if (!rec->bye_sent)
        rc = put_rekey(rec, DCHAN_REKEY_DH, secret, now_ms);
    secure_wipe(secret, sizeof secret);
    dh_finish(rec);
    return rc ? refuse(rec, rc, DCHAN_NO_ERROR) : OK;
}

/* One of the three messages that end here. */
static enum err take_rotation(struct dchan_rec *rec, struct span msg, uint64_t now_ms)
{
    const struct dchan_features ours = {
        .offered = rec->rekeys == DCHAN_REKEYS_BY_DH ? 1u << DCHAN_DH_REKEY : 0
    };
    struct dchan_msg m;
    if (rec->rekeys == DCHAN_REKEYS_NONE) /* 2.4: close */
        return refuse(rec, ERR_PROTO, DCHAN_NO_ERROR);
    const enum dchan_read got = dchan_msg_read(&m, msg, &ours);
    if (got != DCHAN_READ_OK)
        return refuse(rec, ERR_PROTO, got == DCHAN_READ_UNKNOWN ? DCHAN_ERROR_UNKNOWN_TYPE
                                                                 : DCHAN_ERROR_MALFORMED);
    if (m.type == DCHAN_DH_OFFER)
        return take_offer(rec, m.ephemeral, now_ms);
    if (m.type == DCHAN_DH_ANSWER)
        return take_answer(rec, m.ephemeral, now_ms);
    return m.rekey_kind == DCHAN_REKEY_DH ? take_rekey_by_dh(rec, now_ms)
                                          : take_rekey_by_hash(rec, now_ms);
}

/*
 * n bytes in a row: those of *in when it has them all, else collected in store, which holds n.
 * NULL: there are not as many yet.
 */
static const uint8_t *collect(struct dchan_rec *rec, struct span *in, uint8_t *store, size_t n)
{
    const uint8_t *p = in->data;
    const size_t taken = MIN_OF(n - rec->collected, in->len);
    *in = span_of(taken ? p + taken : p, in->len - taken);
    if (taken == n)
        return p;
    if (taken)
        memcpy(store + rec->collected, p, taken);
    rec->collected += taken;
    if (rec->collected < n)
        return NULL;
    rec->collected = 0;
    return store;
}

/* The sealed length, after which body_size is known and the memory for it there. */
static enum err read_length(struct dchan_rec *rec, struct span *in, uint64_t now_ms)
{
    uint8_t length[2];
    const uint8_t *sealed = collect(rec, in, rec->length, DCHAN_LENGTH_SIZE);
    if (!sealed)
        return OK;
    if (!unseal(&rec->receive, span_of(sealed, DCHAN_LENGTH_SIZE), length, now_ms))
        return refuse_tag(rec);
    if (be16_get(length) < DCHAN_MSG_MIN)
        return refuse(rec, ERR_PROTO, DCHAN_ERROR_MALFORMED);
    rec->body_size = be16_get(length) + (size_t)AEAD_TAG_SIZE;
    if (!buf_try_reserve(&rec->body, rec->body_size))
        return refuse(rec, ERR_NOMEM, DCHAN_NO_ERROR);
    return OK;
}

/* The message, empty while bytes are missing. */
static enum err read_body(struct dchan_rec *rec, struct span *in, uint64_t now_ms,
                          struct span *msg)
{
    const size_t size = rec->body_size;
    const uint8_t *sealed = collect(rec, in, rec->body.data, size);
    if (!sealed)
        return OK;
    rec->body_size = 0;
    if (!unseal(&rec->receive, span_of(sealed, size), rec->body.data, now_ms))
        return refuse_tag(rec);
    rec->stats.bytes_received += DCHAN_LENGTH_SIZE + size;
    rec->dh_bytes += DCHAN_LENGTH_SIZE + size;
    if (rec->bye_received)
        return refuse(rec, ERR_PROTO, DCHAN_NO_ERROR);
    *msg = span_of(rec->body.data, size - AEAD_TAG_SIZE);
    return OK;
}

static bool is_rotation(uint16_t type)
{
    return type == DCHAN_REKEY || type == DCHAN_DH_OFFER || type == DCHAN_DH_ANSWER;
}

enum err dchan_rec_read(struct dchan_rec *rec, struct span *in, uint64_t now_ms, struct span *msg)
{
    *msg = span_of(NULL, 0);
    if (in->len && is_copy(rec))
        return ERR_AUTH;
    while (!rec->failed && in->len) {
        enum err rc = rec->body_size ? OK : read_length(rec, in, now_ms);
        if (rc == OK && rec->body_size)
            rc = read_body(rec, in, now_ms, msg);
        if (rc || !msg->len)
            continue;
        if (!is_rotation(be16_get(msg->data))) {
            rec->bye_received = be16_get(msg->data) == DCHAN_BYE;
            return OK;
        }
        const struct span rotation = *msg;
        *msg = span_of(NULL, 0);
        if (take_rotation(rec, rotation, now_ms))
            break;
    }
    return rec->failed;
}
