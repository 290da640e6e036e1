/*
 * Modifiers and their tree (spec bca 4, 7). A modifier is a secret until its address is shown: who
 * has two of one registration can link their addresses. Pure functions, any thread.
 */
#ifndef BCA_MODIFIERS_H
#define BCA_MODIFIERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BCA_MODIFIER_SIZE 16
#define BCA_MODIFIERS_MAX 32
#define BCA_MODIFIER_DEPTH_MAX 5

/* Modifier number i of a secret seed. */
void bca_modifier_derive(uint8_t out[BCA_MODIFIER_SIZE], const uint8_t seed[32], uint8_t i);

/* 1, 2, 4, 8, 16 or 32. */
bool bca_modifier_count_allowed(size_t n);

/* All rows, leaves first, root last. */
struct bca_modifier_tree {
    unsigned depth;
    uint8_t node[2 * BCA_MODIFIERS_MAX - 1][32];
};

/* n is allowed (BUG_ON); the modifiers stand one after the other. */
void bca_modifier_tree_make(struct bca_modifier_tree *t, const uint8_t *modifiers, size_t n);
/* 32 bytes, borrowed. */
const uint8_t *bca_modifier_tree_root(const struct bca_modifier_tree *t);
/* Writes depth siblings, leaf level first. index is below the number of leaves (BUG_ON). */
void bca_modifier_tree_proof(const struct bca_modifier_tree *t, unsigned index, uint8_t *siblings);

/* Where a proof leads; false when the index does not fit the depth. */
bool bca_modifier_proof_root(const uint8_t modifier[BCA_MODIFIER_SIZE], unsigned index,
                             unsigned depth, const uint8_t *siblings, uint8_t root[32]);

#endif
