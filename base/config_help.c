/* The table of options as help and as part of a manual page. */
#include "base/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/roff.h"

#define HELP_INDENT 7
#define HELP_COLUMNS 79

static void put_folded(struct buf *out, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column && column + 1 + word > HELP_COLUMNS - HELP_INDENT) {
            buf_put_u8(out, '\n');
            column = 0;
        }
        if (column)
            buf_put_u8(out, ' ');
        else
            buf_printf(out, "%*s", HELP_INDENT, "");
        column += word + (column ? 1 : 0);
        buf_put(out, text, word);
        text += word + (text[word] == ' ');
    }
    buf_put_u8(out, '\n');
}

/* The help of a row with its default and whether it may come again; NUL-terminated. */
static void row_text(struct buf *text, const struct option_row *row)
{
    buf_put_str(text, row->help);
    if (row->def && *row->def)
        buf_printf(text, " (default: %s)", row->def);
    if (row->flags & OPTION_MULTI)
        buf_put_str(text, " (may be given several times)");
    buf_put_u8(text, 0);
}

static void put_row(struct buf *out, const struct option_row *row)
{
    buf_printf(out, "  -%s", row->name);
    if (row->arg)
        buf_printf(out, "=%s", row->arg);
    buf_put_u8(out, '\n');
    struct buf text;
    buf_init(&text);
    row_text(&text, row);
    put_folded(out, (const char *)text.data);
    buf_clear(&text);
}

static void put_row_man(struct buf *out, const struct option_row *row)
{
    struct buf text;
    char *tag = xasprintf("-%s", row->name);
    char *argument = row->arg ? xasprintf("=%s", row->arg) : NULL;
    buf_init(&text);
    row_text(&text, row);
    roff_tag(out, tag, argument);
    roff_text(out, (const char *)text.data);
    buf_put_u8(out, '\n');
    buf_clear(&text);
    free(argument);
    free(tag);
}

static bool row_shown(const struct option_row *row, enum config_help what)
{
    return !(row->flags & OPTION_IGNORED) &&
           (what == CONFIG_HELP_ALL || !(row->flags & OPTION_HIDDEN));
}

static bool category_seen(const struct option_row *rows, size_t i, enum config_help what)
{
    for (size_t j = 0; j < i; j++)
        if (row_shown(&rows[j], what) && strcmp(rows[j].category, rows[i].category) == 0)
            return true;
    return false;
}

/* Calls fn for the rows of each category, after heading for the category. */
static void each_category(const struct option_row *rows, size_t n, enum config_help what,
                          struct buf *out, void (*heading)(struct buf *out, const char *category),
                          void (*fn)(struct buf *out, const struct option_row *row))
{
    for (size_t i = 0; i < n; i++) {
        if (!row_shown(&rows[i], what) || category_seen(rows, i, what))
            continue;
        heading(out, rows[i].category);
        for (size_t j = i; j < n; j++)
            if (row_shown(&rows[j], what) && strcmp(rows[j].category, rows[i].category) == 0)
                fn(out, &rows[j]);
    }
}

static void help_heading(struct buf *out, const char *category)
{
    buf_printf(out, "%s%s:\n", out->len ? "\n" : "", category);
}

static void man_heading(struct buf *out, const char *category)
{
    roff_section(out, "SS", category);
}

void config_help(const struct option_row *rows, size_t n, enum config_help what, struct buf *out)
{
    each_category(rows, n, what, out, help_heading, put_row);
}

void config_man(const struct option_row *rows, size_t n, enum config_help what, struct buf *out)
{
    each_category(rows, n, what, out, man_heading, put_row_man);
}
