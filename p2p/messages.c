#include "p2p/messages_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "base/rand.h"

#define CLEAN_PAUSE_MS 600000 /* between two walks over all ids */
#define TRIM_AT_ONCE 64
#define TRIM_AT(total) ((total) / 8 * 7) /* bytes: above, the oldest that are done with leave */

struct messages_limits messages_default_limits(void)
{
    return (struct messages_limits){
        .outbox = 1000, .outbox_bytes = 16u << 20, .outbox_total = 256u << 20,
        .inbox_total = 1u << 30, .rate = 20, .burst = 100, .stranger_per_hour = 60,
        .stranger_bytes = 4096, .box = 100, .box_per_48 = 4, .seen = 100000,
        .ttl = MESSAGES_TTL_DEFAULT, .in_flight = MESSAGES_IN_FLIGHT,
        .resend_ms = MESSAGES_RESEND_MS, .strangers = true,
    };
}

/* --- writing --- */

void write_put(struct dchan_write *w, const struct message_key *key, const struct buf *value)
{
    dchan_write_put(w, key->b, key->len, value->data, value->len);
}

void write_delete(struct dchan_write *w, const struct message_key *key)
{
    dchan_write_delete(w, key->b, key->len);
}

void write_head(struct dchan_write *w, const struct message_head *h)
{
    const struct message_key key = message_key_number(TABLE_HEAD, h->number);
    struct buf b;
    buf_init(&b);
    message_head_write(&b, h);
    write_put(w, &key, &b);
    buf_clear(&b);
}

void write_order(struct dchan_write *w, const struct message_party *p)
{
    const struct message_key key = message_key_order(&p->name);
    struct message_order order = p->order;
    struct buf b;
    in_untake(p, &order);
    buf_init(&b);
    message_order_write(&b, &order);
    write_put(w, &key, &b);
    buf_clear(&b);
}

void write_last(struct messages *m, struct dchan_write *w)
{
    const struct message_key key = message_key_last();
    struct buf b;
    buf_init(&b);
    buf_put_be64(&b, m->last_number);
    buf_put_be64(&b, m->kept_bytes);
    write_put(w, &key, &b);
    buf_clear(&b);
}

bool key_has_prefix(struct span key, const struct message_key *prefix)
{
    return key.len >= prefix->len && memcmp(key.data, prefix->b, prefix->len) == 0;
}

/* --- parties --- */

static bool has_name(const void *item, const void *key)
{
    const struct message_party *p = item;
    const struct message_name *n = key;
    return p->name.len == n->len && memcmp(p->name.b, n->b, n->len) == 0;
}

static uint64_t hash_of(const struct messages *m, const struct message_name *n)
{
    return siphash(&m->hash_key, n->b, n->len);
}

struct message_party *party_find(struct messages *m, const struct message_name *n)
{
    return map_find(&m->by_name, hash_of(m, n), has_name, n);
}

static void name_of(const struct message_peer *peer, struct message_name *n)
{
    if (peer->contact)
        message_name_contact(n, peer->contact);
    else
        message_name_stranger(n, peer->key, peer->ours);
}

static struct message_party *party_new(struct messages *m, const struct message_name *n,
                                       const struct message_peer *peer)
{
    struct message_party *p = xcalloc(1, sizeof *p);
    const int64_t now = (int64_t)m->now_ms;
    p->m = m;
    p->name = *n;
    p->peer = *peer;
    list_init(&p->incoming);
    list_init(&p->endings);
    if (peer->contact)
        ratelimit_init(&p->rate, 1000 * m->limits.rate, m->limits.burst, m->limits.burst, now);
    else
        ratelimit_init(&p->rate, UINT64_C(1000) * m->limits.stranger_per_hour, STRANGER_TOKENS,
                       STRANGER_TOKENS, now);
    ratelimit_init(&p->reads, 1000 * m->limits.rate, m->limits.burst, m->limits.burst, now);
    const uint64_t paced = MAX_OF(m->limits.burst * PACE_BURST_PERCENT / 100u, 1u);
    ratelimit_init(&p->pace, 10 * PACE_PERCENT * m->limits.rate, paced, paced, now);
    list_append(&m->parties, &p->link);
    map_put(&m->by_name, hash_of(m, n), p);
    return p;
}

struct message_party *party_get(struct messages *m, const struct message_peer *peer)
{
    struct message_name n;
    name_of(peer, &n);
    struct message_party *p = party_find(m, &n);
    if (!p)
        return party_new(m, &n, peer);
    p->peer = *peer;
    return p;
}

uint64_t party_tokens(const struct message_party *p)
{
    return p->peer.contact ? 1 : STRANGER_TOKENS;
}

