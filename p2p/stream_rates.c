#include "p2p/stream_rates.h"

#include <string.h>

#define FORM "-channelrate=%.100s: service,bytes,milliseconds is needed, as in voice,512,20"

/* Digits up to `end`, which *text is moved behind; a number that is too large stays so. */
static bool read_number(const char **text, char end, unsigned *out)
{
    const char *p = *text;
    *out = 0;
    for (; *p >= '0' && *p <= '9'; p++)
        *out = *out > 100000 ? *out : 10 * *out + (unsigned)(*p - '0');
    if (p == *text || *p != end)
        return false;
    *text = p + 1;
    return true;
}

static enum err read_one(struct stream_rates *r, const char *text, struct error *e)
{
    const char *comma = strchr(text, ','), *rest = comma ? comma + 1 : NULL;
    const size_t len = comma ? (size_t)(comma - text) : 0;
    struct stream_rate *v = &r->v[r->n];
    unsigned bytes, interval_ms;
    if (!comma || !dchan_service_name_ok(span_of(text, len)) || !read_number(&rest, ',', &bytes) ||
        !read_number(&rest, '\0', &interval_ms))
        return error_set(e, ERR_PARSE, FORM, text);
    memcpy(v->service, text, len);
    v->service[len] = '\0';
    if (stream_rates_find(r, v->service))
        return error_set(e, ERR_RANGE, "-channelrate=%.100s: the service has one already", text);
    if (!dchan_rate_make(&v->rate, bytes, interval_ms))
        return error_set(e, ERR_RANGE,
                         "-channelrate=%.100s: bytes are a multiple of %d up to %d, milliseconds "
                         "%d to %d", text, DCHAN_PAD_CLASS, DCHAN_PAD_UNIT_MAX,
                         DCHAN_RATE_MS_MIN, DCHAN_RATE_MS_MAX);
    r->n++;
    return OK;
}

enum err stream_rates_read(struct stream_rates *out, const struct net_strings *specs,
                           struct error *e)
{
    enum err rc = OK;
    out->n = 0;
    if (specs->n > STREAM_RATES_MAX)
        return error_set(e, ERR_RANGE, "-channelrate: at most %d", STREAM_RATES_MAX);
    for (size_t i = 0; i < specs->n && !rc; i++)
        rc = read_one(out, specs->v[i], e);
    return rc;
}

const struct dchan_rate *stream_rates_find(const struct stream_rates *r, const char *service)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->v[i].service, service) == 0)
            return &r->v[i].rate;
    return NULL;
}
