#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_ZMQ
#include <zmq.h>
#endif

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "node/options.h"
#include "node/zmq_feed.h"
#include "node/zmq_json.h"
#include "node/zmq_sender.h"
#include "tests/chain/pool_util.h"

/* --- options -------------------------------------------------------------------------------- */

static struct config *configured(const char *text)
{
    struct config *c = config_new(node_options, node_options_count, NULL, NULL);
    assert_int_equal(config_parse_text(c, "test", text, strlen(text), NULL), OK);
    return c;
}

static void addresses_come_from_the_options(void **state)
{
    (void)state;
    struct zmq_addresses a;
    bool wanted;
    struct config *c = configured(
        "zmqpubhashblock=ipc:///a\nzmqpubrawtx2=ipc:///b\nzmqpubremovedfrommempool=ipc:///c\n");
    assert_int_equal(zmq_addresses_read(&a, &wanted, c, NULL), OK);
    assert_true(wanted);
    for (int i = 0; i < ZMQ_TOPICS; i++)
        if (i != ZMQ_HASHBLOCK && i != ZMQ_RAWTX2 && i != ZMQ_DISCARDED)
            assert_null(a.of[i]);
    assert_string_equal(a.of[ZMQ_DISCARDED], "ipc:///c"); /* as the reference's help calls it */
    config_free(c);
    c = configured("zmqpubhashblock=0\n");
    assert_int_equal(zmq_addresses_read(&a, &wanted, c, NULL), OK);
    assert_false(wanted);
    config_free(c);
}

static void invalid_transactions_need_both_options(void **state)
{
    (void)state;
    static const struct { const char *text; enum err rc; } rows[] = {
        { "zmqpubinvalidtx=ipc:///a\n", ERR_RANGE },
        { "invalidtxsink=ZMQ\n", ERR_RANGE },
        { "invalidtxsink=FILE\n", OK },
        { "zmqpubinvalidtx=ipc:///a\ninvalidtxsink=FILE\n", ERR_RANGE },
        { "zmqpubinvalidtx=ipc:///a\ninvalidtxsink=FILE\ninvalidtxsink=zmq\n", OK },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct zmq_addresses a;
        struct error e = { .code = OK };
        bool wanted;
        struct config *c = configured(rows[i].text);
        assert_int_equal(zmq_addresses_read(&a, &wanted, c, &e), rows[i].rc);
        assert_true(rows[i].rc == OK || strstr(e.text, "-invalidtxsink=ZMQ"));
        config_free(c);
    }
}

/* --- bodies --------------------------------------------------------------------------------- */

static const char *text_of(struct buf *b)
{
    buf_put_u8(b, 0);
    return (const char *)b->data;
}

static void hex_of_tx(char *id, char *hex, const struct tx *tx)
{
    hash_to_hex(id, tx->id.b);
    hex_encode(hex, tx->raw.data, tx->raw.len);
}

static void bodies_have_the_references_fields(void **state)
{
    (void)state;
    struct tx *tx = pool_child(NULL, 1, 1, 70), *other = pool_child(NULL, 2, 1, 70);
    char id[HASH_HEX_SIZE], hex[300], other_id[HASH_HEX_SIZE], other_hex[300], want[2000];
    struct block_hash block = { { 0xaa } };
    struct buf b;
    buf_init(&b);
    hex_of_tx(id, hex, tx);
    hex_of_tx(other_id, other_hex, other);
    zmq_json_removed(&b, tx, MEMPOOL_REORG);
    snprintf(want, sizeof want, "{\"reason\":\"reorg\",\"txid\":\"%s\"}", id);
    assert_string_equal(text_of(&b), want);
    buf_reset(&b);
    zmq_json_discarded(&b, tx, MEMPOOL_EXPIRED, NULL, NULL);
    snprintf(want, sizeof want, "{\"txid\":\"%s\",\"reason\":\"expired\"}", id);
    assert_string_equal(text_of(&b), want);
    buf_reset(&b);
    zmq_json_discarded(&b, tx, MEMPOOL_BLOCK_CONFLICT, other, &block);
    snprintf(want, sizeof want,
             "{\"txid\":\"%s\",\"reason\":\"collision-in-block-tx\","
             "\"collidedWith\":{\"txid\":\"%s\",\"size\":%zu,"
             "\"hex\":\"%s\"},\"blockhash\":\"%062d%s\"}", id, other_id, other->raw.len, other_hex,
             0, "aa");
    assert_string_equal(text_of(&b), want);
    buf_reset(&b);
    struct tx_result r = { .tx = tx, .source = 7, .outcome = TX_REJECTED, .conflict = other,
                           .double_spend = true, .verdict = { .code = REJECT_CONFLICT,
                                        .reason = "txn-mempool-conflict" } };
    zmq_json_invalid(&b, &r, &(struct invalid_origin){ .source = 7, .address = "[::1]:1" },
                     1700000000);
    snprintf(want, sizeof want,
             "{\"fromBlock\":false,\"source\":\"p2p\",\"address\":\"[::1]:1\",\"nodeId\":7,"
             "\"txid\":\"%s\",\"size\":%zu,"
             "\"hex\":\"%s\",\"isInvalid\":true,\"isValidationError\":false,"
             "\"isMissingInputs\":false,"
             "\"isDoubleSpendDetected\":true,\"isMempoolConflictDetected\":true,"
             "\"isNonFinal\":false,"
             "\"isValidationTimeoutExceeded\":false,\"isStandardTx\":true,\"rejectionCode\":258,"
             "\"rejectionReason\":\"txn-mempool-conflict\",\"collidedWith\":[{\"txid\":\"%s\","
             "\"size\":%zu,"
             "\"hex\":\"%s\"}],\"rejectionTime\":\"2023-11-14T22:13:20Z\"}",
             id, tx->raw.len, hex, other_id, other->raw.len, other_hex);
    assert_string_equal(text_of(&b), want);
    buf_clear(&b);
    tx_unref(tx);
    tx_unref(other);
}

