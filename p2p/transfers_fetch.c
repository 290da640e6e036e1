/*
 * Asking sources for what is missing. Each has one stream at a time, and a second one shortly
 * before the first ends, so that an interruption costs the rest of one chunk. What a source is
 * asked for grows with its speed; when nothing is left that nobody was asked for, an idle source
 * helps the one that has the most before it, at most two for a chunk.
 *
 * Chunks go to the writers as soon as these are idle, several together while they are not. Bytes
 * count as taken when they come, as a chunk may be larger than a window, but not while two blocks
 * of the stream wait for the disk: from then on the window bounds what comes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "p2p/transfers_internal.h"

#define RETRY_MS 2000         /* a source that is busy */
#define RETRY_REFUSED_MS 60000
#define RANGE_MIN (1u << 20)
#define RANGE_MAX (64u << 20)
#define RANGE_SECONDS 4
#define NEAR_END (1u << 20)   /* bytes before the end of a range: the next one is asked for */
#define WRITES_EARLY 2
#define BAD_CHUNK_SCORE 50

static uint64_t now_of(const struct incoming *in) { return channels_now(in->t->channels); }

static uint32_t end_of(const struct fetch *f) { return f->first + f->count; }

/* --- what is asked --- */

static void unask(struct incoming *in, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; in->asked && i < to; i++)
        in->asked[i]--;
    in->search = MIN_OF(in->search, from);
}

static void fetch_free(struct fetch *f)
{
    struct incoming *in = f->in;
    if (f->what == FILE_CHUNKS)
        unask(in, f->first, end_of(f));
    list_remove(&in->fetches, &f->link);
    free(f->block);
    free(f);
}

/* Who uses it: its stream, each write, and a call of ours that goes on with it. */
static void fetch_unuse(struct fetch *f)
{
    if (--f->users == 0)
        fetch_free(f);
}

static void retry_later(struct fetch *f, uint64_t after_ms)
{
    if (f->source)
        f->source->retry_ms = now_of(f->in) + after_ms;
}

static void end_fetch(struct fetch *f, enum dchan_reset code)
{
    struct chan_peer *peer = f->peer;
    if (!f->mux)
        return;
    dchan_mux_reset(f->mux, f->sid, code);
    chan_peer_kick(peer);
}

void fetch_blame(struct fetch *f, const char *what)
{
    struct source *s = f->source;
    struct chan_peer *peer = s ? s->peer : NULL;
    char id[17];
    if (f->bad)
        return;
    f->bad = true;
    hex_encode(id, f->in->id, 8);
    if (s) {
        s->bad++;
        s->banned = s->banned || s->bad >= f->in->t->config.bad_chunks;
        source_store(f->in->t, f->in, s);
        LOG_LIMITED(LOG_WARN, "files: %s of %s... from %s%s", what, id,
                    peer && chan_peer_contact(peer) ? chan_peer_contact(peer)->alias : "a peer",
                    s->banned ? "; it is not asked for this file any more" : "");
    }
    end_fetch(f, DCHAN_RESET_CANCELLED);
    if (peer)
        chan_peer_score(peer, BAD_CHUNK_SCORE, what);
}

/* --- what comes --- */

static uint32_t chunks_in_block(const struct incoming *in)
{
    return MAX_OF(FILE_BLOCK >> in->chunk_log2, 1u);
}

static uint64_t place_of(const struct incoming *in, uint32_t chunk)
{
    return MIN_OF((uint64_t)chunk << in->chunk_log2, in->size);
}

static bool start_block(struct fetch *f)
{
    const struct incoming *in = f->in;
    const uint32_t last = MIN_OF(f->next + chunks_in_block(in), end_of(f));
    f->block_first = f->next;
    f->block_len = 0;
    f->block_cap = f->what == FILE_LEAVES
                       ? 32 * (size_t)f->count
                       : (size_t)(place_of(in, last) - place_of(in, f->next));
    f->block = try_alloc(1, f->block_cap);
    return f->block != NULL;
}

/* Complete chunks at the start of the block. */
static size_t whole_bytes(const struct fetch *f)
{
    return (size_t)(place_of(f->in, f->next) - place_of(f->in, f->block_first));
}

/* Hands complete chunks to a writer; the beginning of one that is not stays. */
static void write_whole(struct fetch *f)
{
    uint8_t *block = f->block;
    const size_t whole = whole_bytes(f), rest = f->block_len - whole;
    disk_write(f, f->block_first, f->next - f->block_first, block);
    f->block = NULL;
    f->block_len = 0;
    if (!rest)
        return;
    if (start_block(f)) {
        memcpy(f->block, block + whole, rest);
        f->block_len = rest;
    } else {
        end_fetch(f, DCHAN_RESET_LOCAL);
    }
}

