#include "rpc/auth.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "tests/test.h"

static enum auth_answer try_pair(const struct rpc_auth *a, const char *user_password)
{
    char *field = rpc_auth_field(user_password);
    enum auth_answer answer = rpc_auth_check(a, field);
    free(field);
    return answer;
}

static void only_the_exact_password_opens(void **state)
{
    (void)state;
    struct rpc_auth *a = rpc_auth_new();
    rpc_auth_add_password(a, "user", "pass:word");
    assert_int_equal(try_pair(a, "user:pass:word"), AUTH_OK);
    static const char *const wrong[] = { "user:pass", "user:pass:wordx", "User:pass:word", "user",
                                         ":", "", "user:" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(try_pair(a, wrong[i]), AUTH_WRONG);
    rpc_auth_free(a);
}

static void missing_and_odd_fields_are_told_apart(void **state)
{
    (void)state;
    struct rpc_auth *a = rpc_auth_new();
    rpc_auth_add_password(a, "u", "p");
    assert_int_equal(rpc_auth_check(a, NULL), AUTH_MISSING);
    assert_int_equal(rpc_auth_check(a, "Bearer x"), AUTH_WRONG);
    assert_int_equal(rpc_auth_check(a, "Basic !!"), AUTH_WRONG);
    assert_int_equal(rpc_auth_check(a, "basic  dTpw"), AUTH_OK);
    assert_int_equal(rpc_auth_check(a, "Basic dTpw=x"), AUTH_WRONG);
    char long_field[4000];
    memset(long_field, 'A', sizeof long_field - 1);
    memcpy(long_field, "Basic ", 6);
    long_field[sizeof long_field - 1] = 0;
    assert_int_equal(rpc_auth_check(a, long_field), AUTH_WRONG);
    rpc_auth_free(a);
}

/* RFC 4231 test case 2: HMAC-SHA256 with key "Jefe" of "what do ya want for nothing?". */
static void hashed_credentials_open_with_their_password(void **state)
{
    (void)state;
    struct rpc_auth *a = rpc_auth_new();
    assert_int_equal(rpc_auth_add_hashed(
        a, "joe:Jefe$5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", NULL), OK);
    assert_int_equal(try_pair(a, "joe:what do ya want for nothing?"), AUTH_OK);
    assert_int_equal(try_pair(a, "joe:what do ya want for nothing"), AUTH_WRONG);
    assert_int_equal(try_pair(a, "jo:what do ya want for nothing?"), AUTH_WRONG);
    static const char *const bad[] = { "joe", "joe:salt", "joe:salt$12",
                                       ":s$5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b9"
                                       "64ec3843",
                                       "joe:$5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58"
                                       "b964ec3843" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(rpc_auth_add_hashed(a, bad[i], NULL), ERR_PARSE);
    rpc_auth_free(a);
}

static void the_cookie_is_private_and_opens(void **state)
{
    (void)state;
    char *dir = test_dir_make(), *path = path_join(dir, ".cookie");
    struct rpc_auth *a = rpc_auth_new();
    FILE *old = fopen(path, "w");
    fclose(old);
    chmod(path, 0666);
    assert_int_equal(rpc_auth_write_cookie(a, path, NULL), OK);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct buf text;
    buf_init(&text);
    assert_int_equal(file_read_all(path, 1000, &text, NULL), OK);
    assert_int_equal(text.len, 11 + 64);
    assert_memory_equal(text.data, "__cookie__:", 11);
    buf_put_u8(&text, 0);
    assert_int_equal(try_pair(a, (const char *)text.data), AUTH_OK);
    text.data[20] ^= 1;
    assert_int_equal(try_pair(a, (const char *)text.data), AUTH_WRONG);
    buf_clear(&text);
    rpc_auth_free(a);
    free(path);
    test_dir_remove(dir);
}

static bool allows4(const struct rpc_auth *a, const char *ip)
{
    struct sockaddr_in s = { .sin_family = AF_INET };
    inet_pton(AF_INET, ip, &s.sin_addr);
    return rpc_auth_allows(a, (struct sockaddr *)&s);
}

static bool allows6(const struct rpc_auth *a, const char *ip)
{
    struct sockaddr_in6 s = { .sin6_family = AF_INET6 };
    inet_pton(AF_INET6, ip, &s.sin6_addr);
    return rpc_auth_allows(a, (struct sockaddr *)&s);
}

static void loopback_is_allowed_and_others_by_subnet(void **state)
{
    (void)state;
    struct rpc_auth *a = rpc_auth_new();
    struct error e = { 0 };
    assert_true(allows4(a, "127.9.9.9"));
    assert_true(allows6(a, "::1"));
    assert_true(allows6(a, "::ffff:127.0.0.1"));
    assert_false(allows4(a, "10.0.0.1"));
    assert_false(allows6(a, "fe80::1"));
    assert_int_equal(rpc_auth_allow(a, "10.0.0.0/255.0.0.0", &e), OK);
    assert_int_equal(rpc_auth_allow(a, "fd00::/8", &e), OK);
    assert_true(allows4(a, "10.1.2.3"));
    assert_true(allows6(a, "fd12::1"));
    assert_false(allows4(a, "11.0.0.1"));
    assert_int_not_equal(rpc_auth_allow(a, "localhost", &e), OK);
    assert_non_null(strstr(e.text, "rpcallowip"));
    rpc_auth_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_exact_password_opens),
        cmocka_unit_test(missing_and_odd_fields_are_told_apart),
        cmocka_unit_test(hashed_credentials_open_with_their_password),
        cmocka_unit_test(the_cookie_is_private_and_opens),
        cmocka_unit_test(loopback_is_allowed_and_others_by_subnet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
