/*
 * Streams on which peers fetch what we offered them. One piece of the file is being sent while the
 * next is read by a worker; a piece counts when the file is the same before and after it was read,
 * so that nobody takes us for a liar because a file was edited. What comes anew in between two
 * looks is found by the receiver, who has the leaves.
 */
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "p2p/transfers_internal.h"

#define PEER_SERVES_MAX 16

struct reading {
    struct disk_job job; /* first */
    struct serve *s;
    struct kv *kv;
    char *path;
    struct file_mark mark;
    uint8_t id[32];
    bool leaves, changed;
    uint64_t at;
    size_t len;
    uint8_t *data;
};

static void serve_free(struct serve *s)
{
    s->t->serve_bytes -= s->budget;
    list_remove(&s->t->serves, &s->link);
    file_close(&s->file);
    free(s->piece[0]);
    free(s->piece[1]);
    free(s);
}

static void kick(struct serve *s)
{
    dchan_mux_wake(s->mux, s->sid);
    chan_peer_kick(s->peer);
}

static void answer(struct serve *s, enum file_status status)
{
    s->status = (uint8_t)status;
    s->ready = true;
    dchan_mux_wake(s->mux, s->sid);
}

/* --- reading --- */

static void reading_free(struct disk_job *j)
{
    struct reading *r = (struct reading *)(void *)j;
    free(r->path);
    free(r->data);
    free(r);
}

static enum err read_leaves(struct reading *r, struct error *e)
{
    struct buf all;
    bool found = false;
    buf_init(&all);
    enum err rc = leaves_load(r->kv, true, r->id, &all, &found, e);
    if (!rc && (!found || all.len < r->at + r->len))
        rc = error_set(e, ERR_CORRUPT, "the leaves of a file that was offered are not there");
    if (!rc)
        memcpy(r->data, all.data + r->at, r->len);
    buf_clear(&all);
    return rc;
}

/* Whether the file is the one of the offer; what cannot be opened is not. */
static bool is_same(struct reading *r, struct error *e)
{
    struct file_mark now;
    r->changed = file_mark_of(&r->s->file, &now, e) || !file_mark_equal(&now, &r->mark);
    return !r->changed;
}

static enum err read_piece(struct reading *r, struct error *e)
{
    if (r->s->file.fd < 0 && file_open(&r->s->file, r->path, FILE_READ_REGULAR, e)) {
        r->changed = true;
        return ERR_CORRUPT;
    }
    if (!is_same(r, e))
        return ERR_CORRUPT;
    const enum err rc = file_pread(&r->s->file, r->data, r->len, r->at, e);
    return is_same(r, e) ? rc : ERR_CORRUPT;
}

static void run_read(struct disk_job *j)
{
    struct reading *r = (struct reading *)(void *)j;
    r->data = try_alloc(1, MAX_OF(r->len, 1));
    if (!r->data)
        j->rc = error_set(&j->error, ERR_NOMEM, "out of memory");
    else
        j->rc = r->leaves ? read_leaves(r, &j->error) : read_piece(r, &j->error);
}

static void read_done(struct disk_job *j);

static void read_on(struct serve *s)
{
    if (s->reading || s->at == s->end || s->piece[1] || !s->o)
        return;
    struct reading *r = xcalloc(1, sizeof *r);
    r->s = s;
    r->kv = dchan_store_kv(s->t->store);
    r->path = xstrdup(s->o->path);
    r->mark = s->o->mark;
    memcpy(r->id, s->o->id, sizeof r->id);
    r->leaves = s->what == FILE_LEAVES;
    r->at = s->at;
    r->len = r->leaves ? (size_t)(s->end - s->at)
                       : (size_t)MIN_OF(s->end - s->at, (uint64_t)FILE_PIECE);
    r->job.run = run_read;
    r->job.done = read_done;
    r->job.drop = reading_free;
    s->reading = true;
    disk_submit(s->t, &r->job, JOB_BLOCK);
}

static void read_failed(struct serve *s, struct reading *r)
{
    if (!s->o)
        return; /* it has its answer */
    if (r->changed)
        offers_rehash(s->t, s->o);
    else
        LOG_LIMITED(LOG_WARN, "files: %s", r->job.error.text);
    if (s->answered)
        dchan_mux_reset(s->mux, s->sid, DCHAN_RESET_LOCAL);
    else if (r->changed)
        s->ready = false; /* until its bytes were looked at: serve_looked, serve_forget */
    else
        answer(s, FILE_BUSY);
}

