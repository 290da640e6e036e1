#include "rpc/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/ids.h"
#include "base/mem.h"

/* --- results and parameters ----------------------------------------------------------------- */

struct rpc_result rpc_done(void) { return (struct rpc_result){ RPC_DONE }; }
struct rpc_result rpc_pending(void) { return (struct rpc_result){ RPC_PENDING }; }
struct rpc_result rpc_elsewhere(void) { return (struct rpc_result){ RPC_ELSEWHERE }; }

struct rpc_result rpc_failed(const struct rpc_call *call)
{
    BUG_ON(!call->code);
    return (struct rpc_result){ RPC_FAILED };
}

struct rpc_result rpc_fail(struct rpc_call *call, enum rpc_code code, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    call->code = code;
    buf_reset(&call->message);
    buf_put_str(&call->message, text);
    return (struct rpc_result){ RPC_FAILED };
}

struct rpc_result rpc_fail_error(struct rpc_call *call, const struct error *e)
{
    enum rpc_code code = e->code == ERR_NOMEM      ? RPC_OUT_OF_MEMORY
                         : e->code == ERR_NOTFOUND ? RPC_NOT_FOUND
                         : e->code == ERR_CORRUPT  ? RPC_DATABASE_ERROR
                                                   : RPC_MISC_ERROR;
    return rpc_fail(call, code, "%s", e->text[0] ? e->text : err_name(e->code));
}

bool rpc_client_gone(const struct rpc_call *call)
{
    return (call->out && call->out->failed) ||
           (call->client_gone && call->client_gone(call->client));
}

bool rpc_given_up(const struct rpc_call *call)
{
    return rpc_client_gone(call) || cancelled(call->env->cancel);
}

bool rpc_wait_is_vain(const struct rpc_call *call)
{
    return rpc_given_up(call) || (call->client_ended && call->client_ended(call->client));
}

bool rpc_has(const struct rpc_call *call, size_t i) { return call->argv[i] != NULL; }

const char *rpc_text(const struct rpc_call *call, size_t i, const char *def)
{
    return call->argv[i] ? json_object_get_string(call->argv[i]) : def;
}

int64_t rpc_int(const struct rpc_call *call, size_t i, int64_t def)
{
    return call->argv[i] ? json_object_get_int64(call->argv[i]) : def;
}

bool rpc_bool(const struct rpc_call *call, size_t i, bool def)
{
    return call->argv[i] ? json_object_get_boolean(call->argv[i]) : def;
}

void rpc_hash(const struct rpc_call *call, size_t i, uint8_t out[32])
{
    BUG_ON(!call->argv[i] || !hash_from_hex(out, json_object_get_string(call->argv[i])));
}

void rpc_hex(const struct rpc_call *call, size_t i, struct buf *out)
{
    size_t digits = (size_t)json_object_get_string_len(call->argv[i]), n;
    if (!digits)
        return;
    uint8_t *p = buf_extend(out, digits / 2);
    BUG_ON(!hex_decode(p, digits / 2, json_object_get_string(call->argv[i]), digits, &n));
}

bool rpc_bytes32(struct rpc_call *call, size_t i, const char *what, uint8_t out[32])
{
    struct buf b;
    buf_init(&b);
    rpc_hex(call, i, &b);
    const bool good = b.len == 32;
    if (good)
        memcpy(out, b.data, b.len);
    else
        rpc_fail(call, RPC_INVALID_PARAMETER, "%s has 64 hex digits", what);
    buf_clear(&b);
    return good;
}

size_t rpc_param_count(const struct rpc_command *c)
{
    size_t n = 0;
    while (n < RPC_PARAMS_MAX && c->params[n].name)
        n++;
    return n;
}

size_t rpc_param_find(const struct rpc_command *c, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < rpc_param_count(c); i++)
        for (const char *p = c->params[i].name; *p;) {
            size_t n = strcspn(p, "|");
            if (n == len && memcmp(p, name, n) == 0)
                return i;
            p += n + (p[n] == '|');
        }
    return SIZE_MAX;
}

/* --- table ---------------------------------------------------------------------------------- */

struct rpc_table {
    const struct rpc_command **rows;
    size_t n;
};

