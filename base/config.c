/*
 * Tables of 150 rows are searched one by one: this happens at start and in rare requests, and a
 * table in reading order is worth more than a sorted one.
 */
#include "base/config_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/intmath.h"
#include "base/mem.h"

#define CONFIG_FILE_MAX (4u << 20)
#define CONFIG_NAME_MAX 64

struct option_value {
    enum option_source source;
    char **list;
    size_t n;
};

struct config {
    const struct option_row *rows;
    size_t n;
    struct option_value *values; /* one a row */
    config_warn_fn warn;
    void *warn_ctx;
};

struct config *config_new(const struct option_row *rows, size_t n, config_warn_fn warn, void *ctx)
{
    struct config *c = xcalloc(1, sizeof *c);
    *c = (struct config){ .rows = rows, .n = n, .warn = warn, .warn_ctx = ctx };
    c->values = xcalloc(n ? n : 1, sizeof *c->values);
    return c;
}

static void value_clear(struct option_value *v)
{
    for (size_t i = 0; i < v->n; i++) {
        secure_wipe(v->list[i], strlen(v->list[i]));
        free(v->list[i]);
    }
    free(v->list);
    *v = (struct option_value){ 0 };
}

void config_free(struct config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        value_clear(&c->values[i]);
    free(c->values);
    free(c);
}

static void value_add(struct option_value *v, const char *text, enum option_source source)
{
    v->list = xrealloc(v->list, (v->n + 1) * sizeof *v->list);
    v->list[v->n++] = xstrdup(text);
    v->source = source;
}

/* --- names ---------------------------------------------------------------------------------- */

static const struct option_row *row_find(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->rows[i].name, name) == 0 || option_word_in_list(c->rows[i].alias, name))
            return &c->rows[i];
    return NULL;
}

/* Edits (insert, delete, replace, swap of neighbours) that turn a into b. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned row[3][CONFIG_NAME_MAX + 1];
    size_t n = strlen(a), m = strlen(b);
    if (n > CONFIG_NAME_MAX || m > CONFIG_NAME_MAX)
        return CONFIG_NAME_MAX;
    unsigned *before = row[0], *last = row[1], *now = row[2];
    for (size_t j = 0; j <= m; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned cost = a[i - 1] == b[j - 1] ? 0 : 1;
            now[j] = MIN_OF(MIN_OF(last[j] + 1, now[j - 1] + 1), last[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = MIN_OF(now[j], before[j - 2] + 1);
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[m];
}

/* The known name that is most like this one, or NULL when none is near. */
static const char *nearest_name(const struct config *c, const char *name)
{
    const char *best = NULL;
    unsigned best_distance = (unsigned)MIN_OF(strlen(name) / 3 + 1, 4u) + 1;
    for (size_t i = 0; i < c->n; i++) {
        unsigned d = edit_distance(name, c->rows[i].name);
        if (d < best_distance) {
            best_distance = d;
            best = c->rows[i].name;
        }
    }
    return best;
}

static enum err unknown_name(const struct config *c, const char *name, struct error *e)
{
    const char *near = nearest_name(c, name);
    if (near)
        return error_set(e, ERR_PARSE, "unknown option %.*s (nearest known: %s)",
                         CONFIG_NAME_MAX, name, near);
    return error_set(e, ERR_PARSE, "unknown option %.*s", CONFIG_NAME_MAX, name);
}

/* --- reading -------------------------------------------------------------------------------- */

static void warn(const struct config *c, const char *where, const char *fmt, const char *name)
{
    if (!c->warn)
        return;
    struct buf b;
    buf_init(&b);
    buf_put_str(&b, where);
    buf_put_str(&b, fmt);
    buf_put_str(&b, name);
    buf_put_u8(&b, 0);
    c->warn(c->warn_ctx, (const char *)b.data);
    buf_clear(&b);
}

