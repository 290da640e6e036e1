/* Payloads of sendbca, bcainv, getbca, bcarec: round trips and limits. */
#include "p2p/msg_bca.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "tests/test.h"

static void sendbca_has_room_for_more(void **state)
{
    struct msg_sendbca m;
    struct buf b;
    (void)state;
    buf_init(&b);
    msg_sendbca_write(&b, MSG_SENDBCA_ANNOUNCE | MSG_SENDBCA_ANSWERS);
    assert_int_equal(b.len, 8);
    assert_memory_equal(b.data, "\x01\x00\x00\x00\x03\x00\x00\x00", 8);
    buf_put_u8(&b, 9);
    assert_int_equal(msg_sendbca_read(&m, buf_span(&b)), OK);
    assert_int_equal(m.version, 1);
    assert_int_equal(m.flags, 3);
    assert_int_equal(msg_sendbca_read(&m, span_of(b.data, 7)), ERR_PARSE);
    buf_clear(&b);
}

static struct msg_bca_item *make_items(size_t n)
{
    struct msg_bca_item *items = calloc(n, sizeof *items);
    assert_non_null(items);
    for (size_t i = 0; i < n; i++) {
        memset(items[i].record_key, (int)i, sizeof items[i].record_key);
        items[i].seq = UINT64_C(0x0102030405060708) + i;
    }
    return items;
}

static void check_list(const struct msg_bca_list *list, const struct msg_bca_item *items, size_t n)
{
    struct msg_bca_item got;
    assert_int_equal(list->n, n);
    for (size_t i = 0; i < n; i++) {
        msg_bca_item_get(list, i, &got);
        assert_memory_equal(got.record_key, items[i].record_key, 32);
        assert_true(got.seq == items[i].seq);
    }
}

static void lists_have_their_limits(void **state)
{
    struct msg_bca_item *items = make_items(MSG_BCAINV_MAX + 1);
    struct msg_bca_list inv;
    struct msg_getbca get;
    struct buf b;
    (void)state;
    buf_init(&b);
    msg_bcainv_write(&b, items, MSG_BCAINV_MAX);
    assert_int_equal(msg_bcainv_read(&inv, buf_span(&b)), OK);
    check_list(&inv, items, MSG_BCAINV_MAX);
    assert_int_equal(msg_bcainv_read(&inv, span_of(b.data, b.len - 1)), ERR_PARSE);
    buf_put_u8(&b, 0);
    assert_int_equal(msg_bcainv_read(&inv, buf_span(&b)), ERR_PARSE);
    buf_reset(&b);
    msg_bcainv_write(&b, items, MSG_BCAINV_MAX + 1);
    assert_int_equal(msg_bcainv_read(&inv, buf_span(&b)), ERR_RANGE);
    buf_reset(&b);
    msg_getbca_list_write(&b, items, MSG_GETBCA_MAX);
    assert_int_equal(msg_getbca_read(&get, buf_span(&b)), OK);
    assert_int_equal(get.kind, MSG_GETBCA_LIST);
    check_list(&get.list, items, MSG_GETBCA_MAX);
    buf_reset(&b);
    msg_getbca_list_write(&b, items, MSG_GETBCA_MAX + 1);
    assert_int_equal(msg_getbca_read(&get, buf_span(&b)), ERR_RANGE);
    buf_clear(&b);
    free(items);
}

static void an_item_is_key_and_number(void **state)
{
    static const uint8_t want[] = { 1, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5,
                                    5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 9, 0, 0, 0, 0, 0, 0, 1 };
    struct msg_bca_item item = { .seq = UINT64_C(0x0100000000000009) };
    struct buf b;
    (void)state;
    memset(item.record_key, 5, sizeof item.record_key);
    buf_init(&b);
    msg_bcainv_write(&b, &item, 1);
    assert_int_equal(b.len, sizeof want);
    assert_memory_equal(b.data, want, sizeof want);
    buf_clear(&b);
}

