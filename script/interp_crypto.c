/* Hashes and CHECKSIG. */
#include "script/interp.h"

#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "base/mem.h"
#include "script/build.h"
#include "script/encoding.h"
#include "script/sigcache.h"

enum script_err op_hash(struct interp *ip)
{
    struct span in = stack_span(&ip->main, 0);
    uint8_t out[32];
    size_t len = ip->code == OP_SHA256 || ip->code == OP_HASH256 ? 32 : 20;

    if (ip->code == OP_RIPEMD160)
        ripemd160(out, in.data, in.len);
    else if (ip->code == OP_SHA1)
        sha1(out, in.data, in.len);
    else if (ip->code == OP_SHA256)
        sha256(out, in.data, in.len);
    else if (ip->code == OP_HASH160)
        hash160(out, in.data, in.len);
    else
        sha256d(out, in.data, in.len);
    stack_pop(&ip->main);
    return stack_push_copy(&ip->main, out, len);
}

enum script_err op_codeseparator(struct interp *ip)
{
    ip->code_start = ip->it.p;
    return SCRIPT_OK;
}

/* ---- encodings (spec consensus 4.7) ---- */

static enum script_err check_hash_type(const struct interp *ip, uint8_t type)
{
    bool forkid_on = ip->flags & SCRIPT_SIGHASH_FORKID;

    if (!script_hash_type_is_defined(type))
        return SCRIPT_ERR_SIG_HASHTYPE;
    if ((type & SIGHASH_FORKID) && !forkid_on)
        return SCRIPT_ERR_ILLEGAL_FORKID;
    if ((type & SIGHASH_CHRONICLE) && !(ip->flags & SCRIPT_CHRONICLE))
        return SCRIPT_ERR_ILLEGAL_CHRONICLE;
    if (!(type & SIGHASH_FORKID) && forkid_on)
        return SCRIPT_ERR_MUST_USE_FORKID;
    return SCRIPT_OK;
}

static enum script_err check_sig_encoding(const struct interp *ip, struct span sig)
{
    if (sig.len == 0)
        return SCRIPT_OK;
    if ((ip->flags & (SCRIPT_DERSIG | SCRIPT_LOW_S | SCRIPT_STRICTENC)) && 
        !script_sig_is_strict_der(sig))
        return SCRIPT_ERR_SIG_DER;
    if ((ip->flags & SCRIPT_LOW_S) && !ip->malleable && !ec_sig_is_low_s(sig.data, sig.len - 1))
        return SCRIPT_ERR_SIG_HIGH_S;
    if (ip->flags & SCRIPT_STRICTENC)
        return check_hash_type(ip, sig.data[sig.len - 1]);
    return SCRIPT_OK;
}

static enum script_err check_key_encoding(const struct interp *ip, struct span key)
{
    if ((ip->flags & SCRIPT_STRICTENC) && !script_key_is_strict(key))
        return SCRIPT_ERR_PUBKEYTYPE;
    if ((ip->flags & SCRIPT_COMPRESSED_PUBKEYTYPE) && !script_key_is_compressed(key))
        return SCRIPT_ERR_NONCOMPRESSED_PUBKEY;
    return SCRIPT_OK;
}

enum script_err interp_check_encodings(const struct interp *ip, struct span sig, struct span key)
{
    enum script_err err = check_sig_encoding(ip, sig);

    return err ? err : check_key_encoding(ip, key);
}

/* ---- script code ---- */

/* The signature is cut out of the code it signs only under the rules before the split. */
static bool sig_is_deleted(const struct interp *ip, struct span sig)
{
    bool forkid = sig.len > 0 && (sig.data[sig.len - 1] & SIGHASH_FORKID);

    return !(ip->flags & SCRIPT_SIGHASH_FORKID) || !forkid;
}

/*
 * Moves code without the pattern to out (may be code itself); whole matches at opcode boundaries
 * only, and what follows a cut push is kept as it is (spec consensus 7.1).
 */
static size_t delete_pattern(uint8_t *out, struct span code, struct span pattern)
{
    struct script_iter it = script_iter_of(code);
    struct script_op op;
    size_t n = 0;

    for (;;) {
        while ((size_t)(it.end - it.p) >= pattern.len &&
               mem_equal_var(it.p, pattern.data, pattern.len))
            it.p += pattern.len;
        const uint8_t *from = it.p;
        bool more = script_iter_next(&it, &op);
        size_t len = (size_t)((more ? it.p : it.end) - from);
        memmove(out + n, from, len);
        n += len;
        if (!more)
            return n;
    }
}

/* At an opcode boundary, where alone it counts. */
static bool contains(struct span code, struct span pattern)
{
    struct script_iter it = script_iter_of(code);
    struct script_op op;

    do {
        if ((size_t)(it.end - it.p) >= pattern.len &&
            mem_equal_var(it.p, pattern.data, pattern.len))
            return true;
    } while (script_iter_next(&it, &op));
    return false;
}

/* Replaces *code by an owned copy without the pushed signature, if that occurs. */
static enum script_err find_and_delete(struct span *code, uint8_t **owned, struct span sig)
{
    uint8_t head[SCRIPT_PUSH_HEAD_MAX];
    size_t head_len = script_push_head(head, sig.len);
    uint8_t *pattern = (uint8_t *)try_alloc(head_len + sig.len, 1);

