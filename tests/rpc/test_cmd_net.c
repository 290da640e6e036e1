/* Commands about peers, on two real networks that talk over [::1] in a thread. */
#include "rpc/commands.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/thread.h>

#include "base/clock.h"
#include "tests/p2p/net_fixture.h"
#include "tests/rpc/call.h"

struct fixture {
    struct pair p;
    struct caller a; /* asks the side that listens */
    struct caller b; /* the side that connected */
    pthread_t loop;
    sem_t joined;
};

/* The networks take the thread that runs them first for their loop's, so they meet here. */
static void *run_loop(void *arg)
{
    struct fixture *f = arg;
    pair_join(&f->p);
    sem_post(&f->joined);
    event_base_loop(f->p.base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    evthread_use_pthreads();
    sem_init(&f->joined, 0, 0);
    pthread_create(&f->loop, NULL, run_loop, f);
    sem_wait(&f->joined);
    caller_init(&f->a);
    caller_init(&f->b);
    f->a.env.net = f->p.a.net;
    f->b.env.net = f->p.b.net;
    call(&f->a, "getconnectioncount", "[]"); /* answered by the loop: it runs */
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    event_base_loopbreak(f->p.base);
    pthread_join(f->loop, NULL);
    caller_clear(&f->a);
    caller_clear(&f->b);
    pair_close(&f->p);
    free(f);
    return 0;
}

/* Asks until the count of connections is n. */
static void expect_count(struct caller *c, int n)
{
    int have = -1;
    for (int i = 0; i < 3000 && have != n; i++) {
        have = json_object_get_int(call(c, "getconnectioncount", "[]"));
        usleep(have == n ? 0 : 20000);
    }
    assert_int_equal(have, n);
}

static void getpeerinfo_has_the_references_fields(void **state)
{
    struct fixture *f = *state;
    assert_null(call(&f->b, "ping", "[]"));
    struct json_object *r = call(&f->b, "getpeerinfo", "[]");
    for (int i = 0; i < 3000; i++) {
        struct json_object *ping;
        if (json_object_object_get_ex(json_object_array_get_idx(r, 0), "pingtime", &ping))
            break;
        usleep(20000);
        r = call(&f->b, "getpeerinfo", "[]");
    }
    assert_int_equal(json_object_array_length(r), 1);
    struct json_object *p = json_object_array_get_idx(r, 0);
    assert_true(number(p, "id") > 0);
    assert_int_equal(strlen(text(p, "services")), 16);
    assert_false(truth(p, "inbound"));
    assert_int_equal(number(p, "version"), 70016);
    assert_true(number(p, "bytessent") > 0 && number(p, "bytesrecv") > 0);
    assert_true(number(field(p, "bytessent_per_msg"), "version") > 0);
    assert_int_equal(json_object_get_type(field(p, "inflight")), json_type_array);
    assert_true(json_object_get_double(field(p, "pingtime")) < 10);
    p = json_object_array_get_idx(call(&f->a, "getpeerinfo", "[]"), 0);
    assert_true(truth(p, "inbound"));
    struct buf names;
    buf_init(&names);
    json_object_object_foreach(p, key, value) {
        (void)value;
        if (strcmp(key, "addrlocal") && strcmp(key, "pingtime") && strcmp(key, "minping") &&
            strcmp(key, "pingwait"))
            buf_printf(&names, "%s ", key);
    }
    buf_put_u8(&names, 0);
    assert_string_equal((const char *)names.data,
                        "id addr services relaytxes lastsend lastrecv sendsize recvsize sendmemory "
                        "pausesend unpausesend bytessent bytesrecv avgrecvbw associd streampolicy "
                        "streams authconn mempoolsync conntime timeoffset version subver inbound "
                        "addnode startingheight txninvsize banscore synced_headers synced_blocks "
                        "inflight whitelisted bytessent_per_msg bytesrecv_per_msg ");
    buf_clear(&names);
}

static void totals_and_overview_follow_the_traffic(void **state)
{
    struct fixture *f = *state;
    struct json_object *r = call(&f->a, "getnettotals", "[]");
    assert_members(r, "totalbytesrecv totalbytessent timemillis uploadtarget");
    assert_true(number(r, "totalbytesrecv") > 0);
    assert_members(field(r, "uploadtarget"),
                   "timeframe target target_reached serve_historical_blocks bytes_left_in_cycle "
                   "time_left_in_cycle");
    r = call(&f->a, "getnetworkinfo", "[]");
    assert_members(r,
                   "version subversion protocolversion localservices localrelay timeoffset "
                   "txnpropagationfreq txnpropagationqlen networkactive connections addresscount "
                   "streampolicies networks relayfee minconsolidationfactor "
                   "maxconsolidationinputscriptsize minconfconsolidationinput "
                   "minconsolidationinputmaturity acceptnonstdconsolidationinput localaddresses "
                   "warnings");
    assert_int_equal(number(r, "connections"), 1);
    assert_string_equal(text(r, "subversion"), "/BSVPeer:test/");
    assert_string_equal(text(r, "relayfee"), "0.00000000");
    assert_members(json_object_array_get_idx(field(r, "networks"), 0),
                   "name limited reachable proxy proxy_randomize_credentials");
}

static void disconnectnode_ends_a_connection_by_address_or_number(void **state)
{
    struct fixture *f = *state;
    char params[200];
    call_fails(&f->a, "disconnectnode", "[\"[::1]:1\"]", -29, "Node not found in connected nodes");
    call_fails(&f->a, "disconnectnode", "[\"\", 999]", -29, "Node not found in connected nodes");
    call_fails(&f->a, "disconnectnode", "[\"x\", 1]", -32602, "Only one of");
    call_fails(&f->a, "disconnectnode", "[]", -32602, "Only one of");
    struct json_object *p = json_object_array_get_idx(call(&f->a, "getpeerinfo", "[]"), 0);
    snprintf(params, sizeof params, "{\"nodeid\":%lld}", (long long)number(p, "id"));
    assert_null(call(&f->a, "disconnectnode", params));
    expect_count(&f->a, 0);
}

static void addnode_remembers_forgets_and_says_when_it_cannot(void **state)
{
    struct fixture *f = *state;
    assert_null(call(&f->a, "addnode", "[\"[::1]:9\", \"add\"]"));
    call_fails(&f->a, "addnode", "[\"[::1]:9\", \"add\"]", -23, "Error: Node already added");
    struct json_object *r = call(&f->a, "getaddednodeinfo", "[]");
    assert_int_equal(json_object_array_length(r), 1);
    r = json_object_array_get_idx(call(&f->a, "getaddednodeinfo", "[\"[::1]:9\"]"), 0);
    assert_members(r, "addednode connected addresses");
    assert_string_equal(text(r, "addednode"), "[::1]:9");
    assert_false(truth(r, "connected"));
    call_fails(&f->a, "getaddednodeinfo", "[\"[::1]:10\"]", -24, "Error: Node has not been added.");
    assert_null(call(&f->a, "addnode", "[\"[::1]:9\", \"remove\"]"));
    call_fails(&f->a, "addnode", "[\"[::1]:9\", \"remove\"]", -24,
               "Error: Node has not been added.");
    assert_null(call(&f->a, "addnode", "[\"[::1]:9\", \"onetry\"]"));
    call_fails(&f->a, "addnode", "[\"[::1]:9\", \"foo\"]", -1, "command");
}

static void an_added_node_that_is_connected_shows_its_address(void **state)
{
    struct fixture *f = *state;
    char params[200], addr[100];
    struct json_object *p = json_object_array_get_idx(call(&f->b, "getpeerinfo", "[]"), 0);
    snprintf(addr, sizeof addr, "%s", text(p, "addr"));
    snprintf(params, sizeof params, "[\"%s\", \"add\"]", addr);
    assert_null(call(&f->b, "addnode", params));
    struct json_object *r = json_object_array_get_idx(call(&f->b, "getaddednodeinfo", "[]"), 0);
    assert_true(truth(r, "connected"));
    struct json_object *a = json_object_array_get_idx(field(r, "addresses"), 0);
    assert_members(a, "address connected");
    assert_string_equal(text(a, "address"), addr);
    assert_string_equal(text(a, "connected"), "outbound");
    snprintf(params, sizeof params, "[\"%s\"]", addr);
    assert_null(call(&f->b, "disconnectnode", params));
}

static void bans_are_set_listed_lifted_and_cleared(void **state)
{
    struct fixture *f = *state;
    assert_null(call(&f->a, "setban", "[\"2001:4860::/32\", \"add\", 100]"));
    call_fails(&f->a, "setban", "[\"2001:4860::/32\", \"add\"]", -23,
               "Error: IP/Subnet already banned");
    call_fails(&f->a, "setban", "[\"2001:4860::/129\", \"add\"]", -30, "Error: Invalid IP/Subnet");
    call_fails(&f->a, "setban", "[\"8.8.8.8\", \"frob\"]", -1, "command");
    char params[100];
    long long until = (long long)clock_now() + 5000;
    snprintf(params, sizeof params, "[\"8.8.8.8\", \"add\", %lld, true]", until);
    assert_null(call(&f->a, "setban", params));
    struct json_object *r = call(&f->a, "listbanned", "[]");
    assert_int_equal(json_object_array_length(r), 2);
    bool seen = false;
    for (size_t i = 0; i < 2; i++) {
        struct json_object *ban = json_object_array_get_idx(r, i);
        assert_members(ban, "address banned_until ban_created ban_reason");
        assert_string_equal(text(ban, "ban_reason"), "manually added");
        seen |= strcmp(text(ban, "address"), "8.8.8.8/32") == 0 &&
            number(ban, "banned_until") == until;
    }
    assert_true(seen);
    assert_null(call(&f->a, "setban", "[\"8.8.8.8\", \"remove\"]"));
    call_fails(&f->a, "setban", "[\"8.8.8.8\", \"remove\"]", -1, "Error: Unban failed");
    assert_null(call(&f->a, "clearbanned", "[]"));
    assert_int_equal(json_object_array_length(call(&f->a, "listbanned", "[]")), 0);
}

static void the_network_can_be_switched_off(void **state)
{
    struct fixture *f = *state;
    expect_count(&f->a, 1);
    assert_false(json_object_get_boolean(call(&f->a, "setnetworkactive", "[false]")));
    expect_count(&f->a, 0);
    assert_false(truth(call(&f->a, "getnetworkinfo", "[]"), "networkactive"));
    assert_true(json_object_get_boolean(call(&f->a, "setnetworkactive", "[true]")));
    assert_true(truth(call(&f->a, "getnetworkinfo", "[]"), "networkactive"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(getpeerinfo_has_the_references_fields),
        T(totals_and_overview_follow_the_traffic),
        T(disconnectnode_ends_a_connection_by_address_or_number),
        T(addnode_remembers_forgets_and_says_when_it_cannot),
        T(an_added_node_that_is_connected_shows_its_address),
        T(bans_are_set_listed_lifted_and_cleared),
        T(the_network_can_be_switched_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
