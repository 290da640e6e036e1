/* One peer against a scripted socket: handshake, scores, limits, hostile messages. */
#include "tests/p2p/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <string.h>

#include "base/clock.h"
#include "p2p/net_internal.h"
#include "tests/p2p/net_fixture.h"

/* A listening net and a scripted peer that has connected to it. */
struct scene {
    struct event_base *base;
    struct side side;
    struct wire w;
};

static const char *const bind_any[] = { "[::1]:0" };

static void scene_open_with(struct scene *s, struct net_config c)
{
    s->base = event_base_new();
    c.listen = true;
    c.bind = (struct net_strings){ bind_any, 1 };
    side_open(&s->side, s->base, &c);
    wire_connect(&s->w, s->base, net_listen_port(s->side.net));
}

static void scene_open(struct scene *s)
{
    scene_open_with(s, fixture_config());
}

/* The other way round: the net connects to the scripted peer, whose turn it is after version. */
static void scene_open_dialled(struct scene *s)
{
    char target[32];
    const char *const connect[] = { target };
    struct net_config c = fixture_config();
    s->base = event_base_new();
    snprintf(target, sizeof(target), "[::1]:%u", (unsigned)wire_listen(&s->w, s->base));
    c.connect = (struct net_strings){ connect, 1 };
    side_open(&s->side, s->base, &c);
    wire_accept(&s->w);
    wire_expect(&s->w, "version");
}

static void scene_close(struct scene *s)
{
    wire_close(&s->w);
    side_close(&s->side);
    event_base_free(s->base);
}

/* The one peer as RPC shows it. */
static struct peer_info info_of(struct scene *s)
{
    struct peer_info *list, first = { .id = 0 };
    size_t n;
    event_base_loop(s->base, EVLOOP_NONBLOCK);
    assert_int_equal(net_list_peers(s->side.net, &list, &n), OK);
    if (n > 0)
        first = list[0];
    free(list);
    return first;
}

struct score_wait { struct scene *s; int score; };

static bool score_reached(void *ctx)
{
    struct score_wait *w = ctx;
    return info_of(w->s).ban_score >= w->score;
}

static void assert_score(struct scene *s, int score)
{
    struct score_wait w = { s, score };
    (void)run_until(s->base, score_reached, &w, 1500);
    assert_int_equal(info_of(s).ban_score, score);
}

static size_t ban_count(struct scene *s)
{
    struct net_ban *list;
    size_t n;
    assert_int_equal(net_list_bans(s->side.net, &list, &n), OK);
    free(list);
    return n;
}

static void assert_alive(struct scene *s)
{
    wire_send(&s->w, "ping", "\1\2\3\4\5\6\7\x08", 8);
    wire_expect_later(&s->w, "pong");
    assert_memory_equal(s->w.payload.data, "\1\2\3\4\5\6\7\x08", 8);
}

/* --- handshake --- */

static void a_listener_is_silent_until_it_has_the_version(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    wire_expect_silence(&s.w, 700);
    wire_handshake(&s.w);
    assert_int_equal(s.side.ready, 1);
    scene_close(&s);
}

static void the_version_we_send_has_all_fields(void **state)
{
    (void)state;
    struct scene s;
    struct msg_version m = wire_version(), got;
    scene_open(&s);
    wire_send_version(&s.w, &m);
    wire_expect(&s.w, "version");
    assert_int_equal(msg_version_read(&got, buf_span(&s.w.payload)), OK);
    assert_int_equal(got.version, 70016);
    assert_int_equal(got.services, 0x21);
    assert_true(got.time >= m.time && got.time <= clock_now());
    assert_int_equal(got.to.addr.port, 0); /* ::1 is not routable */
    assert_int_equal(got.from.services, 0x21);
    assert_int_equal(got.from.addr.port, 0);
    assert_int_equal(got.user_agent.len, 15);
    assert_int_equal(got.start_height, 7);
    assert_true(got.relay);
    assert_int_equal(s.w.payload.data[s.w.payload.len - 1], 0); /* empty association id */
    assert_int_equal(s.w.payload.len, 4 + 8 + 8 + 26 + 26 + 8 + 16 + 4 + 1 + 1);
    scene_close(&s);
}

static void a_connector_sends_version_then_verack_protoconf_getaddr(void **state)
{
    (void)state;
    struct scene s;
    scene_open_dialled(&s);
    wire_expect_silence(&s.w, 300);
    struct msg_version m = wire_version();
    wire_send_version(&s.w, &m);
    wire_expect(&s.w, "verack");
    wire_expect(&s.w, "protoconf");
    wire_expect(&s.w, "getaddr");
    wire_expect_silence(&s.w, 100);
    wire_send(&s.w, "verack", NULL, 0);
    wire_expect(&s.w, "sendheaders");
    wire_expect(&s.w, "sendcmpct");
    wire_expect(&s.w, "ping");
    assert_int_equal(s.side.ready, 1);
    scene_close(&s);
}

