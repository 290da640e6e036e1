/* sendmessage, listmessages, readmessage: messages of direct channels. */
#include <config.h>

#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "p2p/message_page.h"
#include "rpc/channel_call.h"
#include "rpc/params.h"

#define COUNT_DEFAULT 10

/* --- sendmessage ---------------------------------------------------------------------------- */

struct draft {
    struct message_sending sending;
    struct buf body; /* of hex */
};

static bool set_text(struct rpc_call *call, struct draft *d, struct json_object *text)
{
    d->sending.draft.body = span_of(json_object_get_string(text),
                                    (size_t)json_object_get_string_len(text));
    if (utf8_valid(d->sending.draft.body.data, d->sending.draft.body.len))
        return true;
    rpc_fail(call, RPC_INVALID_PARAMETER, "the text is no UTF-8: send its bytes as hex");
    return false;
}

static bool set_hex(struct rpc_call *call, struct draft *d, struct json_object *hex)
{
    const size_t digits = (size_t)json_object_get_string_len(hex);
    size_t len;
    if (!buf_try_reserve(&d->body, digits / 2 + 1) ||
        !hex_decode(d->body.data, digits / 2, json_object_get_string(hex), digits, &len)) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "hex: an even number of hex digits is wanted");
        return false;
    }
    d->sending.draft.body = span_of(d->body.data, len);
    return true;
}

/* {type, text|hex} */
static bool set_content(struct rpc_call *call, struct draft *d, struct json_object *o)
{
    enum { TYPE, TEXT, HEX };
    static const struct rpc_member members[] = {
        { "type", RPC_TEXT, RPC_OPTIONAL },
        { "text", RPC_MESSAGE, RPC_OPTIONAL },
        { "hex", RPC_HEX, RPC_OPTIONAL },
    };
    struct json_object *v[COUNT_OF(members)];
    if (!rpc_members(call, o, "", members, COUNT_OF(members), v))
        return false;
    if (!v[TEXT] == !v[HEX]) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "either text or hex is wanted");
        return false;
    }
    if (v[TYPE])
        d->sending.draft.content_type = span_of(json_object_get_string(v[TYPE]),
                                                (size_t)json_object_get_string_len(v[TYPE]));
    return v[TEXT] ? set_text(call, d, v[TEXT]) : set_hex(call, d, v[HEX]);
}

static bool set_body(struct rpc_call *call, struct draft *d)
{
    struct json_object *v = call->argv[1];
    switch (json_object_get_type(v)) {
    case json_type_string:
        return set_text(call, d, v);
    case json_type_object:
        return set_content(call, d, v);
    case json_type_null:
    case json_type_boolean:
    case json_type_double:
    case json_type_int:
    case json_type_array:
        break;
    }
    rpc_fail(call, RPC_TYPE_ERROR, "message: a text or an object is wanted");
    return false;
}

static bool set_id(struct rpc_call *call, const char *name, struct json_object *v, bool *has,
                   uint8_t id[MESSAGE_ID_SIZE])
{
    size_t len = 0;
    *has = v != NULL;
    if (!v || (hex_decode(id, MESSAGE_ID_SIZE, json_object_get_string(v),
                          (size_t)json_object_get_string_len(v), &len) && len == MESSAGE_ID_SIZE))
        return true;
    rpc_fail(call, RPC_INVALID_PARAMETER, "%s: the id of a message is wanted, %d hex digits", name,
             2 * MESSAGE_ID_SIZE);
    return false;
}

static bool set_options(struct rpc_call *call, struct message_draft *d)
{
    enum { TTL, REPLY_TO, THREAD };
    static const struct rpc_member members[] = {
        { "ttl", RPC_INT, RPC_OPTIONAL },
        { "reply_to", RPC_TEXT, RPC_OPTIONAL },
        { "thread", RPC_TEXT, RPC_OPTIONAL },
    };
    struct json_object *v[COUNT_OF(members)];
    int64_t ttl = 0;
    if (!rpc_has(call, 2))
        return true;
    if (!rpc_members(call, call->argv[2], "", members, COUNT_OF(members), v) ||
        (v[TTL] && !rpc_in_range(call, "", "ttl", v[TTL], 1, MESSAGES_TTL_MAX, &ttl)))
        return false;
    d->ttl = (uint32_t)ttl;
    return set_id(call, "reply_to", v[REPLY_TO], &d->has_reply_to, d->reply_to) &&
           set_id(call, "thread", v[THREAD], &d->has_thread, d->thread);
}

static struct rpc_result cmd_sendmessage(struct rpc_call *call)
{
    struct channels *c = rpc_channels(call);
    if (!c)
        return rpc_failed(call);
    struct draft *d = xcalloc(1, sizeof *d);
    d->sending.contact = rpc_text(call, 0, "");
    buf_init(&d->body);
    const bool good = set_body(call, d) && set_options(call, &d->sending.draft) &&
                      rpc_channel_ask(call, c, message_part_send, &d->sending.r);
    if (good) {
        jw_object_open(call->out);
        jw_put_hex(call->out, "id", d->sending.id, sizeof d->sending.id);
        jw_put_u64(call->out, "number", d->sending.number);
        jw_object_close(call->out);
    }
    buf_clear(&d->body);
    free(d);
    return good ? rpc_done() : rpc_failed(call);
}

