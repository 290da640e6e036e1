#include "p2p/channels_blocked.h"

#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "base/hash.h"
#include "base/ids.h"
#include "base/mem.h"
#include "bca/params.h"

static bool add(struct channels_blocked *b, const char *text)
{
    uint8_t key[IDENTITY_KEY_SIZE];
    size_t len;
    if (hash_from_hex(b->anchors[b->n_anchors], text)) {
        b->n_anchors++;
        return true;
    }
    if (!hex_decode(key, sizeof key, text, strlen(text), &len) || !ec_pubkey_valid(key, len))
        return false;
    memcpy(b->keys[b->n_keys++], key, sizeof key);
    return true;
}

enum err channels_blocked_read(struct channels_blocked *b, const struct net_strings *texts,
                               struct error *e)
{
    *b = (struct channels_blocked){ .keys = xcalloc(texts->n + 1, sizeof *b->keys),
                                    .anchors = xcalloc(texts->n + 1, sizeof *b->anchors) };
    for (size_t i = 0; i < texts->n; i++)
        if (!add(b, texts->v[i]))
            return error_set(e, ERR_RANGE, "-channelblock=%.80s: the key of an identity or the "
                             "hash of a block is wanted", texts->v[i]);
    return OK;
}

void channels_blocked_clear(struct channels_blocked *b)
{
    free(b->keys);
    free(b->anchors);
    *b = (struct channels_blocked){ .n_keys = 0 };
}

bool channels_blocked_key(const struct channels_blocked *b, const uint8_t key[IDENTITY_KEY_SIZE])
{
    for (size_t i = 0; i < b->n_keys; i++)
        if (mem_equal_var(b->keys[i], key, IDENTITY_KEY_SIZE))
            return true;
    return false;
}

bool channels_blocked_anchor(const struct channels_blocked *b, const uint8_t anchor[32])
{
    for (size_t i = 0; i < b->n_anchors; i++)
        if (mem_equal_var(b->anchors[i], anchor, 32))
            return true;
    return false;
}

bool channels_anchor_of(struct span params, uint8_t out[32])
{
    struct bca_params p;
    if (!params.len || bca_params_read(params, &p, NULL))
        return false;
    sha256d(out, p.header, 80);
    return true;
}
