#include "script/sighash.h"

#include <stdlib.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "script/flags.h"
#include "script/iter.h"

/* How much is hashed between two looks at the cancel token. */
#define HASH_PIECE ((size_t)1 << 20)

/* The original form writes another input as outpoint, empty script, sequence. */
#define BLANK_INPUT_SIZE 41
#define BLANK_BATCH 64

/* Distance of the stored prefix states, and the input count from which they are worth making. */
#define PREFIX_STEP 64
#define PREFIX_MIN_INPUTS (2 * PREFIX_STEP)

enum { READY_BIP143 = 1, READY_PREFIX = 2 /* and 4: sequences zero */ };

/* What precedes input i * PREFIX_STEP: version, input count, inputs without scripts. */
struct sighash_prefix {
    size_t n;
    struct sha256 state[];
};

enum other_sequences { SEQUENCES_KEPT, SEQUENCES_ZERO };

void sighash_cache_init(struct sighash_cache *c, const struct tx *tx)
{
    c->tx = tx;
    atomic_init(&c->ready, 0);
    pthread_mutex_init(&c->lock, NULL);
    c->prefix[0] = c->prefix[1] = NULL;
    atomic_init(&c->bytes_hashed, 0);
}

void sighash_cache_clear(struct sighash_cache *c)
{
    free(c->prefix[0]);
    free(c->prefix[1]);
    pthread_mutex_destroy(&c->lock);
}

enum sighash_form sighash_form_of(uint32_t hash_type, uint32_t flags)
{
    bool bip143 = (flags & SCRIPT_SIGHASH_FORKID) && (hash_type & SIGHASH_FORKID) &&
                  !(hash_type & SIGHASH_CHRONICLE);

    return bip143 ? SIGHASH_FORM_BIP143 : SIGHASH_FORM_ORIGINAL;
}

static uint32_t base_type(uint32_t hash_type)
{
    return hash_type & 0x1f;
}

static size_t put_compact(uint8_t *out, uint64_t v)
{
    if (v < 0xfd) {
        out[0] = (uint8_t)v;
        return 1;
    }
    if (v <= 0xffff) {
        out[0] = 0xfd;
        le16_put(out + 1, (uint16_t)v);
        return 3;
    }
    out[0] = v <= 0xffffffff ? 0xfe : 0xff;
    if (v <= 0xffffffff) {
        le32_put(out + 1, (uint32_t)v);
        return 5;
    }
    le64_put(out + 1, v);
    return 9;
}

static void put_outpoint(uint8_t out[36], const struct outpoint *o)
{
    memcpy(out, o->txid.b, 32);
    le32_put(out + 32, o->index);
}

static enum script_err feed(struct sha256 *h, const uint8_t *data, size_t len,
                            const struct cancel *cancel)
{
    while (len > HASH_PIECE) {
        if (cancelled(cancel))
            return SCRIPT_ERR_CANCELLED;
        sha256_update(h, data, HASH_PIECE);
        data += HASH_PIECE;
        len -= HASH_PIECE;
    }
    if (len > 0)
        sha256_update(h, data, len);
    return SCRIPT_OK;
}

/* Output count, outputs and lock time lie together at the end of the raw transaction. */
static struct span raw_after_inputs(const struct tx *tx)
{
    const struct tx_in *last = &tx->in[tx->n_in - 1];
    const uint8_t *start = last->script.data + last->script.len + 4;

    return span_of(start, (size_t)(tx->raw.data + tx->raw.len - start));
}

static struct span raw_outputs(const struct tx *tx)
{
    struct span s = raw_after_inputs(tx);
    size_t count = compact_size_len(tx->n_out);

    return span_of(s.data + count, s.len - count - 4);
}

/* A serialised output inside the raw transaction: value, compact length, script. */
static struct span raw_output(const struct tx_out *out)
{
    size_t head = 8 + compact_size_len(out->script.len);

    return span_of(out->script.data - head, head + out->script.len);
}

/* ---- BIP143 form ---- */

typedef void (*put_input_fn)(uint8_t *out, const struct tx_in *in);

static void put_prevout(uint8_t *out, const struct tx_in *in)
{
    put_outpoint(out, &in->prevout);
}

static void put_sequence(uint8_t *out, const struct tx_in *in)
{
    le32_put(out, in->sequence);
}

