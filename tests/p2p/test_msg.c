/* The table of messages, and every codec: round trips, limits, truncations, the vector file. */
#include "p2p/msg.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "p2p/frame.h"
#include "tests/test.h"

/* --- the table --- */

static void each_row_stands_at_its_id_and_is_found_by_its_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < MSG_UNKNOWN; i++) {
        const struct msg_row *row = msg_row((enum msg_id)i);
        uint8_t command[MSG_NAME_MAX] = { 0 };
        assert_int_equal(row->id, i);
        assert_true(strlen(row->name) <= MSG_NAME_MAX);
        memcpy(command, row->name, strlen(row->name));
        assert_ptr_equal(msg_find(command), row);
    }
}

static void every_message_has_states_and_a_limit(void **state)
{
    (void)state;
    struct msg_limits l = { .block = 1000, .protocol = 2097152 };
    for (size_t i = 0; i < MSG_ID_COUNT; i++) {
        const struct msg_row *row = msg_row((enum msg_id)i);
        assert_true(row->states & MSG_IN_READY);
        assert_true(msg_size_limit(row, &l) > 0);
        /* what is collected must be handled, what is dropped must not */
        assert_int_equal(row->intake == INTAKE_SKIP || row->intake == INTAKE_STREAM,
                         row->handle == NULL);
    }
}

static void only_the_handshake_may_come_before_verack(void **state)
{
    (void)state;
    const struct { enum msg_id id; uint8_t states; } early[] = {
        { MSG_VERSION, MSG_IN_START | MSG_IN_VERSION | MSG_IN_READY },
        { MSG_VERACK, MSG_IN_VERSION | MSG_IN_READY },
        { MSG_AUTHCH, MSG_IN_VERSION | MSG_IN_READY },
        { MSG_AUTHRESP, MSG_IN_VERSION | MSG_IN_READY },
        { MSG_CREATESTRM, MSG_IN_START | MSG_IN_VERSION | MSG_IN_READY },
        { MSG_SENDBCA, MSG_IN_VERSION | MSG_IN_READY }, /* where it is ignored */
        { MSG_STREAMACK, MSG_IN_START | MSG_IN_VERSION | MSG_IN_READY },
    };
    uint8_t want[MSG_ID_COUNT];
    memset(want, MSG_IN_READY, sizeof(want));
    for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++)
        want[early[i].id] = early[i].states;
    for (size_t i = 0; i < MSG_ID_COUNT; i++)
        assert_int_equal(msg_row((enum msg_id)i)->states, want[i]);
}

static void limits_are_those_of_the_specification(void **state)
{
    (void)state;
    struct msg_limits l = { .block = UINT64_C(10000000000), .protocol = 2097152 };
    struct msg_limits open = { .block = 0, .protocol = 0 };
    assert_int_equal(msg_size_limit(msg_row(MSG_BLOCK), &l), l.block);
    assert_int_equal(msg_size_limit(msg_row(MSG_CMPCTBLOCK), &l), l.block);
    assert_int_equal(msg_size_limit(msg_row(MSG_BLOCK), &open), INT64_MAX);
    assert_int_equal(msg_size_limit(msg_row(MSG_TX), &l), 1000000000);
    assert_int_equal(msg_size_limit(msg_row(MSG_GETBLOCKTXN), &l), l.block / 215 * 6 + 80);
    assert_int_equal(msg_size_limit(msg_row(MSG_PROTOCONF), &l), 1048576);
    assert_int_equal(msg_size_limit(msg_row(MSG_INV), &l), 2097152);
    assert_int_equal(msg_size_limit(msg_row(MSG_UNKNOWN), &l), 2097152);
    assert_int_equal(msg_size_limit(msg_row(MSG_PING), &open), 2097152);
    assert_int_equal(msg_inv_max(1048576), 29126);
    assert_int_equal(msg_inv_max(2097152), 58254);
}

static void a_longer_or_unknown_name_is_no_known_message(void **state)
{
    (void)state;
    assert_int_equal(msg_find((const uint8_t *)"pingx\0\0\0\0\0\0\0")->id, MSG_UNKNOWN);
    assert_int_equal(msg_find((const uint8_t *)"pin\0\0\0\0\0\0\0\0\0")->id, MSG_UNKNOWN);
    assert_int_equal(msg_find((const uint8_t *)"PING\0\0\0\0\0\0\0\0")->id, MSG_UNKNOWN);
    assert_int_equal(msg_find((const uint8_t *)"createstream")->id, MSG_UNKNOWN);
}

