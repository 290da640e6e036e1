#include "bca/registration.h"

#include <string.h>

#include "base/hash.h"
#include "base/reader.h"
#include "base/tx.h"

/* OP_FALSE OP_RETURN and the push of the tag: whoever begins like this means to register. */
static const uint8_t opening[] = { 0x00, 0x6a, 0x04, 'B', 'C', 'A', 0x01 };
#define PUSH_64 0x40
#define DATA_OFFSET (sizeof opening + 1)

#define P2PKH_SIZE 25
#define P2PKH_HASH_OFFSET 3

void bca_registration_put(uint8_t out[BCA_REGISTRATION_SIZE],
                          const uint8_t public_key[BCA_PUBLIC_KEY_SIZE],
                          const uint8_t modifier_root[32])
{
    memcpy(out, opening, sizeof opening);
    out[sizeof opening] = PUSH_64;
    sha256(out + DATA_OFFSET, public_key, BCA_PUBLIC_KEY_SIZE);
    memcpy(out + DATA_OFFSET + 32, modifier_root, 32);
}

static bool has_tag(const struct tx_out *out)
{
    return out->script.len >= sizeof opening &&
           mem_equal_var(out->script.data, opening, sizeof opening);
}

static bool is_registration(const struct tx_out *out)
{
    return out->script.len == BCA_REGISTRATION_SIZE && out->script.data[sizeof opening] == PUSH_64;
}

/* Spec bca 14: pay-to-public-key-hash with at least one satoshi. */
static const uint8_t *marker_of(const struct tx_out *out)
{
    const uint8_t *s = out->script.data;
    bool p2pkh = out->script.len == P2PKH_SIZE && mem_equal_var(s, "\x76\xa9\x14", 3) &&
                 mem_equal_var(s + 23, "\x88\xac", 2);
    return p2pkh && out->value >= 1 ? s + P2PKH_HASH_OFFSET : NULL;
}

/* Reads all outputs; returns how many carry the tag. *out is of the last of these. */
static size_t read_outputs(struct reader *r, size_t n, struct bca_registration *out)
{
    size_t tagged = 0;
    bool after_tagged = false;
    for (size_t i = 0; i < n && !r->failed; i++) {
        struct tx_out o;
        tx_out_read(r, &o);
        if (after_tagged)
            out->marker = marker_of(&o);
        after_tagged = has_tag(&o);
        if (!after_tagged)
            continue;
        tagged++;
        *out = (struct bca_registration){ .output = (uint32_t)i };
        if (is_registration(&o)) {
            out->key_hash = o.script.data + DATA_OFFSET;
            out->modifier_root = out->key_hash + 32;
        }
    }
    return tagged;
}

enum bca_registration_found bca_registration_find(struct span tx, struct bca_registration *out)
{
    struct reader r;
    struct tx_in in;
    *out = (struct bca_registration){ 0 };
    reader_init(&r, tx.data, tx.len);
    read_le32(&r);
    size_t n_in = read_count(&r, TX_IN_MIN_SIZE);
    for (size_t i = 0; i < n_in && !r.failed; i++)
        tx_in_read(&r, &in);
    size_t n_out = read_count(&r, TX_OUT_MIN_SIZE);
    size_t tagged = read_outputs(&r, n_out, out);
    read_le32(&r);
    if (!reader_done(&r) || !n_in || !n_out || tx.len > BCA_TX_MAX)
        return BCA_TX_MALFORMED;
    return tagged == 1 && out->key_hash ? BCA_REGISTRATION_FOUND : BCA_REGISTRATION_NONE;
}

bool bca_marker_find(const struct tx *tx, uint32_t *output)
{
    struct bca_registration found;
    size_t i = 0;
    while (i < tx->n_out && !(is_registration(&tx->out[i]) && has_tag(&tx->out[i])))
        i++;
    if (i == tx->n_out || bca_registration_find(tx->raw, &found) != BCA_REGISTRATION_FOUND ||
        !found.marker)
        return false;
    *output = found.output + 1;
    return true;
}
