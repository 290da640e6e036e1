#include "rpc/http_json.h"

const char http_type_json[] = "application/json";

static enum err sink(void *ctx, const void *data, size_t len)
{
    struct http_json *j = ctx;
    if (j->w.out->secret)
        http_request_set_secret(j->http);
    if (!j->started)
        http_reply_start(j->http, 200, http_type_json);
    j->started = true;
    return http_reply_write(j->http, data, len);
}

void http_json_init(struct http_json *j, struct http_request *http, struct buf *out)
{
    buf_reset(out);
    j->http = http;
    j->started = false;
    jw_init(&j->w, out, sink, j);
}

void http_json_end(struct http_json *j, int status)
{
    buf_put_u8(j->w.out, '\n');
    if (!j->started) {
        if (j->w.out->secret)
            http_request_set_secret(j->http);
        http_reply(j->http, status, http_type_json, j->w.out->data, j->w.out->len);
        return;
    }
    jw_flush(&j->w);
    if (j->w.failed)
        http_reply_abort(j->http);
    else
        http_reply_finish(j->http);
}

void http_json_forget(struct http_json *j)
{
    buf_reset(j->w.out);
    j->w.out->secret = false;
}

bool http_json_take_back(struct http_json *j)
{
    if (j->started)
        http_reply_abort(j->http);
    return !j->started;
}