static void take_piece(struct serve *s, struct reading *r)
{
    const unsigned slot = s->piece[0] ? 1 : 0;
    s->piece[slot] = r->data;
    s->piece_len[slot] = r->len;
    r->data = NULL;
    s->at += r->len;
    if (!s->ready)
        answer(s, FILE_OK);
}

static void read_done(struct disk_job *j)
{
    struct reading *r = (struct reading *)(void *)j;
    struct serve *s = r->s;
    s->reading = false;
    if (!s->mux) {
        serve_free(s);
    } else {
        struct chan_peer *peer = s->peer;
        if (j->rc) {
            read_failed(s, r);
            chan_peer_kick(peer);
        } else {
            take_piece(s, r);
            read_on(s);
            kick(s);
        }
    }
    reading_free(j);
}

/* --- the stream --- */

/* Progress of the offer: chunks that have gone completely, each once. */
static void note_gone(struct serve *s, size_t n)
{
    struct outgoing *o = s->o;
    if (s->what != FILE_CHUNKS || !o)
        return;
    const uint64_t chunk = UINT64_C(1) << dchan_chunk_log2(o->mark.size);
    const uint64_t before = s->pulled, after = before + n;
    o->sent.bytes += n;
    if (!o->went)
        o->went = xcalloc(1, bits_size(dchan_chunk_count(o->mark.size)));
    for (uint64_t i = before / chunk; i <= (after - 1) / chunk; i++) {
        const uint32_t size = dchan_chunk_size(o->mark.size, (uint32_t)i);
        if (after < i * chunk + size || bit_get(o->went, (uint32_t)i))
            continue;
        bit_set(o->went, (uint32_t)i);
        o->done += size;
    }
}

static size_t pull_piece(struct serve *s, uint8_t *out, size_t max)
{
    if (!s->piece[0])
        return 0;
    const size_t n = MIN_OF(max, s->piece_len[0] - s->piece_at);
    memcpy(out, s->piece[0] + s->piece_at, n);
    if (n)
        note_gone(s, n);
    s->piece_at += n;
    s->pulled += n;
    if (s->piece_at < s->piece_len[0])
        return n;
    free(s->piece[0]);
    s->piece[0] = s->piece[1];
    s->piece_len[0] = s->piece_len[1];
    s->piece[1] = NULL;
    s->piece_at = 0;
    read_on(s);
    return n;
}

static size_t on_pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    struct serve *s = ctx;
    size_t n = 0;
    if (!s->ready || max == 0)
        return 0;
    if (!s->answered) {
        out[n++] = s->status;
        s->answered = true;
    }
    while (n < max && s->status == FILE_OK && s->piece[0]) {
        const size_t room = sale_room(s, max - n);
        if (!room)
            break; /* until the chunk before it is paid */
        n += pull_piece(s, out + n, room);
    }
    if (n)
        s->progress_ms = channels_now(s->t->channels);
    *end = s->status != FILE_OK || s->pulled == s->end;
    return n;
}

static enum file_status judge_range(struct serve *s, uint64_t size)
{
    const uint32_t n = dchan_chunk_count(size);
    if (s->count == 0 || s->first >= n || s->count > n - s->first)
        return FILE_RANGE;
    if (s->what == FILE_LEAVES) {
        s->at = s->pulled = 32 * (uint64_t)s->first;
        s->end = s->at + 32 * (uint64_t)s->count;
        s->budget = (size_t)(s->end - s->at);
    } else {
        const uint64_t chunk = UINT64_C(1) << dchan_chunk_log2(size);
        s->at = s->pulled = chunk * s->first;
        s->end = MIN_OF(chunk * (s->first + (uint64_t)s->count), size);
        s->budget = (size_t)MIN_OF(s->end - s->at, (uint64_t)2 * FILE_PIECE);
        s->charged_to = s->at;
    }
    return FILE_OK;
}

static enum file_status judge(struct serve *s)
{
    const struct contact *c = chan_peer_contact(s->peer);
    struct outgoing *o = c ? outgoing_find(s->t, s->request, c->id) : NULL;
    s->what = (enum file_what)s->request[32];
    s->first = be32_get(s->request + 33);
    s->count = be32_get(s->request + 37);
    if (o && o->state == TRANSFER_CHANGED)
        return FILE_CHANGED;
    if (!o || o->state != TRANSFER_RUNNING)
        return FILE_UNKNOWN;
    if (s->what != FILE_LEAVES && s->what != FILE_CHUNKS)
        return FILE_RANGE;
    enum file_status status = judge_range(s, o->mark.size);
    if (status)
        return status;
    if (o->rehashing || !sale_is_possible(s->t, o) || o->streams >= s->t->config.streams ||
        s->budget > s->t->config.serve_budget - s->t->serve_bytes) {
        s->budget = 0;
        return FILE_BUSY;
    }
    s->t->serve_bytes += s->budget;
    s->o = o;
    o->streams++;
    return FILE_OK;
}