static void an_old_peer_gets_neither_sendheaders_nor_sendcmpct(void **state)
{
    (void)state;
    struct scene s;
    struct msg_version m = wire_version();
    scene_open(&s);
    m.version = 70011;
    wire_send_version(&s.w, &m);
    wire_expect(&s.w, "version");
    wire_expect(&s.w, "verack");
    wire_expect(&s.w, "protoconf");
    wire_send(&s.w, "verack", NULL, 0);
    wire_expect(&s.w, "ping");
    assert_int_equal(peer_version(s.side.peer), 70011);
    scene_close(&s);
}

static void messages_before_version_and_verack_score_one_and_are_ignored(void **state)
{
    (void)state;
    struct scene s;
    struct msg_version m = wire_version();
    scene_open(&s);
    wire_send(&s.w, "ping", "12345678", 8);
    wire_send(&s.w, "verack", NULL, 0);
    assert_score(&s, 2);
    wire_send_version(&s.w, &m);
    wire_expect(&s.w, "version");
    wire_expect(&s.w, "verack");
    wire_expect(&s.w, "protoconf");
    wire_send(&s.w, "ping", "12345678", 8);
    wire_send(&s.w, "protoconf", "\1\0\0\x10\0", 5);
    wire_send(&s.w, "authch", "12345678", 8);
    assert_score(&s, 4);
    wire_send(&s.w, "verack", NULL, 0);
    wire_expect(&s.w, "sendheaders");
    wire_expect(&s.w, "sendcmpct");
    wire_expect(&s.w, "ping");
    assert_alive(&s);
    scene_close(&s);
}

static void a_second_version_is_rejected_and_scores_one(void **state)
{
    (void)state;
    struct scene s;
    struct msg_version m = wire_version();
    struct msg_reject r;
    scene_open(&s);
    wire_handshake(&s.w);
    wire_send_version(&s.w, &m);
    wire_expect(&s.w, "reject");
    assert_int_equal(msg_reject_read(&r, buf_span(&s.w.payload)), OK);
    assert_int_equal(r.code, REJECT_CODE_DUPLICATE);
    assert_memory_equal(r.reason.data, "Duplicate version message", r.reason.len);
    assert_score(&s, 1);
    scene_close(&s);
}

static void expect_refused(struct msg_version *m, uint8_t code, struct net_config c)
{
    struct scene s;
    struct msg_reject r;
    scene_open_with(&s, c);
    wire_send_version(&s.w, m);
    if (code != 0) {
        wire_expect(&s.w, "reject");
        assert_int_equal(msg_reject_read(&r, buf_span(&s.w.payload)), OK);
        assert_int_equal(r.code, code);
    }
    wire_expect_close(&s.w);
    assert_int_equal(s.side.ready, 0);
    assert_int_equal(ban_count(&s), 0);
    scene_close(&s);
}

static void versions_that_cannot_be_accepted_are_refused(void **state)
{
    (void)state;
    struct msg_version m = wire_version();
    m.version = 31799;
    expect_refused(&m, REJECT_CODE_OBSOLETE, fixture_config());
    m = wire_version();
    m.association = span_of("\1abcdefghijklmnop", 17);
    expect_refused(&m, REJECT_CODE_STREAM_SETUP, fixture_config());
    char agent[257];
    memset(agent, 'a', sizeof(agent));
    m = wire_version();
    m.user_agent = span_of(agent, sizeof(agent));
    expect_refused(&m, REJECT_CODE_STREAM_SETUP, fixture_config());
}

static void banned_user_agents_are_refused_unless_allowed(void **state)
{
    (void)state;
    static const char *const allowed[] = { "Good" };
    struct net_config c = fixture_config();
    struct msg_version m = wire_version();
    m.user_agent = span_of("/Bitcoin ABC:0.20/", 18);
    expect_refused(&m, 0, c);
    m.user_agent = span_of("/BitCashNode/", 13);
    expect_refused(&m, 0, c);
    c.allowed_agents = (struct net_strings){ allowed, 1 };
    struct scene s;
    scene_open_with(&s, c);
    m.user_agent = span_of("/goodcash/", 10);
    wire_send_version(&s.w, &m);
    wire_expect(&s.w, "version");
    scene_close(&s);
}