static enum err value_store(struct config *c, const struct option_row *row, const char *text,
                            enum option_source source, const char *where, struct error *e)
{
    struct option_value *v = &c->values[row - c->rows];
    if (row->flags & OPTION_IGNORED) {
        warn(c, where, "option without meaning here, ignored: ", row->name);
        return OK;
    }
    if (row->type == OPTION_STRING && !*text && source == OPTION_FROM_FILE &&
        !(row->flags & OPTION_TEXT_SWITCH)) {
        warn(c, where, "option without a value, ignored: ", row->name);
        return OK;
    }
    enum err rc = option_check(row, text, e);
    if (rc)
        return rc;
    if (!(row->flags & OPTION_MULTI) && v->n) {
        if (source == OPTION_FROM_FILE)
            return OK; /* the command line or an earlier line wins */
        value_clear(v);
    }
    enum option_source had = v->n ? v->source : source;
    value_add(v, text, source);
    v->source = MAX_OF(had, source);
    return OK;
}

/* One name and value, with -noname and -noname=0 turned round. *known says if the table has it. */
static enum err option_set(struct config *c, const char *name, const char *value,
                           enum option_source source, const char *where, bool *known,
                           struct error *e)
{
    const struct option_row *row = row_find(c, name);
    *known = true;
    if (row)
        return value_store(c, row, value, source, where, e);
    row = strncmp(name, "no", 2) == 0 ? row_find(c, name + 2) : NULL;
    if (row) {
        bool on;
        if (!option_bool(value, &on))
            return error_set(e, ERR_PARSE, "option %s: allowed is 0 or 1", name);
        return value_store(c, row, on ? "0" : "1", source, where, e);
    }
    *known = false;
    return unknown_name(c, name, e);
}

enum err config_parse_args(struct config *c, int argc, char *const *argv, int *used,
                           struct error *e)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        const char *name = argv[i] + 1;
        name += *name == '-';
        size_t len = strcspn(name, "=");
        if (len == 0 || len > CONFIG_NAME_MAX)
            return error_set(e, ERR_PARSE, "unknown option %.80s", argv[i]);
        char *key = xstrndup(name, len);
        bool known;
        enum err rc = option_set(c, key, name[len] ? name + len + 1 : "", OPTION_FROM_ARGS, "",
                                 &known, e);
        free(key);
        if (rc)
            return rc;
    }
    *used = i;
    return OK;
}

static void trim(const char **p, const char **end)
{
    while (*p < *end && isspace((unsigned char)**p))
        (*p)++;
    while (*p < *end && isspace((unsigned char)(*end)[-1]))
        (*end)--;
}

struct file_line {
    const char *path;
    unsigned number;
    bool in_section;
};

static enum err parse_pair(struct config *c, const struct file_line *at, const char *p,
                           const char *end, bool comment, struct error *e)
{
    char where[ERROR_TEXT_MAX];
    snprintf(where, sizeof where, "%.200s:%u: ", at->path, at->number);
    const char *eq = memchr(p, '=', (size_t)(end - p));
    if (!eq)
        return error_set(e, ERR_PARSE, "%sno '=' in this line", where);
    const char *key_end = eq, *value = eq + 1;
    trim(&p, &key_end);
    trim(&value, &end);
    char *key = xstrndup(p, (size_t)(key_end - p));
    char *text = xstrndup(value, (size_t)(end - value));
    const char *name = key + strspn(key, "-");
    bool known;
    struct error why = { 0 };
    enum err rc = option_set(c, name, text, OPTION_FROM_FILE, where, &known, &why);
    if (!known) { /* published configurations carry stale keys: no reason to refuse */
        warn(c, where, why.text, "");
        rc = OK;
    } else if (rc) {
        rc = error_set(e, rc, "%s%s", where, why.text);
    } else if (comment && row_find(c, name) && row_find(c, name)->flags & OPTION_SECRET) {
        warn(c, where, "'#' starts a comment also inside a value: ", name);
    }
    secure_wipe(text, strlen(text));
    free(text);
    free(key);
    return rc;
}

