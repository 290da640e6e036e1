#include "p2p/dchan_hello.h"

#include <string.h>

#include "base/hash.h"

static const char bind_tag[] = "bcapeer/bind";

enum {
    TLV_AGENT = 1, TLV_PARAMS = 2, TLV_SEQ = 3, TLV_ENDPOINT = 4, TLV_TIME = 5, TLV_HEIGHT = 7,
    TLV_RENEWS = 9,
    TYPE_SIZE = 2,
};

static bool is_ascii(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] >= 0x80)
            return false;
    return true;
}

static bool take_agent(struct dchan_hello *h, const struct tlv *t)
{
    h->agent = t->value;
    return t->value.len <= DCHAN_AGENT_MAX && is_ascii(t->value);
}

static bool take_params(struct dchan_hello *h, const struct tlv *t)
{
    h->params = t->value;
    return t->value.len > 0 && t->value.len <= DCHAN_PARAMS_MAX;
}

static bool take_endpoint(struct dchan_hello *h, const struct tlv *t)
{
    uint8_t bytes[BCA_ADDRESS_SIZE + 2];
    if (!tlv_copy(t, bytes, sizeof bytes))
        return false;
    memcpy(h->address, bytes, BCA_ADDRESS_SIZE);
    h->port = be16_get(bytes + BCA_ADDRESS_SIZE);
    h->has_bca = true;
    return true;
}

/* False for a value that its type cannot have, and for an even type that is unknown. */
static bool take_tlv(struct dchan_hello *h, const struct tlv *t)
{
    switch (t->type) {
    case TLV_AGENT:
        return take_agent(h, t);
    case TLV_PARAMS:
        return take_params(h, t);
    case TLV_SEQ:
        return h->has_seq = tlv_u64(t, &h->seq);
    case TLV_ENDPOINT:
        return take_endpoint(h, t);
    case TLV_TIME:
        return h->has_time = tlv_u64(t, &h->time_ms);
    case TLV_HEIGHT:
        return h->has_height = tlv_u32(t, &h->height);
    case TLV_RENEWS:
        return h->has_renews = tlv_copy(t, h->renews, sizeof h->renews);
    default: /* any number */
        return t->type % 2 == 1;
    }
}

bool dchan_hello_read(struct dchan_hello *h, struct reader *r)
{
    struct tlv_reader stream;
    struct tlv t;
    *h = (struct dchan_hello){ 0 };
    if (r->left > DCHAN_HELLO_MAX - TYPE_SIZE)
        return false;
    h->version = read_be16(r);
    h->features = read_v16(r, DCHAN_FEATURES_MAX);
    tlv_reader_init(&stream, span_of(r->p, r->left));
    while (tlv_next(&stream, &t))
        if (!take_tlv(h, &t))
            return false;
    read_bytes(r, r->left);
    return !r->failed && !stream.r.failed && h->has_bca == (h->params.len > 0);
}

static void write_endpoint(struct buf *b, const struct dchan_hello *h)
{
    uint8_t bytes[BCA_ADDRESS_SIZE + 2];
    memcpy(bytes, h->address, BCA_ADDRESS_SIZE);
    be16_put(bytes + BCA_ADDRESS_SIZE, h->port);
    buf_put_tlv(b, TLV_ENDPOINT, span_of(bytes, sizeof bytes));
}

void dchan_hello_write(struct buf *b, const struct dchan_hello *h)
{
    buf_put_be16(b, h->version);
    buf_put_v16(b, h->features);
    if (h->agent.len)
        buf_put_tlv(b, TLV_AGENT, h->agent);
    if (h->has_bca)
        buf_put_tlv(b, TLV_PARAMS, h->params);
    if (h->has_seq)
        buf_put_tlv_u64(b, TLV_SEQ, h->seq);
    if (h->has_bca)
        write_endpoint(b, h);
    if (h->has_time)
        buf_put_tlv_u64(b, TLV_TIME, h->time_ms);
    if (h->has_height)
        buf_put_tlv_u32(b, TLV_HEIGHT, h->height);
    if (h->has_renews)
        buf_put_tlv(b, TLV_RENEWS, span_of(h->renews, sizeof h->renews));
}

bool dchan_binding_allowed(enum dchan_binding binding, const struct dchan_policy *p)
{
    switch (binding) {
    case DCHAN_BARE:
        return p->bare;
    case DCHAN_UNBOUND:
        return p->any_unbound ||
               (p->role == DCHAN_RESPONDER && (p->contact || p->strangers_unbound));
    case DCHAN_BOUND:
        return true;
    }
    return false;
}

