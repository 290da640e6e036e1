#include "node/event_serve.h"

#include <string.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "rpc/http_json.h"

#define PIECE 32768u        /* bytes of JSON that go out at once */
#define WAIT_MS 500         /* then the client is looked at again */
#define HEARTBEAT_MS 10000  /* an empty line shows both sides that the other is there */

static const char type_lines[] = "application/x-ndjson";

/* --- the query ------------------------------------------------------------------------------ */

static bool parse_number(struct span text, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9' || !mul_u64(v, 10, &v) ||
            !add_u64(v, (uint64_t)(text.data[i] - '0'), &v))
            return false;
    *out = v;
    return text.len > 0;
}

static bool parse_switch(struct span text, bool *out)
{
    *out = text.len == 1 && text.data[0] == '1';
    return text.len == 1 && (text.data[0] == '0' || text.data[0] == '1');
}

static bool parse_id(struct span text, uint8_t out[EVENT_LOG_ID_SIZE])
{
    size_t len;
    return hex_decode(out, EVENT_LOG_ID_SIZE, (const char *)text.data, text.len, &len) &&
           len == EVENT_LOG_ID_SIZE;
}

static bool is_named(struct span part, const char *name, struct span *value)
{
    size_t n = strlen(name);
    if (part.len < n || memcmp(part.data, name, n) != 0)
        return false;
    *value = span_of(part.data + n, part.len - n);
    return true;
}

static const char *parse_part(struct event_query *q, struct span part)
{
    struct span value;
    if (is_named(part, "from=", &value)) {
        q->has_from = parse_number(value, &q->from);
        return q->has_from ? NULL : "from must be the number of an event";
    }
    if (is_named(part, "follow=", &value))
        return parse_switch(value, &q->follow) ? NULL : "follow must be 0 or 1";
    if (is_named(part, "log=", &value)) {
        q->has_log = parse_id(value, q->log_id);
        return q->has_log ? NULL : "log must be the id of a log, 32 hex digits";
    }
    return "only from, follow and log are understood";
}

const char *event_query_parse(struct event_query *q, const char *text)
{
    *q = (struct event_query){ .from = 0 };
    while (text && *text) {
        size_t n = strcspn(text, "&");
        const char *wrong = parse_part(q, span_of(text, n));
        if (wrong)
            return wrong;
        text += n + (text[n] == '&');
    }
    return q->follow && !q->has_from ? "follow needs from, the number to begin at" : NULL;
}

/* --- short answers -------------------------------------------------------------------------- */

static void put_info(struct json_writer *w, struct event_log *log)
{
    struct event_log_info info;
    char id[2 * EVENT_LOG_ID_SIZE + 1];
    event_log_get_info(log, &info);
    hex_encode(id, info.id, sizeof info.id);
    jw_put_text(w, "log", id);
    jw_put_u64(w, "oldest", info.oldest);
    jw_put_u64(w, "next", info.next);
    jw_put_u64(w, "bytes", info.bytes);
}

/* text NULL: nothing is wrong. */
static void answer_object(struct event_log *log, struct http_request *r, struct buf *scratch,
                          int status, const char *text)
{
    struct http_json j;
    http_json_init(&j, r, scratch);
    jw_object_open(&j.w);
    if (text)
        jw_put_text(&j.w, "error", text);
    put_info(&j.w, log);
    jw_object_close(&j.w);
    http_json_end(&j, status);
}

/* --- events --------------------------------------------------------------------------------- */

struct stream {
    struct event_log *log;
    struct http_request *http;
    struct buf *out;
    uint64_t end;      /* first number that is not wanted */
    int64_t spoke_ms;  /* when something was last sent */
};

static enum err flush(struct stream *s)
{
    if (!s->out->len)
        return OK;
    enum err rc = http_reply_write(s->http, s->out->data, s->out->len);
    buf_reset(s->out);
    s->spoke_ms = clock_mono_ms();
    return rc;
}

static bool is_over(const struct stream *s)
{
    return http_request_ended(s->http) || event_log_is_stopping(s->log);
}

static enum err put_event(void *ctx, const struct event_record *r, struct error *e)
{
    (void)e;
    struct stream *s = ctx;
    struct json_writer w;
    if (r->number >= s->end)
        return ERR_CANCELLED;
    jw_init(&w, s->out, NULL, NULL);
    event_record_json(&w, r);
    buf_put_u8(s->out, '\n');
    if (s->out->len < PIECE)
        return OK;
    return is_over(s) ? ERR_CANCELLED : flush(s);
}

/* Waits for more; an empty line now and then. */
static enum err wait_for_more(struct stream *s, struct event_reader *reader)
{
    event_reader_wait(reader, WAIT_MS);
    if (clock_mono_ms() - s->spoke_ms < HEARTBEAT_MS)
        return OK;
    buf_put_u8(s->out, '\n');
    return flush(s);
}

/* OK: all was said, or ERR_CANCELLED: the client or the node is leaving. */
static enum err send_events(struct stream *s, struct event_reader *reader, bool follow,
                            struct error *e)
{
    enum err rc = OK;
    uint64_t n = 0;
    while (!rc && !is_over(s)) {
        rc = event_reader_next(reader, put_event, s, &n, e);
        if (!rc || rc == ERR_CANCELLED) {
            enum err sent = flush(s);
            rc = rc ? rc : sent;
        }
        if (!rc && !n && !follow)
            break;
        if (!rc && !n)
            rc = wait_for_more(s, reader);
    }
    return rc;
}

static void stream_events(struct stream *s, struct event_reader *reader, bool follow)
{
    struct error e = { .code = OK };
    http_reply_start(s->http, 200, type_lines);
    enum err rc = send_events(s, reader, follow, &e);
    if (!rc || rc == ERR_CANCELLED) {
        http_reply_finish(s->http);
        return;
    }
    if (rc == ERR_NOTFOUND)
        LOG_LIMITED(LOG_WARN, "event log: a client was slower than events are deleted (%s) and "
                    "is cut off; see -eventlogsize", e.text);
    else
        log_error("event log: %s", e.text);
    http_reply_abort(s->http);
}

static uint64_t next_event(struct event_log *log)
{
    struct event_log_info info;
    event_log_get_info(log, &info);
    return info.next;
}

static bool is_other_log(struct event_log *log, const struct event_query *q)
{
    struct event_log_info info;
    event_log_get_info(log, &info);
    return q->has_log && memcmp(info.id, q->log_id, sizeof info.id) != 0;
}

void event_serve(void *ctx, struct http_request *r, struct buf *scratch)
{
    struct event_log *log = ctx;
    struct event_query q;
    struct event_reader *reader;
    struct error e = { .code = OK };
    const char *wrong = event_query_parse(&q, http_request_query(r));
    if (wrong || !q.has_from) {
        answer_object(log, r, scratch, wrong ? 400 : 200, wrong);
        return;
    }
    if (is_other_log(log, &q)) {
        answer_object(log, r, scratch, 410, "this is another event log than the one asked for");
        return;
    }
    enum err rc = event_reader_open(log, q.from, &reader, &e);
    if (rc) {
        answer_object(log, r, scratch, rc == ERR_NOTFOUND ? 410 : 416, e.text);
        return;
    }
    struct stream s = { .log = log, .http = r, .out = scratch,
                        .end = q.follow ? UINT64_MAX : next_event(log),
                        .spoke_ms = clock_mono_ms() };
    buf_reset(scratch);
    stream_events(&s, reader, q.follow);
    event_reader_close(reader);
}
