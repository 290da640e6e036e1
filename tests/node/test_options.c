#include <stdio.h>
#include <string.h>


#include "node/options.h"
#include "tests/test.h"

static void every_row_has_a_name_a_category_and_a_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < node_options_count; i++) {
        const struct option_row *row = &node_options[i];
        assert_non_null(row->name);
        assert_true(strlen(row->category) > 0);
        assert_true(strlen(row->help) > 0);
        assert_true(row->type == OPTION_BOOL || row->arg != NULL);
    }
}

static void no_name_stands_twice(void **state)
{
    (void)state;
    for (size_t i = 0; i < node_options_count; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(node_options[i].name, node_options[j].name);
}

static void every_default_is_a_value_the_row_allows(void **state)
{
    (void)state;
    for (size_t i = 0; i < node_options_count; i++) {
        const struct option_row *row = &node_options[i];
        if (!row->def)
            continue;
        char text[128];
        struct error e;
        snprintf(text, sizeof(text), "%s=%s\n", row->name, row->def);
        struct config *c = config_new(node_options, node_options_count, NULL, NULL);
        if (config_parse_text(c, "defaults", text, strlen(text), &e))
            fail_msg("%s: %s", row->name, e.text);
        config_free(c);
    }
}

static void the_help_shows_every_option_for_users(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text);
    config_help(node_options, node_options_count, CONFIG_HELP_USER, &text);
    buf_put_u8(&text, 0);
    for (size_t i = 0; i < node_options_count; i++) {
        char dashed[64];
        snprintf(dashed, sizeof(dashed), "-%s", node_options[i].name);
        if (!(node_options[i].flags & OPTION_HIDDEN))
            assert_non_null(strstr((const char *)text.data, dashed));
    }
    buf_clear(&text);
}

/* One message of a transfer, sealed before it, must not drop a datagram. */
static void datagrams_wait_behind_one_message_at_least(void **state)
{
    static const struct { const char *text; enum err rc; } sizes[] = {
        { "channeldatagrambuffer=32767\n", ERR_RANGE },
        { "channeldatagrambuffer=32KiB\n", OK },
    };
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct config *c = config_new(node_options, node_options_count, NULL, NULL);
        assert_int_equal(config_parse_text(c, "file", sizes[i].text, strlen(sizes[i].text), NULL),
                         sizes[i].rc);
        config_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_a_name_a_category_and_a_text),
        cmocka_unit_test(no_name_stands_twice),
        cmocka_unit_test(every_default_is_a_value_the_row_allows),
        cmocka_unit_test(the_help_shows_every_option_for_users),
        cmocka_unit_test(datagrams_wait_behind_one_message_at_least),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
