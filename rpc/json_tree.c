/* The text is known to be good: what must follow is skipped without a look. */
#include "rpc/json_tree.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/intmath.h"
#include "base/mem.h"

#define NAME_INLINE 64

struct build {
    const char *p, *end;
    struct buf text;  /* of the string or number being read */
    bool nomem;
};

static struct json_object *read_value(struct build *b);

static struct json_object *made(struct build *b, struct json_object *v)
{
    b->nomem = b->nomem || !v;
    return v;
}

static void skip_space(struct build *b)
{
    while (b->p < b->end && (*b->p == ' ' || *b->p == '\t' || *b->p == '\n' || *b->p == '\r'))
        b->p++;
}

/* Before a value or the end of an array or object, which is passed. */
static bool ends(struct build *b, char bracket)
{
    skip_space(b);
    if (*b->p == ',') {
        b->p++;
        skip_space(b);
    }
    if (*b->p != bracket)
        return false;
    b->p++;
    return true;
}

/* --- strings -------------------------------------------------------------------------------- */

static uint32_t read_unit(struct build *b)
{
    uint8_t bytes[2];
    BUG_ON(!hex_decode(bytes, sizeof bytes, b->p, 4, NULL)); /* the text has been checked */
    b->p += 4;
    return be16_get(bytes);
}

static void put_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_put_u8(out, (uint8_t)c);
        return;
    }
    const unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t first[] = { 0, 0xc0, 0xe0, 0xf0 };
    buf_put_u8(out, (uint8_t)(first[more] | c >> 6 * more));
    for (unsigned i = more; i-- > 0;)
        buf_put_u8(out, (uint8_t)(0x80 | (c >> 6 * i & 0x3f)));
}

/* After the backslash. */
static void read_escape(struct build *b)
{
    static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
    const char c = *b->p++, *name = strchr(names, c);
    if (c != 'u') {
        buf_put_u8(&b->text, (uint8_t)(name ? values[name - names] : c));
        return;
    }
    uint32_t unit = read_unit(b);
    if (unit >= 0xd800 && unit < 0xdc00) {
        b->p += 2; /* \u of the other half */
        unit = 0x10000 + ((unit - 0xd800) << 10) + (read_unit(b) - 0xdc00);
    }
    put_utf8(&b->text, unit);
}

/* Where the string that begins at p ends: its closing quote. */
static const char *string_end(const struct build *b, const char *p)
{
    const char *quote = memchr(p, '"', (size_t)(b->end - p));
    const char *escape = memchr(p, '\\', (size_t)(quote - p));
    if (!escape)
        return quote;
    for (p = escape; *p != '"';)
        p += *p == '\\' ? 2 : 1;
    return p;
}

static struct span unescape(struct build *b, const char *end)
{
    buf_reset(&b->text);
    if (!buf_try_reserve(&b->text, (size_t)(end - b->p))) { /* escapes become shorter */
        b->nomem = true;
        return span_of("", 0);
    }
    while (b->p < end)
        if (*b->p == '\\') {
            b->p++;
            read_escape(b);
        } else {
            buf_put_u8(&b->text, (uint8_t)*b->p++);
        }
    return buf_span(&b->text);
}

/* After the opening quote. What has no escape lies in the text itself, else in b->text. */
static struct span read_string(struct build *b)
{
    const char *end = string_end(b, b->p);
    const size_t len = (size_t)(end - b->p);
    const struct span s = memchr(b->p, '\\', len) ? unescape(b, end) : span_of(b->p, len);
    b->p = end + 1;
    return s;
}

/* --- numbers -------------------------------------------------------------------------------- */

/* It keeps its text, since a double does not tell amounts exactly. */
static struct json_object *new_double(struct build *b, const char *p, size_t len)
{
    buf_reset(&b->text);
    if (!buf_try_reserve(&b->text, len + 1))
        return NULL;
    buf_put(&b->text, p, len);
    buf_put_u8(&b->text, 0);
    const char *text = (const char *)b->text.data;
    return json_object_new_double_s(strtod(text, NULL), text);
}

/* Without its sign; false beyond 64 bits, and below -2^63. */
static bool integer_of(const char *p, size_t len, bool negative, uint64_t *v)
{
    *v = 0;
    for (size_t i = negative; i < len; i++)
        if (!mul_u64(*v, 10, v) || !add_u64(*v, (uint64_t)(p[i] - '0'), v))
            return false;
    return !negative || *v <= UINT64_C(1) << 63;
}

