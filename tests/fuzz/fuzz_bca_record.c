/*
 * A record, or with a first byte below 4 a payload that carries some. A record that is read says
 * nothing but what its bytes say, and is what our writer makes of its fields.
 */
#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "p2p/bca_record.h"
#include "p2p/msg_bca.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool refuse_dh(void *ctx, uint8_t out[32], const uint8_t their_key[IDENTITY_KEY_SIZE])
{
    (void)ctx;
    (void)out;
    (void)their_key;
    return false;
}

/* The signature that the record has. */
static bool repeat_sig(void *ctx, uint8_t sig[IDENTITY_SIG_SIZE], const char *tag, struct span text)
{
    const struct bca_record *r = ctx;
    (void)tag;
    (void)text;
    memcpy(sig, r->sig, sizeof r->sig);
    return true;
}

static void check_record(struct span raw)
{
    const struct bca_policy policy = { .rules = bca_rules_get(BCA_NET_REGTEST) };
    struct bca_record r;
    struct buf b;
    if (bca_record_read(&r, raw) != BCA_RECORD_GOOD)
        return;
    struct identity_key key = { .noise_dh = refuse_dh, .sign = repeat_sig, .ctx = &r };
    memcpy(key.pub, r.key, sizeof key.pub);
    buf_init(&b);
    if (bca_record_write(&b, &r, &key) || b.len != raw.len || memcmp(b.data, raw.data, raw.len))
        abort();
    buf_clear(&b);
    if (bca_record_check_times(&r, r.issued) == BCA_RECORD_EXPIRED)
        abort();
    if (bca_record_compare(&r, raw, &r, raw) != BCA_RECORD_SAME)
        abort();
    if (bca_record_may_dial(&r, r.n_endpoints, true, true))
        abort();
    bca_record_check_signature(&r);
    bca_record_check_bca(&r, &policy);
}

static void check_records(struct span payload)
{
    struct msg_bcarec m;
    if (msg_bcarec_read(&m, payload) != OK)
        return;
    for (size_t i = 0; i < m.n; i++)
        check_record(m.records[i]);
}

static void check_list(const struct msg_bca_list *list, size_t max)
{
    struct msg_bca_item item;
    if (list->n > max)
        abort();
    for (size_t i = 0; i < list->n; i++)
        msg_bca_item_get(list, i, &item);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct msg_sendbca send;
    struct msg_bca_list inv;
    struct msg_getbca get;
    ec_init();
    check_record(span_of(data, size));
    if (size < 1)
        return 0;
    const struct span rest = span_of(data + 1, size - 1);
    if (data[0] == 0 && msg_sendbca_read(&send, rest) == OK && rest.len < 8)
        abort();
    if (data[0] == 1 && msg_bcainv_read(&inv, rest) == OK)
        check_list(&inv, MSG_BCAINV_MAX);
    if (data[0] == 2 && msg_getbca_read(&get, rest) == OK)
        check_list(&get.list, MSG_GETBCA_MAX);
    if (data[0] == 3)
        check_records(rest);
    return 0;
}