static void invalid_transactions_of_blocks_name_the_block(void **state)
{
    (void)state;
    struct tx *tx = pool_child(NULL, 1, 1, 70);
    struct block_hash block = { { 0xaa } };
    struct tx_result r = { .tx = tx, .outcome = TX_MISSING_INPUTS };
    const struct invalid_origin o = { .block = &block, .block_time = 5, .block_height = 9,
                                      .source = TX_SOURCE_RPC };
    struct buf b;
    buf_init(&b);
    zmq_json_invalid(&b, &r, &o, 0);
    const char *text = text_of(&b);
    assert_non_null(strstr(
        text, "{\"fromBlock\":true,\"origins\":[{\"source\":\"rpc\"}],\"blockhash\":\"0000"));
    assert_non_null(strstr(text, "aa\",\"blocktime\":5,\"blockheight\":9,\"txid\":"));
    assert_non_null(
        strstr(text, "\"isInvalid\":false,\"isValidationError\":false,\"isMissingInputs\":true"));
    assert_non_null(strstr(text,
                           "\"rejectionCode\":0,\"rejectionReason\":\"\",\"collidedWith\":[]"));
    buf_clear(&b);
    tx_unref(tx);
}

/* --- sockets -------------------------------------------------------------------------------- */

#ifdef HAVE_ZMQ

struct subscriber {
    void *context, *socket;
};

/* Until the handshake is over. Behind it the subscription goes, and nothing tells when it was read:
 * see meet. */
static void connect_to(const struct subscriber *s, const char *address)
{
    void *events = zmq_socket(s->context, ZMQ_PAIR);
    zmq_msg_t event;
    zmq_msg_init(&event);
    assert_int_equal(zmq_socket_monitor(s->socket, "inproc://events",
                                        ZMQ_EVENT_HANDSHAKE_SUCCEEDED), 0);
    assert_int_equal(zmq_connect(events, "inproc://events"), 0);
    assert_int_equal(zmq_connect(s->socket, address), 0);
    assert_true(zmq_msg_recv(&event, events, 0) >= 0);
    zmq_msg_close(&event);
    zmq_socket_monitor(s->socket, NULL, 0);
    zmq_close(events);
}

#define LONG_MS 30000 /* for what must come */
#define SHORT_MS 20   /* for what may be sent again */

static void wait_at_most(const struct subscriber *s, int ms)
{
    zmq_setsockopt(s->socket, ZMQ_RCVTIMEO, &ms, sizeof ms);
}

static void subscribe(struct subscriber *s, const char *address, int most)
{
    s->context = zmq_ctx_new();
    s->socket = zmq_socket(s->context, ZMQ_SUB);
    wait_at_most(s, LONG_MS);
    zmq_setsockopt(s->socket, ZMQ_RCVHWM, &most, sizeof most);
    zmq_setsockopt(s->socket, ZMQ_SUBSCRIBE, "", 0);
    connect_to(s, address);
}

static void unsubscribe(struct subscriber *s)
{
    zmq_close(s->socket);
    zmq_ctx_term(s->context);
}

struct received {
    char topic[32];
    struct buf body;
    uint32_t number;
};

