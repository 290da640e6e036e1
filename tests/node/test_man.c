#include <stdio.h>
#include <string.h>

#include "node/man.h"
#include "node/options.h"
#include "tests/test.h"

static void the_manual_page_has_every_option_for_users(void **state)
{
    (void)state;
    struct buf page;
    buf_init(&page);
    node_man(&page);
    buf_put_u8(&page, 0);
    assert_memory_equal(page.data, ".TH BSVPEERD 1", 14);
    for (size_t i = 0; i < node_options_count; i++)
        if (!(node_options[i].flags & OPTION_HIDDEN) && !strchr(node_options[i].name, '-'))
            assert_non_null(strstr((const char *)page.data, node_options[i].name));
    buf_clear(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(
        the_manual_page_has_every_option_for_users) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