static void write_if_idle(struct fetch *f)
{
    if (f->block && f->next > f->block_first && f->writes == 0)
        write_whole(f);
}

static void block_grew(struct fetch *f)
{
    if (f->what == FILE_LEAVES) {
        if (f->block_len == f->block_cap)
            disk_leaves(f);
        return;
    }
    while (f->next < end_of(f) &&
           f->block_len >= place_of(f->in, f->next + 1) - place_of(f->in, f->block_first))
        f->next++;
    if (f->block_len == f->block_cap)
        write_whole(f);
    else
        write_if_idle(f);
}

static void take_bytes(struct fetch *f, struct span data)
{
    while (data.len && f->mux) {
        if ((f->what == FILE_CHUNKS && f->next == end_of(f)) || f->has_leaves) {
            fetch_blame(f, "more than was asked");
            return;
        }
        if (!f->block && !start_block(f)) {
            end_fetch(f, DCHAN_RESET_LOCAL);
            return;
        }
        const size_t n = MIN_OF(data.len, f->block_cap - f->block_len);
        memcpy(f->block + f->block_len, data.data, n);
        f->block_len += n;
        data = span_of(data.data + n, data.len - n);
        block_grew(f);
    }
}

static void count_bytes(struct fetch *f, size_t n)
{
    f->in->brought += n;
    if (f->what != FILE_CHUNKS)
        return;
    f->in->transferred += n;
    f->in->got.bytes += n;
    if (f->source)
        f->source->got.bytes += n;
}

static void refused(struct fetch *f, uint8_t status)
{
    struct incoming *in = f->in;
    struct source *s = f->source;
    retry_later(f, status == FILE_BUSY ? RETRY_MS : RETRY_REFUSED_MS);
    if (status == FILE_BUSY)
        purchase_refused(in, s);
    end_fetch(f, DCHAN_RESET_CANCELLED);
    if (status == FILE_CHANGED && s)
        incoming_lost_source(in, s, TRANSFER_CHANGED, CANCEL_CHANGED);
    else
        fetch_more(in);
}

/* Bytes that may be told as taken now. */
static size_t taken_at_once(const struct fetch *f)
{
    return f->what == FILE_CHUNKS && f->writes >= WRITES_EARLY ? 0 : f->unread;
}

static void tell_taken(struct fetch *f, size_t n)
{
    if (!f->mux || !n)
        return;
    n = MIN_OF(n, f->unread);
    f->unread -= n;
    dchan_mux_consumed(f->mux, f->sid, n, now_of(f->in));
}

static void on_data(void *ctx, struct span data)
{
    struct fetch *f = ctx;
    struct incoming *in = f->in;
    const size_t head = !f->has_status && data.len;
    f->users++;
    in->jobs++;
    f->unread += data.len;
    f->progress_ms = now_of(in);
    f->has_status |= head > 0;
    if (head && data.data[0] != FILE_OK) {
        refused(f, data.data[0]);
    } else {
        count_bytes(f, data.len - head);
        take_bytes(f, span_of(data.data + head, data.len - head));
        tell_taken(f, MAX_OF(taken_at_once(f), head));
    }
    fetch_unuse(f);
    (void)incoming_job_ended(in);
}

static bool has_all(const struct fetch *f)
{
    if (f->what == FILE_LEAVES)
        return f->has_leaves;
    return f->has_status && f->next == end_of(f);
}

static void on_fin(void *ctx)
{
    struct fetch *f = ctx;
    if (has_all(f))
        return;
    retry_later(f, RETRY_MS);
    end_fetch(f, DCHAN_RESET_CANCELLED);
}

static size_t on_pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    struct fetch *f = ctx;
    uint8_t request[FILE_REQUEST_SIZE];
    memcpy(request, f->in->id, 32);
    request[32] = (uint8_t)f->what;
    be32_put(request + 33, f->first);
    be32_put(request + 37, f->count);
    const size_t n = MIN_OF(max, sizeof request - f->request_sent);
    memcpy(out, request + f->request_sent, n);
    f->request_sent += n;
    *end = f->request_sent == sizeof request;
    return n;
}