static void party_free(struct message_party *p)
{
    list_remove(&p->m->parties, &p->link);
    free(p->keys);
    free(p->flight);
    free(p);
}

/* A stranger is kept for as long as its next message is not due: else it would come anew. */
void party_release(struct message_party *p)
{
    if (p->n_held || p->writes || p->n_out)
        return;
    if (!p->peer.contact &&
        ratelimit_wait_ms(&p->rate, party_tokens(p), (int64_t)p->m->now_ms) > 0)
        return;
    map_remove(&p->m->by_name, hash_of(p->m, &p->name), has_name, &p->name);
    party_free(p);
}

/* One who was a stranger until now goes on counting where it was. */
enum err party_load(struct message_party *p, struct error *e)
{
    struct message_order *o = &p->order;
    if (p->loaded)
        return OK;
    enum err rc = message_order_load(p->m->kv, &p->name, o, e);
    if (!rc && p->peer.contact && !o->sent && !o->seen) {
        struct message_name before;
        message_name_stranger(&before, p->peer.key, p->peer.ours);
        rc = message_order_load(p->m->kv, &before, o, e);
    }
    if (!rc)
        rc = seen_load(p, e);
    if (!rc)
        rc = unread_load(p, e);
    p->loaded = !rc;
    return rc;
}

/* --- life --- */

enum err messages_new(struct messages **out, struct dchan_store *store,
                      const struct messages_limits *limits, const struct messages_ops *ops,
                      struct error *e)
{
    struct messages *m = xcalloc(1, sizeof *m);
    m->store = store;
    m->kv = dchan_store_kv(store);
    m->limits = *limits;
    m->limits.box = MIN_OF(limits->box, (size_t)MESSAGES_BOX_MAX);
    m->limits.in_flight = MIN_OF(limits->in_flight, (unsigned)MESSAGES_IN_FLIGHT);
    m->ops = *ops;
    m->box = xcalloc(MESSAGES_BOX_MAX, sizeof *m->box);
    map_init(&m->by_name);
    rand_bytes(&m->hash_key, sizeof m->hash_key);
    list_init(&m->parties);
    enum err rc = load_totals(m, e);
    if (!rc)
        rc = out_count_all(m, e);
    news_begin(m);
    m->news_due = true;
    *out = rc ? NULL : m;
    if (rc)
        messages_free(m);
    return rc;
}

void messages_free(struct messages *m)
{
    if (!m)
        return;
    WARN_BUG(m->writes > 0);
    for (struct list_link *l; (l = list_first(&m->parties));)
        party_free(LIST_ITEM(l, struct message_party, link));
    map_clear(&m->by_name);
    free(m->box);
    free(m);
}

struct message_party *messages_up(struct messages *m, struct message_party *held,
                                  const struct message_peer *peer, void *session,
                                  uint64_t now_ms)
{
    m->now_ms = now_ms;
    struct message_party *p = party_get(m, peer);
    if (held != p) {
        p->n_held++;
        if (held)
            messages_down(m, held, session);
    }
    p->session = session;
    p->paused_until_ms = p->pause_ms = 0;
    out_up(p);
    in_up(p);
    return p;
}

void messages_down(struct messages *m, struct message_party *p, const void *session)
{
    (void)m;
    p->n_held--;
    if (p->session == session) {
        p->session = NULL;
        out_down(p);
    }
    party_release(p);
}

uint64_t messages_contact(const struct message_party *p) { return p->peer.contact; }

void messages_change(struct message_party *p, const struct message_peer *peer) { p->peer = *peer; }

void messages_forget(struct messages *m, const uint8_t key[IDENTITY_KEY_SIZE])
{
    for (struct list_link *l = list_first(&m->parties); l; l = list_next(&m->parties, l)) {
        struct message_party *p = LIST_ITEM(l, struct message_party, link);
        if (p->peer.contact && mem_equal_var(p->peer.key, key, IDENTITY_KEY_SIZE))
            out_forget(p);
    }
}

void messages_take(struct messages *m, struct message_party *p, const struct dchan_msg *msg,
                   uint64_t now_ms)
{
    m->now_ms = now_ms;
    switch (msg->type) {
    case DCHAN_M_SEND:
        in_take(p, &msg->m_send);
        break;
    case DCHAN_M_ACK:
        out_take_ack(p, &msg->m_receipt);
        break;
    case DCHAN_M_NACK:
        out_take_nack(p, &msg->m_receipt);
        break;
    case DCHAN_M_READ:
        out_take_read(p, &msg->m_receipt);
        break;
    }
}

/* --- every second --- */

/* It says nothing any more, and what was to be done with it is done. */
static bool is_done_with(const struct message_head *h)
{
    return h->state != MESSAGE_STATE_UNREAD && h->state != MESSAGE_STATE_QUEUED;
}

