#include "rpc/rest_path.h"

#include <stdio.h>
#include <string.h>

#include "tests/test.h"

#define HASH "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"

static void every_address_is_understood(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum rest_subject subject;
        enum rest_format format;
    } rows[] = {
        { "/rest/tx/" HASH ".bin", REST_TX, REST_BIN },
        { "/rest/tx/" HASH ".json", REST_TX, REST_JSON },
        { "/rest/block/" HASH ".hex", REST_BLOCK, REST_HEX },
        { "/rest/block/notxdetails/" HASH ".json", REST_BLOCK_IDS, REST_JSON },
        { "/rest/headers/1/" HASH ".bin", REST_HEADERS, REST_BIN },
        { "/rest/headers/extended/2000/" HASH ".json", REST_HEADERS_EXTENDED, REST_JSON },
        { "/rest/chaininfo.json", REST_CHAININFO, REST_JSON },
        { "/rest/mempool/info.json", REST_MEMPOOL_INFO, REST_JSON },
        { "/rest/mempool/contents.json", REST_MEMPOOL_CONTENTS, REST_JSON },
        { "/rest/getutxos.bin", REST_UTXOS, REST_BIN },
        { "/rest/getutxos/" HASH "-0.json", REST_UTXOS, REST_JSON },
        { "/rest/getutxos/checkmempool.hex", REST_UTXOS, REST_HEX },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rest_query q;
        assert_int_equal(rest_path_parse(&q, rows[i].path), 0);
        assert_int_equal(q.subject, rows[i].subject);
        assert_int_equal(q.format, rows[i].format);
    }
}

static void values_are_taken_from_the_address(void **state)
{
    (void)state;
    struct rest_query q;
    uint8_t hash[32];
    assert_true(hash_from_hex(hash, HASH));
    assert_int_equal(rest_path_parse(&q, "/rest/headers/77/" HASH ".json"), 0);
    assert_int_equal(q.count, 77);
    assert_memory_equal(q.hash, hash, 32);
    assert_int_equal(
        rest_path_parse(&q, "/rest/getutxos/checkmempool/" HASH "-7/" HASH "-4294967295.bin"), 0);
    assert_true(q.check_mempool);
    assert_int_equal(q.n_outpoints, 2);
    assert_memory_equal(q.outpoints[1].txid.b, hash, 32);
    assert_int_equal(q.outpoints[0].index, 7);
    assert_int_equal(q.outpoints[1].index, UINT32_MAX);
}