/* What came whole is still written; the rest can be asked for again. */
static void leave_rest(struct fetch *f)
{
    if (f->what != FILE_CHUNKS)
        return;
    unask(f->in, f->next, end_of(f));
    f->count = f->next - f->first;
    if (f->block && f->next > f->block_first && f->in->open && !f->bad) {
        f->block_len = whole_bytes(f);
        write_whole(f);
    }
    free(f->block);
    f->block = NULL;
}

static void on_closed(void *ctx, unsigned code)
{
    struct fetch *f = ctx;
    struct incoming *in = f->in;
    in->jobs++;
    f->mux = NULL;
    if (f->source) {
        f->source->streams--;
        if (code && code != DCHAN_RESET_TRUNCATED && f->source->retry_ms <= now_of(in) && !f->bad)
            retry_later(f, RETRY_MS);
    }
    leave_rest(f);
    fetch_unuse(f);
    if (incoming_job_ended(in))
        fetch_more(in);
}

static const struct dchan_stream_ops stream_ops = {
    .data = on_data, .fin = on_fin, .pull = on_pull, .closed = on_closed,
};

static bool open_fetch(struct incoming *in, struct source *s, enum file_what what, uint32_t first,
                       uint32_t count)
{
    const struct dchan_open o = { .service = span_of(FILE_SERVICE, sizeof FILE_SERVICE - 1),
                                  .priority = FILE_PRIORITY };
    struct fetch *f = xcalloc(1, sizeof *f);
    *f = (struct fetch){ .in = in, .source = s, .peer = s->peer, .what = what, .first = first,
                         .count = count, .next = first, .users = 1, .progress_ms = now_of(in) };
    f->mux = chan_peer_mux(s->peer);
    if (!f->mux || dchan_mux_open(f->mux, &o, &stream_ops, f, now_of(in), &f->sid)) {
        free(f);
        return false;
    }
    list_append(&in->fetches, &f->link);
    s->streams++;
    s->got_ms = f->progress_ms;
    for (uint32_t i = first; what == FILE_CHUNKS && i < end_of(f); i++)
        in->asked[i]++;
    dchan_mux_wake(f->mux, f->sid);
    chan_peer_kick(s->peer);
    return true;
}

/* --- whom and for what --- */

static bool is_usable(const struct incoming *in, const struct source *s)
{
    return s->accepted && !s->banned && !s->untold && s->peer && chan_peer_mux(s->peer) &&
           now_of(in) >= s->retry_ms && purchase_may_ask(in, s);
}

static bool is_wanted(const struct incoming *in, uint32_t i, unsigned asked)
{
    return !bit_get(in->have, i) && in->asked[i] == asked;
}

static uint32_t range_chunks(const struct incoming *in, const struct source *s)
{
    const uint64_t least = MAX_OF(in->size / 64, (uint64_t)RANGE_MIN);
    const uint64_t bytes = in->sources.n == 1
                               ? RANGE_MAX
                               : MIN_OF(MAX_OF(s->got.rate * RANGE_SECONDS, least),
                                        (uint64_t)RANGE_MAX);
    return (uint32_t)MAX_OF(bytes >> in->chunk_log2, UINT64_C(1));
}

/* Chunks from `from` on in a row of which this many streams were asked. */
static uint32_t run_from(const struct incoming *in, uint32_t from, uint32_t limit, unsigned asked)
{
    uint32_t n = 0;
    while (n < limit && from + n < in->n && is_wanted(in, from + n, asked))
        n++;
    return n;
}

static bool ask_new(struct incoming *in, struct source *s)
{
    while (in->search < in->n && !is_wanted(in, in->search, 0))
        in->search++;
    const uint32_t n = run_from(in, in->search, range_chunks(in, s), 0);
    return n && open_fetch(in, s, FILE_CHUNKS, in->search, n);
}

/* Chunks that a stream is to bring and nobody else was asked for. */
static uint32_t count_missing(const struct fetch *f)
{
    uint32_t n = 0;
    for (uint32_t i = f->next; i < end_of(f); i++)
        n += is_wanted(f->in, i, 1);
    return n;
}

/* The later half of them. */
static bool help(struct incoming *in, struct source *s, const struct fetch *f, uint32_t missing)
{
    uint32_t i = f->next;
    for (uint32_t skip = missing / 2; !is_wanted(in, i, 1) || skip--;)
        i++;
    return open_fetch(in, s, FILE_CHUNKS, i, run_from(in, i, end_of(f) - i, 1));
}

