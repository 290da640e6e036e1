/*
 * On disk, key 'v' | name; value: u8 version, v16 target, u8 everybody, u16 number of contacts, u64
 * id for each; with version 2, of those that have a price: u64 for a MiB, for a minute, credit.
 */
#include "p2p/services_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/reader.h"

#define VERSION_FREE 1
#define VERSION 2

void service_free(struct service *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->n_texts; i++)
        free(v->texts[i]);
    free(v->texts);
    free(v->allowed);
    free(v);
}

/* file and relay are protocols of ours; echo is what its name says. */
static bool name_is_reserved(const char *name, enum service_target_kind kind)
{
    return strcmp(name, "file") == 0 || strcmp(name, "relay") == 0 ||
           (strcmp(name, "echo") == 0 && kind != TARGET_ECHO);
}

enum err service_init(struct service *v, const char *name, const char *target, struct error *e)
{
    const enum err rc = service_target_parse(&v->target, target, e);
    if (rc)
        return rc;
    if (!dchan_service_name_ok(span_of(name, strlen(name))))
        return error_set(e, ERR_PARSE, "a service name has 1 to %d of a-z 0-9 . _ -",
                         DCHAN_SERVICE_MAX);
    if (name_is_reserved(name, v->target.kind))
        return error_set(e, ERR_RANGE, "the name \"%s\" is reserved", name);
    memcpy(v->name, name, strlen(name) + 1);
    return OK;
}

/* --- disk --- */

size_t service_key(uint8_t key[SERVICE_KEY_MAX], const char *name)
{
    key[0] = SERVICE_KEY_PREFIX;
    memcpy(key + 1, name, strlen(name));
    return 1 + strlen(name);
}

void service_put(struct buf *b, const struct service *v)
{
    const bool free = bill_price_is_zero(&v->price);
    buf_put_u8(b, free ? VERSION_FREE : VERSION);
    buf_put_v16(b, span_of(v->target.text, strlen(v->target.text)));
    buf_put_u8(b, v->everybody);
    buf_put_be16(b, (uint16_t)v->n_allowed);
    for (size_t i = 0; i < v->n_allowed; i++)
        buf_put_be64(b, v->allowed[i]);
    if (free)
        return;
    buf_put_be64(b, v->price.per_mib);
    buf_put_be64(b, v->price.per_minute);
    buf_put_be64(b, v->credit);
}

static void read_allowed(struct service *v, struct reader *r)
{
    v->everybody = read_u8(r) != 0;
    const size_t n = read_be16(r);
    if (n > SERVICE_ALLOW_MAX || r->left < 8 * n) {
        r->failed = true;
        return;
    }
    v->allowed = xcalloc(n + 1, sizeof *v->allowed);
    for (v->n_allowed = 0; v->n_allowed < n; v->n_allowed++)
        v->allowed[v->n_allowed] = read_be64(r);
}

static void read_price(struct service *v, struct reader *r)
{
    v->price.per_mib = read_be64(r);
    v->price.per_minute = read_be64(r);
    v->credit = read_be64(r);
    if (v->price.per_mib > BILL_PRICE_MAX || v->price.per_minute > BILL_PRICE_MAX ||
        v->credit > BILL_PRICE_MAX)
        r->failed = true;
}

enum err service_read(struct service *v, struct span key, struct span value, struct error *e)
{
    struct reader r;
    char name[DCHAN_SERVICE_MAX + 1] = { 0 };
    reader_init(&r, value.data, value.len);
    const uint8_t version = read_u8(&r);
    if (version > VERSION)
        return error_set(e, ERR_RANGE, "a service was written by a newer version");
    const struct span target = read_v16(&r, SERVICE_TARGET_MAX);
    read_allowed(v, &r);
    if (version > VERSION_FREE)
        read_price(v, &r);
    if (!reader_done(&r) || key.len - 1 > DCHAN_SERVICE_MAX)
        return error_set(e, ERR_CORRUPT, "a service does not have its form");
    memcpy(name, key.data + 1, key.len - 1);
    char *text = xstrndup((const char *)target.data, target.len);
    const enum err rc = service_init(v, name, text, e);
    free(text);
    return rc ? error_prefix(e, ERR_CORRUPT, "a stored service") : OK;
}
