/*
 * bsvpeer-cli chat: lines of standard input go to a contact, what comes from it is printed, and
 * what becomes of each line. Asks the node a few times a second; what was sent while nobody looked
 * is there all the same. Texts of others are printed without what a terminal would act on.
 */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "rpc/cli_verbs.h"

#define LOOK_MS 300
#define PAGE 1000       /* of listmessages */
#define HISTORY 10u     /* shown at the start, to a terminal */
#define OUT_MAX 100     /* of ours that are watched */
#define LINE_MAX_BYTES 60000
#define NUMBER_TEXT 24

/* One of ours, and what was last said of it. */
struct chat_line {
    int64_t number;
    char state[16];
};

struct chat {
    struct cli *c;
    const char *contact;
    int64_t next; /* number to look from; 0: nothing was seen yet */
    struct chat_line out[OUT_MAX];
    size_t n_out;
    struct buf typed; /* what is no whole line yet */
    bool too_long;    /* the rest of this line is dropped */
};

/* --- printing --- */

/* Bytes of a control character at p, of the C1 ones too; 0: it is none. */
static size_t control_at(const char *p)
{
    const unsigned char a = (unsigned char)p[0], b = (unsigned char)p[1];
    if (a < 0x20 || a == 0x7f)
        return 1;
    return a == 0xc2 && b >= 0x80 && b < 0xa0 ? 2 : 0;
}

/* Further lines are set in, so that a text cannot look like what somebody else says. */
static void print_part(const char *text)
{
    for (const char *p = text; *p;) {
        const size_t n = control_at(p);
        if (*p == '\n')
            fputs("\n    ", stdout);
        else
            putchar(n ? '?' : *p);
        p += n ? n : 1;
    }
}

static const char *text_of(struct json_object *o, const char *name)
{
    struct json_object *v = cli_member(o, name);
    return v ? json_object_get_string(v) : NULL;
}

static int64_t number_of(struct json_object *o, const char *name)
{
    return json_object_get_int64(cli_member(o, name));
}

static void print_order(struct json_object *m)
{
    if (cli_member(m, "missing"))
        printf("(%lld before this one have not come)\n", (long long)number_of(m, "missing"));
    if (cli_member(m, "history_reset"))
        printf("(what was sent before is lost to the sender)\n");
}

static void print_message(const char *who, struct json_object *m)
{
    const char *text = text_of(m, "text");
    print_order(m);
    print_part(who);
    fputs(": ", stdout);
    if (text)
        print_part(text);
    else
        printf("(%lld bytes, message %lld)", (long long)number_of(m, "size"),
               (long long)number_of(m, "number"));
    putchar('\n');
}

/* --- what there is to see --- */

static bool ask(struct chat *chat, const char *method, const char *const *args, size_t n,
                struct json_object **result, int *status)
{
    return cli_call(chat->c, method, args, n, result, status);
}

/* The user has it on the screen. */
static bool mark_read(struct chat *chat, int64_t number, int *status)
{
    struct json_object *result;
    char text[NUMBER_TEXT];
    snprintf(text, sizeof text, "%lld", (long long)number);
    const char *const args[] = { text };
    if (!ask(chat, "readmessage", args, COUNT_OF(args), &result, status))
        return false;
    json_object_put(result);
    return true;
}

static struct chat_line *find_line(struct chat *chat, int64_t number)
{
    for (size_t i = 0; i < chat->n_out; i++)
        if (chat->out[i].number == number)
            return &chat->out[i];
    return NULL;
}

static void watch(struct chat *chat, int64_t number)
{
    if (chat->n_out == OUT_MAX)
        memmove(chat->out, chat->out + 1, --chat->n_out * sizeof chat->out[0]);
    chat->out[chat->n_out++] = (struct chat_line){ .number = number };
}

/* Nothing more will be said of it. */
static bool is_last_word(const char *state)
{
    return strcmp(state, "queued") != 0 && strcmp(state, "sent") != 0 &&
           strcmp(state, "delivered") != 0;
}

static void show_state(struct chat *chat, struct chat_line *line, const char *state)
{
    if (strcmp(line->state, state) == 0)
        return;
    snprintf(line->state, sizeof line->state, "%s", state);
    printf("[%lld %s]\n", (long long)line->number, state);
    if (is_last_word(state)) {
        const size_t i = (size_t)(line - chat->out);
        memmove(line, line + 1, (--chat->n_out - i) * sizeof *line);
    }
}

static bool show_theirs(struct chat *chat, struct json_object *m, int *status)
{
    const char *who = text_of(m, "contact");
    print_message(who ? who : chat->contact, m);
    return strcmp(text_of(m, "state"), "unread") != 0 ||
           mark_read(chat, number_of(m, "number"), status);
}

