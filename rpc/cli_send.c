/* "send": offers a file to a contact and shows how it goes until it is over. */
#include <config.h>

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/intmath.h"
#include "rpc/cli_verbs.h"

#define BAR_WIDTH 30
#define TICK_MS 250
#define LINE_STEP 10 /* percent, where no terminal is */

struct sending {
    struct cli *c;
    const char *contact;
    char id[65];
    bool terminal;
    int percent;      /* of the last line; -1: none */
    char state[16];   /* that was said last */
};

/* What the node says of it. */
struct progress {
    const char *state;
    uint64_t size, done, rate, eta;
    bool has_eta;
};

static uint64_t number(struct json_object *o, const char *name)
{
    return (uint64_t)json_object_get_int64(cli_member(o, name));
}

static const char *text(struct json_object *o, const char *name)
{
    const char *s = json_object_get_string(cli_member(o, name));
    return s ? s : "";
}

static void put_size(struct buf *b, double n)
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
    size_t unit = 0;
    for (; n >= 1000 && unit + 1 < COUNT_OF(units); unit++)
        n /= 1000;
    buf_printf(b, unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
}

static void put_time(struct buf *b, uint64_t s)
{
    if (s >= 3600)
        buf_printf(b, "%" PRIu64 ":%02u:%02u", s / 3600, (unsigned)(s / 60 % 60),
                   (unsigned)(s % 60));
    else
        buf_printf(b, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
}

static int percent_of(const struct progress *p)
{
    return p->size ? (int)(p->done * 100 / p->size) : 100;
}

static void put_numbers(struct buf *b, const struct progress *p)
{
    buf_printf(b, "%3d %%  ", percent_of(p));
    put_size(b, (double)p->done);
    buf_put_str(b, " of ");
    put_size(b, (double)p->size);
    if (!p->rate)
        return;
    buf_put_str(b, "  ");
    put_size(b, (double)p->rate);
    buf_put_str(b, "/s");
    if (!p->has_eta)
        return;
    buf_put_str(b, "  ");
    put_time(b, p->eta);
    buf_put_str(b, " left");
}

static void put_bar(struct buf *b, const struct progress *p)
{
    const int full = percent_of(p) * BAR_WIDTH / 100;
    buf_put_u8(b, '[');
    for (int i = 0; i < BAR_WIDTH; i++)
        buf_put_u8(b, i < full ? '#' : '.');
    buf_put_str(b, "] ");
}

static bool print_line(struct buf *b)
{
    const bool good = buf_print(b);
    buf_clear(b);
    return good;
}

/* One line that is written over again and again; elsewhere a line for each tenth. */
static bool show_progress(struct sending *s, const struct progress *p)
{
    struct buf b;
    buf_init(&b);
    if (!s->terminal && percent_of(p) < s->percent + LINE_STEP)
        return true;
    s->percent = percent_of(p) - (s->terminal ? 0 : percent_of(p) % LINE_STEP);
    if (s->terminal)
        put_bar(&b, p);
    put_numbers(&b, p);
    buf_put_str(&b, s->terminal ? "\033[K\r" : "\n");
    return print_line(&b);
}

static bool show_state(struct sending *s, const char *what)
{
    struct buf b;
    if (strcmp(s->state, what) == 0)
        return true;
    (void)snprintf(s->state, sizeof s->state, "%s", what);
    buf_init(&b);
    buf_printf(&b, "%s%s: ", s->terminal ? "\033[K" : "", s->contact);
    buf_put_str(&b, strcmp(what, "waiting") == 0 ? "was offered the file, and has not answered yet"
                    : strcmp(what, "away") == 0  ? "has accepted, and is away"
                                                 : what);
    buf_put_str(&b, "\n");
    return print_line(&b);
}

static bool is_to(const struct sending *s, struct json_object *row)
{
    struct json_object *to = json_object_array_get_idx(cli_member(row, "sources"), 0);
    return strcmp(text(to, "contact"), s->contact) == 0 ||
           strcasecmp(text(to, "key"), s->contact) == 0;
}

/* The row of the transfer; NULL: none any more. */
static struct json_object *find_row(const struct sending *s, struct json_object *list)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *row = json_object_array_get_idx(list, i);
        if (strcmp(text(row, "id"), s->id) == 0 && strcmp(text(row, "direction"), "out") == 0 &&
            is_to(s, row))
            return row;
    }
    return NULL;
}

/* False: it is over, *status is that of the process. */
static bool show_row(struct sending *s, struct json_object *row, int *status)
{
    const struct progress p = {
        .state = text(row, "state"), .size = number(row, "size"), .done = number(row, "done"),
        .rate = number(row, "rate"), .eta = number(row, "eta"),
        .has_eta = cli_member(row, "eta") != NULL,
    };
    const bool runs = strcmp(p.state, "running") == 0, done = strcmp(p.state, "done") == 0;
    const bool waits = strcmp(p.state, "waiting") == 0 || strcmp(p.state, "away") == 0;
    const bool printed = runs || done ? show_progress(s, &p) : show_state(s, p.state);
    if (runs)
        s->state[0] = 0;
    *status = printed && done ? EXIT_SUCCESS : EXIT_FAILURE;
    return printed && (runs || waits);
}

static bool look(struct sending *s, int *status)
{
    struct json_object *list = NULL;
    if (!cli_call(s->c, "listtransfers", NULL, 0, &list, status))
        return false;
    struct json_object *row = find_row(s, list);
    bool goes_on = row && show_row(s, row, status);
    if (!row)
        *status = cli_complain("the offer was withdrawn");
    json_object_put(list);
    return goes_on;
}

static int follow(struct sending *s)
{
    const struct timespec tick = { 0, TICK_MS * 1000000L };
    int status = EXIT_FAILURE;
    while (look(s, &status))
        nanosleep(&tick, NULL);
    if (s->terminal && status == EXIT_SUCCESS && putchar('\n') == EOF)
        return EXIT_FAILURE;
    return status;
}

int cli_send(struct cli *c, const char *const *args, size_t n)
{
    struct sending s = { .c = c, .contact = args[0], .terminal = isatty(STDOUT_FILENO),
                         .percent = -LINE_STEP };
    struct json_object *id = NULL;
    char path[PATH_MAX];
    int status;
    const char *const wish[] = { args[0], path, n > 2 ? args[2] : NULL };
    if (!realpath(args[1], path))
        return cli_complain("there is no such file");
    if (!cli_call(c, "sendfile", wish, n, &id, &status))
        return status;
    (void)snprintf(s.id, sizeof s.id, "%s", json_object_get_string(id));
    json_object_put(id);
    return follow(&s);
}
