#include "p2p/bca_record.h"

#include <string.h>

#include "base/ec.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/utf8.h"
#include "p2p/dchan_codec.h"

static const char record_tag[] = "bcapeer/record";
static const char key_tag[] = "bcapeer/key";

enum {
    FLAG_TOMBSTONE = 1,
    EXT_SUCCESSOR = 1,
    MS_PER_SECOND = 1000,
};

const char *bca_record_fault_name(enum bca_record_fault fault)
{
    static const char *const names[] = {
        [BCA_RECORD_GOOD] = "good",
        [BCA_RECORD_MALFORMED] = "malformed",
        [BCA_RECORD_OTHER_VERSION] = "other version",
        [BCA_RECORD_BAD_TIMES] = "bad times",
        [BCA_RECORD_SEQ_TOO_HIGH] = "seq too high",
        [BCA_RECORD_EXPIRED] = "expired",
        [BCA_RECORD_BAD_ENDPOINT] = "bad endpoint",
        [BCA_RECORD_BAD_SIGNATURE] = "bad signature",
        [BCA_RECORD_BAD_BCA] = "address not proved",
        [BCA_RECORD_NOT_ACCEPTED] = "not accepted",
        [BCA_RECORD_REVOKED] = "revoked",
        [BCA_RECORD_UNDETERMINED] = "undetermined",
    };
    return names[fault];
}

/* --- reading --- */

static struct span read_limited(struct reader *r, size_t max)
{
    const struct span s = read_var_bytes(r);
    if (s.len > max)
        r->failed = true;
    return s;
}

static void read_endpoints(struct reader *r, struct bca_record *out)
{
    out->n_endpoints = read_u8(r);
    if (out->n_endpoints > BCA_RECORD_ENDPOINTS_MAX) {
        r->failed = true;
        out->n_endpoints = 0;
    }
    for (size_t i = 0; i < out->n_endpoints; i++) {
        struct bca_endpoint *e = &out->endpoints[i];
        e->type = read_u8(r);
        e->priority = read_u8(r);
        read_copy(r, e->address, sizeof e->address);
        e->port = read_be16(r);
    }
}

static bool read_ext(struct bca_record *out)
{
    struct tlv_reader stream;
    struct tlv t;
    tlv_reader_init(&stream, out->ext);
    while (tlv_next(&stream, &t)) {
        struct reader value;
        if (t.type != EXT_SUCCESSOR) {
            tlv_skip(&stream, &t);
            continue;
        }
        reader_init(&value, t.value.data, t.value.len);
        dchan_successor_read(&value, &out->successor);
        if (!reader_done(&value))
            return false;
        out->has_successor = true;
    }
    return !stream.r.failed;
}

/* What one encoding cannot tell from the lengths alone. */
static bool is_well_formed(struct bca_record *r)
{
    if (r->features.len && r->features.data[0] == 0)
        return false;
    /* Endpoint 0 is the one that is proved: only a tombstone is without. */
    if (r->tombstone != (r->n_endpoints == 0))
        return false;
    return ec_pubkey_valid(r->key, sizeof r->key) && utf8_valid(r->alias.data, r->alias.len) &&
           read_ext(r);
}