static uint64_t bytes_of(const struct message_head *h)
{
    return sizeof *h + h->content_type_len + h->body_len;
}

struct trimming {
    struct messages *m;
    uint64_t bytes;
};

static void trim_done(void *ctx, enum err rc, const struct error *e)
{
    struct trimming *t = ctx;
    t->m->writes--;
    if (rc)
        t->m->kept_bytes += t->bytes;
    note_write(t->m, rc, e);
    free(t);
}

static void drop(struct messages *m, struct dchan_write *w, const struct message_head *h)
{
    struct message_name n;
    const struct message_key head = message_key_number(TABLE_HEAD, h->number);
    const struct message_key body = message_key_number(TABLE_BODY, h->number);
    message_head_name(h, &n);
    const struct message_key index = message_key_index(INDEX_OURS, &n, h->id);
    write_delete(w, &head);
    write_delete(w, &body);
    if (h->ours)
        write_delete(w, &index);
    m->kept_bytes -= MIN_OF(m->kept_bytes, bytes_of(h));
}

/* The oldest that are done with make room, before new ones would have to be refused. */
static void trim(struct messages *m)
{
    if (m->kept_bytes <= TRIM_AT(m->limits.inbox_total) || m->disk_error.code)
        return;
    struct dchan_write *w = dchan_write_new(m->store);
    struct kv_iter *it = kv_iter_new(m->kv);
    const struct message_key table = message_key_number(TABLE_HEAD, 0);
    const struct message_key *from = m->trim.len ? &m->trim : &table;
    struct message_head h;
    uint64_t number;
    const uint64_t before = m->kept_bytes;
    size_t looked = 0;
    for (kv_iter_seek(it, from->b, from->len); kv_iter_valid(it); kv_iter_next(it)) {
        if (!message_key_has_number(kv_iter_key(it), TABLE_HEAD, &number) ||
            looked++ == TRIM_AT_ONCE)
            break;
        if (message_head_read(&h, number, kv_iter_value(it)) && is_done_with(&h))
            drop(m, w, &h);
        m->trim = message_key_number(TABLE_HEAD, number + 1);
    }
    if (looked <= TRIM_AT_ONCE)
        m->trim.len = 0;
    kv_iter_free(it);
    if (m->kept_bytes == before) {
        dchan_write_free(w);
        return;
    }
    struct trimming *t = xmalloc(sizeof *t);
    *t = (struct trimming){ m, before - m->kept_bytes };
    write_last(m, w);
    m->writes++;
    dchan_store_commit(m->store, w, trim_done, t);
}

static void clean(struct messages *m)
{
    if (m->cleaning || m->now_ms < m->clean_after_ms)
        return;
    seen_clean(m);
    if (!m->clean.len)
        m->clean_after_ms = m->now_ms + CLEAN_PAUSE_MS;
}

void messages_tick(struct messages *m, uint64_t now_ms)
{
    m->now_ms = now_ms;
    probe_disk(m);
    const bool works = reload_if_due(m);
    for (struct list_link *l = list_first(&m->parties), *next; l; l = next) {
        struct message_party *p = LIST_ITEM(l, struct message_party, link);
        next = list_next(&m->parties, l);
        if (works)
            out_tick(p);
        party_release(p);
    }
    if (!works)
        return;
    out_sweep(m);
    news_pump(m);
    news_prune(m);
    trim(m);
    clean(m);
}

void messages_resume(struct messages *m, uint64_t now_ms)
{
    m->now_ms = now_ms;
    for (struct list_link *l = list_first(&m->parties), *next; l; l = next) {
        struct message_party *p = LIST_ITEM(l, struct message_party, link);
        next = list_next(&m->parties, l);
        if (p->n_flight)
            out_pump(p);
    }
}

static size_t memory_of(const struct messages *m)
{
    size_t sum = map_bytes(&m->by_name);
    for (struct list_link *l = list_first(&m->parties); l; l = list_next(&m->parties, l)) {
        const struct message_party *p = LIST_ITEM(l, struct message_party, link);
        sum += mem_cost(sizeof *p) + p->n_keys * sizeof *p->keys;
        sum += p->flight ? mem_cost(MESSAGES_IN_FLIGHT * sizeof *p->flight) : 0;
    }
    return sum;
}

void messages_get_stats(const struct messages *m, struct messages_stats *out)
{
    *out = (struct messages_stats){
        .parties = m->parties.n, .outbox = m->n_out, .box = m->n_box, .outbox_bytes = m->out_bytes,
        .kept_bytes = m->kept_bytes, .memory = memory_of(m),
        .disk_trouble = m->disk_error.code != OK, .disk_error = m->disk_error,
    };
}
