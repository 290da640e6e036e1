/* What parses as a Merkle proof of the TSC standard is written back as the same bytes; written with
 * hashes in place of marks it leads to the same root. */
#include <stdlib.h>
#include <string.h>

#include "base/tsc_proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_as_hashes(const struct tsc_proof *p, const struct hash256 *root)
{
    struct buf b;
    struct reader r;
    struct tsc_proof q;
    struct hash256 again;
    buf_init(&b);
    tsc_proof_write(&b, p, TSC_COPY_AS_HASH);
    reader_init(&r, b.data, b.len);
    if (tsc_proof_read(&r, &q) || !reader_done(&r) || !tsc_proof_root(&q, &again) ||
        memcmp(root->b, again.b, 32) != 0)
        abort();
    buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r;
    struct tsc_proof p;
    struct hash256 root;
    struct buf b;
    reader_init(&r, data, size);
    if (tsc_proof_read(&r, &p))
        return 0;
    buf_init(&b);
    tsc_proof_write(&b, &p, TSC_COPY_MARKED);
    if (b.len != size - r.left || memcmp(b.data, data, b.len) != 0)
        abort();
    buf_clear(&b);
    if (tsc_proof_root(&p, &root))
        check_as_hashes(&p, &root);
    return 0;
}
