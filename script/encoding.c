#include "script/encoding.h"

#include "script/sighash.h"

#define SIG_MIN 9
#define SIG_MAX 73

/* A DER integer of len bytes at p: positive and without needless zeros. */
static bool integer_is_strict(const uint8_t *p, size_t len)
{
    if (len == 0 || (p[0] & 0x80))
        return false;
    return len == 1 || p[0] != 0 || (p[1] & 0x80);
}

/* 30 len 02 rlen R 02 slen S type */
bool script_sig_is_strict_der(struct span sig)
{
    const uint8_t *p = sig.data;

    if (sig.len < SIG_MIN || sig.len > SIG_MAX || p[0] != 0x30 || p[1] != sig.len - 3 ||
        p[2] != 0x02)
        return false;
    size_t r_len = p[3];
    if (r_len + 7 >= sig.len || p[4 + r_len] != 0x02)
        return false;
    size_t s_len = p[5 + r_len];
    return r_len + s_len + 7 == sig.len && integer_is_strict(p + 4, r_len) &&
           integer_is_strict(p + 6 + r_len, s_len);
}

bool script_hash_type_is_defined(uint8_t hash_type)
{
    unsigned base = hash_type & ~(SIGHASH_CHRONICLE | SIGHASH_FORKID | SIGHASH_ANYONECANPAY);

    return base >= SIGHASH_ALL && base <= SIGHASH_SINGLE;
}

bool script_key_is_compressed(struct span key)
{
    return key.len == 33 && (key.data[0] == 0x02 || key.data[0] == 0x03);
}

bool script_key_is_strict(struct span key)
{
    return script_key_is_compressed(key) || (key.len == 65 && key.data[0] == 0x04);
}
