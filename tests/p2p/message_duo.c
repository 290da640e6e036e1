#include <config.h>

#include "tests/p2p/message_duo.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/kv_internal.h"
#include "base/mem.h"
#include "tests/kv_tools.h"
#include "tests/test.h"

/* --- a disk that outlives who uses it --- */

struct lent {
    struct kv kv;
    struct kv_ops ops; /* the engine's, but for what has the store itself as argument */
    struct duo_side *side;
};

static struct kv *disk_of(struct kv *kv) { return ((struct lent *)(void *)kv)->side->disk; }

static void lent_close(struct kv *kv) { free(kv); }

static enum err lent_get(struct kv *kv, struct span key, struct buf *value, bool *found,
                         struct error *e)
{
    return disk_of(kv)->ops->get(disk_of(kv), key, value, found, e);
}

static struct kv_batch *lent_batch_new(struct kv *kv) { return kv_batch_new(disk_of(kv)); }

static enum err lent_write(struct kv *kv, struct kv_batch *b, enum kv_sync sync, struct error *e)
{
    struct duo_side *s = ((struct lent *)(void *)kv)->side;
    pthread_mutex_lock(&s->busy);
    const enum err rc = s->disk->ops->write(s->disk, b, sync, e);
    pthread_mutex_unlock(&s->busy);
    if (rc || !atomic_load(&s->lies))
        return rc;
    atomic_fetch_sub(&s->lies, 1);
    return error_set(e, ERR_IO, "said to have failed");
}

static struct kv_iter *lent_iter_new(struct kv *kv) { return kv_iter_new(disk_of(kv)); }

static struct kv *lend(struct duo_side *s)
{
    struct lent *l = xcalloc(1, sizeof *l);
    l->side = s;
    l->ops = *s->disk->ops;
    l->ops.close = lent_close;
    l->ops.get = lent_get;
    l->ops.batch_new = lent_batch_new;
    l->ops.write = lent_write;
    l->ops.iter_new = lent_iter_new;
    l->kv.ops = &l->ops;
    return &l->kv;
}

/* --- what the machines ask --- */

static struct duo_side *other_of(struct duo_side *s) { return &s->duo->sides[!s->at]; }

static enum err send_packet(void *session, const struct dchan_msg *msg)
{
    struct duo_side *s = session;
    struct buf b;
    if (!s->party && !s->store)
        return ERR_CANCELLED;
    if (s->glutted) {
        struct message_party *p = s->party;
        s->glutted = false;
        s->party = NULL;
        messages_down(s->m, p, s);
        return ERR_BUSY;
    }
    assert_true(s->n_out < DUO_PACKETS_MAX);
    buf_init(&b);
    dchan_msg_write(&b, msg);
    struct duo_packet *p = &s->out[s->n_out++];
    p->data = buf_take(&b, &p->len);
    s->sent[msg->type]++;
    return OK;
}

static bool is_slow(void *session) { return ((struct duo_side *)session)->slow; }

static bool dial(void *ctx, uint64_t contact)
{
    struct duo_side *s = ctx;
    assert_int_equal(contact, DUO_CONTACT);
    s->dials++;
    return !s->unknown;
}

static uint64_t unix_now(void *ctx)
{
    const struct duo_side *s = ctx;
    return DUO_UNIX_MS + s->duo->now_ms + (uint64_t)s->clock_ms;
}

static uint64_t told(void *ctx)
{
    const struct duo_side *s = ctx;
    return s->n_news ? s->news[s->n_news - 1].entry : 0;
}

static bool tell(void *ctx, const struct message_news *news)
{
    struct duo_side *s = ctx;
    assert_true(news->entry > told(s));
    assert_true(s->n_news < DUO_NEWS_MAX);
    s->news[s->n_news++] = *news;
    return true;
}

static void later(void *ctx, uint64_t ms) { ((struct duo_side *)ctx)->later_ms = ms; }

/* --- life --- */

void duo_init(struct message_duo *d)
{
    *d = (struct message_duo){ .now_ms = 1000, .random = 88172645463325252 };
    for (int i = 0; i < 2; i++) {
        struct duo_side *s = &d->sides[i];
        s->duo = d;
        s->at = i;
        s->disk = kv_open_mem();
        pthread_mutex_init(&s->busy, NULL);
        s->limits = messages_default_limits();
    }
}

