/* Every row of the table by an example, and the rules that are decided for all of them. */
#include "p2p/dchan_wire.h"

#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "tests/p2p/dchan_examples.h"
#include "tests/p2p/dchan_fixture.h"
#include "tests/test.h"

static const struct dchan_features all_features = { .offered = (1u << DCHAN_FEATURE_COUNT) - 1 };
static const struct dchan_features no_features = { .offered = 0 };

/* --- every row --- */

static enum dchan_read read_hex(struct dchan_msg *m, uint16_t type, const char *hex)
{
    struct buf b = dchan_example_message(type, hex);
    const enum dchan_read got = dchan_msg_read(m, buf_span(&b), &all_features);
    buf_clear(&b);
    return got;
}

static void the_table_is_in_order_and_each_row_has_an_example(void **state)
{
    size_t n;
    const struct dchan_row *rows = dchan_rows(&n);
    (void)state;
    assert_int_equal(n, n_dchan_examples);
    for (size_t i = 0; i < n; i++) {
        assert_true(i == 0 || rows[i - 1].type < rows[i].type);
        assert_int_equal(rows[i].type, dchan_examples[i].type);
        assert_string_equal(rows[i].name, dchan_examples[i].name);
        assert_ptr_equal(dchan_row_find(rows[i].type), &rows[i]);
    }
    assert_null(dchan_row_find(0));
    assert_null(dchan_row_find(23));
    assert_null(dchan_row_find(65535));
}

static void examples_are_written_as_they_were_read(void **state)
{
    ec_init();
    (void)state;
    for (size_t i = 0; i < n_dchan_examples; i++) {
        struct buf in = dchan_example_message(dchan_examples[i].type, dchan_examples[i].hex), out;
        struct dchan_msg m;
        buf_init(&out);
        assert_int_equal(dchan_msg_read(&m, buf_span(&in), &all_features), DCHAN_READ_OK);
        dchan_msg_write(&out, &m);
        assert_int_equal(out.len, in.len);
        assert_memory_equal(out.data, in.data, in.len);
        buf_clear(&in);
        buf_clear(&out);
    }
}

/* Where a shorter message is one too: the TLV stream, or the bytes that run to the end. */
static size_t shortest(uint16_t type, size_t len)
{
    switch (type) {
    case DCHAN_HELLO:
        return 2 + 2 + 2 + 1; /* what is behind is judged below */
    case DCHAN_PAD:
        return 2;
    case DCHAN_S_DATA:
        return 2 + 4 + 1;
    case DCHAN_DGRAM_MSG:
        return 2 + 4 + 2;
    case DCHAN_S_OPEN:
        return len - 7;
    case DCHAN_M_SEND:
        return len - 18 - 18 - 10;
    case DCHAN_CHAN_READY:
        return len - 10;
    case DCHAN_CHAN_SYNC:
        return len - 2 - DCHAN_COPY_SIZE;
    default:
        return len;
    }
}

static void cut_messages_are_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_dchan_examples; i++) {
        struct buf in = dchan_example_message(dchan_examples[i].type, dchan_examples[i].hex);
        struct dchan_msg m;
        for (size_t len = 0; len < shortest(dchan_examples[i].type, in.len); len++) {
            uint8_t *cut = xmalloc(len + 1);
            memcpy(cut, in.data, len);
            assert_int_equal(dchan_msg_read(&m, span_of(cut, len), &all_features),
                             DCHAN_READ_MALFORMED);
            free(cut);
        }
        buf_clear(&in);
    }
}

/* --- rules of all --- */

static void unknown_types_are_ignored_or_refused_by_their_parity(void **state)
{
    struct dchan_msg m;
    (void)state;
    assert_int_equal(read_hex(&m, 23, "00"), DCHAN_READ_IGNORE);
    assert_int_equal(read_hex(&m, 32769, ""), DCHAN_READ_IGNORE);
    assert_int_equal(read_hex(&m, 0, ""), DCHAN_READ_UNKNOWN);
    assert_int_equal(read_hex(&m, 40, ""), DCHAN_READ_UNKNOWN);
    assert_int_equal(read_hex(&m, 65534, ""), DCHAN_READ_UNKNOWN);
    assert_int_equal(m.type, 65534);
    assert_int_equal(dchan_msg_read(&m, span_of("x", 1), &all_features), DCHAN_READ_MALFORMED);
}

