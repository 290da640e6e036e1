#include "bca/cli_options.h"

#include <string.h>

#include "tests/test.h"

static void commands_are_found_by_name(void **state)
{
    (void)state;
    for (int i = 0; i < CLI_COMMAND_COUNT; i++)
        assert_ptr_equal(cli_command_find(cli_commands[i].name), &cli_commands[i]);
    assert_null(cli_command_find("nonsense"));
}

/* The command, given this one option. */
static const char *foreign(enum cli_command_id command, char *option)
{
    char program[] = "bsvpeer-bca";
    char *argv[] = { program, option };
    int used;
    struct config *c = config_new(cli_option_rows, cli_option_count, NULL, NULL);
    assert_int_equal(config_parse_args(c, 2, argv, &used, NULL), OK);
    const char *name = cli_foreign_option(c, &cli_commands[command]);
    config_free(c);
    return name;
}

static void options_belong_to_commands(void **state)
{
    (void)state;
    char json[] = "-json", headers[] = "-headers=f", seed[] = "-seed=00";
    char network[] = "-network=stn";
    for (int i = 0; i < CLI_COMMAND_COUNT; i++)
        assert_null(foreign((enum cli_command_id)i, json));
    assert_null(foreign(CLI_VERIFY, headers));
    assert_string_equal(foreign(CLI_ADDRESS, headers), "headers");
    assert_null(foreign(CLI_REGISTRATION, seed));
    assert_string_equal(foreign(CLI_DECODE, seed), "seed");
    assert_null(foreign(CLI_ADDRESS, network));
    assert_string_equal(foreign(CLI_REGISTRATION, network), "network");
}

/* Text without the escapes of roff. */
static void drop_backslashes(struct buf *b)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->len; i++)
        if (b->data[i] != '\\')
            b->data[kept++] = b->data[i];
    b->len = kept;
    buf_put_u8(b, 0);
}

static void help_and_manual_page_name_every_command_and_option(void **state)
{
    (void)state;
    struct buf text[2];
    buf_init(&text[0]);
    buf_init(&text[1]);
    cli_help(&text[0]);
    cli_man(&text[1]);
    assert_memory_equal(text[1].data, ".TH BSVPEER\\-BCA 1", 18);
    for (int k = 0; k < 2; k++) {
        drop_backslashes(&text[k]);
        const char *page = (const char *)text[k].data;
        for (size_t i = 0; i < cli_option_count; i++)
            if (!(cli_option_rows[i].flags & OPTION_HIDDEN))
                assert_non_null(strstr(page, cli_option_rows[i].name));
        for (int i = 0; i < CLI_COMMAND_COUNT; i++)
            assert_non_null(strstr(page, cli_commands[i].help));
        buf_clear(&text[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_found_by_name),
        cmocka_unit_test(options_belong_to_commands),
        cmocka_unit_test(help_and_manual_page_name_every_command_and_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
