#include "base/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tests/test.h"

static const struct option_row rows[] = {
    { "daemon", OPTION_BOOL, 0, "0", 0, 0, 0, "General", NULL, "Run in the background", "bg" },
    { "listen", OPTION_BOOL, 0, "1", 0, 0, 0, "Net", NULL, "Accept connections", NULL },
    { "port", OPTION_INT, 0, NULL, 1, 65535, 0, "Net", "<n>", "Port", NULL },
    { "tries", OPTION_INT, 0, "5", 2, 0, 0, "Net", "<n>", "Tries", NULL },
    { "addnode", OPTION_STRING, OPTION_MULTI, NULL, 0, 0, 0, "Net", "<addr>", "Peer", NULL },
    { "dbcache", OPTION_SIZE, 0, "2048", 4 << 20, INT64_C(16384) << 20, 1 << 20, "General",
      "<size>", "Cache", NULL },
    { "fee", OPTION_AMOUNT, 0, "0.00000100", 0, 100000000, 0, "General", "<amount>", "Fee", NULL },
    { "onlynet", OPTION_CHOICE, OPTION_MULTI, NULL, 0, 0, 0, "Net", "ipv4|ipv6", "Networks", NULL },
    { "rpcpassword", OPTION_STRING, OPTION_SECRET, NULL, 0, 0, 0, "RPC", "<text>", "Password",
      NULL },
    { "upnp", OPTION_BOOL, OPTION_IGNORED, NULL, 0, 0, 0, "Net", NULL, "", NULL },
    { "notify", OPTION_STRING, 0, NULL, 0, 0, 0, "General", "<cmd>", "Command", NULL },
    { "trace", OPTION_BOOL, OPTION_HIDDEN, "0", 0, 0, 0, "Debug", NULL, "For developers", NULL },
};

struct fixture {
    struct config *c;
    char warnings[1024];
    struct error e;
};

static void note_warning(void *ctx, const char *text)
{
    struct fixture *f = ctx;
    size_t n = strlen(f->warnings);
    snprintf(f->warnings + n, sizeof f->warnings - n, "%s\n", text);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->c = config_new(rows, sizeof rows / sizeof *rows, note_warning, f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    config_free(f->c);
    free(f);
    return 0;
}

#define ARGS(f, ...)                                                                   \
    args_of(f, (char *[]){ (char *)(uintptr_t) "prog", __VA_ARGS__ },                  \
            sizeof((const char *[]){ "prog", __VA_ARGS__ }) / sizeof(char *))

static int used;
static enum err args_of(struct fixture *f, char **argv, size_t n)
{
    return config_parse_args(f->c, (int)n, argv, &used, &f->e);
}

static enum err file_of(struct fixture *f, const char *text)
{
    return config_parse_text(f->c, "test.conf", text, strlen(text), &f->e);
}

static void defaults_hold_when_nothing_is_given(void **state)
{
    struct fixture *f = *state;
    assert_false(config_bool(f->c, "daemon"));
    assert_true(config_bool(f->c, "listen"));
    assert_int_equal(config_size(f->c, "dbcache"), UINT64_C(2048) << 20);
    assert_int_equal(config_amount(f->c, "fee"), 100);
    assert_null(config_string(f->c, "notify"));
    const char *const *list;
    assert_int_equal(config_list(f->c, "addnode", &list), 0);
    assert_int_equal(config_source(f->c, "listen"), OPTION_FROM_DEFAULT);
}

static void one_and_two_dashes_no_and_empty_values_mean_what_they_should(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ARGS(f, "-daemon", "--nolisten", "-port=18", "command", "-port=19"), OK);
    assert_int_equal(used, 4);
    assert_true(config_bool(f->c, "daemon"));
    assert_false(config_bool(f->c, "listen"));
    assert_int_equal(config_int(f->c, "port"), 18);
    assert_int_equal(ARGS(f, "-nolisten=0", "-bg=0"), OK);
    assert_true(config_bool(f->c, "listen"));
    assert_false(config_bool(f->c, "daemon"));
}

static void the_last_argument_and_the_first_file_line_count(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ARGS(f, "-port=1", "-port=2"), OK);
    assert_int_equal(file_of(f, "port=3\ndbcache=100\ndbcache=200\n"), OK);
    assert_int_equal(config_int(f->c, "port"), 2);
    assert_int_equal(config_size(f->c, "dbcache"), 100u << 20);
    assert_int_equal(config_source(f->c, "port"), OPTION_FROM_ARGS);
    assert_int_equal(config_source(f->c, "dbcache"), OPTION_FROM_FILE);
}