/* SHA256d of one field of `size` bytes of every input. */
static enum script_err hash_inputs(const struct tx *tx, put_input_fn put, size_t size,
                                   const struct cancel *cancel, uint8_t out[32])
{
    struct sha256 h;
    uint8_t batch[BLANK_BATCH * 36];

    sha256_init(&h);
    for (size_t i = 0; i < tx->n_in;) {
        size_t n = MIN_OF(tx->n_in - i, (size_t)BLANK_BATCH);
        if (cancelled(cancel))
            return SCRIPT_ERR_CANCELLED;
        for (size_t k = 0; k < n; k++)
            put(batch + size * k, &tx->in[i + k]);
        sha256_update(&h, batch, size * n);
        i += n;
    }
    sha256d_final(&h, out);
    return SCRIPT_OK;
}

static enum script_err hash_all_outputs(const struct tx *tx, const struct cancel *cancel,
                                        uint8_t out[32])
{
    struct span outputs = raw_outputs(tx);
    struct sha256 h;

    sha256_init(&h);
    enum script_err err = feed(&h, outputs.data, outputs.len, cancel);
    sha256d_final(&h, out);
    return err;
}

static enum script_err fill_bip143(struct sighash_cache *c, const struct cancel *cancel)
{
    enum script_err err = SCRIPT_OK;

    pthread_mutex_lock(&c->lock);
    if (!(atomic_load_explicit(&c->ready, memory_order_relaxed) & READY_BIP143)) {
        err = hash_inputs(c->tx, put_prevout, 36, cancel, c->hash_prevouts);
        if (!err)
            err = hash_inputs(c->tx, put_sequence, 4, cancel, c->hash_sequence);
        if (!err)
            err = hash_all_outputs(c->tx, cancel, c->hash_outputs);
        if (!err)
            atomic_fetch_or_explicit(&c->ready, READY_BIP143, memory_order_release);
    }
    pthread_mutex_unlock(&c->lock);
    return err;
}

/* hashOutputs of the hash type: all, the one beside the input, or zero. */
static void outputs_hash(const struct sighash_cache *c, const struct sighash_request *r,
                         uint8_t out[32])
{
    uint32_t base = base_type(r->hash_type);

    if (base == SIGHASH_SINGLE && r->index < c->tx->n_out) {
        struct span one = raw_output(&c->tx->out[r->index]);
        sha256d(out, one.data, one.len);
    } else if (base == SIGHASH_SINGLE || base == SIGHASH_NONE) {
        memset(out, 0, 32);
    } else {
        memcpy(out, c->hash_outputs, 32);
    }
}

enum script_err sighash_bip143(struct sighash_cache *c, const struct sighash_request *r,
                               uint8_t out[32])
{
    const struct tx *tx = c->tx;
    const struct tx_in *in = &tx->in[r->index];
    bool alone = r->hash_type & SIGHASH_ANYONECANPAY;
    bool all = base_type(r->hash_type) != SIGHASH_NONE && base_type(r->hash_type) != SIGHASH_SINGLE;
    uint8_t head[4 + 32 + 32 + 36 + 9] = { 0 }, tail[8 + 4 + 32 + 4 + 4];
    struct sha256 h;
    enum script_err err = SCRIPT_OK;

    if (!(atomic_load_explicit(&c->ready, memory_order_acquire) & READY_BIP143))
        err = fill_bip143(c, r->cancel);
    if (err)
        return err;
    le32_put(head, (uint32_t)tx->version);
    if (!alone)
        memcpy(head + 4, c->hash_prevouts, 32);
    if (!alone && all)
        memcpy(head + 36, c->hash_sequence, 32);
    put_outpoint(head + 68, &in->prevout);
    sha256_init(&h);
    sha256_update(&h, head, 104 + put_compact(head + 104, r->code.len));
    err = feed(&h, r->code.data, r->code.len, r->cancel);
    if (err)
        return err;
    le64_put(tail, (uint64_t)r->amount);
    le32_put(tail + 8, in->sequence);
    outputs_hash(c, r, tail + 12);
    le32_put(tail + 44, tx->lock_time);
    le32_put(tail + 48, r->hash_type);
    sha256_update(&h, tail, sizeof(tail));
    sha256d_final(&h, out);
    return SCRIPT_OK;
}

/* ---- original form ---- */

