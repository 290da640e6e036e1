/*
 * The machine of messages against a peer that says what it likes. Of the first byte bit 0: a
 * stranger; then steps: what is done (modulo 8) and a byte that goes with it: 0 to 2 a message of
 * so many bytes that follow, 3 seconds pass, 4 the session is replaced or ends, 5 the user sends, 6
 * the disk fails or works, 7 what was received with this number is read. Whatever comes: what is
 * in flight and in the box keeps to its limits, nothing is told twice, and of what is counted at
 * the end a fresh machine counts the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/messages_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { UNIX_MS = 1000000 };

struct world {
    struct kv *kv;
    struct dchan_store *store;
    struct messages *m;
    struct message_party *party;
    struct message_peer peer;
    uint64_t now_ms, told;
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* --- what it asks --- */

static enum err take_message(void *session, const struct dchan_msg *msg)
{
    const struct world *w = session;
    require(w->party != NULL || msg->type != 0);
    return OK;
}

static bool is_slow(void *session)
{
    (void)session;
    return false;
}

static bool dial(void *ctx, uint64_t contact)
{
    require(contact == ((struct world *)ctx)->peer.contact);
    return true;
}

static uint64_t unix_now(void *ctx) { return UNIX_MS + ((struct world *)ctx)->now_ms; }

static bool tell(void *ctx, const struct message_news *news)
{
    struct world *w = ctx;
    require(news->entry > w->told);
    w->told = news->entry;
    return true;
}

static uint64_t told(void *ctx) { return ((struct world *)ctx)->told; }

static void later(void *ctx, uint64_t ms)
{
    (void)ctx;
    require(ms > 0);
}

static void begin(struct world *w)
{
    struct messages_limits limits = messages_default_limits();
    const struct messages_ops ops = { take_message, is_slow, dial, unix_now, tell, told, later, w };
    limits.seen = 20;
    limits.box = limits.box_per_48 = 5;
    limits.inbox_total = 100000;
    require(!messages_new(&w->m, w->store, &limits, &ops, NULL));
}

/* --- steps --- */

static void receive(struct world *w, struct span raw)
{
    static const struct dchan_features all = { .offered = UINT32_MAX };
    struct dchan_msg msg;
    if (w->party && dchan_msg_read(&msg, raw, &all) == DCHAN_READ_OK)
        messages_take(w->m, w->party, &msg, w->now_ms);
}

static void change_session(struct world *w, uint8_t how)
{
    if (how % 3) {
        w->party = messages_up(w->m, w->party, &w->peer, w, w->now_ms);
    } else if (w->party) {
        messages_down(w->m, w->party, w);
        w->party = NULL;
    }
}

static void ignore_sent(void *ctx, enum err rc, const struct error *e, uint64_t number,
                        const uint8_t id[MESSAGE_ID_SIZE])
{
    (void)ctx;
    (void)rc;
    (void)e;
    (void)number;
    (void)id;
}

static void ignore_done(void *ctx, enum err rc, const struct error *e)
{
    (void)ctx;
    (void)rc;
    (void)e;
}

static void say(struct world *w, uint8_t len)
{
    static const uint8_t text[256];
    const struct message_draft draft = { .to = w->peer, .ttl = 100, .body = span_of(text, len) };
    if (w->peer.contact && messages_send(w->m, &draft, ignore_sent, NULL, w->now_ms, NULL))
        return; /* it is full */
}

static void check(const struct world *w)
{
    struct messages_stats stats;
    messages_get_stats(w->m, &stats);
    require(stats.box <= 5 && stats.outbox <= 1000 && stats.parties <= 2);
    require(!w->party || w->party->n_flight <= MESSAGES_IN_FLIGHT);
    require(!w->party || w->party->order.n_gaps <= MESSAGE_GAPS_MAX);
}

static void step(struct world *w, uint8_t what, uint8_t n, struct reader *r)
{
    switch (what % 8) {
    case 3:
        w->now_ms += UINT64_C(1000) * (n + 1);
        messages_tick(w->m, w->now_ms);
        break;
    case 4:
        change_session(w, n);
        break;
    case 5:
        say(w, n);
        break;
    case 6:
        kv_mem_fail_writes(w->kv, n % 4);
        break;
    case 7:
        if (messages_mark_read(w->m, n, n % 2, ignore_done, NULL, NULL))
            break; /* there is none */
        break;
    default: {
        const size_t len = MIN_OF((size_t)n, r->left);
        receive(w, span_of(read_bytes(r, len), len));
        break;
    }
    }
    if (what & 0x80)
        dchan_store_settle(w->store);
    check(w);
}

/* What is on disk says the same as what was counted. */
static void compare(struct world *w)
{
    struct messages_stats before, after;
    kv_mem_fail_writes(w->kv, 0);
    if (w->party)
        messages_down(w->m, w->party, w);
    for (int i = 0; i < 4; i++) {
        dchan_store_settle(w->store);
        messages_tick(w->m, ++w->now_ms);
    }
    dchan_store_settle(w->store);
    messages_get_stats(w->m, &before);
    messages_free(w->m);
    begin(w);
    messages_get_stats(w->m, &after);
    require(before.outbox == after.outbox && before.outbox_bytes == after.outbox_bytes &&
            before.box == after.box && !before.disk_trouble);
    messages_free(w->m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = { .kv = kv_open_mem(), .peer = { .contact = 7, .key = { 2 } } };
    struct reader r;
    ec_init();
    reader_init(&r, data, size);
    w.peer.contact = read_u8(&r) & 1 ? 0 : 7;
    require(!dchan_store_new(&w.store, w.kv, NULL, NULL, NULL));
    begin(&w);
    while (r.left) {
        const uint8_t what = read_u8(&r), n = read_u8(&r);
        step(&w, what, n, &r);
    }
    compare(&w);
    dchan_store_free(w.store);
    return 0;
}