/* False: nothing came. */
static bool receive(struct subscriber *s, struct received *r)
{
    uint8_t number[4];
    int n = zmq_recv(s->socket, r->topic, sizeof r->topic - 1, 0);
    if (n < 0)
        return false;
    r->topic[n] = 0;
    zmq_msg_t m;
    zmq_msg_init(&m);
    assert_true(zmq_msg_recv(&m, s->socket, 0) >= 0);
    buf_reset(&r->body);
    buf_put(&r->body, zmq_msg_data(&m), zmq_msg_size(&m));
    zmq_msg_close(&m);
    assert_int_equal(zmq_recv(s->socket, number, sizeof number, 0), 4);
    r->number = le32_get(number);
    int more;
    size_t size = sizeof more;
    zmq_getsockopt(s->socket, ZMQ_RCVMORE, &more, &size);
    assert_int_equal(more, 0);
    return true;
}

/* Until something that is sent comes; more of it may follow. */
static void meet(struct zmq_sender *s, enum zmq_topic topic, struct subscriber *sub)
{
    struct received r = { .number = 0 };
    buf_init(&r.body);
    wait_at_most(sub, SHORT_MS);
    for (int tries = 0; tries < LONG_MS / SHORT_MS && !r.topic[0]; tries++) {
        zmq_sender_send(s, topic, "", 0);
        (void)receive(sub, &r);
    }
    assert_string_equal(r.topic, zmq_topic_name(topic));
    wait_at_most(sub, LONG_MS);
    buf_clear(&r.body);
}

/* The next message but those by which they met. */
static void receive_behind(struct subscriber *s, enum zmq_topic met_by, struct received *r)
{
    do
        assert_true(receive(s, r));
    while (strcmp(r->topic, zmq_topic_name(met_by)) == 0);
}

static void release_text(void *body, void *ctx)
{
    free(body);
    *(volatile int *)ctx += 1;
}

static char *ipc_address(const char *dir, const char *name)
{
    return xasprintf("ipc://%s/%s", dir, name);
}

static void messages_have_topic_body_and_number(void **state)
{
    (void)state;
    char *dir = test_dir_make(), *one = ipc_address(dir, "one"), *two = ipc_address(dir, "two");
    struct zmq_addresses a = { .of = { [ZMQ_HASHTX] = one, [ZMQ_RAWTX] = one,
                                       [ZMQ_HASHTX2] = one, [ZMQ_RAWBLOCK] = two,
                                       [ZMQ_RAWBLOCK2] = two } };
    struct zmq_sender *s;
    struct subscriber first, second;
    struct received r = { .number = 0 };
    int released = 0;
    buf_init(&r.body);
    assert_int_equal(zmq_sender_open(&s, &a, NULL), OK);
    subscribe(&first, one, 0);
    subscribe(&second, two, 0);
    meet(s, ZMQ_HASHTX2, &first);
    meet(s, ZMQ_RAWBLOCK2, &second);
    zmq_sender_send(s, ZMQ_HASHTX, "abc", 3);
    zmq_sender_send(s, ZMQ_RAWTX, "", 0);
    zmq_sender_send(s, ZMQ_HASHTX, "de", 2);
    zmq_sender_skip(s, ZMQ_HASHTX, 5);
    zmq_sender_send(s, ZMQ_HASHTX, "f", 1);
    zmq_sender_send_shared(s, ZMQ_RAWBLOCK, strdup("block"), 5, release_text, &released);
    static const struct { const char *topic, *body; uint32_t number; } want[] = {
        { "hashtx", "abc", 0 }, { "rawtx", "", 0 }, { "hashtx", "de", 1 }, { "hashtx", "f", 7 },
    };
    for (size_t i = 0; i < 4; i++) {
        receive_behind(&first, ZMQ_HASHTX2, &r);
        assert_string_equal(r.topic, want[i].topic);
        assert_int_equal(r.body.len, strlen(want[i].body));
        assert_memory_equal(r.body.data, want[i].body, r.body.len);
        assert_int_equal(r.number, want[i].number);
    }
    receive_behind(&second, ZMQ_RAWBLOCK2, &r);
    assert_string_equal(r.topic, "rawblock");
    assert_memory_equal(r.body.data, "block", 5);
    unsubscribe(&first);
    unsubscribe(&second);
    zmq_sender_close(s);
    assert_int_equal(released, 1);
    buf_clear(&r.body);
    free(one);
    free(two);
    test_dir_remove(dir);
}

static void an_address_that_cannot_be_had_is_named(void **state)
{
    (void)state;
    struct zmq_addresses a = { .of = { [ZMQ_HASHTX2] = "tcp://nosuch" } };
    struct zmq_sender *s;
    struct error e = { .code = OK };
    assert_int_equal(zmq_sender_open(&s, &a, &e), ERR_IO);
    assert_non_null(strstr(e.text, "-zmqpubhashtx2=tcp://nosuch"));
}

