#include "base/roff.h"

#include "tests/test.h"

static void expect(struct buf *b, const char *text)
{
    buf_put_u8(b, 0);
    assert_string_equal((const char *)b->data, text);
    buf_clear(b);
}

static void commands_hidden_in_text_are_defused(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    roff_text(&b, ".so /x\n'x\na.b -c \\n");
    expect(&b, "\\&.so /x\n\\&'x\na.b \\-c \\en");
}

static void sections_and_tags_have_their_macros(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    roff_section(&b, "SH", "OPTIONS");
    roff_tag(&b, "-conf", "=<file>");
    roff_tag(&b, "x", NULL);
    expect(&b, ".SH \"OPTIONS\"\n.TP\n\\fB\\-conf\\fR=<file>\n.TP\n\\fBx\\fR\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_hidden_in_text_are_defused),
        cmocka_unit_test(sections_and_tags_have_their_macros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