static void multi_options_add_up_command_line_first(void **state)
{
    struct fixture *f = *state;
    const char *const *list;
    assert_int_equal(ARGS(f, "-addnode=a", "-addnode=b"), OK);
    assert_int_equal(file_of(f, "addnode = c # comment\r\n\n# addnode=x\naddnode=d"), OK);
    assert_int_equal(config_list(f->c, "addnode", &list), 4);
    for (int i = 0; i < 4; i++)
        assert_string_equal(list[i], ((const char *[]){ "a", "b", "c", "d" })[i]);
}

static void sizes_take_decimal_and_binary_suffixes_in_any_case(void **state)
{
    struct fixture *f = *state;
    static const struct { const char *arg; uint64_t bytes; } cases[] = {
        { "-dbcache=5", 5u << 20 }, { "-dbcache=5000000B", 5000000 }, { "-dbcache=5mb", 5000000 },
        { "-dbcache=8192KiB", 8u << 20 }, { "-dbcache=1GiB", 1u << 30 },
        { "-dbcache=10 gb", UINT64_C(10000000000) },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(ARGS(f, (char *)(uintptr_t)cases[i].arg), OK);
        assert_int_equal(config_size(f->c, "dbcache"), cases[i].bytes);
    }
}

static void bad_values_are_refused_in_one_line_that_names_option_and_limits(void **state)
{
    struct fixture *f = *state;
    static const struct { const char *arg, *text; } cases[] = {
        { "-port=0", "option port=0: allowed is a whole number from 1 to 65535" },
        { "-port=x", "option port=x: allowed is a whole number from 1 to 65535" },
        { "-port=", "option port=: allowed is a whole number from 1 to 65535" },
        { "-port=99999999999999999999",
          "option port=99999999999999999999: allowed is a whole number from 1 to 65535" },
        { "-dbcache=3",
          "option dbcache=3: allowed is a size such as 100, 64MB or 2GiB from 4MiB to 16GiB" },
        { "-dbcache=5XB",
          "option dbcache=5XB: allowed is a size such as 100, 64MB or 2GiB from 4MiB to 16GiB" },
        { "-fee=0.000000001",
          "option fee=0.000000001: allowed is an amount such as 0.00000100 from 0.00000000 to "
          "1.00000000" },
        { "-fee=1.",
          "option fee=1.: allowed is an amount such as 0.00000100 from 0.00000000 to 1.00000000" },
        { "-onlynet=ipx", "option onlynet=ipx: allowed is one of ipv4|ipv6" },
        { "-tries=1", "option tries=1: allowed is a whole number, at least 2" },
        { "-daemon=maybe", "option daemon=maybe: allowed is 0 or 1" },
        { "-notify=", "option notify=: allowed is a text" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_not_equal(ARGS(f, (char *)(uintptr_t)cases[i].arg), OK);
        assert_string_equal(f->e.text, cases[i].text);
    }
}

static void unknown_arguments_are_errors_that_name_the_nearest(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ARGS(f, "-dbcahe=5"), ERR_PARSE);
    assert_string_equal(f->e.text, "unknown option dbcahe (nearest known: dbcache)");
    assert_int_equal(ARGS(f, "-zzzzzzzzz"), ERR_PARSE);
    assert_string_equal(f->e.text, "unknown option zzzzzzzzz");
    assert_int_equal(ARGS(f, "-"), ERR_PARSE);
    assert_int_equal(ARGS(f, "-=1"), ERR_PARSE);
}

static void unknown_names_in_a_file_are_only_warned_of(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(file_of(f, "mintxfee=1\nupnp=1\nlisen=0\n"), OK);
    assert_string_equal(f->warnings, "test.conf:1: unknown option mintxfee\n"
                                     "test.conf:2: option without meaning here, ignored: upnp\n"
                                     "test.conf:3: unknown option lisen (nearest known: listen)\n");
}

static void broken_files_name_the_line(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(file_of(f, "listen=1\nnonsense\n"), ERR_PARSE);
    assert_string_equal(f->e.text, "test.conf:2: no '=' in this line");
    assert_int_equal(file_of(f, "\nport=70000\n"), ERR_RANGE);
    assert_string_equal(
        f->e.text, "test.conf:2: option port=70000: allowed is a whole number from 1 to 65535");
    assert_int_equal(config_parse_text(f->c, "test.conf", "a\0b", 3, &f->e), ERR_PARSE);
}

static void sections_are_ignored_with_a_warning(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(file_of(f, "port=5\n[test]\nport=6\nbroken line\n"), OK);
    assert_int_equal(config_int(f->c, "port"), 5);
    assert_non_null(strstr(f->warnings, "sections"));
}

