#include "rpc/record_json.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"

/* C0, DEL, and C1 in their two bytes. */
static bool is_control(const uint8_t *p, size_t len)
{
    return p[0] < 0x20 || p[0] == 0x7f || (len == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

void jw_put_foreign_text(struct json_writer *w, const char *key, struct span text)
{
    struct buf clean;
    buf_init(&clean);
    for (size_t at = 0, n; at < text.len; at += n) {
        n = utf8_sequence(text.data + at, text.len - at);
        if (!n)
            break;
        if (!is_control(text.data + at, n))
            buf_put(&clean, text.data + at, n);
    }
    jw_key(w, key);
    jw_text_n(w, clean.len ? (const char *)clean.data : "", clean.len);
    buf_clear(&clean);
}

static void put_endpoint(struct json_writer *w, const struct bca_endpoint *e, bool proved)
{
    char text[INET6_ADDRSTRLEN];
    jw_object_open(w);
    jw_put_u64(w, "type", e->type);
    jw_put_text(w, "address", inet_ntop(AF_INET6, e->address, text, sizeof text));
    jw_put_u64(w, "port", e->port);
    jw_put_u64(w, "priority", e->priority);
    jw_put_bool(w, "proved", proved);
    jw_object_close(w);
}

void jw_record_fields(struct json_writer *w, const struct bca_record *r)
{
    jw_put_u64(w, "seq", r->seq);
    jw_put_u64(w, "issued", r->issued);
    jw_put_u64(w, "expires", r->expires);
    jw_put_bool(w, "expired", clock_now() >= (int64_t)r->expires);
    jw_put_bool(w, "tombstone", r->tombstone);
    jw_put_foreign_text(w, "alias", r->alias);
    jw_key(w, "endpoints");
    jw_array_open(w);
    for (size_t i = 0; i < r->n_endpoints; i++)
        put_endpoint(w, &r->endpoints[i], i == 0);
    jw_array_close(w);
    jw_put_hex(w, "features", r->features.data, r->features.len);
}

void jw_record(struct json_writer *w, struct span raw, const struct bca_facts *f,
               enum record_detail detail)
{
    struct bca_record r;
    (void)bca_record_read(&r, raw); /* what is stored was read before */
    jw_object_open(w);
    jw_put_hex(w, "key", r.key, sizeof r.key);
    jw_put_hex(w, "record_key", f->record_key, sizeof f->record_key);
    jw_record_fields(w, &r);
    jw_put_bool(w, "public", bca_facts_public(f));
    jw_put_bool(w, "reached", f->reached);
    jw_put_bool(w, "equivocal", f->equivocal);
    if (detail == RECORD_WHOLE) {
        jw_put_hex(w, "params", r.params.data, r.params.len);
        jw_put_hex(w, "record", raw.data, raw.len);
    }
    jw_object_close(w);
}
