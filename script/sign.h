/*
 * Makes unlocking scripts for the standard kinds of outputs: one key, key hash, multisig, and of
 * outputs of before Genesis script hash. Signatures that others have made already are kept, so
 * that the parts of a multisig can come together. Pure functions, any thread.
 */
#ifndef SCRIPT_SIGN_H
#define SCRIPT_SIGN_H

#include "base/buf.h"
#include "base/wif.h"
#include "script/verify.h"

struct signing_key {
    struct private_key key;
    uint8_t public_key[65];
    size_t public_len;
    uint8_t hash[20]; /* of the public key */
};

/* The caller wipes the key (private_key_wipe). */
void signing_key_init(struct signing_key *k, const struct private_key *key);

struct signer {
    const struct signing_key *keys;
    size_t n_keys;
    const struct span *redeem;  /* scripts whose hash an output may ask for */
    size_t n_redeem;
    const struct span *earlier; /* unlocking scripts as they are so far, any number of versions */
    size_t n_earlier;
    uint32_t hash_type;         /* one byte's worth: script/sighash.h */
};

/*
 * Appends the unlocking script of the input; its flags choose the form of the digest. True when
 * nothing is missing. False: as far as it could be made; when nothing could, the first earlier one.
 */
bool script_sign(const struct signer *s, const struct script_input *in, struct buf *out);

#endif
