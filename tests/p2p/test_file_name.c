/* Names from peers as names of files: nothing outside the directory, nothing overwritten. */
#include <config.h>

#include "p2p/file_name.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "tests/test.h"

static void only_a_plain_name_is_left(void **state)
{
    static const struct { const char *text, *safe; } cases[] = {
        { "a.txt", "a.txt" },
        { "/etc/passwd", "passwd" },
        { "../../.ssh/authorized_keys", "authorized_keys" },
        { "..\\..\\x.exe", "x.exe" },
        { ".bashrc", "bashrc" },
        { "...", "file" },
        { "..", "file" },
        { ".", "file" },
        { "", "file" },
        { "dir/", "file" },
        { " . hidden", "hidden" },
        { "name. ", "name" },
        { "a\nb\tc\x1b[31m\x7f", "abc[31m" },
        { "\xc2\x9bx", "x" },                      /* a control beyond ASCII */
        { "photo\xe2\x80\xaegpj.exe", "photogpj.exe" }, /* right-to-left */
        { "\xe2\x81\xa6x\xef\xbb\xbf", "x" },
        { "bad\xff\xc3(utf8", "bad(utf8" },
        { "na\xc3\xafve \xe2\x82\xac.txt", "na\xc3\xafve \xe2\x82\xac.txt" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char out[FILE_NAME_MAX + 1];
        file_name_safe(out, span_of(cases[i].text, strlen(cases[i].text)));
        assert_string_equal(out, cases[i].safe);
    }
}

static void zeros_and_long_names_are_cut(void **state)
{
    char out[FILE_NAME_MAX + 1], text[600];
    (void)state;
    file_name_safe(out, span_of("a\0/b", 4));
    assert_string_equal(out, "b");
    file_name_safe(out, span_of("a\0b", 3));
    assert_string_equal(out, "ab");
    for (size_t i = 0; i < sizeof text; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 3);
    file_name_safe(out, span_of(text, sizeof text));
    assert_int_equal(strlen(out), 198); /* no half character */
}

static void save(const char *dir, const char *name, const char *content, const char *expected)
{
    char *from = path_join(dir, "private"), *saved = NULL;
    char *target = path_join(dir, "target"), *wanted = path_join(target, expected);
    struct buf got;
    buf_init(&got);
    assert_int_equal(file_replace(from, content, strlen(content), NULL), OK);
    assert_int_equal(file_name_save(from, target, span_of(name, strlen(name)), &saved, NULL), OK);
    assert_string_equal(saved, wanted);
    assert_int_equal(file_read_all(saved, 100, &got, NULL), OK);
    assert_int_equal(got.len, strlen(content));
    assert_memory_equal(got.data, content, got.len);
    free(saved);
    assert_int_equal(file_name_save(from, target, span_of(name, strlen(name)), &saved, NULL), OK);
    assert_string_equal(saved, wanted); /* once more: it is there */
    assert_int_equal(unlink(from), 0);
    buf_clear(&got);
    free(saved);
    free(wanted);
    free(target);
    free(from);
}

static void a_taken_name_gets_a_number(void **state)
{
    char *dir = test_dir_make(), *target = path_join(dir, "target");
    (void)state;
    assert_int_equal(path_make_dirs(target, NULL), OK);
    save(dir, "a.tar", "one", "a.tar");
    save(dir, "../a.tar", "two", "a (1).tar");
    save(dir, "a.tar", "three", "a (2).tar");
    save(dir, "plain", "x", "plain");
    save(dir, "plain", "y", "plain (1)");
    free(target);
    test_dir_remove(dir);
}

/* Whoever puts a link there must not choose where our bytes go. */
static void a_link_is_not_followed(void **state)
{
    char *dir = test_dir_make(), *target = path_join(dir, "target");
    char *victim = path_join(dir, "victim"), *link = path_join(target, "a");
    struct stat st;
    (void)state;
    assert_int_equal(path_make_dirs(target, NULL), OK);
    assert_int_equal(symlink(victim, link), 0);
    save(dir, "a", "data", "a (1)");
    assert_false(path_exists(victim));
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    free(link);
    free(victim);
    free(target);
    test_dir_remove(dir);
}

static void what_cannot_be_saved_stays(void **state)
{
    char *dir = test_dir_make(), *from = path_join(dir, "private"), *saved = NULL;
    char *nowhere = path_join(dir, "nowhere");
    struct error e;
    (void)state;
    assert_int_equal(file_replace(from, "x", 1, NULL), OK);
    assert_int_equal(file_name_save(from, nowhere, span_of("a", 1), &saved, &e), ERR_IO);
    assert_true(path_exists(from));
    assert_null(saved);
    free(nowhere);
    free(from);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_plain_name_is_left),
        cmocka_unit_test(zeros_and_long_names_are_cut),
        cmocka_unit_test(a_taken_name_gets_a_number),
        cmocka_unit_test(a_link_is_not_followed),
        cmocka_unit_test(what_cannot_be_saved_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
