/* Small transactions that differ in their lock time. */
#ifndef TESTS_NODE_MADE_TX_H
#define TESTS_NODE_MADE_TX_H

#include "base/tx.h"
#include "tests/test.h"

/* One input that spends output 0 of a made-up id, one output with a script of this size. */
static inline struct tx *made_tx(uint32_t number, size_t script)
{
    struct buf b;
    struct error e;
    buf_init(&b);
    buf_put_le32(&b, 1);
    buf_put_compact(&b, 1);
    memset(buf_extend(&b, 36), 7, 36);
    buf_put_compact(&b, 0);
    buf_put_le32(&b, 0);
    buf_put_compact(&b, 1);
    buf_put_le64(&b, 1);
    buf_put_compact(&b, script);
    if (script)
        memset(buf_extend(&b, script), 0x51, script);
    buf_put_le32(&b, number);
    struct tx *tx = tx_new(b.data, b.len, &e);
    assert_non_null(tx);
    buf_clear(&b);
    return tx;
}

#endif
