/* Any bytes: 16 of an address, then parameters. What can be decoded is written back as the same
 * bytes; the verdict is one, and is the same for the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "bca/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct bca_params *p, struct span raw)
{
    struct buf out;
    buf_init(&out);
    bca_params_write(&out, p);
    if (out.len != raw.len || memcmp(out.data, raw.data, raw.len) != 0)
        abort();
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < BCA_ADDRESS_SIZE)
        return 0;
    const struct span raw = span_of(data + BCA_ADDRESS_SIZE, size - BCA_ADDRESS_SIZE);
    const struct bca_policy policy = { .rules = bca_rules_get(BCA_NET_REGTEST) };
    struct bca_verdict v, again;
    ec_init();
    bca_verify(data, raw, &policy, &v);
    bca_verify(data, raw, &policy, &again);
    if (v.result != again.result || v.step != again.step || v.result == BCA_UNDETERMINED ||
        (v.result == BCA_VALID) != (v.step == BCA_STEP_COUNT))
        abort();
    if (v.step > BCA_STEP_DECODE)
        check_round_trip(&v.params, raw);
    return 0;
}