/* --- listmessages --------------------------------------------------------------------------- */

/* Without a type it is of the default one, which is text (spec channels 5). */
static bool is_text(const struct message_head *h, const struct buf *body)
{
    const bool said = h->content_type_len >= 5 && memcmp(h->content_type, "text/", 5) == 0;
    return (said || h->content_type_len == 0) && utf8_valid(body->data, body->len);
}

static void put_seconds(struct json_writer *w, const char *name, uint64_t ms)
{
    if (ms)
        jw_put_u64(w, name, ms / 1000);
}

static void put_order(struct json_writer *w, const struct message_head *h)
{
    if (h->has_seq)
        jw_put_u64(w, "seq", h->seq);
    if (h->missing)
        jw_put_u64(w, "missing", h->missing);
    if (h->late)
        jw_put_bool(w, "late", true);
    if (h->reset)
        jw_put_bool(w, "history_reset", true);
    if (h->has_reply_to)
        jw_put_hex(w, "reply_to", h->reply_to, sizeof h->reply_to);
    if (h->has_thread)
        jw_put_hex(w, "thread", h->thread, sizeof h->thread);
}

static void put_body(struct json_writer *w, const struct message_head *h, const struct buf *body)
{
    jw_key(w, "type");
    jw_text_n(w, (const char *)h->content_type, h->content_type_len);
    jw_put_u64(w, "size", body->len);
    if (!is_text(h, body)) {
        jw_put_hex(w, "hex", body->data, body->len);
        return;
    }
    jw_key(w, "text");
    jw_text_n(w, (const char *)body->data, body->len);
}

static void put_message(struct json_writer *w, const struct message_shown *m,
                        const struct buf *body)
{
    const struct message_head *h = &m->head;
    jw_object_open(w);
    jw_put_u64(w, "number", h->number);
    jw_put_hex(w, "id", h->id, sizeof h->id);
    jw_put_text(w, "direction", h->ours ? "out" : "in");
    if (m->who[0])
        jw_put_text(w, "contact", m->who);
    jw_put_hex(w, "key", h->key, sizeof h->key);
    if (!h->contact)
        jw_put_bool(w, "stranger", true);
    jw_put_text(w, "state", message_state_name(h->state));
    if (h->code)
        jw_put_u64(w, "code", h->code);
    put_seconds(w, "created", h->created_ms);
    put_seconds(w, h->ours ? "queued" : "received", h->stored_ms);
    put_seconds(w, "ended", h->ended_ms);
    put_seconds(w, "read", h->read_ms);
    jw_put_u64(w, "ttl", h->ttl);
    put_order(w, h);
    put_body(w, h, body);
    jw_object_close(w);
}

/* One whose body has left meanwhile is left out. */
static enum err put_messages(struct rpc_call *call, struct kv *kv,
                             const struct message_showing *s, struct error *e)
{
    struct buf body;
    enum err rc = OK;
    buf_init(&body);
    jw_key(call->out, "messages");
    jw_array_open(call->out);
    for (size_t i = 0; i < s->n && !rc; i++) {
        rc = message_body_load(kv, s->all[i].head.number, &body, e);
        if (!rc)
            put_message(call->out, &s->all[i], &body);
        else if (rc == ERR_NOTFOUND)
            rc = OK;
    }
    jw_array_close(call->out);
    buf_clear(&body);
    return rc;
}

static struct rpc_result put_page(struct rpc_call *call, struct kv *kv,
                                  const struct message_showing *s)
{
    struct json_writer *w = call->out;
    struct error e = { .code = OK };
    jw_object_open(w);
    const enum err rc = put_messages(call, kv, s, &e);
    jw_put_u64(w, "requests", s->stats.box);
    jw_put_u64(w, "outbox", s->stats.outbox);
    jw_put_u64(w, "outbox_bytes", s->stats.outbox_bytes);
    jw_put_u64(w, "kept_bytes", s->stats.kept_bytes);
    if (s->stats.disk_trouble)
        jw_put_text(w, "warning", s->stats.disk_error.text);
    jw_object_close(w);
    return rc ? rpc_channel_fail(call, &e) : rpc_done();
}

static bool given_up(void *ctx) { return rpc_given_up(ctx); }

/* False: call has failed. */
static bool find_contact(struct rpc_call *call, struct channels *c, struct message_whose *w)
{
    struct error e;
    w->contact = rpc_text(call, 0, "");
    if (!channels_call(c, message_part_find, w))
        rpc_fail(call, RPC_MISC_ERROR, "direct channels have stopped");
    else if (!w->found) {
        contact_unknown(w->contact, &e);
        rpc_fail(call, RPC_NOT_FOUND, "%s", e.text);
    }
    return w->found;
}

