/*
 * The public functions over the modules of this folder. Their types stay out of the public header,
 * so that its users depend on nothing that may change here.
 */
#include "bca/bsvpeer_bca.h"

#include <stdio.h>
#include <string.h>

#include "base/block.h"
#include "base/ec.h"
#include "base/hash.h"
#include "bca/binding.h"
#include "bca/headers.h"
#include "bca/modifiers.h"
#include "bca/params.h"
#include "bca/verify.h"

_Static_assert(BSVPEER_BCA_SCRIPT_SIZE == BCA_REGISTRATION_SIZE, "one size");
_Static_assert(BSVPEER_BCA_MODIFIERS_MAX == BCA_MODIFIERS_MAX, "one number of modifiers");
_Static_assert(BSVPEER_BCA_TX_DEPTH_MAX == BCA_TX_DEPTH_MAX, "one depth");
_Static_assert((int)BSVPEER_BCA_REGTEST == BCA_NET_REGTEST, "networks in one order");
_Static_assert((int)BSVPEER_BCA_UNDETERMINED == BCA_UNDETERMINED, "results in one order");

/* All but the transaction and the siblings; the length of the transaction takes three bytes. */
#define PARAMS_FIXED (1 + 16 + 33 + 3 + 80 + 8 + 1 + 4 + 1 + 1 + 1)
_Static_assert(BSVPEER_BCA_PARAMS_MAX ==
                   PARAMS_FIXED + BCA_TX_MAX + 32 * BCA_TX_DEPTH_MAX + 32 * BCA_MODIFIER_DEPTH_MAX,
               "the longest parameters");

static const struct bca_rules *rules_of(enum bsvpeer_bca_network network)
{
    return (unsigned)network < BCA_NET_COUNT ? bca_rules_get((enum bca_network)network) : NULL;
}

static void tell(char *text, size_t text_size, const struct error *e)
{
    if (text && text_size)
        snprintf(text, text_size, "%s", e->text);
}

/* --- verification --------------------------------------------------------------------------- */

enum bsvpeer_bca_error bsvpeer_bca_headers_new(enum bsvpeer_bca_network network,
                                               const uint8_t *bytes, size_t len,
                                               struct bsvpeer_bca_headers **out, char *text,
                                               size_t text_size)
{
    struct error e = { .text = "no such network" };
    const struct bca_rules *rules = rules_of(network);
    struct bca_headers *h = rules ? bca_headers_new(span_of(bytes, len), rules, &e) : NULL;
    *out = (struct bsvpeer_bca_headers *)h;
    if (h)
        return BSVPEER_BCA_OK;
    tell(text, text_size, &e);
    if (!rules)
        return BSVPEER_BCA_ERROR_ARGUMENT;
    return e.code == ERR_NOMEM ? BSVPEER_BCA_ERROR_MEMORY : BSVPEER_BCA_ERROR_FORMAT;
}

void bsvpeer_bca_headers_free(struct bsvpeer_bca_headers *headers)
{
    bca_headers_free((struct bca_headers *)headers);
}

static void report(const struct bca_verdict *v, const struct bca_policy *p,
                   struct bsvpeer_bca_report *out)
{
    *out = (struct bsvpeer_bca_report){
        .result = (enum bsvpeer_bca_result)v->result,
        .failed_step = v->result == BCA_VALID ? NULL : bca_step_name(v->step),
        .sec = v->sec,
        .security_bits = bca_security_bits(p->rules, v->sec),
        .confirmations = v->confirmations ? (int64_t)v->confirmations : -1,
        .chain_checked = p->chain && v->step > BCA_STEP_CHAIN,
    };
    if (v->step == BCA_STEP_DECODE)
        return;
    memcpy(out->public_key, v->params.public_key, sizeof out->public_key);
    sha256d(out->block_hash, v->params.header, BLOCK_HEADER_SIZE);
    sha256d(out->txid, v->params.transaction.data, v->params.transaction.len);
    if (v->found != BCA_REGISTRATION_FOUND || !v->registered.marker)
        return;
    out->can_be_revoked = 1;
    out->marker_output = v->registered.output + 1;
}