static void what_is_wrong_is_refused_with_its_status(void **state)
{
    (void)state;
    static const struct { const char *path; int status; const char *text; } rows[] = {
        { "/rest/", 404, "" }, { "/rest", 404, "" }, { "/rest/nosuch.json", 404, "" },
        { "/rest/blockhashbyheight/1.json", 404, "" },
        { "/rest/tx/" HASH, 404, "output format not found (available: .bin, .hex, .json)" },
        { "/rest/tx/" HASH ".xml", 404, "output format not found (available: .bin, .hex, .json)" },
        { "/rest/chaininfo.bin", 404, "output format not found (available: json)" },
        { "/rest/chaininfo", 404, "output format not found (available: json)" },
        { "/rest/chaininfoX.json", 404, "" },
        { "/rest/tx/abc.bin", 400, "Invalid hash: abc" },
        { "/rest/tx/" HASH "0.bin", 400, "Invalid hash: " HASH "0" },
        { "/rest/block/" HASH "/x.json", 400, "Invalid hash: " HASH "/x" },
        { "/rest/headers/" HASH ".json", 400, NULL },
        { "/rest/headers/0/" HASH ".json", 400, NULL },
        { "/rest/headers/2001/" HASH ".json", 400, NULL },
        { "/rest/headers/-1/" HASH ".json", 400, NULL },
        { "/rest/headers/99999999999999999999999/" HASH ".json", 400, NULL },
        { "/rest/headers/1x/" HASH ".json", 400, NULL },
        { "/rest/headers//" HASH ".json", 400, NULL },
        { "/rest/headers/5/.json", 400, NULL },
        { "/rest/getutxos/" HASH ".json", 400, NULL },
        { "/rest/getutxos/" HASH "-.json", 400, NULL },
        { "/rest/getutxos/" HASH "--1.json", 400, NULL },
        { "/rest/getutxos/" HASH "-4294967296.json", 400, NULL },
        { "/rest/getutxos/" HASH "-1/checkmempool.json", 400, NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rest_query q;
        assert_int_equal(rest_path_parse(&q, rows[i].path), rows[i].status);
        if (rows[i].text)
            assert_string_equal(q.error, rows[i].text);
        else
            assert_true(q.error[0]);
    }
}

static void at_most_fifteen_outputs_fit_into_an_address(void **state)
{
    (void)state;
    char path[2048] = "/rest/getutxos";
    struct rest_query q;
    for (int i = 0; i < REST_OUTPOINTS_MAX; i++)
        snprintf(path + strlen(path), sizeof path - strlen(path), "/" HASH "-%d", i);
    size_t n = strlen(path);
    snprintf(path + n, sizeof path - n, ".bin");
    assert_int_equal(rest_path_parse(&q, path), 0);
    assert_int_equal(q.n_outpoints, 15);
    snprintf(path + n, sizeof path - n, "/" HASH "-15.bin");
    assert_int_equal(rest_path_parse(&q, path), 400);
}

static int parse_body(struct rest_query *q, enum rest_format format, const void *data, size_t len)
{
    *q = (struct rest_query){ .subject = REST_UTXOS, .format = format };
    return rest_body_parse(q, span_of(data, len));
}

static void bodies_are_read_in_both_forms(void **state)
{
    (void)state;
    struct rest_query q;
    struct buf b;
    char hex[256];
    buf_init(&b);
    buf_put_u8(&b, 1);
    buf_put_compact(&b, 2);
    for (int i = 0; i < 72; i++)
        buf_put_u8(&b, (uint8_t)i);
    assert_int_equal(parse_body(&q, REST_BIN, b.data, b.len), 0);
    assert_true(q.check_mempool);
    assert_int_equal(q.n_outpoints, 2);
    assert_int_equal(q.outpoints[0].txid.b[31], 31);
    assert_int_equal(q.outpoints[1].index, 0x47464544);
    hex_encode(hex, b.data, b.len);
    strncat(hex, "\n", 2);
    assert_int_equal(parse_body(&q, REST_HEX, hex, strlen(hex)), 0);
    assert_int_equal(q.n_outpoints, 2);
    for (size_t cut = 0; cut < b.len; cut++)
        assert_int_equal(parse_body(&q, REST_BIN, b.data, cut), 400);
    buf_put_u8(&b, 0);
    assert_int_equal(parse_body(&q, REST_BIN, b.data, b.len), 400);
    b.data[0] = 2;
    assert_int_equal(parse_body(&q, REST_BIN, b.data, b.len - 1), 400);
    assert_int_equal(parse_body(&q, REST_HEX, "0x", 2), 400);
    buf_clear(&b);
}

static void a_body_may_not_ask_for_more_and_not_mix(void **state)
{
    (void)state;
    struct rest_query q;
    uint8_t many[2 + 16 * 36] = { 0, 16 };
    assert_int_equal(parse_body(&q, REST_BIN, many, sizeof many), 400);
    assert_string_equal(q.error, "Error: max outpoints exceeded (max: 15, tried: 16)");
    many[1] = 15;
    assert_int_equal(parse_body(&q, REST_BIN, many, sizeof many - 36), 0);
    assert_int_equal(rest_body_parse(&q, span_of(many, sizeof many - 36)), 400);
    assert_string_equal(q.error,
                        "Combination of URI scheme inputs and raw post data is not allowed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_address_is_understood),
        cmocka_unit_test(values_are_taken_from_the_address),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_status),
        cmocka_unit_test(at_most_fifteen_outputs_fit_into_an_address),
        cmocka_unit_test(bodies_are_read_in_both_forms),
        cmocka_unit_test(a_body_may_not_ask_for_more_and_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