void duo_revive(struct duo_side *s)
{
    const struct messages_ops ops = { send_packet, is_slow, dial, unix_now, tell, told, later,
                                      s };
    kv_mem_fail_writes(s->disk, 0);
    atomic_store(&s->lies, 0);
    assert_int_equal(dchan_store_new(&s->store, lend(s), NULL, NULL, NULL), OK);
    assert_int_equal(messages_new(&s->m, s->store, &s->limits, &ops, NULL), OK);
}

void duo_start(struct message_duo *d)
{
    for (int i = 0; i < 2; i++)
        duo_revive(&d->sides[i]);
}

static void drop_packets(struct duo_side *s)
{
    while (s->n_out)
        free(s->out[--s->n_out].data);
}

static void end_side(struct duo_side *s)
{
    struct dchan_store *store = s->store;
    if (s->party)
        messages_down(s->m, s->party, s);
    s->party = NULL;
    dchan_store_settle(store);
    messages_free(s->m);
    dchan_store_free(store);
    s->store = NULL;
    s->m = NULL;
}

void duo_clear(struct message_duo *d)
{
    for (int i = 0; i < 2; i++) {
        if (d->sides[i].store)
            end_side(&d->sides[i]);
        drop_packets(&d->sides[i]);
        kv_close(d->sides[i].disk);
        pthread_mutex_destroy(&d->sides[i].busy);
    }
}

void duo_anew(struct message_duo *d)
{
    duo_clear(d);
    duo_init(d);
}

void duo_settle(struct duo_side *s)
{
    if (s->store)
        dchan_store_settle(s->store);
}

void duo_fail_writes(struct duo_side *s, uint64_t n) { kv_mem_fail_writes(s->disk, n); }

void duo_lie(struct duo_side *s, unsigned n) { atomic_store(&s->lies, n); }

void duo_kill(struct duo_side *s)
{
    duo_cut(s->duo);
    end_side(s);
    drop_packets(s); /* what its last completions said reached nobody */
    kv_mem_power_cut(s->disk);
}

/* --- sessions --- */

void duo_cut(struct message_duo *d)
{
    for (int i = 0; i < 2; i++) {
        struct duo_side *s = &d->sides[i];
        drop_packets(s);
        if (s->party)
            messages_down(s->m, s->party, s);
        s->party = NULL;
    }
}

static void key_of(int at, uint8_t key[IDENTITY_KEY_SIZE])
{
    memset(key, at ? 0x22 : 0x11, IDENTITY_KEY_SIZE);
    key[0] = 2;
}

static struct message_peer peer_of(const struct duo_side *s)
{
    struct message_peer peer = { .contact = s->stranger ? 0 : DUO_CONTACT, .refused = s->refused,
                                 .prefix = { 0x20, 1, 0xd, 0xb8, 0, 1 } };
    key_of(!s->at, peer.key);
    key_of(s->at, peer.ours);
    return peer;
}

void duo_connect(struct message_duo *d)
{
    duo_cut(d);
    for (int i = 0; i < 2; i++) {
        struct duo_side *s = &d->sides[i];
        const struct message_peer peer = peer_of(s);
        s->party = messages_up(s->m, NULL, &peer, s, d->now_ms);
    }
}

void duo_repeat(struct duo_side *from, size_t i)
{
    struct duo_packet *p = &from->out[from->n_out++];
    p->len = from->out[i].len;
    p->data = xmalloc(p->len);
    memcpy(p->data, from->out[i].data, p->len);
}

void duo_arrive(struct duo_side *from, size_t i)
{
    static const struct dchan_features all = { .offered = UINT32_MAX };
    struct duo_side *to = other_of(from);
    const struct duo_packet p = from->out[i];
    struct dchan_msg msg;
    memmove(&from->out[i], &from->out[i + 1], (--from->n_out - i) * sizeof p);
    assert_int_equal(dchan_msg_read(&msg, span_of(p.data, p.len), &all), DCHAN_READ_OK);
    if (to->party)
        messages_take(to->m, to->party, &msg, to->duo->now_ms);
    free(p.data);
}