static void sending_does_not_wait_for_a_subscriber(void **state)
{
    (void)state;
    enum { MANY = 3 * ZMQ_UNREAD_MAX };
    char *dir = test_dir_make(), *address = ipc_address(dir, "one");
    struct zmq_addresses a = { .of = { [ZMQ_HASHTX] = address } };
    struct zmq_sender *s;
    struct subscriber sub;
    assert_int_equal(zmq_sender_open(&s, &a, NULL), OK);
    subscribe(&sub, address, 100); /* one that wants little and reads no more than that */
    meet(s, ZMQ_HASHTX, &sub);
    int64_t start = clock_mono_ms();
    for (uint32_t i = 0; i < MANY; i++)
        zmq_sender_send(s, ZMQ_HASHTX, &i, sizeof i);
    assert_true(clock_mono_ms() - start < 10000);
    unsubscribe(&sub);
    zmq_sender_close(s);
    free(address);
    test_dir_remove(dir);
}

static void body_is(const struct received *r, const struct tx *tx)
{
    assert_int_equal(r->body.len, 32);
    for (size_t i = 0; i < 32; i++)
        assert_int_equal(r->body.data[i], tx->id.b[31 - i]); /* display order */
}

/* Transactions of 1 MB while nothing is sent: the queue takes so many bytes, no more, and the
 * numbers tell what is missing. What was in it may be sent before the subscription is read. */
static void a_full_queue_leaves_a_gap_in_the_numbers(void **state)
{
    (void)state;
    enum { MANY = 300, SIZE = 1 << 20, FIT = ZMQ_QUEUE_BYTES / SIZE - 1 };
    char *dir = test_dir_make(), *address = ipc_address(dir, "one"), text[200];
    struct zmq_feed *f;
    struct subscriber sub;
    struct received r = { .number = MANY - FIT - 1 };
    struct tx *tx = pool_child(NULL, 1, 1, SIZE), *later = pool_child(NULL, 2, 1, 100);
    buf_init(&r.body);
    snprintf(text, sizeof text, "zmqpubhashtx=%s\n", address);
    struct config *c = configured(text);
    assert_int_equal(zmq_feed_open(&f, c, NULL), OK);
    subscribe(&sub, address, 0);
    int64_t start = clock_mono_ms();
    for (int i = 0; i < MANY; i++)
        zmq_feed_tx_accepted(f, tx);
    assert_true(clock_mono_ms() - start < 5000);
    /* a note has its own bytes, too */
    assert_in_range(zmq_feed_bytes(f), FIT * SIZE + 1, ZMQ_QUEUE_BYTES);
    assert_int_equal(zmq_feed_start(f, NULL, NULL), OK);
    wait_at_most(&sub, SHORT_MS);
    for (uint32_t sent = MANY; r.number < MANY && sent < MANY + LONG_MS / SHORT_MS;) {
        zmq_feed_tx_accepted(f, later);
        sent++;
        while (r.number < MANY && receive(&sub, &r)) {
            assert_in_range(r.number, MANY - FIT, sent - 1);
            body_is(&r, r.number < MANY ? tx : later);
        }
    }
    assert_true(r.number >= MANY);
    zmq_feed_close(f);
    unsubscribe(&sub);
    config_free(c);
    tx_unref(tx);
    tx_unref(later);
    buf_clear(&r.body);
    free(address);
    test_dir_remove(dir);
}

#else

static void without_zmq_the_option_is_an_error(void **state)
{
    (void)state;
    struct zmq_feed *f = NULL;
    struct error e = { .code = OK };
    struct config *c = configured("zmqpubrawblock=tcp://127.0.0.1:1\n");
    assert_int_equal(zmq_feed_open(&f, c, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "-zmqpubrawblock"));
    assert_non_null(strstr(e.text, "no ZMQ"));
    zmq_feed_close(f);
    config_free(c);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_come_from_the_options),
        cmocka_unit_test(invalid_transactions_need_both_options),
        cmocka_unit_test(bodies_have_the_references_fields),
        cmocka_unit_test(invalid_transactions_of_blocks_name_the_block),
#ifdef HAVE_ZMQ
        cmocka_unit_test(messages_have_topic_body_and_number),
        cmocka_unit_test(an_address_that_cannot_be_had_is_named),
        cmocka_unit_test(sending_does_not_wait_for_a_subscriber),
        cmocka_unit_test(a_full_queue_leaves_a_gap_in_the_numbers),
#else
        cmocka_unit_test(without_zmq_the_option_is_an_error),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