/* --- codecs --- */

static struct msg_version sample_version(void)
{
    struct msg_version m = {
        .version = MSG_PROTOCOL_VERSION, .services = 0x21, .time = 1700000000,
        .nonce = UINT64_C(0x1122334455667788), .user_agent = span_of("/BSVPeer:0.1.0/", 15),
        .start_height = 800000, .relay = true,
        .association = span_of("\0abcdefghijklmnop", 17),
    };
    netaddr_from_ipv4(&m.to.addr, (const uint8_t[]){ 1, 2, 3, 4 }, 8333);
    m.from.services = 0x21;
    return m;
}

static void a_version_message_survives_a_round_trip(void **state)
{
    (void)state;
    struct msg_version m = sample_version(), got;
    struct buf b;
    buf_init(&b);
    msg_version_write(&b, &m);
    assert_int_equal(b.len, 4 + 8 + 8 + 26 + 26 + 8 + 16 + 4 + 1 + 18);
    assert_int_equal(msg_version_read(&got, buf_span(&b)), OK);
    assert_int_equal(got.version, m.version);
    assert_int_equal(got.services, m.services);
    assert_int_equal(got.time, m.time);
    assert_true(netaddr_equal(&got.to.addr, &m.to.addr));
    assert_int_equal(got.from.services, 0x21);
    assert_int_equal(got.nonce, m.nonce);
    assert_int_equal(got.user_agent.len, 15);
    assert_memory_equal(got.user_agent.data, "/BSVPeer:0.1.0/", 15);
    assert_int_equal(got.start_height, 800000);
    assert_true(got.relay);
    assert_int_equal(got.association.len, 17);
    buf_clear(&b);
}

static void the_tail_of_a_version_message_is_optional_field_by_field(void **state)
{
    (void)state;
    struct msg_version m = sample_version(), got;
    struct buf b;
    buf_init(&b);
    m.relay = false;
    msg_version_write(&b, &m);
    const size_t ends[] = { 46, 80, 96, 100, 101, 119 };
    for (size_t len = 0; len <= b.len; len++) {
        bool whole = false;
        for (size_t i = 0; i < 6; i++)
            whole |= len == ends[i];
        assert_int_equal(msg_version_read(&got, span_of(b.data, len)) == OK, whole);
    }
    assert_int_equal(msg_version_read(&got, span_of(b.data, 46)), OK);
    assert_true(got.relay);
    assert_int_equal(got.user_agent.len, 0);
    assert_int_equal(msg_version_read(&got, span_of(b.data, 101)), OK);
    assert_false(got.relay);
    buf_put_str(&b, "trailing bytes");
    assert_int_equal(msg_version_read(&got, buf_span(&b)), OK);
    buf_clear(&b);
}

static void an_overlong_user_agent_is_too_large(void **state)
{
    (void)state;
    struct msg_version m = sample_version(), got;
    char agent[300];
    memset(agent, 'a', sizeof(agent));
    for (size_t len = 256; len <= 257; len++) {
        struct buf b;
        buf_init(&b);
        m.user_agent = span_of(agent, len);
        msg_version_write(&b, &m);
        assert_int_equal(msg_version_read(&got, buf_span(&b)), len == 256 ? OK : ERR_RANGE);
        buf_clear(&b);
    }
}

static void protoconf_has_the_bytes_of_the_specification(void **state)
{
    (void)state;
    struct buf want = unhex("020000200015426c6f636b5072696f726974792c44656661756c74"), b;
    buf_init(&b);
    msg_protoconf_write(&b, 2097152, "BlockPriority,Default");
    assert_int_equal(b.len, 27);
    assert_memory_equal(b.data, want.data, 27);
    struct msg_protoconf m;
    assert_int_equal(msg_protoconf_read(&m, buf_span(&b)), OK);
    assert_int_equal(m.n_fields, 2);
    assert_int_equal(m.max_recv_payload, 2097152);
    assert_int_equal(m.stream_policies.len, 21);
    assert_int_equal(msg_protoconf_read(&m, span_of("\1\0\0\x10\0", 5)), OK);
    assert_int_equal(m.max_recv_payload, 1048576);
    assert_int_equal(msg_protoconf_read(&m, span_of("\0", 1)), OK);
    assert_int_equal(m.n_fields, 0);
    assert_int_equal(msg_protoconf_read(&m, span_of("\2\0\0\x10\0", 5)), ERR_PARSE);
    buf_clear(&b);
    buf_clear(&want);
}

