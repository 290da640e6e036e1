/* The helpers of tests/test.h themselves. */
#include <config.h>

#include "tests/test.h"

#include <json-c/json.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

static char *root;

static void add_file(const char *name, const void *data, size_t len)
{
    char *path = path_join(root, name);
    assert_int_equal(file_replace(path, data, len, NULL), OK);
    free(path);
}

static void add_packed(const char *name, const void *data, size_t len)
{
    static uint8_t packed[1 << 20];
    size_t packed_len = 0;
    assert_int_equal(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, data, len, packed,
                                             &packed_len, sizeof(packed)), LZMA_OK);
    add_file(name, packed, packed_len);
}

static int set_up(void **state)
{
    (void)state;
    root = test_dir_make();
    char *folder = path_join(root, "set");
    int failed = mkdir(folder, 0700);
    free(folder);
    return failed || setenv("BSVPEER_VECTORS", root, 1);
}

static int tear_down(void **state)
{
    (void)state;
    test_dir_remove(root);
    return unsetenv("BSVPEER_VECTORS");
}

static void expect_content(const char *name, const void *data, size_t len)
{
    struct buf got;
    buf_init(&got);
    vector_read(name, &got);
    assert_int_equal(got.len, len);
    assert_memory_equal(got.data, data, len);
    buf_clear(&got);
}

static void packed_and_plain_files_read_the_same(void **state)
{
    (void)state;
    static uint8_t large[300000];
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (uint8_t)(i * i >> 7);
    add_file("set/plain.bin", "abc", 3);
    add_packed("set/packed.bin.xz", large, sizeof(large));
    expect_content("set/plain.bin", "abc", 3);
    expect_content("set/packed.bin", large, sizeof(large));
}

static void absent_file_has_no_path(void **state)
{
    (void)state;
    assert_null(vector_path("set/none"));
    add_file("set/there", "", 0);
    char *path = vector_path("set/there");
    assert_non_null(path);
    free(path);
}

static void json_is_parsed(void **state)
{
    (void)state;
    static const char text[] = "[1, {\"a\": \"b\"}]\n";
    add_packed("set/list.json.xz", text, sizeof(text) - 1);
    struct json_object *json = vector_json("set/list.json");
    assert_int_equal(json_object_array_length(json), 2);
    assert_int_equal(json_object_get_int(json_object_array_get_idx(json, 0)), 1);
    json_object_put(json);
}

static void listing_is_sorted_and_names_can_be_read(void **state)
{
    (void)state;
    char **names;
    add_file("set/b.blk", "b", 1);
    add_packed("set/a.blk.xz", "a", 1);
    add_file("set/c.csv", "c", 1);
    assert_int_equal(vector_list("set", ".blk", &names), 2);
    assert_string_equal(names[0], "set/a.blk");
    assert_string_equal(names[1], "set/b.blk");
    expect_content(names[0], "a", 1);
    expect_content(names[1], "b", 1);
    vector_list_free(names, 2);
    assert_int_equal(vector_list("none", ".blk", &names), 0);
    vector_list_free(names, 0);
}

static void a_vector_is_about_the_block_of_its_height(void **state)
{
    (void)state;
    char *folder = path_join(root, "blocks");
    assert_int_equal(mkdir(folder, 0700), 0);
    add_file("blocks/mainnet_0000300_00ab.block", "a", 1);
    add_packed("blocks/testnet_x_00300.block.xz", "b", 1);
    char *found = vector_block_of("spv/proof300.raw");
    assert_string_equal(found, "blocks/mainnet_0000300_00ab.block");
    assert_null(vector_block_of("spv/proof301.raw"));
    assert_null(vector_block_of("spv/proof.raw"));
    free(found);
    free(folder);
}

static void hex_becomes_bytes(void **state)
{
    (void)state;
    struct buf b = unhex("00ffA5");
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, "\x00\xff\xa5", 3);
    buf_clear(&b);
    b = unhex("");
    assert_int_equal(b.len, 0);
    buf_clear(&b);
}

static void test_directory_goes_with_its_content(void **state)
{
    (void)state;
    char *dir = test_dir_make();
    char *deep = path_join(dir, "a/b");
    assert_int_equal(path_make_dirs(deep, NULL), OK);
    char *file = path_join(deep, "f");
    assert_int_equal(file_replace(file, "x", 1, NULL), OK);
    char *name = path_join(dir, "");
    test_dir_remove(dir);
    assert_false(path_exists(name));
    free(name);
    free(file);
    free(deep);
}

#define VECTOR_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VECTOR_TEST(packed_and_plain_files_read_the_same),
        VECTOR_TEST(absent_file_has_no_path),
        VECTOR_TEST(json_is_parsed),
        VECTOR_TEST(listing_is_sorted_and_names_can_be_read),
        VECTOR_TEST(a_vector_is_about_the_block_of_its_height),
        cmocka_unit_test(hex_becomes_bytes),
        cmocka_unit_test(test_directory_goes_with_its_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