/* Inputs from..to-1 as the other inputs appear: no script, sequence kept or zero. */
static enum script_err feed_blank_inputs(struct sha256 *h, const struct tx *tx, size_t from,
                                         size_t to, enum other_sequences seq,
                                         const struct cancel *cancel)
{
    uint8_t batch[BLANK_BATCH * BLANK_INPUT_SIZE];

    for (size_t i = from; i < to;) {
        size_t n = MIN_OF(to - i, (size_t)BLANK_BATCH);
        for (size_t k = 0; k < n; k++) {
            uint8_t *p = batch + BLANK_INPUT_SIZE * k;
            put_outpoint(p, &tx->in[i + k].prevout);
            p[36] = 0;
            le32_put(p + 37, seq == SEQUENCES_KEPT ? tx->in[i + k].sequence : 0);
        }
        sha256_update(h, batch, BLANK_INPUT_SIZE * n);
        i += n;
        if (cancelled(cancel))
            return SCRIPT_ERR_CANCELLED;
    }
    return SCRIPT_OK;
}

static void start_hash(struct sha256 *h, const struct tx *tx, uint64_t n_inputs)
{
    uint8_t head[4 + 9];

    le32_put(head, (uint32_t)tx->version);
    sha256_init(h);
    sha256_update(h, head, 4 + put_compact(head + 4, n_inputs));
}

static struct sighash_prefix *make_prefix(const struct tx *tx, enum other_sequences seq,
                                          const struct cancel *cancel)
{
    size_t n = tx->n_in / PREFIX_STEP + 1;
    struct sighash_prefix *p;
    struct sha256 h;

    p = (struct sighash_prefix *)try_alloc(1, sizeof(*p) + n * sizeof(p->state[0]));
    if (!p)
        return NULL;
    p->n = n;
    start_hash(&h, tx, tx->n_in);
    for (size_t i = 0; i < n; i++) {
        p->state[i] = h;
        if (i + 1 < n && feed_blank_inputs(&h, tx, i * PREFIX_STEP, (i + 1) * PREFIX_STEP, seq,
                                           cancel)) {
            free(p);
            return NULL;
        }
    }
    return p;
}

/*
 * The table for these sequences, made on first use. NULL when memory is short or the work was
 * cancelled: digests then do without.
 */
static const struct sighash_prefix *prefix_get(struct sighash_cache *c, enum other_sequences seq,
                                               const struct cancel *cancel)
{
    unsigned bit = READY_PREFIX << seq;
    const struct sighash_prefix *made;

    if (!(atomic_load_explicit(&c->ready, memory_order_acquire) & bit)) {
        pthread_mutex_lock(&c->lock);
        if (!c->prefix[seq])
            c->prefix[seq] = make_prefix(c->tx, seq, cancel);
        made = c->prefix[seq];
        if (made)
            atomic_fetch_or_explicit(&c->ready, bit, memory_order_release);
        pthread_mutex_unlock(&c->lock);
        return made;
    }
    return c->prefix[seq];
}

/* Everything before input index, from the nearest stored state. */
static enum script_err feed_before(struct sha256 *h, struct sighash_cache *c, size_t index,
                                   enum other_sequences seq, const struct cancel *cancel)
{
    const struct sighash_prefix *p = NULL;
    size_t from = 0;

    if (c->tx->n_in >= PREFIX_MIN_INPUTS)
        p = prefix_get(c, seq, cancel);
    if (p) {
        from = index / PREFIX_STEP * PREFIX_STEP;
        *h = p->state[index / PREFIX_STEP];
    } else {
        start_hash(h, c->tx, c->tx->n_in);
    }
    atomic_fetch_add_explicit(&c->bytes_hashed, (index - from) * BLANK_INPUT_SIZE,
                              memory_order_relaxed);
    return feed_blank_inputs(h, c->tx, from, index, seq, cancel);
}

/*
 * Script code without CODESEPARATORs. The trap of spec consensus 4.9: the length written counts
 * all bytes but the separators found, the bytes written end where decoding ended.
 */
static enum script_err feed_code(struct sha256 *h, struct span code, const struct cancel *cancel)
{
    struct script_iter it = script_iter_of(code);
    struct script_op op;
    size_t separators = 0;
    uint8_t length[9];
    enum script_err err = SCRIPT_OK;

    while (script_iter_next(&it, &op))
        separators += op.code == OP_CODESEPARATOR;
    const uint8_t *end = it.p;
    sha256_update(h, length, put_compact(length, code.len - separators));
    if (separators == 0)
        return feed(h, code.data, (size_t)(end - code.data), cancel);

    const uint8_t *from = code.data;
    it = script_iter_of(code);
    while (!err && script_iter_next(&it, &op)) {
        if (op.code != OP_CODESEPARATOR)
            continue;
        err = feed(h, from, (size_t)(it.p - 1 - from), cancel);
        from = it.p;
    }
    return err ? err : feed(h, from, (size_t)(end - from), cancel);
}