static void a_reject_carries_a_hash_for_blocks_and_transactions(void **state)
{
    (void)state;
    struct msg_reject m;
    struct buf b;
    uint8_t hash[32];
    memset(hash, 7, sizeof(hash));
    buf_init(&b);
    msg_reject_write(&b, "tx", REJECT_CODE_INVALID, "bad-txns-in-belowout", hash);
    assert_int_equal(msg_reject_read(&m, buf_span(&b)), OK);
    assert_true(m.has_hash);
    assert_memory_equal(m.hash.b, hash, 32);
    assert_int_equal(m.code, 0x10);
    assert_int_equal(m.reason.len, 20);
    assert_int_equal(msg_reject_read(&m, span_of(b.data, b.len - 1)), ERR_PARSE);
    buf_reset(&b);
    msg_reject_write(&b, "ping", REJECT_CODE_MALFORMED, "error parsing message", NULL);
    assert_int_equal(msg_reject_read(&m, buf_span(&b)), OK);
    assert_false(m.has_hash);
    buf_reset(&b);
    char reason[112];
    memset(reason, 'r', sizeof(reason));
    buf_put_var_bytes(&b, "ping", 4);
    buf_put_u8(&b, 1);
    buf_put_var_bytes(&b, reason, sizeof(reason));
    assert_int_equal(msg_reject_read(&m, buf_span(&b)), ERR_RANGE);
    buf_clear(&b);
}

static void headers_survive_a_round_trip_and_have_a_limit(void **state)
{
    (void)state;
    struct block_header *in = calloc(2001, sizeof(*in)),
                        *out = calloc(MSG_HEADERS_MAX, sizeof(*out));
    size_t n;
    struct buf b;
    for (uint32_t i = 0; i < 2001; i++) {
        in[i] = (struct block_header){ .version = 4, .time = i, .bits = 0x1d00ffff,
                                       .nonce = i * 7 };
        memset(in[i].prev.b, (int)i, 32);
    }
    buf_init(&b);
    msg_headers_write(&b, in, 2000);
    assert_int_equal(b.len, 3 + 2000 * 81);
    assert_int_equal(msg_headers_read(out, &n, buf_span(&b)), OK);
    assert_int_equal(n, 2000);
    assert_memory_equal(in, out, 2000 * sizeof(*in));
    assert_int_equal(msg_headers_read(out, &n, span_of(b.data, b.len - 1)), ERR_PARSE);
    assert_int_equal(n, 0);
    buf_reset(&b);
    msg_headers_write(&b, in, 2001);
    assert_int_equal(msg_headers_read(out, &n, buf_span(&b)), ERR_RANGE);
    buf_reset(&b);
    msg_headers_write(&b, in, 0);
    assert_int_equal(msg_headers_read(out, &n, buf_span(&b)), OK);
    assert_int_equal(n, 0);
    buf_clear(&b);
    free(in);
    free(out);
}

static void addresses_survive_a_round_trip_and_have_a_limit(void **state)
{
    (void)state;
    struct peer_addr *in = calloc(1001, sizeof(*in)), *out = calloc(MSG_ADDR_MAX, sizeof(*out));
    size_t n;
    struct buf b;
    for (size_t i = 0; i < 1001; i++) {
        uint8_t ip[16] = { 0x20, 0x01, (uint8_t)i, (uint8_t)(i >> 8) };
        in[i].time = 1700000000 + (int64_t)i;
        in[i].services = i;
        netaddr_from_ipv6(&in[i].addr, ip, (uint16_t)(i + 1));
    }
    buf_init(&b);
    msg_addr_write(&b, in, 1000);
    assert_int_equal(b.len, 3 + 1000 * 30);
    assert_int_equal(msg_addr_read(out, &n, buf_span(&b)), OK);
    assert_int_equal(n, 1000);
    for (size_t i = 0; i < n; i++) {
        assert_true(netaddr_equal(&in[i].addr, &out[i].addr));
        assert_int_equal(in[i].services, out[i].services);
        assert_int_equal(in[i].time, out[i].time);
    }
    assert_int_equal(msg_addr_read(out, &n, span_of(b.data, b.len - 1)), ERR_PARSE);
    buf_reset(&b);
    msg_addr_write(&b, in, 1001);
    assert_int_equal(msg_addr_read(out, &n, buf_span(&b)), ERR_RANGE);
    buf_clear(&b);
    free(in);
    free(out);
}

