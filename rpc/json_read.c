/*
 * The checking pass keeps its own stack of brackets, so that depth costs bits and not stack frames.
 */
#include "rpc/json_read.h"

#include <string.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "base/utf8.h"
#include "rpc/json_tree.h"

struct scan {
    const uint8_t *start, *p, *end;
    const char *why; /* NULL: fine so far */
    unsigned depth;
    bool in_object[JSON_READ_DEPTH];
};

static bool fail(struct scan *s, const char *why)
{
    if (!s->why)
        s->why = why;
    return false;
}

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static bool next_is(const struct scan *s, char c) { return s->p < s->end && *s->p == (uint8_t)c; }

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four digits after "\u". */
static bool scan_unit(struct scan *s, unsigned *unit)
{
    *unit = 0;
    if (s->end - s->p < 4)
        return fail(s, "cut escape");
    for (int i = 0; i < 4; i++) {
        int d = hex_digit(*s->p++);
        if (d < 0)
            return fail(s, "bad escape");
        *unit = *unit << 4 | (unsigned)d;
    }
    return true;
}

enum text_use { TEXT_NAME, TEXT_VALUE };

static bool scan_unicode_escape(struct scan *s, enum text_use use)
{
    unsigned first, second;
    if (!scan_unit(s, &first))
        return false;
    if (first == 0 && use == TEXT_NAME)
        return fail(s, "U+0000 in a name");
    if (first < 0xd800 || first > 0xdfff)
        return true;
    if (first > 0xdbff || s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u')
        return fail(s, "lone surrogate");
    s->p += 2;
    if (!scan_unit(s, &second))
        return false;
    return (second >= 0xdc00 && second <= 0xdfff) || fail(s, "lone surrogate");
}

static bool scan_escape(struct scan *s, enum text_use use)
{
    if (s->p == s->end)
        return fail(s, "string without end");
    uint8_t c = *s->p++;
    if (c == 'u')
        return scan_unicode_escape(s, use);
    return (c && strchr("\"\\/bfnrt", c)) || fail(s, "bad escape");
}

/* After the opening quote. */
static bool scan_string(struct scan *s, enum text_use use)
{
    while (s->p < s->end) {
        uint8_t c = *s->p;
        if (c >= 0x80) {
            size_t n = utf8_sequence(s->p, (size_t)(s->end - s->p));
            if (!n)
                return fail(s, "invalid UTF-8");
            s->p += n;
            continue;
        }
        s->p++;
        if (c == '"')
            return true;
        if (c < 0x20)
            return fail(s, "control character in a string");
        if (c == '\\' && !scan_escape(s, use))
            return false;
    }
    return fail(s, "string without end");
}

static bool is_digit(const struct scan *s) { return s->p < s->end && *s->p >= '0' && *s->p <= '9'; }

static bool scan_digits(struct scan *s)
{
    if (!is_digit(s))
        return fail(s, "bad number");
    while (is_digit(s))
        s->p++;
    return true;
}

static bool scan_number(struct scan *s)
{
    s->p += next_is(s, '-');
    const uint8_t *digits = s->p;
    if (!scan_digits(s))
        return false;
    if (s->p - digits > 1 && digits[0] == '0')
        return fail(s, "number with a leading zero");
    if (next_is(s, '.')) {
        s->p++;
        if (!scan_digits(s))
            return false;
    }
    if (next_is(s, 'e') || next_is(s, 'E')) {
        s->p++;
        if (next_is(s, '+') || next_is(s, '-'))
            s->p++;
        if (!scan_digits(s))
            return false;
    }
    return true;
}

static bool scan_word(struct scan *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return fail(s, "unexpected character");
    s->p += n;
    return true;
}

static bool scan_scalar(struct scan *s)
{
    switch (*s->p) {
    case '"':
        s->p++;
        return scan_string(s, TEXT_VALUE);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        return scan_number(s);
    }
}

/* "name": */
static bool scan_name(struct scan *s)
{
    skip_space(s);
    if (!next_is(s, '"'))
        return fail(s, "name expected");
    s->p++;
    if (!scan_string(s, TEXT_NAME))
        return false;
    skip_space(s);
    if (!next_is(s, ':'))
        return fail(s, "':' expected");
    s->p++;
    return true;
}

/* Enters an array or object; *value says that a value must follow (it is not empty). */
static bool scan_open(struct scan *s, bool *value)
{
    bool object = *s->p++ == '{';
    if (s->depth == JSON_READ_DEPTH)
        return fail(s, "nested too deep");
    s->in_object[s->depth++] = object;
    skip_space(s);
    if (next_is(s, object ? '}' : ']')) {
        s->p++;
        s->depth--;
        *value = false;
        return true;
    }
    *value = true;
    return !object || scan_name(s);
}

/* After a value: closes what ends here; *value says that another value follows. */
static bool scan_after_value(struct scan *s, bool *value)
{
    *value = false;
    while (s->depth) {
        bool object = s->in_object[s->depth - 1];
        skip_space(s);
        if (next_is(s, ',')) {
            s->p++;
            *value = true;
            return !object || scan_name(s);
        }
        if (!next_is(s, object ? '}' : ']'))
            return fail(s, "',' or closing bracket expected");
        s->p++;
        s->depth--;
    }
    return true;
}

static bool scan_text(struct scan *s)
{
    bool value = true;
    while (value) {
        skip_space(s);
        if (s->p == s->end)
            return fail(s, "value expected");
        if (*s->p == '{' || *s->p == '[') {
            if (!scan_open(s, &value))
                return false;
            if (value)
                continue;
        } else if (!scan_scalar(s)) {
            return false;
        }
        if (!scan_after_value(s, &value))
            return false;
    }
    skip_space(s);
    return s->p == s->end || fail(s, "text after the value");
}

enum err json_check(const char *text, size_t len, struct error *e)
{
    struct scan s;
    s.start = s.p = (const uint8_t *)text;
    s.end = s.p + len;
    s.why = NULL;
    s.depth = 0;
    if (scan_text(&s))
        return OK;
    return error_set(e, ERR_PARSE, "%s at byte %zu", s.why, (size_t)(s.p - s.start));
}

enum err json_read(const char *text, size_t len, struct json_object **out, struct error *e)
{
    if (len > JSON_READ_MAX)
        return error_set(e, ERR_RANGE, "JSON text of more than 2 GiB: hand blocks of this size "
                                       "over by P2P or with -loadblock");
    enum err rc = json_check(text, len, e);
    if (!rc && (rc = json_tree_build(text, len, out)))
        error_set(e, rc, "out of memory for the JSON reader");
    return rc;
}

/* --- amounts -------------------------------------------------------------------------------- */

struct decimal {
    bool negative;
    uint64_t digits;  /* all digits as one number, trailing zeros of the fraction left out */
    int64_t exponent; /* value = digits * 10^exponent */
};

/* Takes the digits at *p; false when there are none or too many. */
static bool decimal_digits(struct decimal *d, const char **p, bool fraction)
{
    const char *first = *p;
    unsigned zeros = 0; /* held back: they count only when another digit follows */
    for (; **p >= '0' && **p <= '9'; (*p)++) {
        if (**p == '0' && fraction) {
            zeros++;
            continue;
        }
        for (unsigned i = 0; i <= zeros; i++)
            if (!mul_u64(d->digits, 10, &d->digits))
                return false;
        if (!add_u64(d->digits, (uint64_t)(**p - '0'), &d->digits))
            return false;
        d->exponent -= fraction ? (int64_t)zeros + 1 : 0;
        zeros = 0;
    }
    return *p > first;
}

static bool decimal_parse(struct decimal *d, const char *p)
{
    *d = (struct decimal){ .negative = *p == '-' };
    p += d->negative;
    if (p[0] == '0' && p[1] >= '0' && p[1] <= '9')
        return false;
    if (!decimal_digits(d, &p, false))
        return false;
    if (*p == '.' && (p++, !decimal_digits(d, &p, true)))
        return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        bool down = *p == '-';
        p += *p == '-' || *p == '+';
        int64_t exponent = 0;
        const char *first = p;
        for (; *p >= '0' && *p <= '9'; p++)
            exponent = exponent > 1000 ? exponent : exponent * 10 + (*p - '0');
        if (p == first)
            return false;
        d->exponent += down ? -exponent : exponent;
    }
    return *p == 0;
}

bool json_fixed_point(const char *text, unsigned decimals, int64_t *out)
{
    struct decimal d;
    if (!decimal_parse(&d, text))
        return false;
    int64_t shift = d.exponent + (int64_t)decimals;
    uint64_t v = d.digits;
    for (; v && shift > 0; shift--)
        if (!mul_u64(v, 10, &v))
            return false;
    for (; v && shift < 0; shift++) {
        if (v % 10)
            return false;
        v /= 10;
    }
    if (v > (uint64_t)INT64_MAX)
        return false;
    *out = d.negative ? -(int64_t)v : (int64_t)v;
    return true;
}

bool json_get_amount(struct json_object *v, int64_t *satoshis)
{
    enum json_type type = json_object_get_type(v);
    if (type != json_type_int && type != json_type_double && type != json_type_string)
        return false;
    const char *text = json_object_get_string(v);
    if (type == json_type_string && strlen(text) != (size_t)json_object_get_string_len(v))
        return false;
    return json_fixed_point(text, 8, satoshis);
}

struct span json_get_span(struct json_object *v)
{
    return json_object_is_type(v, json_type_string)
               ? span_of(json_object_get_string(v), (size_t)json_object_get_string_len(v))
               : span_of(NULL, 0);
}
