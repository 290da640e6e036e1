#include "tests/p2p/record_maker.h"

#include "tests/p2p/dchan_fixture.h"
#include "tests/test.h"

void record_make(struct made_record *m, uint8_t who, uint64_t seq,
                 void (*change)(struct bca_record *r))
{
    struct open_key own;
    struct bca_record r = {
        .seq = seq,
        .issued = (uint32_t)(MAKER_NOW + seq),
        .expires = (uint32_t)(MAKER_NOW + seq) + BCA_RECORD_LIFETIME,
        .n_endpoints = 1,
        .endpoints = { { .type = BCA_RECORD_TCP6, .address = { 0x20, 1, 0x0d, 0xb8, [15] = who },
                         .port = BCA_RECORD_PORT } },
        .params = span_of("parameters", 10),
    };
    open_key_init(&own, who);
    if (change)
        change(&r);
    buf_init(&m->raw);
    assert_int_equal(bca_record_write(&m->raw, &r, &own.key), OK);
    memcpy(m->key, own.key.pub, sizeof m->key);
    bca_record_key(m->record_key, m->key);
}

void record_clear(struct made_record *m) { buf_clear(&m->raw); }