enum bca_record_fault bca_record_read(struct bca_record *out, struct span raw)
{
    struct reader r;
    *out = (struct bca_record){ 0 };
    if (raw.len > BCA_RECORD_MAX)
        return BCA_RECORD_MALFORMED;
    reader_init(&r, raw.data, raw.len);
    const uint8_t version = read_u8(&r), flags = read_u8(&r);
    if (r.failed)
        return BCA_RECORD_MALFORMED;
    if (version != BCA_RECORD_VERSION || (flags & ~FLAG_TOMBSTONE))
        return BCA_RECORD_OTHER_VERSION;
    out->tombstone = flags & FLAG_TOMBSTONE;
    read_copy(&r, out->key, sizeof out->key);
    out->seq = read_le64(&r);
    out->issued = read_le32(&r);
    out->expires = read_le32(&r);
    out->features = read_limited(&r, BCA_RECORD_FEATURES_MAX);
    read_endpoints(&r, out);
    out->alias = read_limited(&r, BCA_RECORD_ALIAS_MAX);
    out->params = read_limited(&r, BCA_RECORD_PARAMS_MAX);
    out->ext = read_limited(&r, BCA_RECORD_EXT_MAX);
    read_copy(&r, out->sig, sizeof out->sig);
    if (!reader_done(&r) || !is_well_formed(out))
        return BCA_RECORD_MALFORMED;
    out->body = span_of(raw.data, raw.len - IDENTITY_SIG_SIZE);
    return BCA_RECORD_GOOD;
}

/* --- rules --- */

enum bca_record_fault bca_record_check_times(const struct bca_record *r, uint64_t now)
{
    const uint64_t latest = now + BCA_RECORD_CLOCK_TOLERANCE;
    const uint64_t longest = (uint64_t)r->issued + BCA_RECORD_LIFETIME_MAX;
    if (r->issued > latest || r->expires <= r->issued || r->expires > longest ||
        (r->tombstone && r->expires != longest))
        return BCA_RECORD_BAD_TIMES;
    /* now is our own clock: far from where this could overflow. */
    if (r->seq > MS_PER_SECOND * latest)
        return BCA_RECORD_SEQ_TOO_HIGH;
    return now >= (uint64_t)r->expires + BCA_RECORD_CLOCK_TOLERANCE ? BCA_RECORD_EXPIRED
                                                                      : BCA_RECORD_GOOD;
}

static bool is_global_unicast(const uint8_t address[BCA_ADDRESS_SIZE])
{
    return (address[0] & 0xe0) == 0x20;
}

enum bca_record_fault bca_record_check_endpoints(const struct bca_record *r)
{
    for (size_t i = 0; i < r->n_endpoints; i++)
        if (r->endpoints[i].type == BCA_RECORD_TCP6 && !is_global_unicast(r->endpoints[i].address))
            return BCA_RECORD_BAD_ENDPOINT;
    return BCA_RECORD_GOOD;
}

enum bca_record_fault bca_record_check_signature(const struct bca_record *r)
{
    uint8_t digest[32];
    sha256_tagged(digest, record_tag, r->body.data, r->body.len);
    return ec_verify_rs(r->key, r->sig, digest) ? BCA_RECORD_GOOD : BCA_RECORD_BAD_SIGNATURE;
}

static enum bca_record_fault fault_of_verdict(const struct bca_verdict *v)
{
    if (v->result == BCA_VALID)
        return BCA_RECORD_GOOD;
    if (v->result == BCA_UNDETERMINED)
        return BCA_RECORD_UNDETERMINED;
    if (v->step == BCA_STEP_REVOKED)
        return BCA_RECORD_REVOKED;
    if (v->step < BCA_STEP_MIN_SEC)
        return BCA_RECORD_BAD_BCA; /* it is in the bytes: whoever sent them could see it */
    return v->step == BCA_STEP_CHAIN && v->confirmations > 0 ? BCA_RECORD_UNDETERMINED
                                                             : BCA_RECORD_NOT_ACCEPTED;
}

enum bca_record_fault bca_record_check_bca(const struct bca_record *r,
                                           const struct bca_policy *policy)
{
    struct bca_params params;
    struct bca_verdict v;
    if (r->tombstone && r->params.len == 0)
        return BCA_RECORD_GOOD;
    if (bca_params_read(r->params, &params, NULL) ||
        !mem_equal_var(params.public_key, r->key, sizeof r->key))
        return BCA_RECORD_BAD_BCA;
    if (r->tombstone)
        return BCA_RECORD_GOOD;
    bca_verify(r->endpoints[0].address, r->params, policy, &v);
    return fault_of_verdict(&v);
}