static void samples_and_unknown_kinds(void **state)
{
    struct msg_getbca m;
    struct buf b;
    (void)state;
    buf_init(&b);
    msg_getbca_sample_write(&b, 16);
    assert_int_equal(msg_getbca_read(&m, buf_span(&b)), OK);
    assert_int_equal(m.kind, MSG_GETBCA_SAMPLE);
    assert_int_equal(m.sample, 16);
    assert_int_equal(m.list.n, 0);
    assert_int_equal(msg_getbca_read(&m, span_of("\x01\x11\x00", 3)), ERR_RANGE);
    assert_int_equal(msg_getbca_read(&m, span_of("\x01\x10", 2)), ERR_PARSE);
    assert_int_equal(msg_getbca_read(&m, span_of("\x01\x10\x00\x00", 4)), ERR_PARSE);
    assert_int_equal(msg_getbca_read(&m, span_of("\x02what", 5)), OK);
    assert_int_equal(m.kind, 2);
    assert_int_equal(msg_getbca_read(&m, span_of(NULL, 0)), ERR_PARSE);
    buf_clear(&b);
}

static void records_come_with_what_was_not_found(void **state)
{
    static uint8_t record[4096], missing[32 * (MSG_BCAREC_MISSING_MAX + 1)];
    struct msg_bcarec m = { .n = MSG_BCAREC_MAX, .n_missing = 1, .missing = missing }, got;
    struct buf b;
    (void)state;
    for (size_t i = 0; i < m.n; i++)
        m.records[i] = span_of(record, i);
    buf_init(&b);
    msg_bcarec_write(&b, &m);
    assert_int_equal(msg_bcarec_read(&got, buf_span(&b)), OK);
    assert_int_equal(got.n, MSG_BCAREC_MAX);
    assert_int_equal(got.records[15].len, 15);
    assert_int_equal(got.n_missing, 1);
    assert_int_equal(msg_bcarec_read(&got, span_of(b.data, b.len - 1)), ERR_PARSE);
    buf_put_u8(&b, 0);
    assert_int_equal(msg_bcarec_read(&got, buf_span(&b)), ERR_PARSE);
    b.data[0] = MSG_BCAREC_MAX + 1;
    assert_int_equal(msg_bcarec_read(&got, buf_span(&b)), ERR_RANGE);
    m.n = 0;
    m.n_missing = MSG_BCAREC_MISSING_MAX;
    buf_reset(&b);
    msg_bcarec_write(&b, &m);
    assert_int_equal(msg_bcarec_read(&got, buf_span(&b)), OK);
    m.n_missing++;
    buf_reset(&b);
    msg_bcarec_write(&b, &m);
    assert_int_equal(msg_bcarec_read(&got, buf_span(&b)), ERR_RANGE);
    buf_clear(&b);
}

static void records_and_payloads_are_not_too_long(void **state)
{
    static uint8_t bytes[4097];
    struct msg_bcarec m = { .n = 1 }, got;
    struct buf b;
    (void)state;
    buf_init(&b);
    m.records[0] = span_of(bytes, 4096);
    msg_bcarec_write(&b, &m);
    assert_int_equal(msg_bcarec_read(&got, buf_span(&b)), OK);
    m.records[0] = span_of(bytes, 4097);
    buf_reset(&b);
    msg_bcarec_write(&b, &m);
    assert_int_equal(msg_bcarec_read(&got, buf_span(&b)), ERR_RANGE);
    /* 16 * (3 + 4096) + 2 bytes fit, with one key that is missing no more */
    m.n = MSG_BCAREC_MAX;
    for (size_t i = 0; i < m.n; i++)
        m.records[i] = span_of(bytes, 4096);
    buf_reset(&b);
    msg_bcarec_write(&b, &m);
    assert_true(b.len <= MSG_BCAREC_PAYLOAD_MAX);
    assert_int_equal(msg_bcarec_read(&got, buf_span(&b)), OK);
    m.n_missing = 1;
    m.missing = bytes;
    buf_reset(&b);
    msg_bcarec_write(&b, &m);
    assert_true(b.len > MSG_BCAREC_PAYLOAD_MAX);
    assert_int_equal(msg_bcarec_read(&got, buf_span(&b)), ERR_RANGE);
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sendbca_has_room_for_more),
        cmocka_unit_test(lists_have_their_limits),
        cmocka_unit_test(an_item_is_key_and_number),
        cmocka_unit_test(samples_and_unknown_kinds),
        cmocka_unit_test(records_come_with_what_was_not_found),
        cmocka_unit_test(records_and_payloads_are_not_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
