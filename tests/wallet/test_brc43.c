#include "wallet/brc43.h"

#include <string.h>

#include "tests/test.h"

static struct span text_span(const char *text) { return span_of(text, strlen(text)); }

static enum err make(struct buf *out, unsigned level, const char *protocol, const char *key_id,
                     enum brc43_use use)
{
    struct error e = { .code = OK };
    const enum err rc = brc43_invoice(out, level, text_span(protocol), text_span(key_id), use, &e);
    assert_int_equal(e.code, rc);
    assert_true(rc == OK || e.text[0]);
    return rc;
}

static void assert_invoice(unsigned level, const char *protocol, const char *key_id,
                           const char *want)
{
    struct buf out;
    buf_init(&out);
    buf_put_str(&out, "x");
    assert_int_equal(make(&out, level, protocol, key_id, BRC43_MAKE), OK);
    assert_int_equal(out.len, 1 + strlen(want));
    assert_memory_equal(out.data + 1, want, strlen(want));
    buf_clear(&out);
}

static void the_protocol_is_trimmed_and_lowered_and_the_key_id_kept(void **state)
{
    (void)state;
    assert_invoice(2, "hello world", "1", "2-hello world-1");
    assert_invoice(0, "  BRC2 Test\t", "42", "0-brc2 test-42");
    assert_invoice(1, "a1b2c", " Key  ID-3 ", "1-a1b2c- Key  ID-3 ");
    assert_invoice(1, "protocol", "\xc3\xa9", "1-protocol-\xc3\xa9");
}

static void assert_refused(unsigned level, const char *protocol, const char *key_id,
                           enum brc43_use use)
{
    struct buf out;
    buf_init(&out);
    assert_int_equal(make(&out, level, protocol, key_id, use), ERR_RANGE);
    assert_int_equal(out.len, 0);
    buf_clear(&out);
}

static void broken_rules_are_refused(void **state)
{
    (void)state;
    for (enum brc43_use use = BRC43_MAKE; use <= BRC43_ACCEPT; use++) {
        assert_refused(3, "hello world", "1", use);
        assert_refused(1, "hello world", "", use);
        assert_refused(1, "four", "1", use);
        assert_refused(1, "   four   ", "1", use);
        assert_refused(1, "", "1", use);
        assert_refused(1, "hello  world", "1", use);
        assert_refused(1, "hello-world", "1", use);
        assert_refused(1, "hello\tworld", "1", use);
        assert_refused(1, "h\xc3\xa9llo", "1", use);
        assert_refused(1, "my protocol", "1", use);
        assert_refused(1, "My Protocol ", "1", use);
    }
}

static void reserved_names_are_taken_from_others_only(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out);
    assert_refused(1, "admin stuff", "1", BRC43_MAKE);
    assert_refused(1, "P basket", "1", BRC43_MAKE);
    assert_int_equal(make(&out, 1, "admin stuff", "1", BRC43_ACCEPT), OK);
    assert_int_equal(make(&out, 1, "P basket", "1", BRC43_ACCEPT), OK);
    assert_int_equal(make(&out, 1, "pbasket", "1", BRC43_MAKE), OK);
    buf_clear(&out);
}

/* A protocol of len characters after the prefix, and whether it is taken. */
static bool protocol_taken(const char *prefix, size_t len, enum brc43_use use)
{
    char protocol[500];
    struct buf out;
    buf_init(&out);
    memset(protocol, 'x', sizeof protocol);
    memcpy(protocol, prefix, strlen(prefix));
    protocol[len] = '\0';
    const enum err rc = make(&out, 1, protocol, "1", use);
    buf_clear(&out);
    return rc == OK;
}

static bool key_id_taken(size_t len, enum brc43_use use)
{
    char key_id[1200];
    struct buf out;
    buf_init(&out);
    memset(key_id, 'x', sizeof key_id);
    key_id[len] = '\0';
    const enum err rc = make(&out, 1, "hello world", key_id, use);
    buf_clear(&out);
    return rc == OK;
}

static void lengths_have_limits(void **state)
{
    (void)state;
    static const char linkage[] = "specific linkage revelation ";
    assert_true(protocol_taken("", 5, BRC43_MAKE));
    assert_true(protocol_taken("", 280, BRC43_MAKE));
    assert_false(protocol_taken("", 281, BRC43_MAKE));
    assert_true(protocol_taken("", 400, BRC43_ACCEPT));
    assert_false(protocol_taken("", 401, BRC43_ACCEPT));
    assert_true(protocol_taken(linkage, 430, BRC43_ACCEPT));
    assert_false(protocol_taken(linkage, 431, BRC43_ACCEPT));
    assert_false(protocol_taken(linkage, 281, BRC43_MAKE));
    assert_true(key_id_taken(800, BRC43_MAKE));
    assert_false(key_id_taken(801, BRC43_MAKE));
    assert_true(key_id_taken(1033, BRC43_ACCEPT));
    assert_false(key_id_taken(1034, BRC43_ACCEPT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_protocol_is_trimmed_and_lowered_and_the_key_id_kept),
        cmocka_unit_test(broken_rules_are_refused),
        cmocka_unit_test(reserved_names_are_taken_from_others_only),
        cmocka_unit_test(lengths_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