static void secrets_show_neither_in_errors_nor_in_the_dump(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(file_of(f, "rpcpassword=abc#def\nport=7\n"), OK);
    assert_string_equal(config_string(f->c, "rpcpassword"), "abc");
    assert_non_null(strstr(f->warnings, "'#'"));
    assert_null(strstr(f->warnings, "abc"));
    assert_int_not_equal(ARGS(f, "-rpcpassword="), OK);
}

static void note_value(void *ctx, const char *name, const char *value)
{
    char *all = ctx;
    size_t n = strlen(all);
    snprintf(all + n, 256 - n, "%s=%s;", name, value);
}

static void the_dump_lists_what_was_given_in_table_order(void **state)
{
    struct fixture *f = *state;
    char all[256] = "";
    assert_int_equal(ARGS(f, "-addnode=x", "-rpcpassword=secret", "-port=9", "-addnode=y"), OK);
    config_each(f->c, note_value, all);
    assert_string_equal(all, "port=9;addnode=x;addnode=y;");
}

static void no_upper_limit_is_none(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ARGS(f, "-tries=9000000000"), OK);
    assert_int_equal(config_int(f->c, "tries"), INT64_C(9000000000));
}

static void a_rule_gives_way_to_the_user(void **state)
{
    struct fixture *f = *state;
    assert_true(config_set_rule(f->c, "listen", "0"));
    assert_false(config_bool(f->c, "listen"));
    assert_false(config_is_set(f->c, "listen"));
    assert_int_equal(ARGS(f, "-listen=1"), OK);
    assert_false(config_set_rule(f->c, "listen", "0"));
    assert_true(config_bool(f->c, "listen"));
}

static void no_is_not_cut_from_names_that_begin_with_it(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ARGS(f, "-notify=run"), OK);
    assert_string_equal(config_string(f->c, "notify"), "run");
}

static void a_missing_file_is_told_apart(void **state)
{
    struct fixture *f = *state;
    char *dir = test_dir_make(), *path = path_join(dir, "none.conf");
    assert_int_equal(config_parse_file(f->c, path, &f->e), ERR_NOTFOUND);
    free(path);
    path = path_join(dir, "a.conf");
    FILE *file = fopen(path, "w");
    fputs("\xef\xbb\xbfport=12\n", file);
    fclose(file);
    assert_int_equal(config_parse_file(f->c, path, &f->e), OK);
    assert_int_equal(config_int(f->c, "port"), 12);
    free(path);
    test_dir_remove(dir);
}

static void help_shows_each_visible_row_once_below_its_category(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out);
    config_help(rows, sizeof rows / sizeof *rows, CONFIG_HELP_USER, &out);
    buf_put_u8(&out, 0);
    const char *text = (const char *)out.data;
    assert_non_null(strstr(text, "  -dbcache=<size>\n       Cache (default: 2048)\n"));
    assert_null(strstr(text, "trace"));
    assert_null(strstr(text, "upnp"));
    const char *general = strstr(text, "General:");
    assert_non_null(general);
    assert_null(strstr(general + 1, "General:"));
    buf_clear(&out);
}

static void amounts_are_exact_or_refused(void **state)
{
    (void)state;
    int64_t v;
    assert_true(amount_parse("21000000", &v) && v == INT64_C(2100000000000000));
    assert_true(amount_parse("0.1", &v) && v == 10000000);
    assert_true(amount_parse("-0.00000001", &v) && v == -1);
    static const char *const bad[] = { "", "-", ".5", "1.", "1e8", " 1", "1 ", "0.123456789",
                                       "99999999999999", "+1" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(amount_parse(bad[i], &v));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(defaults_hold_when_nothing_is_given),
        T(one_and_two_dashes_no_and_empty_values_mean_what_they_should),
        T(the_last_argument_and_the_first_file_line_count),
        T(multi_options_add_up_command_line_first),
        T(sizes_take_decimal_and_binary_suffixes_in_any_case),
        T(bad_values_are_refused_in_one_line_that_names_option_and_limits),
        T(unknown_arguments_are_errors_that_name_the_nearest),
        T(unknown_names_in_a_file_are_only_warned_of),
        T(broken_files_name_the_line),
        T(sections_are_ignored_with_a_warning),
        T(secrets_show_neither_in_errors_nor_in_the_dump),
        T(the_dump_lists_what_was_given_in_table_order),
        T(no_upper_limit_is_none),
        T(a_rule_gives_way_to_the_user),
        T(no_is_not_cut_from_names_that_begin_with_it),
        T(a_missing_file_is_told_apart),
        T(help_shows_each_visible_row_once_below_its_category),
        T(amounts_are_exact_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
