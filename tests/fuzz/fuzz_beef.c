/* What parses as a BEEF is written back as the same bytes; the check of its structure reads nothing
 * that is not there. */
#include <stdlib.h>
#include <string.h>

#include "base/beef.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r;
    struct beef b;
    struct buf out;
    reader_init(&r, data, size);
    if (beef_read(&r, &b, NULL))
        return 0;
    buf_init(&out);
    beef_write(&out, &b);
    if (out.len != size - r.left || memcmp(out.data, data, out.len) != 0)
        abort();
    if (beef_check(&b, NULL) == OK && !beef_subject(&b))
        abort();
    buf_clear(&out);
    beef_clear(&b);
    return 0;
}
