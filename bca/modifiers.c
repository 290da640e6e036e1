#include "bca/modifiers.h"

#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"

static const char derive_tag[] = "BCA modifier";

void bca_modifier_derive(uint8_t out[BCA_MODIFIER_SIZE], const uint8_t seed[32], uint8_t i)
{
    uint8_t message[sizeof derive_tag], mac[32];
    memcpy(message, derive_tag, sizeof derive_tag - 1);
    message[sizeof derive_tag - 1] = i;
    hmac_sha256(mac, seed, 32, message, sizeof message);
    memcpy(out, mac, BCA_MODIFIER_SIZE);
    secure_wipe(mac, sizeof mac);
}

bool bca_modifier_count_allowed(size_t n)
{
    return n >= 1 && n <= BCA_MODIFIERS_MAX && (n & (n - 1)) == 0;
}

static void hash_pair(uint8_t out[32], const uint8_t left[32], const uint8_t right[32])
{
    uint8_t both[64];
    memcpy(both, left, 32);
    memcpy(both + 32, right, 32);
    sha256(out, both, sizeof both);
}

void bca_modifier_tree_make(struct bca_modifier_tree *t, const uint8_t *modifiers, size_t n)
{
    BUG_ON(!bca_modifier_count_allowed(n));
    t->depth = (unsigned)__builtin_ctzll(n);
    for (size_t i = 0; i < n; i++)
        sha256(t->node[i], modifiers + BCA_MODIFIER_SIZE * i, BCA_MODIFIER_SIZE);
    for (size_t parent = n; parent < 2 * n - 1; parent++) {
        const size_t left = 2 * (parent - n);
        hash_pair(t->node[parent], t->node[left], t->node[left + 1]);
    }
}

const uint8_t *bca_modifier_tree_root(const struct bca_modifier_tree *t)
{
    return t->node[(2u << t->depth) - 2];
}

void bca_modifier_tree_proof(const struct bca_modifier_tree *t, unsigned index, uint8_t *siblings)
{
    BUG_ON(index >> t->depth);
    const size_t leaves = (size_t)1 << t->depth;
    size_t at = index; /* the parent of node k is node leaves + k / 2 */
    for (unsigned k = 0; k < t->depth; k++) {
        memcpy(siblings + 32 * k, t->node[at ^ 1], 32);
        at = leaves + at / 2;
    }
}

bool bca_modifier_proof_root(const uint8_t modifier[BCA_MODIFIER_SIZE], unsigned index,
                             unsigned depth, const uint8_t *siblings, uint8_t root[32])
{
    if (index >> depth)
        return false;
    sha256(root, modifier, BCA_MODIFIER_SIZE);
    for (unsigned k = 0; k < depth; k++) {
        const uint8_t *sibling = siblings + 32 * k;
        const bool right = index >> k & 1;
        hash_pair(root, right ? sibling : root, right ? root : sibling);
    }
    return true;
}
