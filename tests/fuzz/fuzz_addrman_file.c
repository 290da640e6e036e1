/*
 * peers.dat whose checksum is right but whose content is anything: the book either refuses it and
 * is empty, or takes it and writes a file that gives the same book again. Also usable afterwards.
 */
#include <config.h>

#include <stdlib.h>

#include "base/buf.h"
#include "p2p/addrman_internal.h"
#include "base/state_file.h"

#define NOW INT64_C(1700000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t magic[4] = { 0xfa, 0xbf, 0xb5, 0xda };

static void check_again(const struct addrman *am)
{
    struct addrman *back = addrman_new(am->secret);
    struct buf b;
    buf_init(&b);
    addrman_encode(am, magic, &b);
    state_file_finish(&b);
    if (addrman_decode(back, b.data, b.len, magic, NOW, NULL) != OK || back->n_new != am->n_new ||
        back->n_tried != am->n_tried)
        abort();
    buf_clear(&b);
    addrman_free(back);
}

static void use(struct addrman *am)
{
    static struct peer_addr out[ADDRMAN_SAMPLE_MAX];
    const struct addrman_query q = { .table = ADDRMAN_ANY };
    struct addrman_choice c;
    struct netaddr listening = { .ip = { 0x2a }, .port = 8333 };
    for (int i = 0; i < 20 && addrman_select(am, &q, NOW, &c); i++) {
        addrman_attempt(am, &c.pa.addr, ADDRMAN_COUNT_FAILURE, NOW);
        addrman_good(am, &c.pa.addr, NOW);
    }
    (void)addrman_select_feeler(am, &q, NOW + 700, &c);
    (void)addrman_sample(am, &listening, NOW, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct state_file_kind kind = { "ADDR", 1 };
    static struct addrman *am; /* made once: the empty tables are large */
    struct buf b;
    if (!am)
        am = addrman_new(NULL);
    buf_init(&b);
    state_file_begin(&b, &kind, magic);
    buf_put(&b, data, size);
    state_file_finish(&b);
    if (addrman_decode(am, b.data, b.len, magic, NOW, NULL) != OK) {
        if (am->n != 0 || am->n_new != 0 || am->n_tried != 0)
            abort();
    } else {
        check_again(am);
        use(am);
    }
    buf_clear(&b);
    return 0;
}
