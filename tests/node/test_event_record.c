#include "node/event_record.h"

#include <string.h>

#include "tests/test.h"

static struct event_record removed(void)
{
    struct event_record r = { .type = LOGGED_TX_REMOVED, .number = 77, .time_ms = 1700000000123 };
    memset(r.v[REMOVED_ID].hash, 0xab, 32);
    memcpy(r.v[REMOVED_REASON].text, "expired", 8);
    memset(r.v[REMOVED_BLOCK].hash, 0x11, 32);
    return r;
}

static void json_is(const struct event_record *r, const char *want)
{
    struct json_writer w;
    struct buf b;
    buf_init(&b);
    jw_init(&w, &b, NULL, NULL);
    event_record_json(&w, r);
    buf_put_u8(&b, 0);
    assert_string_equal((const char *)b.data, want);
    buf_clear(&b);
}

#define AB "abababababababababababababababababababababababababababababababab"
#define ONES "1111111111111111111111111111111111111111111111111111111111111111"

static void lines_have_number_time_type_and_fields(void **state)
{
    (void)state;
    struct event_record r = removed();
    json_is(&r, "{\"number\":77,\"time\":1700000000.123,\"type\":\"tx_removed\",\"txid\":\"" AB
                "\",\"reason\":\"expired\",\"block\":\"" ONES "\"}");
    struct event_record a = { .type = LOGGED_TX_ACCEPTED, .number = 1, .time_ms = 5 };
    memset(a.v[TX_ID].hash, 0x11, 32);
    a.v[TX_SIZE].number = 250;
    a.v[TX_FEE].number = 13;
    json_is(&a, "{\"number\":1,\"time\":0.005,\"type\":\"tx_accepted\",\"txid\":\"" ONES
                "\",\"size\":250,\"fee\":0.00000013}");
    struct event_record s = { .type = LOGGED_START, .number = UINT64_MAX, .time_ms = -1 };
    memset(s.v[START_HASH].hash, 0xab, 32);
    s.v[START_HEIGHT].number = -1;
    json_is(&s, "{\"number\":18446744073709551615,\"time\":-0.001,\"type\":\"start\",\"hash\":\"" AB
                "\",\"height\":-1}");
    struct event_record m = { .type = LOGGED_MESSAGE_FAILED, .number = 2, .time_ms = 5 };
    m.v[MESSAGE_ENTRY].number = 9;
    m.v[MESSAGE_NUMBER].number = 7;
    memset(m.v[MESSAGE_ID].id, 0x22, 16);
    memset(m.v[MESSAGE_KEY].key, 0x11, 33);
    memcpy(m.v[MESSAGE_REASON].text, "expired", 8);
    json_is(&m, "{\"number\":2,\"time\":0.005,\"type\":\"message_failed\",\"entry\":9,"
                "\"message\":7,\"id\":\"22222222222222222222222222222222\",\"key\":\"" ONES
                "11\",\"reason\":\"expired\"}");
    struct event_record f = { .type = LOGGED_FILE_RECEIVED, .number = 3, .time_ms = 5 };
    f.v[FILE_ENTRY].number = 4;
    memset(f.v[FILE_ID].file, 0x11, 32);
    f.v[FILE_ID].file[0] = 0x22; /* not in the order of block hashes */
    memset(f.v[FILE_KEY].key, 0x11, 33);
    f.v[FILE_SIZE].number = 5;
    memcpy(f.v[FILE_NAME].text, "a.txt", 6);
    json_is(&f, "{\"number\":3,\"time\":0.005,\"type\":\"file_received\",\"entry\":4,"
                "\"file\":\"22" "11111111111111111111111111111111111111111111111111111111111111"
                "\",\"key\":\"" ONES "11\",\"size\":5,\"name\":\"a.txt\"}");
}

static size_t size_of(enum event_field_kind kind)
{
    static const size_t sizes[] = {
        [FIELD_HASH] = 32, [FIELD_OPTIONAL_HASH] = 32, [FIELD_NUMBER] = 8, [FIELD_AMOUNT] = 8,
        [FIELD_TEXT] = 8, [FIELD_KEY] = 33, [FIELD_ID] = 16, [FIELD_FILE] = 32,
    };
    return sizes[kind];
}

static void every_type_is_read_as_it_was_written(void **state)
{
    (void)state;
    size_t types = 0;
    for (unsigned type = 0; type < 256; type++) {
        const struct event_row *row = event_row_find(type);
        if (!row)
            continue;
        types++;
        struct event_record r = { .type = row->type, .number = 3 + type, .time_ms = 99 }, back;
        struct buf b;
        size_t used;
        for (size_t i = 0; row->fields[i].kind != FIELD_NONE; i++)
            memset(&r.v[i], row->fields[i].kind == FIELD_TEXT ? 'a' : (int)(i + type),
                   size_of(row->fields[i].kind));
        buf_init(&b);
        event_record_write(&b, &r);
        assert_true(b.len <= EVENT_RECORD_MAX);
        assert_int_equal(event_record_read(b.data, b.len, &back, &used), EVENT_READ);
        assert_int_equal(used, b.len);
        assert_memory_equal(&back, &r, sizeof r);
        for (size_t cut = 0; cut < b.len; cut++)
            assert_int_equal(event_record_read(b.data, cut, &back, &used), EVENT_INCOMPLETE);
        buf_clear(&b);
    }
    assert_int_equal(types, 23);
}

static void a_changed_bit_is_noticed(void **state)
{
    (void)state;
    struct event_record r = removed(), back;
    struct buf b;
    size_t used;
    buf_init(&b);
    event_record_write(&b, &r);
    for (size_t i = 0; i < b.len * 8; i++) {
        b.data[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_not_equal(event_record_read(b.data, b.len, &back, &used), EVENT_READ);
        b.data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    assert_int_equal(event_record_read(b.data, b.len, &back, &used), EVENT_READ);
    memset(b.data, 0, b.len);
    assert_int_equal(event_record_read(b.data, b.len, &back, &used), EVENT_DAMAGED);
    buf_clear(&b);
}

static void a_text_that_is_too_long_is_cut(void **state)
{
    (void)state;
    struct event_record r = removed(), back;
    struct buf b;
    size_t used;
    memset(r.v[REMOVED_REASON].text, 'x', EVENT_TEXT_MAX); /* not even an end */
    buf_init(&b);
    event_record_write(&b, &r);
    assert_int_equal(event_record_read(b.data, b.len, &back, &used), EVENT_READ);
    assert_int_equal(strlen(back.v[REMOVED_REASON].text), EVENT_TEXT_MAX - 1);
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_have_number_time_type_and_fields),
        cmocka_unit_test(every_type_is_read_as_it_was_written),
        cmocka_unit_test(a_changed_bit_is_noticed),
        cmocka_unit_test(a_text_that_is_too_long_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