static void a_type_whose_feature_we_lack_counts_as_unknown(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_dchan_examples; i++) {
        struct buf in = dchan_example_message(dchan_examples[i].type, dchan_examples[i].hex);
        struct dchan_msg m;
        const enum dchan_feature f = dchan_row_find(dchan_examples[i].type)->feature;
        const enum dchan_read want = f == DCHAN_FEATURE_NONE    ? DCHAN_READ_OK
                                     : dchan_examples[i].type % 2 == 1 ? DCHAN_READ_IGNORE
                                                                 : DCHAN_READ_UNKNOWN;
        assert_int_equal(dchan_msg_read(&m, buf_span(&in), &no_features), want);
        assert_int_equal(dchan_msg_may_send(dchan_examples[i].type, &no_features),
                         f == DCHAN_FEATURE_NONE);
        assert_true(dchan_msg_may_send(dchan_examples[i].type, &all_features));
        buf_clear(&in);
    }
    assert_false(dchan_msg_may_send(40, &all_features));
    assert_int_equal(dchan_row_find(DCHAN_S_OPEN)->feature, DCHAN_STREAMS);
    assert_int_equal(dchan_row_find(DCHAN_DGRAM_MSG)->feature, DCHAN_DGRAM);
    assert_int_equal(dchan_row_find(DCHAN_DH_OFFER)->feature, DCHAN_DH_REKEY);
    assert_int_equal(dchan_row_find(DCHAN_P_TX)->feature, DCHAN_PAYMENTS);
    assert_int_equal(dchan_row_find(DCHAN_F_DONE)->feature, DCHAN_FILES);
}

static void extra_bytes_are_a_tlv_stream_of_odd_types(void **state)
{
    static const char *const tails[] = { "0102aabb", "f700", "fd010100" };
    static const char *const bad[] = { "01", "0003aabbcc", "0a00", "01020a", "01000100", "03000100",
                                       "fd000100", "01fd0001aa" };
    (void)state;
    for (size_t i = 0; i < n_dchan_examples; i++) {
        const unsigned rules = dchan_row_find(dchan_examples[i].type)->rules;
        struct buf in;
        struct dchan_msg m;
        if ((rules & DCHAN_RUNS_TO_END) || dchan_examples[i].type == DCHAN_HELLO)
            continue;
        /* behind the stream that some examples have */
        const uint16_t type = dchan_examples[i].type;
        const bool has_tlvs =
            type == DCHAN_S_OPEN || type == DCHAN_M_SEND || type == DCHAN_P_TX ||
            type == DCHAN_CHAN_READY || type == DCHAN_CHAN_SYNC;
        for (size_t k = has_tlvs ? 1 : 0; k < COUNT_OF(tails); k++) {
            struct buf tail = unhex(tails[k]);
            in = dchan_example_message(dchan_examples[i].type, dchan_examples[i].hex);
            buf_put(&in, tail.data, tail.len);
            assert_int_equal(dchan_msg_read(&m, buf_span(&in), &all_features), DCHAN_READ_OK);
            buf_clear(&in);
            buf_clear(&tail);
        }
        for (size_t k = 0; k < COUNT_OF(bad); k++) {
            struct buf tail = unhex(bad[k]);
            in = dchan_example_message(dchan_examples[i].type, dchan_examples[i].hex);
            buf_put(&in, tail.data, tail.len);
            assert_int_equal(dchan_msg_read(&m, buf_span(&in), &all_features),
                             DCHAN_READ_MALFORMED);
            buf_clear(&in);
            buf_clear(&tail);
        }
    }
}

static void only_these_come_before_the_session_is_up(void **state)
{
    static const uint16_t early[] = { 16, 17, 18, 19, 20, 26 };
    (void)state;
    for (size_t i = 0, k = 0; i < n_dchan_examples; i++) {
        const bool listed = k < COUNT_OF(early) && early[k] == dchan_examples[i].type;
        const unsigned rules = dchan_row_find(dchan_examples[i].type)->rules;
        assert_int_equal((rules & DCHAN_BEFORE_UP) != 0, listed);
        k += listed;
    }
}

/* --- fields --- */

static struct dchan_msg read_example(uint16_t type)
{
    static struct buf in; /* the message borrows it */
    struct dchan_msg m;
    buf_clear(&in);
    in = dchan_example_message(type, dchan_example_of(type)->hex);
    assert_int_equal(dchan_msg_read(&m, buf_span(&in), &all_features), DCHAN_READ_OK);
    return m;
}

/* An offer of a file may say what it costs. */
static void a_price_is_read_back(void **state)
{
    struct dchan_msg m = read_example(DCHAN_F_OFFER), again;
    struct buf b;
    (void)state;
    assert_int_equal(m.f_offer.price, 0);
    m.f_offer.price = UINT64_C(0x0102030405060708);
    buf_init(&b);
    dchan_msg_write(&b, &m);
    assert_int_equal(dchan_msg_read(&again, buf_span(&b), &all_features), DCHAN_READ_OK);
    assert_true(again.f_offer.price == m.f_offer.price);
    buf_truncate(&b, b.len - 1);
    assert_int_equal(dchan_msg_read(&again, buf_span(&b), &all_features), DCHAN_READ_MALFORMED);
    buf_clear(&b);
}