static struct json_object *new_integer(struct build *b, const char *p, size_t len)
{
    const bool negative = *p == '-';
    uint64_t v;
    if (!integer_of(p, len, negative, &v))
        return new_double(b, p, len);
    if (v > INT64_MAX && !negative)
        return json_object_new_uint64(v);
    return json_object_new_int64((int64_t)(negative ? 0 - v : v));
}

static struct json_object *read_number(struct build *b)
{
    const char *start = b->p;
    bool fraction = false;
    for (; b->p < b->end && (*b->p == '-' || *b->p == '+' || *b->p == '.' || *b->p == 'e' ||
                             *b->p == 'E' || (*b->p >= '0' && *b->p <= '9')); b->p++)
        fraction = fraction || *b->p == '.' || *b->p == 'e' || *b->p == 'E';
    const size_t len = (size_t)(b->p - start);
    return fraction ? new_double(b, start, len) : new_integer(b, start, len);
}

/* --- the rest ------------------------------------------------------------------------------- */

static struct json_object *read_array(struct build *b)
{
    struct json_object *array = made(b, json_object_new_array());
    while (!b->nomem && !ends(b, ']')) {
        struct json_object *v = read_value(b);
        if (b->nomem || json_object_array_add(array, v)) {
            json_object_put(v);
            b->nomem = true;
        }
    }
    return array;
}

/* "name": with an end that C knows; *heap is to be freed. */
static const char *read_name(struct build *b, char small[NAME_INLINE], char **heap)
{
    b->p++;
    const struct span name = read_string(b);
    char *copy = name.len < NAME_INLINE ? small : (*heap = try_alloc(name.len + 1, 1));
    skip_space(b);
    b->p++;
    b->nomem = b->nomem || !copy;
    if (!copy)
        return "";
    if (name.len)
        memcpy(copy, name.data, name.len);
    copy[name.len] = 0;
    return copy;
}

static void read_member(struct build *b, struct json_object *object)
{
    char small[NAME_INLINE], *heap = NULL;
    const char *name = read_name(b, small, &heap);
    struct json_object *v = b->nomem ? NULL : read_value(b);
    if (b->nomem || json_object_object_add(object, name, v)) {
        json_object_put(v);
        b->nomem = true;
    }
    free(heap);
}

static struct json_object *read_object(struct build *b)
{
    struct json_object *object = made(b, json_object_new_object());
    while (!b->nomem && !ends(b, '}'))
        read_member(b, object);
    return object;
}

static struct json_object *read_text(struct build *b)
{
    b->p++;
    const struct span s = read_string(b);
    return made(b, json_object_new_string_len((const char *)s.data, (int)s.len));
}

static struct json_object *skip_word(struct build *b, size_t len, struct json_object *v)
{
    b->p += len;
    return v;
}

static struct json_object *read_value(struct build *b)
{
    skip_space(b);
    switch (*b->p) {
    case '{':
        b->p++;
        return read_object(b);
    case '[':
        b->p++;
        return read_array(b);
    case '"':
        return read_text(b);
    case 't':
        return skip_word(b, 4, made(b, json_object_new_boolean(true)));
    case 'f':
        return skip_word(b, 5, made(b, json_object_new_boolean(false)));
    case 'n':
        return skip_word(b, 4, NULL);
    default:
        return made(b, read_number(b));
    }
}

void json_tree_wipe(struct json_object *v)
{
    switch (json_object_get_type(v)) {
    case json_type_string:
        /* its own bytes, which json-c gives as const to keep others from changing their length */
        secure_wipe((void *)(uintptr_t)json_object_get_string(v),
                    (size_t)json_object_get_string_len(v));
        break;
    case json_type_array:
        for (size_t i = 0; i < json_object_array_length(v); i++)
            json_tree_wipe(json_object_array_get_idx(v, i));
        break;
    case json_type_object: {
        struct json_object_iterator it = json_object_iter_begin(v), end = json_object_iter_end(v);
        for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it))
            json_tree_wipe(json_object_iter_peek_value(&it));
        break;
    }
    case json_type_null:
    case json_type_boolean:
    case json_type_double:
    case json_type_int:
        break;
    }
}

enum err json_tree_build(const char *text, size_t len, struct json_object **out)
{
    struct build b = { .p = text, .end = text + len, .text.secret = true };
    struct json_object *v = read_value(&b);
    buf_clear(&b.text);
    if (b.nomem) {
        json_object_put(v);
        return ERR_NOMEM;
    }
    *out = v;
    return OK;
}