static int by_name(const void *a, const void *b)
{
    const struct rpc_command *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

struct rpc_table *rpc_table_new(void)
{
    struct rpc_table *t = xcalloc(1, sizeof *t);
    for (size_t g = 0; rpc_groups[g]; g++)
        t->n += rpc_groups[g]->n;
    t->rows = xcalloc(t->n, sizeof *t->rows);
    size_t at = 0;
    for (size_t g = 0; rpc_groups[g]; g++)
        for (size_t i = 0; i < rpc_groups[g]->n; i++)
            t->rows[at++] = &rpc_groups[g]->rows[i];
    qsort(t->rows, t->n, sizeof *t->rows, by_name);
    return t;
}

void rpc_table_free(struct rpc_table *t)
{
    if (!t)
        return;
    free(t->rows);
    free(t);
}

const struct rpc_command *rpc_table_find(const struct rpc_table *t, const char *name)
{
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int cmp = strcmp(name, t->rows[mid]->name);
        if (cmp == 0)
            return t->rows[mid];
        if (cmp < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

size_t rpc_table_count(const struct rpc_table *t) { return t->n; }
const struct rpc_command *rpc_table_at(const struct rpc_table *t, size_t i) { return t->rows[i]; }

/* --- help ----------------------------------------------------------------------------------- */

static bool is_quoted(enum rpc_type type)
{
    return type == RPC_TEXT || type == RPC_MESSAGE || type == RPC_HASH || type == RPC_HEX ||
           type == RPC_TX || type == RPC_BLOCK;
}

static void put_param_name(const struct rpc_param *p, struct buf *out)
{
    const char *quote = is_quoted(p->type) ? "\"" : "";
    buf_printf(out, "%s%.*s%s", quote, (int)strcspn(p->name, "|"), p->name, quote);
}

void rpc_help_line(const struct rpc_command *c, struct buf *out)
{
    size_t n = rpc_param_count(c), open = 0;
    buf_put_str(out, c->name);
    for (size_t i = 0; i < n; i++) {
        buf_put_u8(out, ' ');
        if (c->params[i].need == RPC_OPTIONAL) {
            buf_put_str(out, "( ");
            open++;
        }
        put_param_name(&c->params[i], out);
    }
    while (open--)
        buf_put_str(out, " )");
}

const char *rpc_type_name(enum rpc_type type)
{
    static const char *const words[] = {
        [RPC_ANY] = "any", [RPC_TEXT] = "string", [RPC_MESSAGE] = "string",
        [RPC_INT] = "integer", [RPC_NUMBER] = "number", [RPC_BOOL] = "boolean",
        [RPC_AMOUNT] = "amount", [RPC_HASH] = "hash", [RPC_HEX] = "hex",
        [RPC_TX] = "hex", [RPC_BLOCK] = "hex", [RPC_OBJECT] = "object", [RPC_ARRAY] = "array",
    };
    return words[type];
}

static void put_arguments(const struct rpc_command *c, struct buf *out)
{
    if (!rpc_param_count(c))
        return;
    buf_put_str(out, "\nArguments:\n");
    for (size_t i = 0; i < rpc_param_count(c); i++) {
        const struct rpc_param *p = &c->params[i];
        int name_len = (int)strcspn(p->name, "|");
        buf_printf(out, "%zu. %-14.*s (%s, %s) %s\n", i + 1, name_len, p->name,
                   rpc_type_name(p->type), p->need == RPC_REQUIRED ? "required" : "optional",
                   p->help);
    }
}

void rpc_help_text(const struct rpc_command *c, struct buf *out)
{
    rpc_help_line(c, out);
    buf_printf(out, "\n\n%s\n", c->help);
    put_arguments(c, out);
    buf_printf(out, "\nResult:\n%s\n\nExample:\n> bsvpeer-cli %s%s%s\n", c->result, c->name,
               *c->example ? " " : "", c->example);
}

static void put_category(const struct rpc_table *t, const char *category, struct buf *out)
{
    buf_printf(out, "%s== %c%s ==\n", out->len ? "\n" : "", category[0] - ('a' - 'A'),
               category + 1);
    for (size_t i = 0; i < t->n; i++)
        if (!(t->rows[i]->flags & RPC_HIDDEN) && strcmp(t->rows[i]->category, category) == 0) {
            rpc_help_line(t->rows[i], out);
            buf_put_u8(out, '\n');
        }
}

/* The next one in their order, NULL after the last; "" begins. */
static const char *next_category(const struct rpc_table *t, const char *last)
{
    const char *next = NULL;
    for (size_t i = 0; i < t->n; i++) {
        const char *category = t->rows[i]->category;
        if (!(t->rows[i]->flags & RPC_HIDDEN) && strcmp(category, last) > 0 &&
            (!next || strcmp(category, next) < 0))
            next = category;
    }
    return next;
}

void rpc_help_list(const struct rpc_table *t, struct buf *out)
{
    const char *category = "";
    while ((category = next_category(t, category)))
        put_category(t, category, out);
    if (out->len)
        out->len--; /* the reference's text has no line end at its end */
}