static void assert_text(struct span s, const char *text)
{
    assert_int_equal(s.len, strlen(text));
    assert_memory_equal(s.data, text, s.len);
}

static void session_fields_are_where_they_belong(void **state)
{
    struct dchan_msg m = read_example(DCHAN_WARNING);
    (void)state;
    assert_int_equal(m.notice.code, DCHAN_ERROR_LIMIT);
    assert_text(m.notice.text, "slow down");
    m = read_example(DCHAN_GOAWAY);
    assert_int_equal(m.goaway.reason, DCHAN_RENEW);
    assert_int_equal(m.goaway.last_stream, 77);
    m = read_example(DCHAN_RV);
    assert_int_equal(m.rv.port, 9944);
    assert_true(m.rv.time_ms == UINT64_C(1790000000000));
    m = read_example(DCHAN_PING);
    assert_int_equal(m.ping.reply_len, 5);
    assert_int_equal(m.ping.pad.len, 2);
    m = read_example(DCHAN_DHT_FOUND);
    assert_int_equal(m.dht_found.n, 2);
    assert_text(m.dht_found.records[1], "other");
    m = read_example(DCHAN_DHT_PUT);
    assert_int_equal(m.dht_put.kind, 1);
    assert_text(m.dht_put.record, "record");
}

static void data_fields_are_where_they_belong(void **state)
{
    struct dchan_msg m = read_example(DCHAN_S_OPEN);
    (void)state;
    assert_text(m.s_open.service, "echo");
    assert_int_equal(m.s_open.priority, 3);
    assert_int_equal(m.s_open.window, 262144);
    assert_text(m.s_open.meta, "\x01\x05label");
    m = read_example(DCHAN_S_WINDOW);
    assert_int_equal(m.stream.value, 131072);
    m = read_example(DCHAN_DGRAM_MSG);
    assert_int_equal(m.dgram.seq, 65535);
    assert_text(m.dgram.data, "voice");
    m = read_example(DCHAN_M_SEND);
    assert_int_equal(m.m_send.ttl, 604800);
    assert_text(m.m_send.content_type, "text/plain;utf-8");
    assert_true(m.m_send.has_reply_to && m.m_send.has_thread && m.m_send.has_seq);
    assert_true(m.m_send.seq == 9);
    m = read_example(DCHAN_M_NACK);
    assert_int_equal(m.m_receipt.code, 5);
    m = read_example(DCHAN_F_OFFER);
    assert_true(m.f_offer.size == 40000);
    assert_int_equal(m.f_offer.chunk_log2, 14);
    assert_text(m.f_offer.name, "a.txt");
    assert_text(m.f_offer.note, "note");
    m = read_example(DCHAN_P_TX);
    assert_int_equal(m.p_tx.n, 2);
    assert_int_equal(m.p_tx.outputs[1].vout, 3);
    assert_text(m.p_tx.outputs[1].suffix, "AQ==");
    assert_int_equal(m.p_tx.file_id[31], 0xab);
}

/* Longest and one more; kinds and numbers that no field has. */
static enum dchan_read read_with(uint16_t type, const char *before, size_t n, const char *after)
{
    struct buf head = unhex(before), tail = unhex(after), b;
    struct dchan_msg m;
    buf_init(&b);
    buf_put_be16(&b, type);
    buf_put(&b, head.data, head.len);
    memset(buf_extend(&b, n), 'x', n);
    buf_put(&b, tail.data, tail.len);
    const enum dchan_read got = dchan_msg_read(&m, buf_span(&b), &all_features);
    buf_clear(&head);
    buf_clear(&tail);
    buf_clear(&b);
    return got;
}

#define ID16 "000102030405060708090a0b0c0d0e0f"
#define HASH32 ID16 ID16
#define SEND ID16 "0000000000000000" "00000000"
#define OFFER HASH32 "0000000000000001" "0e"