/* Steps 1 and 2 of 2.5. */
static bool proof_holds(const struct dchan_hello *h, const uint8_t *static_key,
                        const struct bca_policy *proof, struct dchan_standing *out)
{
    struct bca_verdict v;
    struct bca_params params;
    if (bca_params_read(h->params, &params, NULL) ||
        !ct_equal(params.public_key, static_key, IDENTITY_KEY_SIZE)) {
        out->result = BCA_INVALID;
        out->step = BCA_STEP_DECODE;
        return false;
    }
    bca_verify(h->address, h->params, proof, &v);
    out->result = v.result;
    out->step = v.step;
    return v.result != BCA_INVALID;
}

static enum dchan_error judge_identity(const struct dchan_hello *h, const struct dchan_seen *seen,
                                       const struct bca_policy *proof,
                                       const struct dchan_policy *policy,
                                       struct dchan_standing *out)
{
    if (h->has_bca) {
        if (!proof_holds(h, seen->static_key, proof, out))
            return DCHAN_ERROR_IDENTITY;
        out->provisional = out->result == BCA_UNDETERMINED;
        if (out->provisional && !policy->contact)
            return DCHAN_ERROR_IDENTITY;
        out->binding = seen->address && mem_equal_var(h->address, seen->address, BCA_ADDRESS_SIZE)
                           ? DCHAN_BOUND
                           : DCHAN_UNBOUND;
    }
    return dchan_binding_allowed(out->binding, policy) ? DCHAN_NO_ERROR : DCHAN_ERROR_IDENTITY;
}

void dchan_hello_judge(const struct dchan_hello *h, const struct dchan_seen *seen,
                       const struct bca_policy *proof, const struct dchan_policy *policy,
                       struct dchan_standing *out)
{
    *out = (struct dchan_standing){
        .binding = DCHAN_BARE,
        .version = h->version < DCHAN_VERSION ? h->version : DCHAN_VERSION,
        .features = dchan_features_read(h->features),
    };
    if (out->version == 0)
        out->error = DCHAN_ERROR_VERSION;
    else if (out->features.unknown_required || (out->features.required & ~policy->offered))
        out->error = DCHAN_ERROR_FEATURE;
    else
        out->error = judge_identity(h, seen, proof, policy, out);
}

void dchan_bound_read(struct reader *r, struct dchan_bound *m)
{
    read_copy(r, m->initiator, sizeof m->initiator);
    read_copy(r, m->responder, sizeof m->responder);
    read_copy(r, m->bind, sizeof m->bind);
}

void dchan_bound_write(struct buf *b, const struct dchan_bound *m)
{
    buf_put(b, m->initiator, sizeof m->initiator);
    buf_put(b, m->responder, sizeof m->responder);
    buf_put(b, m->bind, sizeof m->bind);
}

/* The digest over the addresses that are in m. */
static void make_bind(struct dchan_bound *m, const uint8_t session_id[32],
                      const struct dchan_end *initiator, const struct dchan_end *responder)
{
    const struct dchan_end *ends[] = { initiator, responder };
    struct sha256 ctx;
    sha256_init_tagged(&ctx, bind_tag);
    sha256_update(&ctx, session_id, 32);
    sha256_update(&ctx, m->initiator, sizeof m->initiator);
    sha256_update(&ctx, m->responder, sizeof m->responder);
    for (int i = 0; i < 2; i++) {
        uint8_t digest[32];
        sha256(digest, ends[i]->params.data, ends[i]->params.len);
        sha256_update(&ctx, digest, sizeof digest);
    }
    sha256_final(&ctx, m->bind);
}

static void put_address(uint8_t out[BCA_ADDRESS_SIZE], const struct dchan_end *end)
{
    if (end->address)
        memcpy(out, end->address, BCA_ADDRESS_SIZE);
    else
        memset(out, 0, BCA_ADDRESS_SIZE);
}

void dchan_bound_make(struct dchan_bound *out, const uint8_t session_id[32],
                      const struct dchan_end *initiator, const struct dchan_end *responder)
{
    put_address(out->initiator, initiator);
    put_address(out->responder, responder);
    make_bind(out, session_id, initiator, responder);
}

enum dchan_bound_result dchan_bound_check(const struct dchan_bound *theirs,
                                          const uint8_t session_id[32],
                                          const struct dchan_end *initiator,
                                          const struct dchan_end *responder)
{
    struct dchan_bound again = *theirs, ours;
    make_bind(&again, session_id, initiator, responder);
    if (!ct_equal(again.bind, theirs->bind, sizeof again.bind))
        return DCHAN_BOUND_WRONG;
    put_address(ours.initiator, initiator);
    put_address(ours.responder, responder);
    return mem_equal_var(ours.initiator, theirs->initiator, BCA_ADDRESS_SIZE) &&
                   mem_equal_var(ours.responder, theirs->responder, BCA_ADDRESS_SIZE)
               ? DCHAN_BOUND_SAME
               : DCHAN_BOUND_TRANSLATED;
}