static struct rpc_result list(struct rpc_call *call, struct channels *c,
                              const struct message_page *page)
{
    struct message_showing s = { .all = xcalloc(page->count, sizeof *s.all) };
    struct kv *kv = dchan_store_kv(channels_store(c));
    struct error e = { .code = OK };
    struct rpc_result result;
    if (message_page_load(kv, page, s.all, &s.n, &e))
        result = rpc_channel_fail(call, &e);
    else if (!channels_call(c, message_part_show, &s))
        result = rpc_fail(call, RPC_MISC_ERROR, "direct channels have stopped");
    else
        result = put_page(call, kv, &s);
    free(s.all);
    return result;
}

static struct rpc_result cmd_listmessages(struct rpc_call *call)
{
    struct channels *c = rpc_channels(call);
    struct message_whose whose = { .found = false };
    const int64_t count = rpc_int(call, 1, COUNT_DEFAULT), from = rpc_int(call, 2, 0);
    if (!c)
        return rpc_failed(call);
    if (count < 1 || count > MESSAGE_PAGE_MAX)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "count: 1 to %d is wanted", MESSAGE_PAGE_MAX);
    if (from < 0)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "from: the number of a message is wanted");
    const bool one = *rpc_text(call, 0, "");
    if (one && !find_contact(call, c, &whose))
        return rpc_failed(call);
    const struct message_page page = { .whose = one ? &whose : NULL, .from = (uint64_t)from,
                                       .count = (size_t)count, .given_up = given_up, .ctx = call };
    return list(call, c, &page);
}

/* --- readmessage ---------------------------------------------------------------------------- */

static struct rpc_result cmd_readmessage(struct rpc_call *call)
{
    struct channels *c = rpc_channels(call);
    const int64_t number = rpc_int(call, 0, 0);
    if (!c)
        return rpc_failed(call);
    if (number < 1)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "number: of a message is wanted");
    struct message_marking *k = xcalloc(1, sizeof *k);
    k->number = (uint64_t)number;
    k->receipt = rpc_bool(call, 1, true);
    const bool good = rpc_channel_ask(call, c, message_part_mark, &k->r);
    free(k);
    if (!good)
        return rpc_failed(call);
    jw_null(call->out);
    return rpc_done();
}

static const struct rpc_command rows[] = {
    { .name = "sendmessage",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_sendmessage,
      .help = "Sends a message to a contact. It answers as soon as the message is on disk; from "
              "there it is sent until the contact has it on its own disk, or its time is over. "
              "Connects when there is no session. What is larger than 60,000 bytes is a file.",
      .result = "{id, number}",
      .example = "bob \"good morning\"",
      .params = { { "contact", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Its alias or key" },
                  { "message", RPC_ANY, RPC_REQUIRED, RPC_CLI_TEXT,
                    "A text; or {type, text|hex} with another content type than "
                    "text/plain;utf-8, of at most 64 bytes" },
                  { "options", RPC_OBJECT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "{ttl: seconds until it is given up, at most 30 days (7 days), reply_to: id "
                    "of a message, thread: id of its first message}" } } },
    { .name = "listmessages",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_listmessages,
      .help = "Messages of direct channels, ours and theirs, by rising numbers; one that came late "
              "stands where its sender sent it. Messages of who is no contact (stranger) wait as "
              "requests until readmessage takes them out. missing: so many before it had not come "
              "when it did. history_reset: the sender has used its seq before, as after the loss "
              "of its disk. Of a refused message code says why: 2 not wanted, 4 too large.",
      .result = "{messages:[{number, id, direction:\"in\" or \"out\", contact (when there is one), "
                "key, stranger (when it is one), state:\"unread\" or \"read\"; of ours \"queued\", "
                "\"sent\", \"delivered\", \"read\", \"refused\", \"expired\" or \"cancelled\", "
                "code, created, queued or received, ended, read (seconds since 1970), ttl, seq, "
                "missing, late, history_reset, reply_to, thread, type, size, text or hex}...], "
                "requests, outbox, outbox_bytes, kept_bytes, warning (when the disk takes "
                "nothing)}",
      .example = "bob 20",
      .params = { { "contact", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "Its alias or key [\"\": everybody]" },
                  { "count", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON, "At most so many, to 1000 [10]" },
                  { "from", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Begin at this number [0: the newest ones]" } } },
    { .name = "readmessage",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_readmessage,
      .help = "Marks a message that was received as read, and tells its sender so, in the next "
              "session when there is none now.",
      .result = "null",
      .example = "12",
      .params = { { "number", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON, "Of listmessages" },
                  { "receipt", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Tell its sender [true]" } } },
};
const struct rpc_group rpc_message_commands = { rows, COUNT_OF(rows) };