static void a_user_agent_is_shown_without_control_characters(void **state)
{
    (void)state;
    struct scene s;
    struct msg_version m = wire_version();
    m.user_agent = span_of("/B\x1b[31mSV\n\xff/", 12);
    scene_open(&s);
    wire_send_version(&s.w, &m);
    wire_expect(&s.w, "version");
    struct peer_info info = info_of(&s);
    for (const char *c = info.user_agent; *c != '\0'; c++)
        assert_true(*c >= 0x20 && *c < 0x7f);
    scene_close(&s);
}

static void a_handshake_that_does_not_end_is_cut_off(void **state)
{
    (void)state;
    struct scene s;
    struct net_config c = fixture_config();
    c.handshake_timeout_s = 1;
    int64_t start = clock_mono_ms();
    scene_open_with(&s, c);
    assert_false(wire_next(&s.w));
    assert_true(s.w.closed);
    assert_true(clock_mono_ms() - start >= 1000);
    scene_close(&s);
}

/* --- framing --- */

static void a_wrong_magic_bans_at_once(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    wire_send_raw(&s.w, "\xe3\xe1\xf3\xe8version\0\0\0\0\0", 16);
    wire_expect_close(&s.w);
    assert_int_equal(ban_count(&s), 1);
    scene_close(&s);
}

static void a_claimed_size_above_the_limit_bans_before_the_payload(void **state)
{
    (void)state;
    static const struct { const char *command; uint32_t size; } claims[] = {
        { "inv", 2097153 }, { "tx", 1000000001 }, { "protoconf", 1048577 },
        { "nonsense", 2097153 }, { "block", 4001 }, { "version", 0xffffffff },
    };
    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        struct scene s;
        struct net_config c = fixture_config();
        c.excessive_block_size = 4000;
        scene_open_with(&s, c);
        wire_handshake(&s.w);
        wire_send_header(&s.w, claims[i].command, claims[i].size);
        wire_expect_close(&s.w);
        assert_int_equal(ban_count(&s), 1);
        scene_close(&s);
    }
}

static void claimed_sizes_cost_no_memory(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    wire_handshake(&s.w);
    wire_send_header(&s.w, "inv", 2097152);
    wire_send_raw(&s.w, "\xfe\xff\xff\xff\xff", 5);
    run_for(s.base, 50);
    assert_true(info_of(&s).recv_size < 4096);
    scene_close(&s);
}

/* All in one piece: what follows the one before by half a second is no flood. */
static void send_wrong_checksums(struct wire *w, int n)
{
    static const uint8_t magic[4] = { 0xda, 0xb5, 0xbf, 0xfa }, sum[4] = { 0 };
    struct buf flood;
    buf_init(&flood);
    for (int i = 0; i < n; i++) {
        uint8_t head[FRAME_EXT_HEADER_SIZE];
        frame_header_put(head, magic, "ping", 8, sum);
        buf_put(&flood, head, FRAME_HEADER_SIZE);
        buf_put(&flood, "12345678", 8);
    }
    wire_send_raw(w, flood.data, flood.len);
    buf_clear(&flood);
}

static void a_wrong_checksum_is_ignored_and_a_flood_scores(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    wire_handshake(&s.w);
    send_wrong_checksums(&s.w, 100);
    wire_send(&s.w, "ping", "after it", 8);
    wire_expect(&s.w, "pong"); /* those before it had none */
    assert_memory_equal(s.w.payload.data, "after it", 8);
    assert_int_equal(info_of(&s).ban_score, 0);
    send_wrong_checksums(&s.w, 103); /* counted anew */
    assert_score(&s, 3);
    assert_alive(&s);
    scene_close(&s);
}

static void broken_payloads_are_rejected_without_a_score(void **state)
{
    (void)state;
    static const struct { const char *command; const char *payload; size_t len; } bad[] = {
        { "ping", "1234567", 7 },          { "inv", "\1\1\0\0\0", 5 },
        { "inv", "", 0 },                  { "getdata", "\xfd\1\0", 3 },
        { "headers", "\1short", 6 },       { "getheaders", "\0\0\0\0\5", 5 },
        { "getblocks", "\0", 1 },          { "addr", "\2\0\0\0", 4 },
        { "sendcmpct", "\1", 1 },          { "feefilter", "\1\2\3", 3 },
        { "notfound", "\xff\1\0\0\0\0\0\0\0", 9 },
    };
    struct scene s;
    scene_open(&s);
    wire_handshake(&s.w);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct msg_reject r;
        wire_send(&s.w, bad[i].command, bad[i].payload, bad[i].len);
        wire_expect(&s.w, "reject");
        assert_int_equal(msg_reject_read(&r, buf_span(&s.w.payload)), OK);
        assert_int_equal(r.code, REJECT_CODE_MALFORMED);
        assert_int_equal(r.command.len, strlen(bad[i].command));
        assert_memory_equal(r.reason.data, "error parsing message", 21);
    }
    assert_int_equal(info_of(&s).ban_score, 0);
    assert_alive(&s);
    scene_close(&s);
}