static void lengths_have_their_limits(void **state)
{
    static const struct {
        uint16_t type;
        const char *fits, *over; /* before the bytes */
        size_t max;
        const char *after;
    } cases[] = {
        { DCHAN_WARNING, "0001" "0100", "0001" "0101", 256, "" },
        { DCHAN_ERROR, "0001" "0100", "0001" "0101", 256, "" },
        { DCHAN_DHT_FOUND, "00000001" "01" "1000", "00000001" "01" "1001", 4096, "" },
        { DCHAN_DHT_PUT, "00000001" "00" "1000", "00000001" "00" "1001", 4096, "" },
        { DCHAN_S_DATA, "00000001", "00000001", 16384, "" },
        { DCHAN_DGRAM_MSG, "00000001" "0000", "00000001" "0000", 1200, "" },
        { DCHAN_M_SEND, SEND "40", SEND "41", 64, "0000" },
        { DCHAN_M_SEND, SEND "00" "ea60", SEND "00" "ea61", 60000, "" },
        { DCHAN_F_OFFER, OFFER "c8", OFFER "c9", 200, "00" "0000" },
        { DCHAN_F_OFFER, OFFER "00" "00" "0200", OFFER "00" "00" "0201", 512, "" },
        { DCHAN_P_REQUEST, SEND "20", SEND "21", 32, "0000" },
        { DCHAN_P_REQUEST, SEND "00" "0100", SEND "00" "0101", 256, "" },
        { DCHAN_P_TX, ID16 "20", ID16 "21", 32, "00" "0001" "aa" },
        { DCHAN_P_TX, ID16 "00" "01" "00000000" "20", ID16 "00" "01" "00000000" "21", 32,
          "0001" "aa" },
        { DCHAN_P_TX, ID16 "00" "00" "ea60", ID16 "00" "00" "ea61", 60000, "" },
        { DCHAN_S_OPEN, "00000001" "00" "00" "00004000" "01" "fd03fc",
          "00000001" "00" "00" "00004000" "01" "fd03fd", 1020, "" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(read_with(cases[i].type, cases[i].fits, cases[i].max, cases[i].after),
                         DCHAN_READ_OK);
        assert_int_equal(read_with(cases[i].type, cases[i].over, cases[i].max + 1, cases[i].after),
                         DCHAN_READ_MALFORMED);
    }
}

static void values_that_no_field_has_are_malformed(void **state)
{
    static const struct {
        uint16_t type;
        const char *hex;
    } cases[] = {
        { DCHAN_REKEY, "02" },
        { DCHAN_DH_OFFER, "04" HASH32 },
        { DCHAN_DH_ANSWER, "02" "ffffffffffffffffffffffffffffffff"
                                "ffffffffffffffffffffffffffffffff" },
        { DCHAN_RV, "00" HASH32 ID16 "26d8" "0000000000000000" },
        { DCHAN_DHT_FIND, "00000001" "02" HASH32 },
        { DCHAN_DHT_PUT, "00000001" "02" "0000" },
        { DCHAN_DHT_FOUND, "00000001" "09" "000000000000000000000000000000000000" },
        { DCHAN_S_OPEN, "00000000" "0161" "00" "00004000" },
        { DCHAN_S_OPEN, "00000001" "0161" "08" "00004000" },
        { DCHAN_S_DATA, "00000001" },
        { DCHAN_S_WINDOW, "00000001" "00000000" },
        { DCHAN_M_SEND, SEND "00" "0000" "0101aa" },
        { DCHAN_M_SEND, SEND "00" "0000" "0501aa" },
        { DCHAN_P_REQUEST, SEND "0120" "0000" },       /* a blank */
        { DCHAN_P_TX, ID16 "0120" "00" "0001aa" },
        { DCHAN_P_TX, ID16 "00" "11" "0001aa" },       /* 17 outputs */
        { DCHAN_P_TX, ID16 "00" "00" "0000" },         /* neither transaction nor file */
        { DCHAN_P_TX, ID16 "00" "00" "0001aa" "0220" HASH32 }, /* both */
        { DCHAN_P_TX, ID16 "00" "00" "0000" "0201aa" },
    };
    struct dchan_msg m;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(read_hex(&m, cases[i].type, cases[i].hex), DCHAN_READ_MALFORMED);
}

static void a_large_increment_is_left_to_the_stream(void **state)
{
    struct dchan_msg m;
    (void)state;
    assert_int_equal(read_hex(&m, DCHAN_S_WINDOW, "00000001" "ffffffff"), DCHAN_READ_OK);
    assert_true(m.stream.value == UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_in_order_and_each_row_has_an_example),
        cmocka_unit_test(examples_are_written_as_they_were_read),
        cmocka_unit_test(cut_messages_are_malformed),
        cmocka_unit_test(unknown_types_are_ignored_or_refused_by_their_parity),
        cmocka_unit_test(a_type_whose_feature_we_lack_counts_as_unknown),
        cmocka_unit_test(extra_bytes_are_a_tlv_stream_of_odd_types),
        cmocka_unit_test(a_price_is_read_back),
        cmocka_unit_test(only_these_come_before_the_session_is_up),
        cmocka_unit_test(session_fields_are_where_they_belong),
        cmocka_unit_test(data_fields_are_where_they_belong),
        cmocka_unit_test(lengths_have_their_limits),
        cmocka_unit_test(values_that_no_field_has_are_malformed),
        cmocka_unit_test(a_large_increment_is_left_to_the_stream),
    };
    ec_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