static void begin(struct serve *s)
{
    const enum file_status status = judge(s);
    if (status) {
        s->budget = 0;
        answer(s, status);
    } else if (s->at == s->end) {
        answer(s, FILE_OK);
    } else {
        read_on(s);
    }
}

static void on_data(void *ctx, struct span data)
{
    struct serve *s = ctx;
    struct transfers *t = s->t;
    const uint32_t sid = s->sid;
    struct dchan_mux *mux = s->mux;
    if (data.len > sizeof s->request - s->request_len) {
        dchan_mux_reset(mux, sid, DCHAN_RESET_REFUSED);
        return;
    }
    memcpy(s->request + s->request_len, data.data, data.len);
    s->request_len += data.len;
    if (s->request_len == sizeof s->request && data.len)
        begin(s);
    dchan_mux_consumed(mux, sid, data.len, channels_now(t->channels));
}

static void on_fin(void *ctx)
{
    struct serve *s = ctx;
    if (s->request_len < sizeof s->request)
        dchan_mux_reset(s->mux, s->sid, DCHAN_RESET_REFUSED);
}

static unsigned *serves_of(struct serve *s)
{
    struct file_peer *f = *chan_peer_slot(s->peer, s->t);
    return f ? &f->serves : NULL;
}

static void leave_offer(struct serve *s)
{
    if (s->o)
        s->o->streams--;
    s->o = NULL;
}

static void on_closed(void *ctx, unsigned code)
{
    struct serve *s = ctx;
    (void)code;
    unsigned *serves = serves_of(s);
    if (serves && *serves)
        (*serves)--;
    leave_offer(s);
    s->mux = NULL;
    if (!s->reading)
        serve_free(s);
}

static const struct dchan_stream_ops stream_ops = {
    .data = on_data, .fin = on_fin, .pull = on_pull, .closed = on_closed,
};

void serve_open(struct transfers *t, struct chan_peer *p, struct dchan_mux *mux, uint32_t sid)
{
    struct file_peer *f = transfers_file_peer(t, p);
    if (f->serves >= PEER_SERVES_MAX) {
        dchan_mux_reset(mux, sid, DCHAN_RESET_LIMIT);
        return;
    }
    struct serve *s = xcalloc(1, sizeof *s);
    s->t = t;
    s->peer = p;
    s->mux = mux;
    s->sid = sid;
    s->file.fd = -1;
    s->progress_ms = channels_now(t->channels);
    f->serves++;
    list_append(&t->serves, &s->link);
    if (dchan_mux_accept(mux, sid, &stream_ops, s, s->progress_ms) == OK)
        return;
    f->serves--;
    serve_free(s);
}

void serve_tick(struct transfers *t, uint64_t now_ms)
{
    for (struct list_link *l = list_first(&t->serves), *next; l; l = next) {
        struct serve *s = LIST_ITEM(l, struct serve, link);
        struct chan_peer *peer = s->peer;
        next = list_next(&t->serves, l);
        if (!s->mux || now_ms - s->progress_ms < t->config.idle_ms)
            continue;
        dchan_mux_reset(s->mux, s->sid, DCHAN_RESET_IDLE);
        chan_peer_kick(peer);
    }
}

void serve_forget(struct transfers *t, struct outgoing *o)
{
    for (struct list_link *l = list_first(&t->serves), *next; l; l = next) {
        struct serve *s = LIST_ITEM(l, struct serve, link);
        next = list_next(&t->serves, l);
        if (s->o != o)
            continue;
        struct chan_peer *peer = s->peer;
        leave_offer(s);
        if (!s->mux)
            continue;
        if (o->state == TRANSFER_CHANGED && !s->answered)
            answer(s, FILE_CHANGED);
        else
            dchan_mux_reset(s->mux, s->sid, DCHAN_RESET_CANCELLED);
        chan_peer_kick(peer);
    }
}

void serve_looked(struct transfers *t, const struct outgoing *o)
{
    for (struct list_link *l = list_first(&t->serves), *next; l; l = next) {
        struct serve *s = LIST_ITEM(l, struct serve, link);
        next = list_next(&t->serves, l);
        if (s->o != o || !s->mux || s->ready || s->reading)
            continue;
        struct chan_peer *peer = s->peer;
        answer(s, FILE_BUSY);
        chan_peer_kick(peer);
    }
}

void serve_free_all(struct transfers *t)
{
    while (t->serves.n)
        serve_free(LIST_ITEM(list_first(&t->serves), struct serve, link));
}
