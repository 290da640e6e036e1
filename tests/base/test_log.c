#include <config.h>

#include "base/log.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "tests/test.h"

struct fixture {
    char *dir, *path;
    struct buf text;
    struct error e;
};

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    f->dir = test_dir_make();
    f->path = path_join(f->dir, "debug.log");
    buf_init(&f->text);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    log_close();
    log_set_categories(0);
    buf_clear(&f->text);
    test_dir_remove(f->dir);
    free(f->path);
    free(f);
    return 0;
}

static void open_plain(struct fixture *f, uint64_t max_bytes)
{
    const struct log_options o = { .path = f->path, .max_bytes = max_bytes };
    assert_int_equal(log_open(&o, &f->e), OK);
}

static const char *content(struct fixture *f, const char *path)
{
    assert_int_equal(file_read_all(path, 1 << 24, &f->text, &f->e), OK);
    buf_put_u8(&f->text, 0);
    return (const char *)f->text.data;
}

static void lines_carry_the_level_where_it_matters(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    open_plain(f, 0);
    log_error("disk %d", 1);
    log_warn("peers %d", 2);
    log_info("height %d", 3);
    assert_string_equal(content(f, f->path), "[error] disk 1\n[warning] peers 2\nheight 3\n");
}

/* "d" in the pattern is a digit. */
static void expect_pattern(const char *text, const char *pattern)
{
    for (size_t i = 0; pattern[i]; i++) {
        if (pattern[i] == 'd')
            assert_true(isdigit((unsigned char)text[i]));
        else
            assert_int_equal(text[i], pattern[i]);
    }
}

static void time_stamps_are_utc_with_seconds_or_microseconds(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct log_options o = { .path = f->path, .timestamps = true };
    assert_int_equal(log_open(&o, &f->e), OK);
    clock_set_mock(1);
    log_info("Hello");
    clock_set_mock(0);
    expect_pattern(content(f, f->path), "20dd-dd-ddTdd:dd:ddZ Hello\n");
    o.time_micros = true;
    assert_int_equal(path_remove(f->path, &f->e), OK);
    assert_int_equal(log_open(&o, &f->e), OK);
    log_error("Hello");
    expect_pattern(content(f, f->path), "20dd-dd-ddTdd:dd:dd.ddddddZ [error] Hello\n");
}

static int evaluated;

static int evaluate(void)
{
    return ++evaluated;
}

static void debug_lines_appear_for_their_category_alone(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    open_plain(f, 0);
    log_debug(LOGC_NET, "none %d", evaluate());
    log_set_categories(LOGC_NET | LOGC_RPC);
    assert_int_equal(log_categories(), LOGC_NET | LOGC_RPC);
    log_debug(LOGC_NET, "net %d", evaluate());
    log_debug(LOGC_CHAIN, "chain %d", evaluate());
    assert_string_equal(content(f, f->path), "net 1\n");
    assert_int_equal(evaluated, 1);
}

static void categories_have_names(void **state)
{
    (void)state;
    uint32_t mask = 0, all = 0;
    const char *name;
    for (unsigned bit = 0; (name = log_category_name(bit)) != NULL; bit++) {
        assert_true(log_category_by_name(name, &mask));
        assert_int_equal(mask, 1u << bit);
        all |= mask;
    }
    assert_int_equal(all, LOGC_ALL);
    assert_true(log_category_by_name("net", &mask) && mask == LOGC_NET);
    assert_true(log_category_by_name("channel", &mask) && mask == LOGC_CHANNEL);
    assert_true(log_category_by_name("all", &mask) && mask == LOGC_ALL);
    assert_true(log_category_by_name("1", &mask) && mask == LOGC_ALL);
    assert_true(log_category_by_name("none", &mask) && mask == 0);
    assert_true(log_category_by_name("0", &mask) && mask == 0);
    assert_false(log_category_by_name("nett", &mask));
    assert_false(log_category_by_name("", &mask));
}

