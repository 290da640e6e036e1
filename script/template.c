#include "script/template.h"

#include "base/hash.h"
#include "base/intmath.h"
#include "script/iter.h"

/* Scripts this long and longer were never stored before Genesis (spec consensus 3.3). */
#define ORIGINAL_SIZE_MAX 10000

bool script_is_p2sh(struct span s)
{
    return s.len == SCRIPT_P2SH_SIZE && s.data[0] == OP_HASH160 && s.data[1] == 20 &&
           s.data[22] == OP_EQUAL;
}

bool script_is_push_only(struct span script)
{
    struct script_iter it = script_iter_of(script);
    struct script_op op;

    while (it.p < it.end)
        if (!script_iter_next(&it, &op) || op.code > OP_16)
            return false;
    return true;
}

static bool starts_false_return(struct span s)
{
    return s.len >= 2 && s.data[0] == OP_0 && s.data[1] == OP_RETURN;
}

bool script_is_unspendable(struct span s, enum script_era era)
{
    if (starts_false_return(s))
        return true;
    if (era != SCRIPT_ERA_ORIGINAL)
        return false;
    return s.len > ORIGINAL_SIZE_MAX || (s.len > 0 && s.data[0] == OP_RETURN);
}

static bool is_key_push(const struct script_op *op)
{
    return op->code >= 33 && op->code <= 65;
}

static bool match_pubkey(struct span s, struct script_match *m)
{
    struct script_iter it = script_iter_of(s);
    struct script_op key, check;

    if (!script_iter_next(&it, &key) || !is_key_push(&key) || !script_iter_next(&it, &check) ||
        check.code != OP_CHECKSIG || it.p != it.end)
        return false;
    m->required = m->n_keys = 1;
    m->data[0] = key.data;
    return true;
}

static bool match_pubkeyhash(struct span s, struct script_match *m)
{
    if (s.len != SCRIPT_P2PKH_SIZE || s.data[0] != OP_DUP || s.data[1] != OP_HASH160 ||
        s.data[2] != 20 || s.data[23] != OP_EQUALVERIFY || s.data[24] != OP_CHECKSIG)
        return false;
    m->required = 1;
    m->data[0] = span_of(s.data + 3, 20);
    return true;
}

static bool small_number(uint8_t code, unsigned *v)
{
    if (code < OP_1 || code > OP_16)
        return false;
    *v = code - (OP_1 - 1u);
    return true;
}

/* m key1..n n CHECKMULTISIG with 1 <= m <= n. */
static bool match_multisig(struct span s, struct script_match *m)
{
    struct script_iter it = script_iter_of(s);
    struct script_op op;
    unsigned keys = 0, n;

    if (!script_iter_next(&it, &op) || !small_number(op.code, &m->required))
        return false;
    while (script_iter_next(&it, &op) && is_key_push(&op)) {
        if (keys == SCRIPT_MULTISIG_KEYS_MAX)
            return false;
        m->data[keys++] = op.data;
    }
    if (it.p == it.end || !small_number(op.code, &n) || n != keys || m->required > n)
        return false;
    m->n_keys = n;
    return script_iter_next(&it, &op) && op.code == OP_CHECKMULTISIG && it.p == it.end;
}

/*
 * 00 6a and then pushes only, in every era; a bare 6a so in the era when it could not be spent
 * (spec consensus 5.1).
 */
static bool match_null_data(struct span s, enum script_era era)
{
    size_t skip;

    if (starts_false_return(s))
        skip = 2;
    else if (era == SCRIPT_ERA_ORIGINAL && s.len > 0 && s.data[0] == OP_RETURN)
        skip = 1;
    else
        return false;
    return script_is_push_only(span_of(s.data + skip, s.len - skip));
}

void script_classify(struct span s, enum script_era era, struct script_match *m)
{
    *m = (struct script_match){ .type = SCRIPT_TYPE_NONSTANDARD };
    if (match_pubkeyhash(s, m)) {
        m->type = SCRIPT_TYPE_PUBKEYHASH;
    } else if (era == SCRIPT_ERA_ORIGINAL && script_is_p2sh(s)) {
        m->type = SCRIPT_TYPE_SCRIPTHASH;
        m->data[0] = span_of(s.data + 2, 20);
    } else if (match_null_data(s, era)) {
        m->type = SCRIPT_TYPE_NULL_DATA;
    } else if (match_pubkey(s, m)) {
        m->type = SCRIPT_TYPE_PUBKEY;
    } else if (match_multisig(s, m)) {
        m->type = SCRIPT_TYPE_MULTISIG;
    } else {
        m->required = 0;
    }
}

const char *script_type_name(enum script_type type)
{
    static const char *const names[] = {
        [SCRIPT_TYPE_NONSTANDARD] = "nonstandard", [SCRIPT_TYPE_PUBKEY] = "pubkey",
        [SCRIPT_TYPE_PUBKEYHASH] = "pubkeyhash",   [SCRIPT_TYPE_SCRIPTHASH] = "scripthash",
        [SCRIPT_TYPE_MULTISIG] = "multisig",       [SCRIPT_TYPE_NULL_DATA] = "nulldata",
    };

    return type < COUNT_OF(names) ? names[type] : names[SCRIPT_TYPE_NONSTANDARD];
}

void script_make_p2pkh(uint8_t out[SCRIPT_P2PKH_SIZE], const uint8_t hash[20])
{
    out[0] = OP_DUP;
    out[1] = OP_HASH160;
    out[2] = 20;
    memcpy(out + 3, hash, 20);
    out[23] = OP_EQUALVERIFY;
    out[24] = OP_CHECKSIG;
}

void script_make_for_key(uint8_t out[SCRIPT_P2PKH_SIZE], struct span key)
{
    uint8_t hash[20];
    hash160(hash, key.data, key.len);
    script_make_p2pkh(out, hash);
}

void script_make_p2sh(uint8_t out[SCRIPT_P2SH_SIZE], const uint8_t hash[20])
{
    out[0] = OP_HASH160;
    out[1] = 20;
    memcpy(out + 2, hash, 20);
    out[22] = OP_EQUAL;
}
