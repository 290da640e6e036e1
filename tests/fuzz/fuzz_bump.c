/* What parses as a BUMP is written back as the same bytes; one that has a root is merged with
 * itself into an equal or shorter one with the same root. */
#include <stdlib.h>
#include <string.h>

#include "base/bump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_merge(struct bump *b, size_t written)
{
    struct bump_top top, again;
    struct buf out;
    if (bump_climb(b, &top, NULL))
        return;
    if (bump_merge(b, b, NULL) || bump_climb(b, &again, NULL) || top.depth != again.depth ||
        memcmp(top.root.b, again.root.b, 32) != 0)
        abort();
    buf_init(&out);
    bump_write(&out, b);
    if (out.len > written)
        abort();
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r;
    struct bump b;
    struct buf out;
    reader_init(&r, data, size);
    if (bump_read(&r, &b, NULL))
        return 0;
    buf_init(&out);
    bump_write(&out, &b);
    if (out.len != size - r.left || memcmp(out.data, data, out.len) != 0)
        abort();
    check_merge(&b, out.len);
    buf_clear(&out);
    bump_clear(&b);
    return 0;
}