    if (!pattern)
        return SCRIPT_ERR_NOMEM;
    memcpy(pattern, head, head_len);
    if (sig.len > 0)
        memcpy(pattern + head_len, sig.data, sig.len);
    struct span whole = span_of(pattern, head_len + sig.len);
    enum script_err err = SCRIPT_OK;
    if (contains(*code, whole)) {
        if (!*owned) {
            *owned = (uint8_t *)try_alloc(code->len, 1);
            err = *owned ? SCRIPT_OK : SCRIPT_ERR_NOMEM;
        }
        if (!err)
            *code = span_of(*owned, delete_pattern(*owned, *code, whole));
    }
    free(pattern);
    return err;
}

/* A Chronicle unlocking script signs its own rest and the whole locking script (spec 4.7). */
static enum script_err append_locking_script(const struct interp *ip, struct span *code,
                                             uint8_t **owned)
{
    struct span lock = ip->in->script_pubkey;

    *owned = (uint8_t *)try_alloc(code->len + lock.len + 1, 1);
    if (!*owned)
        return SCRIPT_ERR_NOMEM;
    memcpy(*owned, code->data, code->len);
    if (lock.len > 0)
        memcpy(*owned + code->len, lock.data, lock.len);
    *code = span_of(*owned, code->len + lock.len);
    return SCRIPT_OK;
}

enum script_err interp_script_code(struct interp *ip, size_t first_sig_depth, size_t n_sigs,
                                   struct span *code, uint8_t **owned)
{
    enum script_err err = SCRIPT_OK;

    *owned = NULL;
    *code = span_of(ip->code_start, (size_t)(ip->it.end - ip->code_start));
    if (ip->part == SCRIPT_PART_UNLOCKING && (ip->flags & SCRIPT_CHRONICLE))
        err = append_locking_script(ip, code, owned);
    for (size_t i = 0; i < n_sigs && !err; i++) {
        struct span sig = stack_span(&ip->main, first_sig_depth + i);
        if (sig_is_deleted(ip, sig))
            err = find_and_delete(code, owned, sig);
        if (!err && cancelled(ip->in->cancel))
            err = SCRIPT_ERR_CANCELLED;
    }
    return err;
}

/* ---- verification ---- */

static const struct interp_digest *digest_find(const struct interp *ip, uint32_t hash_type,
                                               struct span code)
{
    for (unsigned i = 0; i < ip->n_digests && i < INTERP_DIGESTS; i++) {
        const struct interp_digest *d = &ip->digest[i];
        if (d->hash_type == hash_type && d->code.data == code.data && d->code.len == code.len)
            return d;
    }
    return NULL;
}

/* Code that lies in the running script keeps its address: digests of it can be remembered. */
static bool code_is_stable(const struct interp *ip, struct span code)
{
    return code.data == ip->code_start && code.data + code.len == ip->it.end;
}

static enum script_err make_digest(struct interp *ip, uint32_t hash_type, struct span code,
                                   uint8_t out[32])
{
    struct sighash_request r = {
        .code = code, .index = ip->in->index, .amount = ip->in->amount, .hash_type = hash_type,
        .cancel = ip->in->cancel,
    };

    if (sighash_form_of(hash_type, ip->flags) == SIGHASH_FORM_BIP143)
        return sighash_bip143(ip->sighash, &r, out);
    return sighash_original(ip->sighash, &r, out);
}

static enum script_err digest_get(struct interp *ip, uint32_t hash_type, struct span code,
                                  uint8_t out[32])
{
    bool stable = code_is_stable(ip, code);
    const struct interp_digest *known = stable ? digest_find(ip, hash_type, code) : NULL;

    if (known) {
        memcpy(out, known->digest, 32);
        return SCRIPT_OK;
    }
    enum script_err err = make_digest(ip, hash_type, code, out);
    if (!err && stable) {
        struct interp_digest *d = &ip->digest[ip->n_digests++ % INTERP_DIGESTS];
        d->hash_type = hash_type;
        d->code = code;
        memcpy(d->digest, out, 32);
    }
    return err;
}

static bool verify_cached(const struct interp *ip, struct span sig, struct span key,
                          const uint8_t digest[32])
{
    struct sigcache *cache = ip->in->sigcache;

    if (!cache)
        return ec_verify_lax(key.data, key.len, sig.data, sig.len, digest);
    struct sigcache_key k = sigcache_key_of(cache, digest, key, sig);
    if (sigcache_contains(cache, &k))
        return true;
    if (!ec_verify_lax(key.data, key.len, sig.data, sig.len, digest))
        return false;
    sigcache_add(cache, &k);
    return true;
}

enum script_err interp_check_sig(struct interp *ip, struct span sig, struct span key,
                                 struct span code, bool *valid)
{
    uint8_t digest[32];
    enum script_err err;

    *valid = false;
    if (sig.len == 0 || key.len == 0)
        return SCRIPT_OK;
    err = digest_get(ip, sig.data[sig.len - 1], code, digest);
    if (!err)
        *valid = verify_cached(ip, span_of(sig.data, sig.len - 1), key, digest);
    return err;
}

enum script_err op_checksig(struct interp *ip)
{
    struct span sig = stack_span(&ip->main, 1), key = stack_span(&ip->main, 0), code;
    uint8_t *owned;
    bool valid = false;
    enum script_err err = interp_check_encodings(ip, sig, key);

    if (err)
        return err;
    err = interp_script_code(ip, 1, 1, &code, &owned);
    if (!err)
        err = interp_check_sig(ip, sig, key, code, &valid);
    free(owned);
    if (err)
        return err;
    if (!valid && (ip->flags & SCRIPT_NULLFAIL) && !ip->malleable && sig.len > 0)
        return SCRIPT_ERR_SIG_NULLFAIL;
    if (ip->code == OP_CHECKSIGVERIFY)
        return interp_verify_bool(ip, 2, valid, SCRIPT_ERR_CHECKSIGVERIFY);
    return interp_result_bool(ip, 2, valid);
}
