#include <config.h>

#include "tests/chain/journal_util.h"

#include "base/buf.h"
#include "base/intmath.h"
#include "tests/test.h"

static void put_input(struct buf *b, const struct txid *from, uint32_t index)
{
    buf_put(b, from->b, 32);
    buf_put_le32(b, index);
    buf_put_compact(b, 0);
    buf_put_le32(b, TX_SEQUENCE_FINAL);
}

struct tx *made_tx(uint32_t seed, struct tx *const *parents, size_t n_parents, size_t size)
{
    struct buf b;
    struct txid nobody = { { 0xee } };
    le32_put(nobody.b + 4, seed);
    buf_init(&b);
    buf_put_le32(&b, 1);
    buf_put_compact(&b, MAX_OF(n_parents, 1));
    for (size_t i = 0; i < n_parents; i++)
        put_input(&b, &parents[i]->id, (uint32_t)i);
    if (n_parents == 0)
        put_input(&b, &nobody, seed);
    const size_t rest = 1 + 8 + 3 + 4; /* count, value, length of the script, lock time */
    const size_t script = size > b.len + rest + 4 ? size - b.len - rest : 4;
    buf_put_compact(&b, 1);
    buf_put_le64(&b, 1000);
    buf_put_compact(&b, script);
    uint8_t *to = buf_extend(&b, script);
    memset(to, 0x51, script);
    le32_put(to, seed);
    buf_put_le32(&b, 0);
    struct tx *tx = tx_new(b.data, b.len, NULL);
    assert_non_null(tx);
    buf_clear(&b);
    return tx;
}

uint64_t journal_put(struct journal *j, struct tx *tx, int64_t fee)
{
    const struct journal_entry e = { .tx = tx, .fee = fee };
    const uint64_t number = journal_add(j, &e, 1);
    tx_unref(tx);
    return number;
}
