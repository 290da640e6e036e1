/* What gen_chain writes and bench_verify reads for each signature; all bytes, no padding. */
#ifndef CONTRIB_SIGNATURE_RECORD_H
#define CONTRIB_SIGNATURE_RECORD_H

#include <stdint.h>

struct signature_record {
    uint8_t key[33];
    uint8_t digest[32];
    uint8_t sig_len;
    uint8_t sig[72]; /* DER without the hash type */
};

_Static_assert(sizeof(struct signature_record) == 138, "a file format");

#endif