enum bsvpeer_bca_error bsvpeer_bca_verify(const uint8_t address[16], const uint8_t *params,
                                          size_t params_len,
                                          const struct bsvpeer_bca_policy *policy,
                                          struct bsvpeer_bca_report *out)
{
    const struct bca_rules *rules = rules_of(policy->network);
    if (!rules || policy->min_sec < BSVPEER_BCA_DEFAULT || policy->min_sec > BCA_SEC_MAX ||
        policy->min_conf < BSVPEER_BCA_DEFAULT)
        return BSVPEER_BCA_ERROR_ARGUMENT;
    const struct bca_chain_view view = { bca_headers_find, (void *)policy->headers };
    const struct bca_policy p = {
        .rules = rules,
        .min_sec = policy->min_sec < 0 ? rules->min_sec : (unsigned)policy->min_sec,
        .min_conf = policy->min_conf < 0 ? rules->min_conf : (uint64_t)policy->min_conf,
        .chain = policy->headers ? &view : NULL,
    };
    struct bca_verdict v;
    ec_init();
    bca_verify(address, span_of(params, params_len), &p, &v);
    report(&v, &p, out);
    return BSVPEER_BCA_OK;
}

const char *bsvpeer_bca_result_name(enum bsvpeer_bca_result result)
{
    return (unsigned)result <= BCA_UNDETERMINED ? bca_result_name((enum bca_result)result) : NULL;
}

const char *bsvpeer_bca_network_name(enum bsvpeer_bca_network network)
{
    const struct bca_rules *rules = rules_of(network);
    return rules ? rules->name : NULL;
}

int bsvpeer_bca_network_find(const char *name, enum bsvpeer_bca_network *out)
{
    for (int i = 0; i < BCA_NET_COUNT; i++)
        if (strcmp(bca_rules_get((enum bca_network)i)->name, name) == 0) {
            *out = (enum bsvpeer_bca_network)i;
            return 1;
        }
    return 0;
}

/* --- decoding ------------------------------------------------------------------------------- */

static void decode_params(const struct bca_params *p, struct bsvpeer_bca_decoded *out)
{
    *out = (struct bsvpeer_bca_decoded){
        .modifier = p->modifier,
        .public_key = p->public_key,
        .transaction = p->transaction.data,
        .transaction_len = p->transaction.len,
        .header = p->header,
        .subnet_prefix = p->subnet_prefix,
        .collision_count = p->collision_count,
        .tx_index = p->tx_index,
        .tx_depth = p->tx_depth,
        .tx_siblings = p->tx_siblings,
        .modifier_index = p->modifier_index,
        .modifier_depth = p->modifier_depth,
        .modifier_siblings = p->modifier_siblings,
    };
}

enum bsvpeer_bca_error bsvpeer_bca_decode(const uint8_t *params, size_t params_len,
                                          struct bsvpeer_bca_decoded *out, char *text,
                                          size_t text_size)
{
    struct error e;
    struct bca_params p;
    struct bca_work work;
    struct bca_registration found;
    if (bca_params_read(span_of(params, params_len), &p, &e)) {
        tell(text, text_size, &e);
        return BSVPEER_BCA_ERROR_FORMAT;
    }
    decode_params(&p, out);
    sha256d(out->txid, p.transaction.data, p.transaction.len);
    bca_work_read(p.header, &work);
    memcpy(out->block_hash, work.hash.b, sizeof out->block_hash);
    out->hash_zero_bits = work.hash_zero_bits;
    if (bca_registration_find(p.transaction, &found) != BCA_REGISTRATION_FOUND)
        return BSVPEER_BCA_OK;
    out->key_hash = found.key_hash;
    out->modifier_root = found.modifier_root;
    out->registration_output = found.output;
    out->can_be_revoked = found.marker != NULL;
    out->marker_output = found.marker ? found.output + 1 : 0;
    return BSVPEER_BCA_OK;
}