void duo_run(struct message_duo *d)
{
    struct duo_side *a = &d->sides[0], *b = &d->sides[1];
    do {
        while (a->n_out)
            duo_arrive(a, 0);
        while (b->n_out)
            duo_arrive(b, 0);
        duo_settle(a);
        duo_settle(b);
    } while (a->n_out || b->n_out);
}

void duo_pass(struct message_duo *d, uint64_t seconds)
{
    while (seconds--) {
        d->now_ms += 1000;
        for (int i = 0; i < 2; i++)
            if (d->sides[i].m)
                messages_tick(d->sides[i].m, d->now_ms);
        duo_run(d);
    }
}

/* --- sending --- */

struct outcome {
    enum err rc;
    uint64_t number;
    bool called;
};

static void note_sent(void *ctx, enum err rc, const struct error *e, uint64_t number,
                      const uint8_t id[MESSAGE_ID_SIZE])
{
    (void)e;
    (void)id;
    *(struct outcome *)ctx = (struct outcome){ rc, number, true };
}

struct message_draft duo_draft(struct duo_side *s, const char *text)
{
    return (struct message_draft){ .to = peer_of(s), .body = span_of(text, strlen(text)) };
}

enum err duo_send_draft(struct duo_side *s, const struct message_draft *draft, uint64_t *number)
{
    struct outcome o = { .rc = OK };
    struct error e;
    const enum err rc = messages_send(s->m, draft, note_sent, &o, s->duo->now_ms, &e);
    duo_settle(s);
    assert_int_equal(o.called, !rc);
    if (number)
        *number = o.number;
    return rc ? rc : o.rc;
}

enum err duo_send(struct duo_side *s, const char *text, uint64_t *number)
{
    const struct message_draft draft = duo_draft(s, text);
    return duo_send_draft(s, &draft, number);
}

/* --- what is there --- */

struct message_head duo_head(struct duo_side *s, uint64_t number)
{
    struct message_head h;
    assert_int_equal(message_head_load(s->disk, number, &h, NULL), OK);
    return h;
}

/* The first head with this number or above. */
static bool next_head(struct kv_iter *it, uint64_t from, struct message_head *h)
{
    const struct message_key key = message_key_number(TABLE_HEAD, from);
    uint64_t number;
    kv_iter_seek(it, key.b, key.len);
    if (!kv_iter_valid(it) || !message_key_has_number(kv_iter_key(it), TABLE_HEAD, &number))
        return false;
    assert_true(message_head_read(h, number, kv_iter_value(it)));
    return true;
}

size_t duo_count(struct duo_side *s, bool ours, enum message_state state)
{
    struct kv_iter *it = kv_iter_new(s->disk);
    struct message_head h = { .number = 0 };
    size_t n = 0;
    while (next_head(it, h.number + 1, &h))
        n += h.ours == ours && (!state || h.state == state);
    kv_iter_free(it);
    return n;
}

bool duo_received(struct duo_side *s, size_t n, struct message_head *h, struct buf *body)
{
    struct kv_iter *it = kv_iter_new(s->disk);
    bool found;
    *h = (struct message_head){ .number = 0 };
    do {
        found = next_head(it, h->number + 1, h);
    } while (found && (h->ours || n--));
    kv_iter_free(it);
    buf_reset(body);
    if (found)
        assert_int_equal(message_body_load(s->disk, h->number, body, NULL), OK);
    return found;
}

void duo_each_received(struct duo_side *s, duo_received_fn fn, void *ctx)
{
    struct kv_iter *it = kv_iter_new(s->disk);
    struct message_head h = { .number = 0 };
    struct buf body;
    buf_init(&body);
    while (next_head(it, h.number + 1, &h)) {
        if (h.ours)
            continue;
        assert_int_equal(message_body_load(s->disk, h.number, &body, NULL), OK);
        fn(ctx, &h, buf_span(&body));
    }
    buf_clear(&body);
    kv_iter_free(it);
}

size_t duo_news(const struct duo_side *s, enum message_news_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_news; i++)
        n += s->news[i].kind == kind;
    return n;
}

size_t duo_rows(struct duo_side *s, const char *prefix)
{
    return kv_rows(s->disk, prefix);
}

uint64_t duo_random(struct message_duo *d, uint64_t n)
{
    return test_random(&d->random) % n;
}