static void an_inventory_is_as_long_as_its_bytes(void **state)
{
    (void)state;
    struct inv_item in[3] = { { 1, { { 1 } } }, { 2, { { 2 } } }, { 99, { { 3 } } } }, *out;
    size_t n;
    struct buf b;
    buf_init(&b);
    msg_inv_write(&b, in, 3);
    assert_int_equal(msg_inv_read(&out, &n, buf_span(&b)), OK);
    assert_int_equal(n, 3);
    assert_memory_equal(in, out, sizeof(in));
    free(out);
    assert_int_equal(msg_inv_read(&out, &n, span_of(b.data, b.len - 1)), ERR_PARSE);
    assert_null(out);
    /* a count that the bytes cannot hold allocates nothing */
    assert_int_equal(msg_inv_read(&out, &n, span_of("\xfe\xff\xff\xff\x7f", 5)), ERR_PARSE);
    assert_null(out);
    /* not the shortest form of 1 */
    assert_int_equal(msg_inv_read(&out, &n, span_of("\xfd\x01\x00", 3)), ERR_PARSE);
    assert_int_equal(msg_inv_read(&out, &n, span_of("\0", 1)), OK);
    assert_int_equal(n, 0);
    buf_clear(&b);
}

static void a_locator_survives_a_round_trip(void **state)
{
    (void)state;
    uint8_t hashes[3 * 32];
    struct msg_locator m = { .version = 70016, .hashes = hashes, .n = 3 }, got;
    struct buf b;
    for (size_t i = 0; i < sizeof(hashes); i++)
        hashes[i] = (uint8_t)i;
    memset(m.stop.b, 9, 32);
    buf_init(&b);
    msg_locator_write(&b, &m);
    assert_int_equal(b.len, 4 + 1 + 96 + 32);
    assert_int_equal(msg_locator_read(&got, buf_span(&b)), OK);
    assert_int_equal(got.n, 3);
    assert_memory_equal(got.hashes, hashes, sizeof(hashes));
    assert_memory_equal(got.stop.b, m.stop.b, 32);
    for (size_t len = 0; len < b.len; len++)
        assert_int_equal(msg_locator_read(&got, span_of(b.data, len)), ERR_PARSE);
    buf_clear(&b);
}

static void numbers_are_eight_bytes_and_more_is_ignored(void **state)
{
    (void)state;
    uint64_t v;
    bool announce;
    assert_int_equal(msg_u64_read(&v, span_of("\1\0\0\0\0\0\0\x80tail", 12)), OK);
    assert_int_equal(v, UINT64_C(0x8000000000000001));
    assert_int_equal(msg_u64_read(&v, span_of("1234567", 7)), ERR_PARSE);
    assert_int_equal(msg_sendcmpct_read(&announce, &v, span_of("\1\1\0\0\0\0\0\0\0", 9)), OK);
    assert_true(announce);
    assert_int_equal(v, 1);
    assert_int_equal(msg_sendcmpct_read(&announce, &v, span_of("\1\1\0\0\0\0\0\0", 8)), ERR_PARSE);
}

/* --- vectors --- */

static const char *member(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;
    return json_object_object_get_ex(o, name, &v) ? json_object_get_string(v) : NULL;
}

static void rewrite_headers(struct buf *out, struct span payload)
{
    static struct block_header headers[MSG_HEADERS_MAX];
    size_t n;
    assert_int_equal(msg_headers_read(headers, &n, payload), OK);
    msg_headers_write(out, headers, n);
}

static void rewrite_addr(struct buf *out, struct span payload)
{
    static struct peer_addr addrs[MSG_ADDR_MAX];
    size_t n;
    assert_int_equal(msg_addr_read(addrs, &n, payload), OK);
    msg_addr_write(out, addrs, n);
}

static void rewrite_inv(struct buf *out, struct span payload)
{
    struct inv_item *items;
    size_t n;
    assert_int_equal(msg_inv_read(&items, &n, payload), OK);
    msg_inv_write(out, items, n);
    free(items);
}

static void rewrite_version(struct buf *out, struct span payload)
{
    struct msg_version v;
    assert_int_equal(msg_version_read(&v, payload), OK);
    msg_version_write(out, &v);
    if (out->len == payload.len + 1) /* the last field, an empty id, is newer than the vectors */
        out->len--;
}