/* --- forming -------------------------------------------------------------------------------- */

enum bsvpeer_bca_error bsvpeer_bca_modifiers(const uint8_t seed[32], size_t n, uint8_t *out)
{
    if (!bca_modifier_count_allowed(n))
        return BSVPEER_BCA_ERROR_ARGUMENT;
    for (size_t i = 0; i < n; i++)
        bca_modifier_derive(out + BCA_MODIFIER_SIZE * i, seed, (uint8_t)i);
    return BSVPEER_BCA_OK;
}

enum bsvpeer_bca_error
bsvpeer_bca_registration_script(const uint8_t public_key[BSVPEER_BCA_PUBLIC_KEY_SIZE],
                                const uint8_t *modifiers, size_t n,
                                uint8_t out[BSVPEER_BCA_SCRIPT_SIZE])
{
    struct bca_modifier_tree tree;
    ec_init();
    if (!bca_modifier_count_allowed(n) || !ec_pubkey_valid(public_key, BCA_PUBLIC_KEY_SIZE))
        return BSVPEER_BCA_ERROR_ARGUMENT;
    bca_modifier_tree_make(&tree, modifiers, n);
    bca_registration_put(out, public_key, bca_modifier_tree_root(&tree));
    return BSVPEER_BCA_OK;
}

static bool input_allowed(const struct bsvpeer_bca_input *in)
{
    return rules_of(in->network) && bca_modifier_count_allowed(in->n_modifiers) &&
           in->modifier_index < in->n_modifiers && in->transaction_len <= BCA_TX_MAX &&
           in->tx_depth <= BCA_TX_DEPTH_MAX && in->sec >= BSVPEER_BCA_DEFAULT &&
           in->sec <= BCA_SEC_MAX && in->collision_count <= BCA_COLLISIONS_MAX;
}

/* The sec that was asked for, or what the target gives; a target that gives none makes 0, which
 * verification refuses. */
static unsigned choose_sec(const struct bsvpeer_bca_input *in, const struct bca_rules *rules)
{
    struct bca_work work;
    if (in->sec >= 0)
        return (unsigned)in->sec;
    bca_work_read(in->header, &work);
    int sec = bca_sec_default(rules, &work);
    return sec < 0 ? 0 : (unsigned)sec;
}

static void write_params(const struct bsvpeer_bca_input *in, uint8_t collision_count,
                         struct buf *out)
{
    struct bca_modifier_tree tree;
    uint8_t siblings[32 * BCA_MODIFIER_DEPTH_MAX];
    bca_modifier_tree_make(&tree, in->modifiers, in->n_modifiers);
    bca_modifier_tree_proof(&tree, in->modifier_index, siblings);
    const struct bca_params p = {
        .modifier = in->modifiers + BCA_MODIFIER_SIZE * in->modifier_index,
        .public_key = in->public_key,
        .transaction = span_of(in->transaction, in->transaction_len),
        .header = in->header,
        .subnet_prefix = in->subnet_prefix,
        .collision_count = collision_count,
        .tx_index = in->tx_index,
        .tx_depth = (uint8_t)in->tx_depth,
        .tx_siblings = in->tx_siblings,
        .modifier_index = (uint8_t)in->modifier_index,
        .modifier_depth = (uint8_t)tree.depth,
        .modifier_siblings = siblings,
    };
    bca_params_write(out, &p);
}

