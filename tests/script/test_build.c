#include <stdlib.h>

#include "base/mem.h"
#include "script/build.h"
#include "script/interp.h"
#include "script/iter.h"
#include "tests/test.h"

static void expect(struct buf *b, const char *hex)
{
    struct buf bytes = unhex(hex);

    assert_int_equal(b->len, bytes.len);
    assert_memory_equal(b->data, bytes.data, bytes.len);
    buf_clear(&bytes);
    buf_clear(b);
}

static void expect_num(int64_t v, const char *hex)
{
    struct buf b;

    buf_init(&b);
    script_put_num(&b, v);
    expect(&b, hex);
}

static void numbers_take_the_shortest_push(void **state)
{
    (void)state;
    expect_num(0, "00");
    expect_num(1, "51");
    expect_num(16, "60");
    expect_num(17, "0111");
    expect_num(-1, "4f");
    expect_num(-2, "0182");
    expect_num(127, "017f");
    expect_num(128, "028000");
    expect_num(-128, "028080");
    expect_num(500000, "0320a107");
}

static void signature_push_never_uses_small_opcodes(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b);
    script_put_data(&b, "\x01", 1);
    expect(&b, "0101");
    script_put_data(&b, "", 0);
    expect(&b, "00");
    script_put_minimal(&b, "\x01", 1);
    expect(&b, "51");
    script_put_minimal(&b, "\x81", 1);
    expect(&b, "4f");
    script_put_minimal(&b, "\x11", 1);
    expect(&b, "0111");
}

/* What is built is read back as one push, and the interpreter calls it minimal. */
static void lengths_choose_the_form(void **state)
{
    static const size_t lengths[] = { 0, 2, 75, 76, 255, 256, 65535, 65536 };
    static const uint8_t codes[] = { 0, 2, 75, OP_PUSHDATA1, OP_PUSHDATA1, OP_PUSHDATA2,
                                     OP_PUSHDATA2, OP_PUSHDATA4 };

    (void)state;
    for (size_t i = 0; i < sizeof(codes); i++) {
        struct buf b;
        struct script_op op;
        uint8_t *data = (uint8_t *)xcalloc(lengths[i] + 1, 1);
        buf_init(&b);
        script_put_data(&b, data, lengths[i]);
        struct script_iter it = script_iter_of(buf_span(&b));
        assert_true(script_iter_next(&it, &op));
        assert_int_equal(op.code, codes[i]);
        assert_int_equal(op.data.len, lengths[i]);
        assert_true(it.p == it.end);
        assert_true(script_push_is_minimal(&op));
        buf_clear(&b);
        free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_take_the_shortest_push),
        cmocka_unit_test(signature_push_never_uses_small_opcodes),
        cmocka_unit_test(lengths_choose_the_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