static void rewrite_locator(struct buf *out, struct span payload)
{
    struct msg_locator m;
    assert_int_equal(msg_locator_read(&m, payload), OK);
    msg_locator_write(out, &m);
}

static void rewrite_number(struct buf *out, struct span payload)
{
    uint64_t number;
    assert_int_equal(msg_u64_read(&number, payload), OK);
    buf_put_le64(out, number);
}

/* Decoded and written again; of a command without such a codec the payload as it is. */
static void rewrite(struct buf *out, enum msg_id id, struct span payload)
{
    if (id == MSG_VERSION)
        rewrite_version(out, payload);
    else if (id == MSG_INV || id == MSG_GETDATA || id == MSG_NOTFOUND)
        rewrite_inv(out, payload);
    else if (id == MSG_ADDR)
        rewrite_addr(out, payload);
    else if (id == MSG_HEADERS)
        rewrite_headers(out, payload);
    else if (id == MSG_GETHEADERS || id == MSG_GETBLOCKS)
        rewrite_locator(out, payload);
    else if (id == MSG_PING || id == MSG_PONG || id == MSG_FEEFILTER)
        rewrite_number(out, payload);
    else
        buf_put(out, payload.data, payload.len);
}

static void check_vector(struct json_object *o)
{
    static const uint8_t magic[4] = { 0xf9, 0xbe, 0xb4, 0xd9 };
    struct buf message = unhex(member(o, "message")), payload = unhex(member(o, "payload")), again;
    struct frame f;
    size_t used, more;
    frame_init(&f, magic);
    assert_int_equal(frame_feed(&f, message.data, message.len, &used), FRAME_HEADER);
    const struct msg_row *row = msg_find(f.command);
    assert_int_not_equal(row->id, MSG_UNKNOWN);
    frame_take(&f, FRAME_COLLECT);
    assert_int_equal(frame_feed(&f, message.data + used, message.len - used, &more), FRAME_MESSAGE);
    assert_int_equal(used + more, message.len);
    assert_true(f.checksum_ok);
    assert_int_equal(f.data.len, payload.len);
    assert_true(mem_equal_var(f.data.data, payload.data, payload.len));
    buf_init(&again);
    rewrite(&again, row->id, f.data);
    assert_int_equal(again.len, payload.len);
    assert_true(mem_equal_var(again.data, payload.data, payload.len));
    uint8_t head[FRAME_EXT_HEADER_SIZE], sum[4];
    frame_checksum(sum, payload.data, payload.len);
    assert_int_equal(frame_header_put(head, magic, row->name, payload.len, sum), FRAME_HEADER_SIZE);
    assert_memory_equal(head, message.data, FRAME_HEADER_SIZE);
    buf_clear(&again);
    buf_clear(&message);
    buf_clear(&payload);
    frame_clear(&f);
}

static void the_messages_of_the_vector_file_decode_and_encode(void **state)
{
    (void)state;
    struct json_object *file = vector_json("p2p/messages.json");
    size_t cases = 0;
    json_object_object_foreach(file, name, value) {
        assert_non_null(name);
        check_vector(value);
        cases++;
    }
    json_object_put(file);
    vector_report("p2p/messages.json", cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_stands_at_its_id_and_is_found_by_its_name),
        cmocka_unit_test(every_message_has_states_and_a_limit),
        cmocka_unit_test(only_the_handshake_may_come_before_verack),
        cmocka_unit_test(limits_are_those_of_the_specification),
        cmocka_unit_test(a_longer_or_unknown_name_is_no_known_message),
        cmocka_unit_test(a_version_message_survives_a_round_trip),
        cmocka_unit_test(the_tail_of_a_version_message_is_optional_field_by_field),
        cmocka_unit_test(an_overlong_user_agent_is_too_large),
        cmocka_unit_test(protoconf_has_the_bytes_of_the_specification),
        cmocka_unit_test(a_reject_carries_a_hash_for_blocks_and_transactions),
        cmocka_unit_test(headers_survive_a_round_trip_and_have_a_limit),
        cmocka_unit_test(addresses_survive_a_round_trip_and_have_a_limit),
        cmocka_unit_test(an_inventory_is_as_long_as_its_bytes),
        cmocka_unit_test(a_locator_survives_a_round_trip),
        cmocka_unit_test(numbers_are_eight_bytes_and_more_is_ignored),
        cmocka_unit_test(the_messages_of_the_vector_file_decode_and_encode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