/* Copies what was formed out if it is good and fits. */
static enum bsvpeer_bca_error hand_out(const struct bsvpeer_bca_input *in, const uint8_t formed[16],
                                       const struct buf *raw, uint8_t address[16], uint8_t *params,
                                       size_t *params_len, struct bsvpeer_bca_report *report_out)
{
    const struct bsvpeer_bca_policy policy = { .network = in->network };
    enum bsvpeer_bca_error rc =
        raw->len > *params_len
            ? BSVPEER_BCA_ERROR_ARGUMENT
            : bsvpeer_bca_verify(formed, raw->data, raw->len, &policy, report_out);
    if (rc || report_out->result != BSVPEER_BCA_VALID)
        return rc;
    memcpy(address, formed, 16);
    memcpy(params, raw->data, raw->len);
    *params_len = raw->len;
    return BSVPEER_BCA_OK;
}

enum bsvpeer_bca_error bsvpeer_bca_form(const struct bsvpeer_bca_input *in, uint8_t address[16],
                                        uint8_t *params, size_t *params_len,
                                        struct bsvpeer_bca_report *report_out)
{
    if (!input_allowed(in))
        return BSVPEER_BCA_ERROR_ARGUMENT;
    if (!bca_prefix_allowed(in->subnet_prefix))
        return BSVPEER_BCA_ERROR_PREFIX;
    const struct bca_address_input parts = {
        .modifier = in->modifiers + BCA_MODIFIER_SIZE * in->modifier_index,
        .header = in->header,
        .subnet_prefix = in->subnet_prefix,
        .transaction = span_of(in->transaction, in->transaction_len),
    };
    uint8_t formed[16], collision_count = in->collision_count;
    if (!bca_address_form(&parts, choose_sec(in, rules_of(in->network)), &collision_count, formed))
        return BSVPEER_BCA_ERROR_COLLISION;
    struct buf raw;
    buf_init(&raw);
    if (!buf_try_reserve(&raw, BSVPEER_BCA_PARAMS_MAX))
        return BSVPEER_BCA_ERROR_MEMORY;
    write_params(in, collision_count, &raw);
    enum bsvpeer_bca_error rc = hand_out(in, formed, &raw, address, params, params_len, report_out);
    buf_clear(&raw);
    return rc;
}

/* --- handshake ------------------------------------------------------------------------------ */

static struct bca_bound bound_of(const struct bsvpeer_bca_side *side)
{
    return (struct bca_bound){
        .ephemeral = side->ephemeral_key,
        .address = side->address,
        .params = side->address ? span_of(side->params, side->params_len) : span_of(NULL, 0),
    };
}

enum bsvpeer_bca_error bsvpeer_bca_session_keys(const struct bsvpeer_bca_side *us,
                                                const struct bsvpeer_bca_side *them,
                                                const uint8_t *ephemeral_secret,
                                                const uint8_t *static_secret, int we_initiate,
                                                uint8_t send_key[32], uint8_t receive_key[32])
{
    const struct bca_bound ours = bound_of(us), theirs = bound_of(them);
    const struct bca_exchange exchange = {
        .role = we_initiate ? BCA_INITIATOR : BCA_RESPONDER,
        .ephemeral_secret = ephemeral_secret,
        .static_secret = static_secret,
        .their_ephemeral_key = them->ephemeral_key,
        .their_static_key = them->address ? them->static_key : NULL,
    };
    uint8_t bind[32];
    struct bca_session_keys keys;
    ec_init();
    bca_bind(bind, we_initiate ? &ours : &theirs, we_initiate ? &theirs : &ours);
    const bool whole = !us->address == !static_secret && (!them->address || them->static_key);
    const bool made = whole && bca_session_keys_make(&keys, bind, &exchange);
    if (!made)
        keys = (struct bca_session_keys){ .to_responder = { 0 } };
    memcpy(send_key, we_initiate ? keys.to_responder : keys.to_initiator, 32);
    memcpy(receive_key, we_initiate ? keys.to_initiator : keys.to_responder, 32);
    secure_wipe(&keys, sizeof keys);
    return made ? BSVPEER_BCA_OK : BSVPEER_BCA_ERROR_ARGUMENT;
}