/* What somebody else has before it, of whom has the most. */
static bool ask_again(struct incoming *in, struct source *s)
{
    const struct fetch *slowest = NULL;
    uint32_t most = 0;
    if (s->streams || s->price) /* a chunk that comes twice is paid twice */
        return false;
    for (struct list_link *l = list_first(&in->fetches); l; l = list_next(&in->fetches, l)) {
        const struct fetch *f = LIST_ITEM(l, struct fetch, link);
        const uint32_t n = f->what == FILE_CHUNKS && f->mux ? count_missing(f) : 0;
        if (n > most) {
            slowest = f;
            most = n;
        }
    }
    return slowest && help(in, s, slowest, most);
}

static bool is_near_end(const struct fetch *f)
{
    return place_of(f->in, end_of(f)) - place_of(f->in, f->next) <= NEAR_END;
}

/* Has a stream that is not near its end, or two. */
static bool is_busy(const struct incoming *in, const struct source *s)
{
    unsigned n = 0;
    for (struct list_link *l = list_first(&in->fetches); l; l = list_next(&in->fetches, l)) {
        const struct fetch *f = LIST_ITEM(l, struct fetch, link);
        if (f->source != s || !f->mux)
            continue;
        if (!is_near_end(f) || ++n > 1)
            return true;
    }
    return false;
}

static size_t live_streams(const struct incoming *in)
{
    size_t n = 0;
    for (struct list_link *l = list_first(&in->fetches); l; l = list_next(&in->fetches, l))
        n += LIST_ITEM(l, struct fetch, link)->mux != NULL;
    return n;
}

static bool ask(struct incoming *in, struct source *s)
{
    if (!in->has_leaves)
        return in->fetches.n == 0 && open_fetch(in, s, FILE_LEAVES, 0, in->n);
    return !is_busy(in, s) && (ask_new(in, s) || ask_again(in, s));
}

void fetch_more(struct incoming *in)
{
    bool usable = false;
    if (in->state != TRANSFER_RUNNING || in->gone || in->finishing || in->closing)
        return;
    for (struct list_link *l = list_first(&in->sources); l; l = list_next(&in->sources, l)) {
        struct source *s = LIST_ITEM(l, struct source, link);
        if (!is_usable(in, s))
            continue;
        usable = true;
        if (!in->open) {
            disk_open(in);
            return;
        }
        if (live_streams(in) < in->t->config.streams && in->n_have < in->n)
            (void)ask(in, s);
    }
    if (in->pause == TRANSFER_GOES_ON || in->pause == TRANSFER_NO_SOURCE ||
        (in->pause == TRANSFER_QUEUED && !usable && !in->whole))
        in->pause = usable || in->fetches.n ? TRANSFER_GOES_ON : TRANSFER_NO_SOURCE;
}

/* --- later --- */

static bool is_in_vain(const struct fetch *f)
{
    for (uint32_t i = f->next; i < end_of(f); i++)
        if (!bit_get(f->in->have, i))
            return false;
    return f->next < end_of(f);
}

/* Others brought all that is left of a stream. */
static void end_those_in_vain(struct incoming *in)
{
    for (struct list_link *l = list_first(&in->fetches), *next; l; l = next) {
        struct fetch *f = LIST_ITEM(l, struct fetch, link);
        next = list_next(&in->fetches, l);
        if (f->what == FILE_CHUNKS && f->mux && in->asked[end_of(f) - 1] > 1 && is_in_vain(f))
            end_fetch(f, DCHAN_RESET_CANCELLED);
    }
}

void fetch_written(struct fetch *f)
{
    struct incoming *in = f->in;
    struct chan_peer *peer = f->mux ? f->peer : NULL;
    f->writes--;
    f->progress_ms = now_of(in);
    write_if_idle(f);
    tell_taken(f, taken_at_once(f));
    if (in->open && in->sources.n > 1)
        end_those_in_vain(in);
    if (f->mux && is_near_end(f))
        fetch_more(in);
    fetch_unuse(f);
    if (peer)
        chan_peer_kick(peer);
}

void fetch_reset_all(struct incoming *in, enum dchan_reset code)
{
    for (struct list_link *l = list_first(&in->fetches), *next; l; l = next) {
        next = list_next(&in->fetches, l);
        end_fetch(LIST_ITEM(l, struct fetch, link), code);
    }
}

void fetch_tick(struct incoming *in, uint64_t now_ms)
{
    for (struct list_link *l = list_first(&in->fetches), *next; l; l = next) {
        struct fetch *f = LIST_ITEM(l, struct fetch, link);
        next = list_next(&in->fetches, l);
        if (f->mux && now_ms - f->progress_ms >= in->t->config.idle_ms)
            end_fetch(f, DCHAN_RESET_IDLE);
    }
}
