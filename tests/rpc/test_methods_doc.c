/* doc/rpc-methods.md says of every method whether it is there; the command table knows. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rpc/command.h"
#include "tests/test.h"

#define DOC "doc/rpc-methods.md"
#define CELLS 3
#define REFERENCE_METHODS 167 /* of spec rpc 3 */

struct doc_row {
    char *cell[CELLS]; /* method, state, remark */
};

struct doc {
    struct doc_row *rows;
    size_t n;
    struct rpc_table *table;
};

/* A line "| a | b | c |" of a table of methods; anything else, headings too, is no row. */
static bool read_row(const char *line, size_t len, struct doc_row *row)
{
    const char *end = line + len;
    size_t n = 0;
    if (!len || *line != '|')
        return false;
    *row = (struct doc_row){ 0 };
    for (const char *at = line + 1; at < end && n < CELLS; n++) {
        const char *bar = memchr(at, '|', (size_t)(end - at));
        if (!bar)
            break;
        const char *from = at, *to = bar;
        while (from < to && *from == ' ')
            from++;
        while (to > from && to[-1] == ' ')
            to--;
        row->cell[n] = xstrndup(from, (size_t)(to - from));
        at = bar + 1;
    }
    if (n == CELLS && strcmp(row->cell[0], "method") != 0 && row->cell[0][0] != '-')
        return true;
    for (size_t i = 0; i < n; i++)
        free(row->cell[i]);
    return false;
}

static int setup(void **state)
{
    struct doc *d = calloc(1, sizeof *d);
    struct buf text;
    buf_init(&text);
    source_read(DOC, &text);
    buf_put_u8(&text, 0);
    for (const char *line = (const char *)text.data; *line;) {
        size_t len = strcspn(line, "\n");
        struct doc_row row;
        if (read_row(line, len, &row)) {
            d->rows = xrealloc(d->rows, (d->n + 1) * sizeof *d->rows);
            d->rows[d->n++] = row;
        }
        line += len + (line[len] == '\n');
    }
    buf_clear(&text);
    d->table = rpc_table_new();
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    struct doc *d = *state;
    for (size_t i = 0; i < d->n; i++)
        for (size_t k = 0; k < CELLS; k++)
            free(d->rows[i].cell[k]);
    free(d->rows);
    rpc_table_free(d->table);
    free(d);
    return 0;
}

static void every_row_has_a_known_state_and_its_reason(void **state)
{
    const struct doc *d = *state;
    size_t own = 0;
    for (size_t i = 0; i < d->n; i++) {
        char *const *cell = d->rows[i].cell;
        bool present = strcmp(cell[1], "present") == 0;
        if (!present && strcmp(cell[1], "different") != 0 && strcmp(cell[1], "absent") != 0 &&
            strcmp(cell[1], "own") != 0)
            fail_msg(DOC ": %s is '%s'; write present, different, absent or own", cell[0], cell[1]);
        if (!present && !*cell[2])
            fail_msg(DOC ": %s is %s; say how or why in its third column", cell[0], cell[1]);
        for (size_t k = 0; k < i; k++)
            if (strcmp(d->rows[k].cell[0], cell[0]) == 0)
                fail_msg(DOC ": %s has two rows; keep one", cell[0]);
        own += strcmp(cell[1], "own") == 0;
    }
    assert_int_equal(d->n - own, REFERENCE_METHODS);
}

static void what_the_document_says_is_there_is_there_and_the_rest_is_not(void **state)
{
    const struct doc *d = *state;
    for (size_t i = 0; i < d->n; i++) {
        const char *name = d->rows[i].cell[0];
        bool absent = strcmp(d->rows[i].cell[1], "absent") == 0;
        if (absent && rpc_table_find(d->table, name))
            fail_msg(DOC ": %s is absent there but has a row in rpc/cmd_*.c; change its state to "
                         "present or different", name);
        if (!absent && !rpc_table_find(d->table, name))
            fail_msg(DOC ": %s is %s there but has no row in rpc/cmd_*.c; make it absent with the "
                         "reason", name, d->rows[i].cell[1]);
    }
}

static void every_method_has_a_row_in_the_document(void **state)
{
    const struct doc *d = *state;
    for (size_t i = 0; i < rpc_table_count(d->table); i++) {
        const char *name = rpc_table_at(d->table, i)->name;
        bool found = false;
        for (size_t k = 0; k < d->n; k++)
            found |= strcmp(d->rows[k].cell[0], name) == 0;
        if (!found)
            fail_msg(DOC ": %s has no row; add it to the last table with the state own", name);
    }
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_row_has_a_known_state_and_its_reason),
        T(what_the_document_says_is_there_is_there_and_the_rest_is_not),
        T(every_method_has_a_row_in_the_document),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