/* seen: below, all was shown before. False: *status is what the client ends with. */
static bool show(struct chat *chat, struct json_object *m, int64_t seen, int *status)
{
    const int64_t number = number_of(m, "number");
    struct chat_line *line = find_line(chat, number);
    if (line)
        show_state(chat, line, text_of(m, "state"));
    if (number < seen)
        return true;
    chat->next = MAX_OF(chat->next, number + 1);
    if (strcmp(text_of(m, "direction"), "in") == 0)
        return show_theirs(chat, m, status);
    if (!line)
        print_message("me", m);
    return true;
}

static int64_t look_from(const struct chat *chat)
{
    return chat->n_out ? MIN_OF(chat->out[0].number, chat->next) : chat->next;
}

/* *full: there is more. One that came late stands before others that have lower numbers. */
static bool look_once(struct chat *chat, bool *full, int *status)
{
    char count[NUMBER_TEXT], from[NUMBER_TEXT];
    struct json_object *page;
    snprintf(count, sizeof count, "%d", PAGE);
    snprintf(from, sizeof from, "%lld", (long long)look_from(chat));
    const char *const args[] = { chat->contact, count, from };
    if (!ask(chat, "listmessages", args, COUNT_OF(args), &page, status))
        return false;
    struct json_object *all = cli_member(page, "messages");
    const size_t n = all ? json_object_array_length(all) : 0;
    const int64_t seen = chat->next;
    bool good = true;
    for (size_t i = 0; i < n && good; i++)
        good = show(chat, json_object_array_get_idx(all, i), seen, status);
    *full = n == PAGE;
    json_object_put(page);
    return good;
}

static bool look(struct chat *chat, int *status)
{
    bool full = true, good = true;
    while (full && good) {
        good = look_once(chat, &full, status);
        if (full)
            chat->n_out = 0; /* too far back to be watched any longer */
    }
    if (good && (fflush(stdout) || ferror(stdout))) {
        *status = EXIT_FAILURE;
        return false;
    }
    return good;
}

/* --- what is typed --- */

/* A line that is refused is said so, and the next one may be better. */
static void send_line(struct chat *chat, const char *line)
{
    struct json_object *result;
    int status;
    const char *const args[] = { chat->contact, line };
    if (!*line || !ask(chat, "sendmessage", args, COUNT_OF(args), &result, &status))
        return;
    watch(chat, number_of(result, "number"));
    json_object_put(result);
}

static void end_line(struct chat *chat)
{
    if (chat->too_long) {
        cli_complain("this line is too long for a message");
    } else {
        buf_put_u8(&chat->typed, 0);
        send_line(chat, (const char *)chat->typed.data);
    }
    buf_reset(&chat->typed);
    chat->too_long = false;
}

static void take_byte(struct chat *chat, char byte)
{
    if (byte == '\n')
        end_line(chat);
    else if (chat->typed.len == LINE_MAX_BYTES)
        chat->too_long = true;
    else if (byte && byte != '\r')
        buf_put_u8(&chat->typed, (uint8_t)byte);
}

/* False: there is no more. */
static bool take_input(struct chat *chat)
{
    char piece[4096];
    const ssize_t n = read(STDIN_FILENO, piece, sizeof piece);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    for (ssize_t i = 0; i < n; i++)
        take_byte(chat, piece[i]);
    if (n == 0 && chat->typed.len)
        end_line(chat);
    return n > 0;
}

static int talk(struct chat *chat)
{
    struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
    int status = EXIT_SUCCESS;
    bool more = true;
    while (more && look(chat, &status)) {
        const int ready = poll(&in, 1, LOOK_MS);
        if (ready > 0)
            more = take_input(chat);
        else if (ready < 0 && errno != EINTR)
            more = false;
    }
    if (!more)
        (void)look(chat, &status);
    return status;
}

/* Where the conversation begins: what was not read, and on a terminal some of what was. */
static bool begin(struct chat *chat, int *status)
{
    struct json_object *page;
    char count[NUMBER_TEXT];
    snprintf(count, sizeof count, "%d", PAGE);
    const char *const args[] = { chat->contact, count };
    if (!ask(chat, "listmessages", args, COUNT_OF(args), &page, status))
        return false;
    struct json_object *all = cli_member(page, "messages");
    const size_t n = all ? json_object_array_length(all) : 0;
    const size_t old = isatty(STDIN_FILENO) ? HISTORY : 0;
    int64_t first = INT64_MAX, end = 1;
    for (size_t i = 0; i < n; i++) {
        struct json_object *m = json_object_array_get_idx(all, i);
        const int64_t number = number_of(m, "number");
        end = MAX_OF(end, number + 1);
        if (i + old >= n || strcmp(text_of(m, "state"), "unread") == 0)
            first = MIN_OF(first, number);
    }
    chat->next = MIN_OF(first, end);
    json_object_put(page);
    return true;
}

int cli_chat(struct cli *c, const char *const *args, size_t n)
{
    struct chat *chat = xcalloc(1, sizeof *chat);
    int status = EXIT_FAILURE;
    (void)n;
    chat->c = c;
    chat->contact = args[0];
    buf_init(&chat->typed);
    if (begin(chat, &status))
        status = talk(chat);
    buf_clear(&chat->typed);
    free(chat);
    return status;
}
