/* A hello of any bytes, judged with the key and address it names itself: what passes is proved. */
#include <stdlib.h>

#include "base/ec.h"
#include "p2p/dchan_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const struct dchan_hello *h)
{
    static const uint8_t nobody[IDENTITY_KEY_SIZE] = { 2 };
    const struct bca_policy proof = { .rules = bca_rules_get(BCA_NET_REGTEST) };
    const struct dchan_policy policy = { .role = DCHAN_RESPONDER };
    struct bca_params params = { .public_key = nobody };
    struct dchan_standing got;
    if (h->has_bca && bca_params_read(h->params, &params, NULL) != OK)
        params.public_key = nobody;
    dchan_hello_judge(h, &(struct dchan_seen){ params.public_key, h->address }, &proof, &policy,
                      &got);
    if (!got.error && (!h->has_bca || got.result != BCA_VALID || got.binding != DCHAN_BOUND ||
                       got.version != 1 || got.provisional))
        abort();
    if (h->version && got.error == DCHAN_ERROR_VERSION)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dchan_hello h, again;
    struct reader r;
    struct buf out;
    ec_init();
    reader_init(&r, data, size);
    if (!dchan_hello_read(&h, &r))
        return 0;
    if (!reader_done(&r) || h.agent.len > DCHAN_AGENT_MAX || h.params.len > DCHAN_PARAMS_MAX)
        abort();
    judge(&h);
    buf_init(&out);
    dchan_hello_write(&out, &h);
    reader_init(&r, out.data, out.len);
    if (!dchan_hello_read(&again, &r) || again.has_bca != h.has_bca || again.seq != h.seq)
        abort();
    buf_clear(&out);
    return 0;
}