/* Cut off, the command too long, the reason too long: none is answered, none scores. */
static void a_reject_is_never_rejected(void **state)
{
    (void)state;
    static const char *const heads[] = { "\4ping", "\xd", "\2tx\x10\x70" };
    struct scene s;
    scene_open(&s);
    wire_handshake(&s.w);
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        uint8_t payload[200] = { 0 };
        const size_t len = strlen(heads[i]);
        memcpy(payload, heads[i], len);
        wire_send(&s.w, "reject", payload, i ? sizeof(payload) : len);
        wire_send(&s.w, "ping", "12345678", 8);
        wire_expect(&s.w, "pong");
    }
    assert_int_equal(info_of(&s).ban_score, 0);
    scene_close(&s);
}

static void trailing_bytes_and_unknown_commands_are_ignored(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    wire_handshake(&s.w);
    wire_send(&s.w, "ping", "12345678trailing", 16);
    wire_expect(&s.w, "pong");
    assert_int_equal(s.w.payload.len, 8);
    wire_send(&s.w, "sendaddrv2", NULL, 0);
    wire_send(&s.w, "xyz", "1234", 4);
    wire_send(&s.w, "authch", "1234", 4);
    wire_send(&s.w, "revokemid", "1234", 4);
    wire_send(&s.w, "cmpctblock", "1234", 4);
    assert_alive(&s);
    assert_int_equal(info_of(&s).ban_score, 0);
    scene_close(&s);
}

/* --- scores --- */

static void list_limits_score_twenty(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    wire_handshake(&s.w);
    wire_send(&s.w, "headers", "\xfd\xd1\x07", 3); /* 2001 */
    assert_score(&s, 20);
    wire_send(&s.w, "addr", "\xfd\xe9\x03", 3); /* 1001 */
    assert_score(&s, 40);
    wire_send(&s.w, "sendheaders", NULL, 0);
    wire_send(&s.w, "sendheaders", NULL, 0);
    assert_score(&s, 41);
    scene_close(&s);
}

static void at_the_threshold_a_local_peer_is_cut_off_but_not_banned(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    wire_handshake(&s.w);
    for (int i = 0; i < 5; i++)
        wire_send(&s.w, "headers", "\xfd\xd1\x07", 3);
    wire_expect_close(&s.w);
    assert_int_equal(ban_count(&s), 0);
    scene_close(&s);
}

static void a_whitelisted_peer_keeps_its_connection(void **state)
{
    (void)state;
    static const char *const white[] = { "::1" };
    struct scene s;
    struct net_config c = fixture_config();
    c.whitelist = (struct net_strings){ white, 1 };
    scene_open_with(&s, c);
    wire_handshake(&s.w);
    for (int i = 0; i < 6; i++)
        wire_send(&s.w, "headers", "\xfd\xd1\x07", 3);
    assert_score(&s, 120);
    assert_true(info_of(&s).whitelisted);
    assert_alive(&s);
    scene_close(&s);
}

static void some_messages_only_disconnect(void **state)
{
    (void)state;
    static const struct { const char *command; const char *payload; size_t len; } last[] = {
        { "inv", "\1\3\0\0\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 37 },
        { "protoconf", "\0", 1 },
        { "protoconf", "\1\xff\xff\x0f\0", 5 },
        { "createstrm", "", 0 },
    };
    for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
        struct scene s;
        scene_open(&s);
        wire_handshake(&s.w);
        wire_send(&s.w, last[i].command, last[i].payload, last[i].len);
        wire_expect_close(&s.w);
        assert_int_equal(ban_count(&s), 0);
        scene_close(&s);
    }
}