static void a_message_stays_on_its_line(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    open_plain(f, 0);
    log_info("agent %s", "x\n[error] forged\r\x1b[2J");
    log_info("one newline at the end is fine\n");
    assert_string_equal(content(f, f->path),
                        "agent x?[error] forged??[2J\none newline at the end is fine\n");
}

static void an_overlong_message_is_cut(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    static char large[10000];
    memset(large, 'x', sizeof(large) - 1);
    open_plain(f, 0);
    log_info("%s", large);
    log_info("next");
    const char *text = content(f, f->path);
    const char *end = strchr(text, '\n');
    assert_non_null(end);
    assert_in_range(end - text, 4000, 4096);
    assert_memory_equal(end - 3, "...\nnext\n", 9);
}

static void a_large_file_is_rotated_once(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    char *old = xasprintf("%s.1", f->path);
    open_plain(f, 1000);
    for (int i = 0; i < 250; i++) /* 10 bytes each: two full files and a half */
        log_info("line %04d", i);
    const char *text = content(f, f->path);
    assert_int_equal(strlen(text), 500);
    assert_memory_equal(text, "line 0200\n", 10);
    text = content(f, old);
    assert_int_equal(strlen(text), 1000);
    assert_memory_equal(text, "line 0100\n", 10);
    free(old);
}

static void rotation_counts_what_the_file_had_before(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    char *old = xasprintf("%s.1", f->path);
    char before[995];
    memset(before, 'b', sizeof(before));
    assert_int_equal(file_replace(f->path, before, sizeof(before), &f->e), OK);
    open_plain(f, 1000);
    log_info("first of the new file");
    assert_string_equal(content(f, f->path), "first of the new file\n");
    assert_int_equal(strlen(content(f, old)), 995);
    free(old);
}

static void reopening_follows_the_name(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    char *moved = path_join(f->dir, "moved");
    open_plain(f, 0);
    log_info("one");
    assert_int_equal(rename(f->path, moved), 0);
    log_info("two");
    log_reopen();
    log_info("three");
    assert_string_equal(content(f, moved), "one\ntwo\n");
    assert_string_equal(content(f, f->path), "three\n");
    free(moved);
}

static void reopening_keeps_the_old_file_when_the_name_is_not_to_be_had(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    char *moved = path_join(f->dir, "moved");
    open_plain(f, 0);
    assert_int_equal(rename(f->path, moved), 0);
    assert_int_equal(path_make_dirs(f->path, &f->e), OK); /* a directory cannot be written */
    log_reopen();
    log_info("still here");
    assert_string_equal(content(f, moved), "still here\n");
    free(moved);
}

static void a_log_that_cannot_be_opened_is_an_error(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    const struct log_options o = { .path = f->dir };
    assert_int_equal(log_open(&o, &f->e), ERR_IO);
    assert_non_null(strstr(f->e.text, f->dir));
}

static void a_full_disk_costs_lines_which_are_counted(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    if (!path_exists("/dev/full"))
        skip();
    assert_int_equal(symlink("/dev/full", f->path), 0);
    open_plain(f, 0);
    log_info("lost");
    log_info("lost");
    assert_int_equal(path_remove(f->path, &f->e), OK);
    log_reopen();
    log_info("there is room again");
    log_info("and more");
    assert_string_equal(content(f, f->path), "[warning] 2 log lines were lost: no room\n"
                                             "there is room again\nand more\n");
}

static void limited_lines(int n)
{
    for (int i = 0; i < n; i++)
        LOG_LIMITED(LOG_WARN, "flood %d", i);
}

static void a_flood_from_one_call_site_is_cut_to_five_lines(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    open_plain(f, 0);
    limited_lines(100);
    LOG_LIMITED(LOG_WARN, "another call site");
    assert_string_equal(content(f, f->path),
                        "[warning] flood 0\n[warning] flood 1\n[warning] flood 2\n"
                        "[warning] flood 3\n[warning] flood 4\n[warning] another call site\n");
}

