/* Real rows of height, time and bits: what lies within the file must be computed exactly. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "chain/pow.h"
#include "tests/chain/header_util.h"
#include "tests/test.h"

struct row {
    int32_t height;
    uint32_t time, bits;
    bool has_work;
    struct u256 work;
};

static bool parse_row(const char *line, struct row *row)
{
    char work[65];
    const int n = sscanf(line, "%d,%u,%x,%64s", &row->height, &row->time, &row->bits, work);
    row->has_work = n == 4 && u256_from_hex(&row->work, work);
    return n >= 3;
}

struct tally {
    size_t rows, checked, works;
};

static void check_row(const char *name, const struct chain_params *p, struct bare_chain *c,
                      const struct row *row, struct tally *t)
{
    t->rows++;
    if (c->n > 0) {
        assert_int_equal(row->height, bare_chain_last(c)->height + 1);
        if (bare_chain_has_look_back(c, p, row->time)) {
            const uint32_t bits = pow_required_bits(p, bare_chain_last(c), row->time);
            if (bits != row->bits)
                fail_msg("%s: height %d needs bits %08x, computed %08x", name, row->height,
                         row->bits, bits);
            t->checked++;
        }
    }
    struct header_node *node = bare_chain_add(c, row->time, row->bits);
    if (row->has_work && c->n == 1)
        node->work = row->work;
    if (row->has_work) {
        assert_int_equal(u256_cmp(&node->work, &row->work), 0);
        t->works++;
    }
}

static enum chain_network network_of(const char *name)
{
    if (strstr(name, "mainnet"))
        return NETWORK_MAIN;
    return strstr(name, "/stn") ? NETWORK_STN : NETWORK_TEST;
}

/* How many could be computed: none where a file is shorter than what they are computed from. */
static size_t check_file(const char *name)
{
    const struct chain_params *p = params_get(network_of(name));
    struct buf text;
    struct bare_chain chain = { 0 };
    struct tally t = { 0 };
    struct row row;
    buf_init(&text);
    vector_read(name, &text);
    buf_put_u8(&text, 0);
    char *rest = (char *)text.data, *line;
    while ((line = strsep(&rest, "\n"))) {
        if (!parse_row(line, &row))
            continue; /* heading, end */
        if (!chain.nodes)
            bare_chain_init(&chain, row.height, text.len / 16);
        check_row(name, p, &chain, &row, &t);
    }
    print_message("%s: %zu rows, %zu bits and %zu works computed\n", name, t.rows, t.checked,
                  t.works);
    bare_chain_clear(&chain);
    buf_clear(&text);
    return t.checked;
}

static void bits_of_every_row_follow_from_the_rows_before(void **state)
{
    (void)state;
    char **names;
    const size_t n = vector_list("difficulty", ".csv", &names);
    size_t checked = 0;
    for (size_t i = 0; i < n; i++)
        checked += check_file(names[i]);
    vector_list_free(names, n);
    if (n == 0)
        skip();
    vector_report("difficulty", checked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_of_every_row_follow_from_the_rows_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
