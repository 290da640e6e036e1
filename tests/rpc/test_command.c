#include "rpc/command.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "tests/test.h"

static int setup(void **state)
{
    *state = rpc_table_new();
    return 0;
}

static int teardown(void **state)
{
    rpc_table_free(*state);
    return 0;
}

static void every_row_is_complete_and_its_name_unique(void **state)
{
    const struct rpc_table *t = *state;
    assert_true(rpc_table_count(t) > 0);
    for (size_t i = 0; i < rpc_table_count(t); i++) {
        const struct rpc_command *c = rpc_table_at(t, i);
        if (!c->fn || !c->help || !*c->help || !c->result || !c->example || !c->category)
            fail_msg("%s lacks something", c->name);
        if (i && strcmp(rpc_table_at(t, i - 1)->name, c->name) >= 0)
            fail_msg("%s twice or out of order", c->name);
        assert_ptr_equal(rpc_table_find(t, c->name), c);
        for (const char *p = c->name; *p; p++)
            assert_true(isalnum((unsigned char)*p));
    }
    assert_null(rpc_table_find(t, "nosuchcommand"));
    assert_null(rpc_table_find(t, ""));
}

static void every_parameter_has_help_and_a_name_of_its_own(void **state)
{
    const struct rpc_table *t = *state;
    for (size_t i = 0; i < rpc_table_count(t); i++) {
        const struct rpc_command *c = rpc_table_at(t, i);
        bool optional = false;
        for (size_t p = 0; p < rpc_param_count(c); p++) {
            char name[64];
            size_t n = strcspn(c->params[p].name, "|");
            assert_true(n && n < sizeof name);
            memcpy(name, c->params[p].name, n);
            name[n] = 0;
            assert_int_equal(rpc_param_find(c, name), p);
            if (!c->params[p].help || !*c->params[p].help)
                fail_msg("%s %s has no help", c->name, name);
            if (optional && c->params[p].need == RPC_REQUIRED)
                fail_msg("%s: %s is required after an optional one", c->name, name);
            optional |= c->params[p].need == RPC_OPTIONAL;
        }
    }
}

static void parameters_that_are_not_text_are_sent_as_json(void **state)
{
    const struct rpc_table *t = *state;
    for (size_t i = 0; i < rpc_table_count(t); i++) {
        const struct rpc_command *c = rpc_table_at(t, i);
        for (size_t p = 0; p < rpc_param_count(c); p++) {
            enum rpc_type type = c->params[p].type;
            bool text = type == RPC_TEXT || type == RPC_MESSAGE || type == RPC_HASH ||
                        type == RPC_HEX || type == RPC_TX || type == RPC_BLOCK;
            if (type != RPC_ANY && text != (c->params[p].cli == RPC_CLI_TEXT))
                fail_msg("%s parameter %zu: client conversion does not fit its type", c->name, p);
        }
    }
}

static void help_of_each_command_names_its_parameters(void **state)
{
    const struct rpc_table *t = *state;
    for (size_t i = 0; i < rpc_table_count(t); i++) {
        const struct rpc_command *c = rpc_table_at(t, i);
        struct buf out;
        buf_init(&out);
        rpc_help_text(c, &out);
        buf_put_u8(&out, 0);
        const char *text = (const char *)out.data;
        assert_int_equal(strncmp(text, c->name, strlen(c->name)), 0);
        assert_non_null(strstr(text, "\nResult:\n"));
        assert_non_null(strstr(text, "\nExample:\n> bsvpeer-cli "));
        for (size_t p = 0; p < rpc_param_count(c); p++)
            assert_non_null(strstr(text, c->params[p].help));
        buf_clear(&out);
    }
}

/* A line that begins with the whole name: signmessage is not signmessagewithprivkey. */
static bool list_has(const char *text, const char *name)
{
    char line[128];
    snprintf(line, sizeof line, "\n%s", name);
    for (const char *at = text; (at = strstr(at, line)); at++)
        if (strchr(" \n", at[strlen(line)])) /* the end of the text as well */
            return true;
    return false;
}

static void the_list_shows_every_visible_command_and_no_hidden_one(void **state)
{
    const struct rpc_table *t = *state;
    struct buf out;
    buf_init(&out);
    rpc_help_list(t, &out);
    buf_put_u8(&out, 0);
    const char *text = (const char *)out.data;
    assert_non_null(strstr(text, "== Control ==\n"));
    for (size_t i = 0; i < rpc_table_count(t); i++) {
        const struct rpc_command *c = rpc_table_at(t, i);
        const bool listed = list_has(text, c->name);
        if (listed == !!(c->flags & RPC_HIDDEN))
            fail_msg("%s: %s", c->name, listed ? "listed though hidden" : "not listed");
    }
    buf_clear(&out);
}

/* By their names; a result alone that tells a secret is for who writes the row. */
static void rows_with_secret_parameters_say_so(void **state)
{
    static const char *const names[] = { "passphrase", "oldpassphrase", "newpassphrase", "phrase",
                                         "privkey", "privkeys" };
    const struct rpc_table *t = *state;
    unsigned found = 0;
    for (size_t i = 0; i < rpc_table_count(t); i++) {
        const struct rpc_command *c = rpc_table_at(t, i);
        for (size_t k = 0; k < COUNT_OF(names); k++) {
            if (rpc_param_find(c, names[k]) == SIZE_MAX)
                continue;
            found++;
            if (!(c->flags & RPC_SECRET))
                fail_msg("%s has %s and not RPC_SECRET", c->name, names[k]);
        }
    }
    assert_true(found >= 8);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_row_is_complete_and_its_name_unique),
        T(every_parameter_has_help_and_a_name_of_its_own),
        T(parameters_that_are_not_text_are_sent_as_json),
        T(help_of_each_command_names_its_parameters),
        T(the_list_shows_every_visible_command_and_no_hidden_one),
        T(rows_with_secret_parameters_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