static void the_next_window_tells_how_many_were_left_out(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct log_limit limit = { 0 };
    open_plain(f, 0);
    int passed = 0;
    for (int i = 0; i < 12; i++)
        passed += log_limit_pass(&limit);
    assert_int_equal(passed, 5);
    atomic_store(&limit.window_start, clock_mono_ms() - 60001);
    assert_true(log_limit_pass(&limit));
    assert_string_equal(content(f, f->path), "7 lines like the next one were left out\n");
    atomic_store(&limit.window_start, clock_mono_ms() - 60001);
    assert_true(log_limit_pass(&limit));
    assert_string_equal(content(f, f->path), "7 lines like the next one were left out\n");
}

static void *write_lines(void *arg)
{
    for (int i = 0; i < 500; i++)
        log_info("thread %c writes line %03d", *(const char *)arg, i);
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    pthread_t threads[4];
    open_plain(f, 0);
    for (int t = 0; t < 4; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, write_lines, &"abcd"[t]), 0);
    for (int i = 0; i < 20; i++)
        log_reopen();
    for (int t = 0; t < 4; t++)
        pthread_join(threads[t], NULL);
    const char *text = content(f, f->path);
    int next[4] = { 0 }, thread, line;
    char letter;
    for (int n = 0; n < 2000; n++, text = strchr(text, '\n') + 1) {
        assert_int_equal(sscanf(text, "thread %c writes line %d\n", &letter, &line), 2);
        thread = letter - 'a';
        assert_in_range(thread, 0, 3);
        assert_int_equal(line, next[thread]++);
    }
    assert_int_equal(*text, '\0');
}

static void expect_sanitized(const char *text, const char *expected)
{
    char out[64];
    log_sanitize(out, sizeof(out), text, strlen(text));
    assert_string_equal(out, expected);
}

static void control_characters_and_broken_utf8_become_question_marks(void **state)
{
    (void)state;
    expect_sanitized("/Bitcoin SV:1.2.2/", "/Bitcoin SV:1.2.2/");
    expect_sanitized("a\nb\x1b[0m\x7f", "a?b?[0m?");
    expect_sanitized("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
                     "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    expect_sanitized("\xc2\x85", "?");             /* a control character of two bytes */
    expect_sanitized("\xc0\xaf", "??");            /* not the shortest form */
    expect_sanitized("\xed\xa0\x80", "???");       /* surrogate */
    expect_sanitized("\xf4\x90\x80\x80", "????");  /* past the last code point */
    expect_sanitized("x\xe2\x82", "x??");          /* cut short */
    char out[8];
    log_sanitize(out, sizeof(out), "a\0b", 3);
    assert_string_equal(out, "a?b");
}

static void sanitized_text_ends_between_characters(void **state)
{
    (void)state;
    char out[4];
    log_sanitize(out, sizeof(out), "abcdef", 6);
    assert_string_equal(out, "abc");
    log_sanitize(out, sizeof(out), "ab\xc3\xa4", 4);
    assert_string_equal(out, "ab");
    log_sanitize(out, 1, "ab", 2);
    assert_string_equal(out, "");
}

#define LOG_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(lines_carry_the_level_where_it_matters),
        LOG_TEST(time_stamps_are_utc_with_seconds_or_microseconds),
        LOG_TEST(debug_lines_appear_for_their_category_alone),
        LOG_TEST(categories_have_names),
        LOG_TEST(a_message_stays_on_its_line),
        LOG_TEST(an_overlong_message_is_cut),
        LOG_TEST(a_large_file_is_rotated_once),
        LOG_TEST(rotation_counts_what_the_file_had_before),
        LOG_TEST(reopening_follows_the_name),
        LOG_TEST(reopening_keeps_the_old_file_when_the_name_is_not_to_be_had),
        LOG_TEST(a_log_that_cannot_be_opened_is_an_error),
        LOG_TEST(a_full_disk_costs_lines_which_are_counted),
        LOG_TEST(a_flood_from_one_call_site_is_cut_to_five_lines),
        LOG_TEST(the_next_window_tells_how_many_were_left_out),
        LOG_TEST(lines_of_threads_do_not_mix),
        LOG_TEST(control_characters_and_broken_utf8_become_question_marks),
        LOG_TEST(sanitized_text_ends_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