static void requests_of_unknown_types_are_heard(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    wire_handshake(&s.w);
    wire_send(&s.w, "getdata", "\1\0\0\0\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 37);
    wire_send(&s.w, "notfound", "\1\6\0\0\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 37);
    assert_alive(&s);
    assert_score(&s, 0);
    scene_close(&s);
}

static void a_second_protoconf_disconnects(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    wire_handshake(&s.w);
    wire_send(&s.w, "protoconf", "\1\0\0\x20\0", 5);
    assert_alive(&s);
    wire_send(&s.w, "protoconf", "\1\0\0\x20\0", 5);
    wire_expect_close(&s.w);
    scene_close(&s);
}

static void bloom_filters_are_punished(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    wire_handshake(&s.w);
    wire_send(&s.w, "filterload", "\1\1\0\0\0\0\0\0\0\0\0", 11);
    wire_expect_close(&s.w);
    scene_close(&s);
}

/* --- keep-alive, values --- */

static void pongs_count_only_when_they_answer(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    wire_handshake(&s.w);
    uint8_t nonce[8];
    memcpy(nonce, s.w.payload.data, 8);
    wire_send(&s.w, "pong", "12345678", 8);
    assert_alive(&s);
    assert_int_equal(info_of(&s).ping_us, -1);
    wire_send(&s.w, "pong", nonce, 8);
    assert_alive(&s);
    assert_true(info_of(&s).ping_us > 0);
    assert_int_equal(info_of(&s).ping_wait_us, -1);
    assert_int_equal(net_ping_all(s.side.net), OK);
    wire_expect_later(&s.w, "ping");
    scene_close(&s);
}

static void fee_filter_and_compact_choice_are_remembered(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    wire_handshake(&s.w);
    wire_send(&s.w, "feefilter", "\xe8\3\0\0\0\0\0\0", 8);
    wire_send(&s.w, "sendcmpct", "\1\2\0\0\0\0\0\0\0", 9);
    assert_alive(&s);
    assert_int_equal(s.side.fee, 1000);
    assert_false(peer_wants_compact(s.side.peer));
    wire_send(&s.w, "sendcmpct", "\1\1\0\0\0\0\0\0\0", 9);
    wire_send(&s.w, "feefilter", "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    assert_alive(&s);
    assert_true(peer_wants_compact(s.side.peer));
    assert_int_equal(peer_fee_filter(s.side.peer), 1000);
    scene_close(&s);
}

static void extended_framing_is_accepted_for_small_payloads(void **state)
{
    (void)state;
    struct scene s;
    uint8_t head[FRAME_EXT_HEADER_SIZE];
    static const uint8_t magic[4] = { 0xda, 0xb5, 0xbf, 0xfa };
    scene_open(&s);
    wire_handshake(&s.w);
    frame_header_put(head, magic, "ping", UINT64_C(1) << 32, head);
    le64_put(head + 36, 8);
    wire_send_raw(&s.w, head, sizeof(head));
    wire_send_raw(&s.w, "abcdefgh", 8);
    wire_expect(&s.w, "pong");
    assert_memory_equal(s.w.payload.data, "abcdefgh", 8);
    scene_close(&s);
}

/* --- back-pressure --- */

static void a_peer_that_does_not_read_costs_little_memory(void **state)
{
    (void)state;
    struct scene s;
    uint8_t ping[8] = { 1 };
    struct buf flood;
    scene_open(&s);
    wire_handshake(&s.w);
    buf_init(&flood);
    uint8_t head[FRAME_EXT_HEADER_SIZE], sum[4];
    static const uint8_t magic[4] = { 0xda, 0xb5, 0xbf, 0xfa };
    frame_checksum(sum, ping, 8);
    frame_header_put(head, magic, "ping", 8, sum);
    for (int i = 0; i < 20000; i++) {
        buf_put(&flood, head, FRAME_HEADER_SIZE);
        buf_put(&flood, ping, 8);
    }
    size_t at = 0;
    int64_t end = clock_mono_ms() + 1500;
    while (clock_mono_ms() < end) {
        ssize_t n = send(s.w.fd, flood.data + at, flood.len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        at = n > 0 ? (at + (size_t)n) % flood.len : at;
        event_base_loop(s.base, EVLOOP_NONBLOCK);
    }
    struct peer_info info = info_of(&s);
    assert_true(info.send_memory + info.recv_size < 2u << 20);
    buf_clear(&flood);
    scene_close(&s);
}

/* Of three peers, two of which sent half of a part. */
static bool holds_parts(void *ctx)
{
    return ((struct scene *)ctx)->side.net->receive_memory >= 2 * 900000;
}

static bool somebody_left(void *ctx)
{
    struct net_status st;
    assert_int_equal(net_get_status(((struct scene *)ctx)->side.net, &st), OK);
    return st.counts.inbound < 4;
}

static void the_memory_of_all_half_received_messages_has_a_limit(void **state)
{
    (void)state;
    struct scene s;
    struct wire more[3];
    static uint8_t part[900000];
    struct net_config c = fixture_config();
    c.memory_budget = 3u << 20;
    scene_open_with(&s, c);
    wire_handshake(&s.w);
    for (size_t i = 0; i < 3; i++) {
        wire_connect(&more[i], s.base, net_listen_port(s.side.net));
        wire_handshake(&more[i]);
        wire_send_header(&more[i], "inv", 2000000);
        wire_send_raw(&more[i], part, i == 1 ? sizeof(part) : sizeof(part) / 2);
    }
    assert_true(run_until(s.base, holds_parts, &s, 20000));
    for (size_t i = 0; i < 3; i++)
        wire_send_raw(&more[i], part, sizeof(part));
    assert_true(run_until(s.base, somebody_left, &s, 20000)); /* whoever held most */
    assert_true(s.side.net->receive_memory <= c.memory_budget);
    assert_alive(&s);
    for (size_t i = 0; i < 3; i++)
        wire_close(&more[i]);
    scene_close(&s);
}

static bool has_begun_a_payload(void *ctx)
{
    const struct peer *p = ((struct scene *)ctx)->side.peer;
    return frame_in_payload(&p->frame) && p->frame.received > 0;
}

static void a_payload_that_trickles_in_ends_the_connection(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    wire_handshake(&s.w);
    wire_send_header(&s.w, "inv", 2000000);
    wire_send_raw(&s.w, "some bytes", 10);
    assert_true(run_until(s.base, has_begun_a_payload, &s, 20000));
    s.side.peer->message_start_ms -= 130000;
    wire_expect_close(&s.w);
    scene_close(&s);
}

static void a_silent_peer_and_an_unanswered_ping_end_the_connection(void **state)
{
    (void)state;
    struct scene s;
    struct net_config c = fixture_config();
    c.inactivity_timeout_s = 1;
    int64_t start = clock_mono_ms();
    scene_open_with(&s, c);
    wire_handshake(&s.w);
    while (!s.w.closed) { /* talking does not help when the ping is not answered */
        wire_send(&s.w, "addr", "\0", 1);
        run_for(s.base, 100);
        assert_false(wire_poll(&s.w));
        assert_true(clock_mono_ms() - start < 20000);
    }
    assert_true(clock_mono_ms() - start >= 1000);
    scene_close(&s);
}

static void a_paused_peer_is_not_handled_until_resumed(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    wire_handshake(&s.w);
    peer_pause_reading(s.side.peer);
    wire_send(&s.w, "ping", "12345678", 8);
    wire_expect_silence(&s.w, 200);
    peer_resume_reading(s.side.peer);
    wire_expect(&s.w, "pong");
    scene_close(&s);
}

/* --- slots and addresses --- */

static void a_crowd_without_handshakes_does_not_lock_others_out(void **state)
{
    (void)state;
    struct scene s;
    struct wire crowd[40], honest;
    struct net_config c = fixture_config();
    c.max_connections = 20;
    scene_open_with(&s, c);
    wire_handshake(&s.w);
    for (size_t i = 0; i < 40; i++) {
        wire_connect(&crowd[i], s.base, net_listen_port(s.side.net));
        event_base_loop(s.base, EVLOOP_NONBLOCK);
    }
    wire_connect(&honest, s.base, net_listen_port(s.side.net));
    wire_handshake(&honest);
    assert_alive(&s);
    struct net_status st;
    assert_int_equal(net_get_status(s.side.net, &st), OK);
    assert_true(st.counts.inbound <= 11);
    for (size_t i = 0; i < 40; i++)
        wire_close(&crowd[i]);
    wire_close(&honest);
    scene_close(&s);
}

static void when_all_slots_are_taken_a_newcomer_takes_one_of_the_crowd(void **state)
{
    (void)state;
    enum { SLOTS = 31 };
    struct scene s;
    static struct wire crowd[SLOTS];
    struct wire late;
    struct net_config c = fixture_config();
    struct net_status st;
    c.max_connections = SLOTS + 9;
    scene_open_with(&s, c);
    wire_handshake(&s.w);
    for (size_t i = 1; i < SLOTS; i++) {
        wire_connect(&crowd[i], s.base, net_listen_port(s.side.net));
        wire_handshake(&crowd[i]);
    }
    assert_int_equal(net_get_status(s.side.net, &st), OK);
    assert_int_equal(st.counts.inbound, SLOTS);
    wire_connect(&late, s.base, net_listen_port(s.side.net));
    wire_handshake(&late);
    event_base_loop(s.base, EVLOOP_NONBLOCK);
    assert_int_equal(net_get_status(s.side.net, &st), OK);
    assert_int_equal(st.counts.inbound, SLOTS);
    for (size_t i = 1; i < SLOTS; i++)
        wire_close(&crowd[i]);
    wire_close(&late);
    scene_close(&s);
}

static void who_comes_by_a_whitebind_socket_is_whitelisted(void **state)
{
    (void)state;
    struct scene s;
    struct net_config c = fixture_config();
    s.base = event_base_new();
    c.listen = true;
    c.whitebind = (struct net_strings){ bind_any, 1 };
    side_open(&s.side, s.base, &c);
    wire_connect(&s.w, s.base, net_listen_port(s.side.net));
    wire_handshake(&s.w);
    assert_true(peer_is_whitelisted(s.side.peer));
    assert_true(peer_is_preferred(s.side.peer));
    scene_close(&s);
}

static void connections_from_one_address_can_be_limited(void **state)
{
    (void)state;
    struct scene s;
    struct wire second;
    struct net_config c = fixture_config();
    c.max_from_addr = 1;
    scene_open_with(&s, c);
    wire_handshake(&s.w);
    wire_connect(&second, s.base, net_listen_port(s.side.net));
    wire_expect_close(&second);
    assert_alive(&s);
    wire_close(&second);
    scene_close(&s);
}

static void send_addrs(struct wire *w, uint8_t first, size_t n, int64_t time)
{
    struct peer_addr a[20];
    struct buf b;
    buf_init(&b);
    for (size_t i = 0; i < n; i++) {
        uint8_t ip[4] = { 8, first, (uint8_t)i, 1 };
        a[i] = (struct peer_addr){ .services = SERVICE_NETWORK, .time = time };
        netaddr_from_ipv4(&a[i].addr, ip, 8333);
    }
    msg_addr_write(&b, a, n);
    wire_send(w, "addr", b.data, b.len);
    buf_clear(&b);
}

static size_t known_addresses(struct scene *s)
{
    struct net_status st;
    assert_int_equal(net_get_status(s->side.net, &st), OK);
    return st.counts.addresses;
}

static void unasked_addresses_of_an_inbound_peer_are_not_stored(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    wire_handshake(&s.w);
    send_addrs(&s.w, 1, 5, clock_now());
    assert_alive(&s);
    assert_int_equal(known_addresses(&s), 0);
    assert_int_equal(info_of(&s).ban_score, 0);
    scene_close(&s);
}

static void an_answer_to_getaddr_is_stored_and_later_lists_are_rationed(void **state)
{
    (void)state;
    struct scene s;
    struct msg_version m = wire_version();
    scene_open_dialled(&s);
    wire_send_version(&s.w, &m);
    wire_send(&s.w, "verack", NULL, 0);
    wire_expect_later(&s.w, "getaddr");
    send_addrs(&s.w, 2, 20, clock_now());
    assert_alive(&s);
    size_t n = known_addresses(&s);
    assert_true(n > 0 && n <= 20);
    for (uint8_t round = 0; round < 120; round++)
        send_addrs(&s.w, (uint8_t)(10 + round), 20, clock_now());
    assert_alive(&s);
    assert_true(known_addresses(&s) <= 1001); /* granted with getaddr, and one */
    scene_close(&s);
}

static void fill_book(struct scene *s, size_t n)
{
    struct netaddr source;
    netaddr_from_ipv4(&source, (const uint8_t[]){ 9, 9, 9, 9 }, 8333);
    for (size_t i = 0; i < n; i++) {
        uint8_t ip[4] = { (uint8_t)(20 + i % 100), (uint8_t)(i / 100), 1, 1 };
        struct peer_addr pa = { .services = SERVICE_NETWORK, .time = clock_now() };
        netaddr_from_ipv4(&pa.addr, ip, 18444);
        (void)addrman_add(s->side.net->book, &pa, &source, 0, clock_now());
    }
}

static void getaddr_is_answered_once(void **state)
{
    (void)state;
    struct scene s;
    static struct peer_addr got[MSG_ADDR_MAX];
    size_t n;
    scene_open(&s);
    wire_handshake(&s.w);
    fill_book(&s, 400);
    size_t known = known_addresses(&s);
    wire_send(&s.w, "getaddr", NULL, 0);
    wire_expect(&s.w, "addr");
    assert_int_equal(msg_addr_read(got, &n, buf_span(&s.w.payload)), OK);
    assert_true(n > 0 && n <= known * 23 / 100 + 1);
    wire_send(&s.w, "getaddr", NULL, 0);
    wire_expect_silence(&s.w, 1200);
    scene_close(&s);
}

static void a_fresh_address_is_passed_on_to_inbound_peers(void **state)
{
    (void)state;
    struct scene s;
    struct wire in;
    static struct peer_addr got[MSG_ADDR_MAX];
    size_t n;
    char target[32];
    struct error e;
    struct net_config c = fixture_config();
    s.base = event_base_new();
    snprintf(target, sizeof(target), "[::1]:%u", (unsigned)wire_listen(&s.w, s.base));
    c.listen = true;
    c.bind = (struct net_strings){ bind_any, 1 };
    side_open(&s.side, s.base, &c);
    wire_connect(&in, s.base, net_listen_port(s.side.net));
    wire_handshake(&in);
    struct peer *inbound = s.side.peer;
    assert_int_equal(net_addnode_add(s.side.net, target, &e), OK);
    wire_accept(&s.w);
    wire_expect(&s.w, "version");
    struct msg_version m = wire_version();
    wire_send_version(&s.w, &m);
    wire_send(&s.w, "verack", NULL, 0);
    wire_expect_later(&s.w, "ping");
    send_addrs(&s.w, 3, 15, clock_now()); /* the answer to getaddr is not passed on */
    send_addrs(&s.w, 4, 1, clock_now() - 3600); /* nor what is old */
    send_addrs(&s.w, 5, 1, clock_now());
    assert_alive(&s);
    inbound->next_addr_ms = 0;
    wire_expect(&in, "addr");
    assert_int_equal(msg_addr_read(got, &n, buf_span(&in.payload)), OK);
    assert_int_equal(n, 1);
    assert_int_equal(got[0].addr.ip[13], 5);
    wire_close(&in);
    scene_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listener_is_silent_until_it_has_the_version),
        cmocka_unit_test(the_version_we_send_has_all_fields),
        cmocka_unit_test(a_connector_sends_version_then_verack_protoconf_getaddr),
        cmocka_unit_test(an_old_peer_gets_neither_sendheaders_nor_sendcmpct),
        cmocka_unit_test(messages_before_version_and_verack_score_one_and_are_ignored),
        cmocka_unit_test(a_second_version_is_rejected_and_scores_one),
        cmocka_unit_test(versions_that_cannot_be_accepted_are_refused),
        cmocka_unit_test(banned_user_agents_are_refused_unless_allowed),
        cmocka_unit_test(a_user_agent_is_shown_without_control_characters),
        cmocka_unit_test(a_handshake_that_does_not_end_is_cut_off),
        cmocka_unit_test(a_wrong_magic_bans_at_once),
        cmocka_unit_test(a_claimed_size_above_the_limit_bans_before_the_payload),
        cmocka_unit_test(claimed_sizes_cost_no_memory),
        cmocka_unit_test(a_wrong_checksum_is_ignored_and_a_flood_scores),
        cmocka_unit_test(broken_payloads_are_rejected_without_a_score),
        cmocka_unit_test(a_reject_is_never_rejected),
        cmocka_unit_test(trailing_bytes_and_unknown_commands_are_ignored),
        cmocka_unit_test(list_limits_score_twenty),
        cmocka_unit_test(at_the_threshold_a_local_peer_is_cut_off_but_not_banned),
        cmocka_unit_test(a_whitelisted_peer_keeps_its_connection),
        cmocka_unit_test(some_messages_only_disconnect),
        cmocka_unit_test(requests_of_unknown_types_are_heard),
        cmocka_unit_test(a_second_protoconf_disconnects),
        cmocka_unit_test(bloom_filters_are_punished),
        cmocka_unit_test(pongs_count_only_when_they_answer),
        cmocka_unit_test(fee_filter_and_compact_choice_are_remembered),
        cmocka_unit_test(extended_framing_is_accepted_for_small_payloads),
        cmocka_unit_test(a_peer_that_does_not_read_costs_little_memory),
        cmocka_unit_test(the_memory_of_all_half_received_messages_has_a_limit),
        cmocka_unit_test(a_payload_that_trickles_in_ends_the_connection),
        cmocka_unit_test(a_silent_peer_and_an_unanswered_ping_end_the_connection),
        cmocka_unit_test(a_paused_peer_is_not_handled_until_resumed),
        cmocka_unit_test(a_crowd_without_handshakes_does_not_lock_others_out),
        cmocka_unit_test(when_all_slots_are_taken_a_newcomer_takes_one_of_the_crowd),
        cmocka_unit_test(who_comes_by_a_whitebind_socket_is_whitelisted),
        cmocka_unit_test(connections_from_one_address_can_be_limited),
        cmocka_unit_test(unasked_addresses_of_an_inbound_peer_are_not_stored),
        cmocka_unit_test(an_answer_to_getaddr_is_stored_and_later_lists_are_rationed),
        cmocka_unit_test(getaddr_is_answered_once),
        cmocka_unit_test(a_fresh_address_is_passed_on_to_inbound_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