static enum err parse_line(struct config *c, struct file_line *at, const char *p, const char *end,
                           struct error *e)
{
    const char *hash = memchr(p, '#', (size_t)(end - p));
    if (hash)
        end = hash;
    trim(&p, &end);
    if (p == end)
        return OK;
    if (*p == '[') { /* other nodes' sections: this syntax has none (spec rpc 6.2) */
        char number[32];
        snprintf(number, sizeof number, "line %u", at->number);
        warn(c, at->path, ": sections are not known, ignored from ", number);
        at->in_section = true;
    }
    return at->in_section ? OK : parse_pair(c, at, p, end, hash != NULL, e);
}

enum err config_parse_text(struct config *c, const char *path, const char *text, size_t len,
                           struct error *e)
{
    struct file_line at = { .path = path };
    const char *p = text, *end = text + len;
    if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        p += 3; /* byte order mark of some editors */
    if (len && memchr(text, 0, len))
        return error_set(e, ERR_PARSE, "%.200s: holds a zero byte, so it is no text file", path);
    while (p < end) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        if (!eol)
            eol = end;
        at.number++;
        enum err rc = parse_line(c, &at, p, eol, e);
        if (rc)
            return rc;
        p = eol < end ? eol + 1 : end;
    }
    return OK;
}

enum err config_parse_file(struct config *c, const char *path, struct error *e)
{
    struct buf text;
    buf_init(&text);
    enum err rc = file_read_all(path, CONFIG_FILE_MAX, &text, e);
    if (!rc)
        rc = config_parse_text(c, path, (const char *)text.data, text.len, e);
    if (text.data)
        secure_wipe(text.data, text.len);
    buf_clear(&text);
    return rc;
}

bool config_set_rule(struct config *c, const char *name, const char *value)
{
    const struct option_row *row = row_find(c, name);
    BUG_ON(!row || option_check(row, value, NULL));
    struct option_value *v = &c->values[row - c->rows];
    if (v->source > OPTION_FROM_RULE)
        return false;
    value_clear(v);
    value_add(v, value, OPTION_FROM_RULE);
    return true;
}

/* --- getters -------------------------------------------------------------------------------- */

static const struct option_row *row_of(const struct config *c, const char *name)
{
    const struct option_row *row = row_find(c, name);
    if (!row)
        bug_abort(name, __FILE__, __LINE__);
    return row;
}

/* The text in force: of several values the first, else the default, else NULL. */
static const char *text_of(const struct config *c, const struct option_row *row)
{
    const struct option_value *v = &c->values[row - c->rows];
    return v->n ? v->list[0] : row->def;
}

static int64_t number_of(const struct config *c, const char *name, enum option_type type)
{
    const struct option_row *row = row_of(c, name);
    BUG_ON(row->type != type);
    const char *text = text_of(c, row);
    int64_t v = 0;
    BUG_ON(text && !option_number(row, text, &v));
    return v;
}

bool config_bool(const struct config *c, const char *name)
{
    return number_of(c, name, OPTION_BOOL) != 0;
}

int64_t config_int(const struct config *c, const char *name)
{
    return number_of(c, name, OPTION_INT);
}

uint64_t config_size(const struct config *c, const char *name)
{
    return (uint64_t)number_of(c, name, OPTION_SIZE);
}

int64_t config_amount(const struct config *c, const char *name)
{
    return number_of(c, name, OPTION_AMOUNT);
}

const char *config_string(const struct config *c, const char *name)
{
    return text_of(c, row_of(c, name));
}

size_t config_list(const struct config *c, const char *name, const char *const **values)
{
    const struct option_row *row = row_of(c, name);
    const struct option_value *v = &c->values[row - c->rows];
    if (v->n) {
        *values = (const char *const *)v->list;
        return v->n;
    }
    *values = &row->def;
    return row->def ? 1 : 0;
}

enum option_source config_source(const struct config *c, const char *name)
{
    return c->values[row_of(c, name) - c->rows].source;
}

void config_each(const struct config *c,
                 void (*fn)(void *ctx, const char *name, const char *value), void *ctx)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->rows[i].flags & OPTION_SECRET)
            continue;
        for (size_t j = 0; j < c->values[i].n; j++)
            fn(ctx, c->rows[i].name, c->values[i].list[j]);
    }
}
