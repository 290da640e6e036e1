/* Every message of direct channels, and so every TLV stream. What is taken is written, and what was
 * written is read and written as the same bytes. */
#include <stdlib.h>

#include "base/ec.h"
#include "p2p/dchan_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool rewrite(struct buf *out, struct span in)
{
    static const struct dchan_features all = { .offered = (1u << DCHAN_FEATURE_COUNT) - 1 };
    struct dchan_msg m;
    const enum dchan_read got = dchan_msg_read(&m, in, &all);
    const struct dchan_row *row = in.len >= DCHAN_TYPE_SIZE ? dchan_row_find(m.type) : NULL;
    if (!row && got == DCHAN_READ_OK)
        abort();
    if (row && (got == DCHAN_READ_IGNORE || got == DCHAN_READ_UNKNOWN))
        abort();
    if (got == DCHAN_READ_OK)
        dchan_msg_write(out, &m);
    return got == DCHAN_READ_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf once, twice;
    ec_init();
    buf_init(&once);
    buf_init(&twice);
    if (rewrite(&once, span_of(data, size))) {
        if (once.len > size || !rewrite(&twice, buf_span(&once)) || once.len != twice.len ||
            !mem_equal_var(once.data, twice.data, once.len))
            abort();
    }
    buf_clear(&once);
    buf_clear(&twice);
    return 0;
}