void bca_record_key(uint8_t out[32], const uint8_t key[IDENTITY_KEY_SIZE])
{
    sha256_tagged(out, key_tag, key, IDENTITY_KEY_SIZE);
}

enum bca_record_order bca_record_compare(const struct bca_record *r, struct span raw,
                                         const struct bca_record *stored, struct span stored_raw)
{
    if (r->seq == stored->seq)
        return raw.len == stored_raw.len && mem_equal_var(raw.data, stored_raw.data, raw.len)
                   ? BCA_RECORD_SAME
                   : BCA_RECORD_EQUIVOCATION;
    if (r->seq < stored->seq)
        return BCA_RECORD_OLD;
    return r->issued < stored->issued ? BCA_RECORD_BACKWARDS : BCA_RECORD_REPLACES;
}

bool bca_record_may_dial(const struct bca_record *r, size_t i, bool is_contact, bool any_address)
{
    if (i >= r->n_endpoints || (i > 0 && !is_contact))
        return false;
    const struct bca_endpoint *e = &r->endpoints[i];
    return e->type == BCA_RECORD_TCP6 && e->port >= BCA_RECORD_PORT_MIN &&
           (any_address || is_global_unicast(e->address));
}

/* --- writing --- */

void bca_record_put_successor(struct buf *ext, const struct dchan_successor *s)
{
    struct buf statement;
    buf_init(&statement);
    dchan_successor_write(&statement, s);
    buf_put_tlv(ext, EXT_SUCCESSOR, buf_span(&statement));
    buf_clear(&statement);
}

uint64_t bca_record_next_seq(uint64_t last, uint64_t now_ms)
{
    BUG_ON(last == UINT64_MAX); /* the limit that receivers set is far below */
    return MAX_OF(last + 1, now_ms);
}

static void write_body(struct buf *b, const struct bca_record *r,
                       const uint8_t key[IDENTITY_KEY_SIZE])
{
    buf_put_u8(b, BCA_RECORD_VERSION);
    buf_put_u8(b, r->tombstone ? FLAG_TOMBSTONE : 0);
    buf_put(b, key, IDENTITY_KEY_SIZE);
    buf_put_le64(b, r->seq);
    buf_put_le32(b, r->issued);
    buf_put_le32(b, r->expires);
    buf_put_var_bytes(b, r->features.data, r->features.len);
    buf_put_u8(b, (uint8_t)r->n_endpoints);
    for (size_t i = 0; i < r->n_endpoints; i++) {
        const struct bca_endpoint *e = &r->endpoints[i];
        buf_put_u8(b, e->type);
        buf_put_u8(b, e->priority);
        buf_put(b, e->address, sizeof e->address);
        buf_put_be16(b, e->port);
    }
    buf_put_var_bytes(b, r->alias.data, r->alias.len);
    buf_put_var_bytes(b, r->params.data, r->params.len);
    buf_put_var_bytes(b, r->ext.data, r->ext.len);
}

enum err bca_record_write(struct buf *b, const struct bca_record *r, const struct identity_key *key)
{
    const size_t start = b->len;
    struct bca_record again;
    if (r->n_endpoints > BCA_RECORD_ENDPOINTS_MAX)
        return ERR_RANGE;
    write_body(b, r, key->pub);
    const size_t body_len = b->len - start;
    memset(buf_extend(b, IDENTITY_SIG_SIZE), 0, IDENTITY_SIG_SIZE);
    /* The reader has all rules of the format. */
    enum err rc = bca_record_read(&again, span_of(b->data + start, b->len - start)) ? ERR_RANGE
                                                                                      : OK;
    if (rc == OK && !key->sign(key->ctx, b->data + start + body_len, record_tag, again.body))
        rc = ERR_AUTH;
    if (rc)
        b->len = start;
    return rc;
}
