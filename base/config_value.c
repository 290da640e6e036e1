/* The values of options: reading them, and saying what is allowed. */
#include "base/config_internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/intmath.h"
#include "base/mem.h"

#define SATOSHIS_PER_COIN INT64_C(100000000)

bool option_word_in_list(const char *list, const char *name)
{
    size_t len = strlen(name);
    while (list && *list) {
        size_t word = strcspn(list, "|");
        if (word == len && memcmp(list, name, len) == 0)
            return true;
        list += word + (list[word] == '|');
    }
    return false;
}

static bool parse_digits(const char **p, uint64_t *out)
{
    if (!isdigit((unsigned char)**p))
        return false;
    uint64_t v = 0;
    for (; isdigit((unsigned char)**p); (*p)++)
        if (!mul_u64(v, 10, &v) || !add_u64(v, (uint64_t)(**p - '0'), &v))
            return false;
    *out = v;
    return true;
}

static bool parse_int(const char *text, int64_t *out)
{
    bool negative = *text == '-';
    const char *p = text + negative;
    uint64_t v;
    if (!parse_digits(&p, &v) || *p || v > (uint64_t)INT64_MAX)
        return false;
    *out = negative ? -(int64_t)v : (int64_t)v;
    return true;
}

bool option_bool(const char *text, bool *out)
{
    static const char *const words[2][4] = { { "false", "no", "off", "0" },
                                             { "true", "yes", "on", "" } };
    for (int v = 0; v < 2; v++)
        for (size_t i = 0; i < COUNT_OF(words[v]); i++)
            if (strcasecmp(text, words[v][i]) == 0) {
                *out = v;
                return true;
            }
    int64_t n;
    if (!parse_int(text, &n))
        return false;
    *out = n != 0;
    return true;
}

static const struct { const char *suffix; uint64_t bytes; } size_units[] = {
    { "TiB", UINT64_C(1) << 40 }, { "GiB", UINT64_C(1) << 30 }, { "MiB", 1u << 20 },
    { "KiB", 1u << 10 }, { "TB", UINT64_C(1000000000000) }, { "GB", 1000000000u },
    { "MB", 1000000u }, { "kB", 1000u }, { "B", 1u },
};

static bool parse_size(const char *text, uint64_t unit, int64_t *out)
{
    const char *p = text;
    uint64_t v, factor = 0;
    if (!parse_digits(&p, &v))
        return false;
    while (*p == ' ')
        p++;
    if (!*p)
        factor = unit ? unit : 1;
    for (size_t i = 0; i < COUNT_OF(size_units); i++)
        if (strcasecmp(p, size_units[i].suffix) == 0)
            factor = size_units[i].bytes;
    if (!factor || !mul_u64(v, factor, &v) || v > (uint64_t)INT64_MAX)
        return false;
    *out = (int64_t)v;
    return true;
}

bool amount_parse(const char *text, int64_t *satoshis)
{
    bool negative = *text == '-';
    const char *p = text + negative;
    uint64_t whole, fraction = 0;
    if (!parse_digits(&p, &whole))
        return false;
    if (*p == '.') {
        uint64_t scale = SATOSHIS_PER_COIN;
        for (p++; isdigit((unsigned char)*p); p++) {
            scale /= 10;
            if (!scale)
                return false;
            fraction += scale * (uint64_t)(*p - '0');
        }
        if (scale == SATOSHIS_PER_COIN)
            return false;
    }
    uint64_t v;
    if (*p || !mul_u64(whole, SATOSHIS_PER_COIN, &v) || !add_u64(v, fraction, &v) ||
        v > (uint64_t)INT64_MAX)
        return false;
    *satoshis = negative ? -(int64_t)v : (int64_t)v;
    return true;
}

bool option_number(const struct option_row *row, const char *text, int64_t *out)
{
    bool b = false;
    switch (row->type) {
    case OPTION_BOOL:
        if (!option_bool(text, &b))
            return false;
        *out = b;
        return true;
    case OPTION_INT:
        return parse_int(text, out);
    case OPTION_SIZE:
        return parse_size(text, row->unit, out);
    case OPTION_AMOUNT:
        return amount_parse(text, out);
    case OPTION_STRING:
    case OPTION_CHOICE:
        break;
    }
    return false;
}

static void describe_number(const struct option_row *row, int64_t v, char out[32])
{
    struct buf b;
    buf_init(&b);
    if (row->type == OPTION_AMOUNT) {
        buf_printf(&b, "%lld.%08lld", (long long)(v / SATOSHIS_PER_COIN),
                   (long long)(v % SATOSHIS_PER_COIN));
    } else if (row->type == OPTION_SIZE) {
        size_t i = 0;
        while (i + 1 < COUNT_OF(size_units) && (v == 0 || v % (int64_t)size_units[i].bytes))
            i++;
        buf_printf(&b, "%lld%s", (long long)(v / (int64_t)size_units[i].bytes),
                   size_units[i].suffix);
    } else {
        buf_printf(&b, "%lld", (long long)v);
    }
    size_t n = MIN_OF(b.len, (size_t)31);
    memcpy(out, b.data, n);
    out[n] = 0;
    buf_clear(&b);
}

static int64_t upper_limit(const struct option_row *row)
{
    return row->max ? row->max : INT64_MAX;
}

static void describe_allowed(const struct option_row *row, struct buf *out)
{
    static const char *const what[] = {
        [OPTION_BOOL] = "0 or 1", [OPTION_INT] = "a whole number",
        [OPTION_SIZE] = "a size such as 100, 64MB or 2GiB",
        [OPTION_AMOUNT] = "an amount such as 0.00000100",
        [OPTION_STRING] = "a text", [OPTION_CHOICE] = "one of ",
    };
    buf_put_str(out, what[row->type]);
    if (row->type == OPTION_CHOICE)
        buf_put_str(out, row->arg);
    else if ((row->min || row->max) && row->type != OPTION_BOOL && row->type != OPTION_STRING) {
        char low[32], high[32];
        describe_number(row, row->min, low);
        describe_number(row, upper_limit(row), high);
        if (upper_limit(row) == INT64_MAX)
            buf_printf(out, ", at least %s", low);
        else
            buf_printf(out, " from %s to %s", low, high);
    }
    buf_put_u8(out, 0);
}

static enum err bad_value(const struct option_row *row, const char *text, enum err code,
                          struct error *e)
{
    struct buf allowed;
    buf_init(&allowed);
    describe_allowed(row, &allowed);
    if (row->flags & OPTION_SECRET)
        error_set(e, code, "option %s: allowed is %s", row->name, (const char *)allowed.data);
    else
        error_set(e, code, "option %s=%.80s: allowed is %s", row->name, text,
                  (const char *)allowed.data);
    buf_clear(&allowed);
    return code;
}

enum err option_check(const struct option_row *row, const char *text, struct error *e)
{
    int64_t v;
    if (row->type == OPTION_STRING) {
        if (!*text && !(row->flags & OPTION_TEXT_SWITCH))
            return bad_value(row, text, ERR_PARSE, e);
        return OK;
    }
    if (row->type == OPTION_CHOICE)
        return option_word_in_list(row->arg, text) ? OK : bad_value(row, text, ERR_RANGE, e);
    if (!option_number(row, text, &v))
        return bad_value(row, text, ERR_PARSE, e);
    if ((row->min || row->max) && row->type != OPTION_BOOL &&
        (v < row->min || v > upper_limit(row)))
        return bad_value(row, text, ERR_RANGE, e);
    return OK;
}