static enum script_err feed_own_input(struct sha256 *h, const struct tx_in *in, struct span code,
                                      const struct cancel *cancel)
{
    uint8_t bytes[36];
    enum script_err err;

    put_outpoint(bytes, &in->prevout);
    sha256_update(h, bytes, 36);
    err = feed_code(h, code, cancel);
    le32_put(bytes, in->sequence);
    sha256_update(h, bytes, 4);
    return err;
}

/* SINGLE: outputs up to index, all but the last with value -1 and no script. */
static enum script_err feed_single_output(struct sha256 *h, const struct tx *tx, size_t index,
                                          const struct cancel *cancel)
{
    static const uint8_t blank[9] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0 };
    uint8_t count[9];
    struct span out = raw_output(&tx->out[index]);

    sha256_update(h, count, put_compact(count, index + 1));
    for (size_t i = 0; i < index; i++) {
        sha256_update(h, blank, sizeof(blank));
        if (i % 4096 == 0 && cancelled(cancel))
            return SCRIPT_ERR_CANCELLED;
    }
    return feed(h, out.data, out.len, cancel);
}

/* Outputs and lock time. */
static enum script_err feed_after(struct sha256 *h, const struct tx *tx, size_t index,
                                  uint32_t base, const struct cancel *cancel)
{
    uint8_t bytes[4] = { 0 };
    enum script_err err = SCRIPT_OK;

    if (base != SIGHASH_NONE && base != SIGHASH_SINGLE) {
        struct span rest = raw_after_inputs(tx);
        return feed(h, rest.data, rest.len, cancel);
    }
    if (base == SIGHASH_SINGLE)
        err = feed_single_output(h, tx, index, cancel);
    else
        sha256_update(h, bytes, 1); /* no outputs */
    le32_put(bytes, tx->lock_time);
    sha256_update(h, bytes, 4);
    return err;
}

enum script_err sighash_original(struct sighash_cache *c, const struct sighash_request *r,
                                 uint8_t out[32])
{
    const struct tx *tx = c->tx;
    uint32_t base = base_type(r->hash_type);
    bool alone = r->hash_type & SIGHASH_ANYONECANPAY;
    bool loose = base == SIGHASH_NONE || base == SIGHASH_SINGLE;
    enum other_sequences seq = loose ? SEQUENCES_ZERO : SEQUENCES_KEPT;
    enum script_err err = SCRIPT_OK;
    struct sha256 h;
    uint8_t type[4];

    if (r->index >= tx->n_in || (base == SIGHASH_SINGLE && r->index >= tx->n_out)) {
        memset(out, 0, 32);
        out[0] = 1;
        return SCRIPT_OK;
    }
    if (alone)
        start_hash(&h, tx, 1);
    else
        err = feed_before(&h, c, r->index, seq, r->cancel);
    if (!err)
        err = feed_own_input(&h, &tx->in[r->index], r->code, r->cancel);
    if (!err && !alone)
        err = feed_blank_inputs(&h, tx, r->index + 1, tx->n_in, seq, r->cancel);
    if (!err)
        err = feed_after(&h, tx, r->index, base, r->cancel);
    if (err)
        return err;
    le32_put(type, r->hash_type);
    sha256_update(&h, type, 4);
    sha256d_final(&h, out);
    atomic_fetch_add_explicit(&c->bytes_hashed,
                              sighash_original_cost(tx, r->index, r->code.len, r->hash_type),
                              memory_order_relaxed);
    return SCRIPT_OK;
}

uint64_t sighash_original_cost(const struct tx *tx, size_t index, size_t code_len,
                               uint32_t hash_type)
{
    uint32_t base = base_type(hash_type);
    uint64_t cost = 64 + (uint64_t)code_len;

    if (index >= tx->n_in)
        return cost;
    /* inputs before this one come from a stored state */
    if (!(hash_type & SIGHASH_ANYONECANPAY))
        cost += (uint64_t)(tx->n_in - 1 - index) * BLANK_INPUT_SIZE;
    if (base == SIGHASH_SINGLE && index < tx->n_out)
        cost += (uint64_t)index * 9 + tx->out[index].script.len + 17;
    else if (base != SIGHASH_NONE && base != SIGHASH_SINGLE)
        cost += raw_after_inputs(tx).len;
    return cost;
}
