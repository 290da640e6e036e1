/*
 * Any bytes as acts of the other side; the first byte chooses the role. Nothing but the acts that
 * the machine waits for may end in a session, and a machine that failed stays so. Seeds are whole
 * handshakes of fixed keys, so that mutations reach each act.
 */
#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "p2p/dchan_hs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool noise_dh(void *ctx, uint8_t out[32], const uint8_t their_key[IDENTITY_KEY_SIZE])
{
    return ec_ecdh_sha256(out, their_key, ctx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t secret[32], ephemeral[32], other[32], other_key[IDENTITY_KEY_SIZE];
    uint8_t reply[DCHAN_ACT_MAX];
    struct identity_key key = { .noise_dh = noise_dh, .ctx = secret };
    struct dchan_hs hs;
    struct dchan_keys s;
    size_t reply_len;
    if (size < 1)
        return 0;
    const bool initiator = data[0] & 1;
    ec_init();
    memset(secret, initiator ? 0x11 : 0x21, sizeof secret);
    memset(ephemeral, initiator ? 0x12 : 0x22, sizeof ephemeral);
    memset(other, initiator ? 0x21 : 0x11, sizeof other);
    if (!ec_pubkey_of(key.pub, secret) || !ec_pubkey_of(other_key, other))
        abort();
    const struct dchan_hs_config config = { initiator ? DCHAN_INITIATOR : DCHAN_RESPONDER,
                                            span_of("fuzz", 4), &key, other_key, ephemeral };
    if (dchan_hs_init(&hs, &config) || (initiator && dchan_hs_start(&hs, reply)))
        abort();
    struct span in = span_of(data + 1, size - 1);
    enum err rc = OK;
    while (rc == OK && in.len && !dchan_hs_done(&hs)) {
        rc = dchan_hs_feed(&hs, &in, reply, &reply_len);
        if (reply_len > DCHAN_ACT_MAX || (rc && reply_len))
            abort();
    }
    if (dchan_hs_done(&hs)) {
        dchan_hs_take(&hs, &s);
        if (!ec_pubkey_valid(s.remote_key, IDENTITY_KEY_SIZE))
            abort();
        dchan_keys_wipe(&s);
    } else if (dchan_hs_end(&hs) != ERR_AUTH || hs.fault == DCHAN_HS_NO_FAULT) {
        abort();
    }
    dchan_hs_clear(&hs);
    return 0;
}
