#include "bca/cli_block.h"

#include <string.h>

#include "base/block.h"
#include "base/hash.h"
#include "base/merkle_branch.h"
#include "base/tx.h"

#define KEY_HASH_OFFSET 8
#define MODIFIER_ROOT_OFFSET 40

static bool registers(struct span tx, const uint8_t *script)
{
    struct bca_registration r;
    return bca_registration_find(tx, &r) == BCA_REGISTRATION_FOUND &&
           mem_equal_var(r.key_hash, script + KEY_HASH_OFFSET, 32) &&
           mem_equal_var(r.modifier_root, script + MODIFIER_ROOT_OFFSET, 32);
}

enum err cli_find_registration(struct span block, const uint8_t script[BCA_REGISTRATION_SIZE],
                               struct cli_registered *out, struct error *e)
{
    struct reader r;
    struct merkle_branch_builder builder;
    const struct merkle_branch *branch;
    uint8_t found_id[32] = { 0 };
    reader_init(&r, block.data, block.len);
    read_bytes(&r, BLOCK_HEADER_SIZE);
    merkle_branch_init(&builder);
    for (size_t n = read_count(&r, TX_MIN_SIZE); n > 0 && !r.failed; n--) {
        const struct span tx = tx_read_raw(&r);
        uint8_t id[32];
        sha256d(id, tx.data, tx.len);
        const bool wanted = !builder.found && registers(tx, script);
        if (wanted) {
            out->transaction = tx;
            memcpy(found_id, id, sizeof id);
        }
        merkle_branch_add(&builder, id, wanted);
    }
    if (!reader_done(&r))
        return error_set(e, ERR_PARSE, "option block: these bytes are no block");
    if (!merkle_branch_finish(&builder, &branch))
        return error_set(e, ERR_NOTFOUND,
                         "option block: no transaction registers this key with these modifiers");
    if (branch->n > BCA_TX_DEPTH_MAX)
        return error_set(e, ERR_RANGE, "option block: more than 2^28 transactions");
    out->tx_index = (uint32_t)branch->index;
    out->tx_depth = branch->n;
    bca_tx_siblings(branch, found_id, out->tx_siblings);
    return OK;
}
