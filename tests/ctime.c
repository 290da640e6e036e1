#include <config.h>

#include "tests/ctime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/ec.h"

#if defined(HAVE_VALGRIND_MEMCHECK_H) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#include <valgrind/memcheck.h>
#define CAN_RUN 1
#else
#define CAN_RUN 0
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_COUNT_ERRORS 0
#define VALGRIND_MAKE_MEM_UNDEFINED(p, len) ((void)(p), (void)(len))
#define VALGRIND_MAKE_MEM_DEFINED(p, len) ((void)(p), (void)(len))
#endif

/*
 * Verdicts that everybody may learn: that a secret or a sum is a number below the order of the
 * curve and not 0 (else there would be a result of another kind), that a nonce served, and that a
 * tag is good. Public keys and signatures are public as they are written. Branches alone are let
 * pass, and those inside a library in these functions alone; an address made of a secret never is.
 */
static const char verdicts[] =
    "{\n key\n Memcheck:Cond\n fun:ec_pubkey_create\n}\n"
    "{\n product\n Memcheck:Cond\n fun:ec_ecdh_point\n}\n"
    "{\n product_hashed\n Memcheck:Cond\n fun:ec_ecdh_sha256\n}\n"
    "{\n sum\n Memcheck:Cond\n fun:ec_seckey_tweak_add\n}\n"
    "{\n sum_of_points\n Memcheck:Cond\n fun:add_point_of\n}\n"
    "{\n point\n Memcheck:Cond\n obj:*libsecp256k1*\n ...\n fun:secp256k1_ec_pubkey_combine\n}\n"
    "{\n infinity\n Memcheck:Cond\n fun:secp256k1_ec_pubkey_combine\n}\n"
    "{\n signed_der\n Memcheck:Cond\n fun:ec_sign_der\n}\n"
    "{\n signed_rs\n Memcheck:Cond\n fun:sign_rs\n}\n"
    "{\n nonce\n Memcheck:Cond\n obj:*libsecp256k1*\n ...\n fun:secp256k1_ecdsa_sign\n}\n"
    "{\n public_key\n Memcheck:Cond\n obj:*libsecp256k1*\n ...\n"
    " fun:secp256k1_ec_pubkey_serialize\n}\n"
    "{\n signature\n Memcheck:Cond\n fun:secp256k1_ecdsa_signature_serialize_der\n}\n"
    "{\n tag\n Memcheck:Cond\n obj:*libcrypto*\n ...\n fun:EVP_DecryptFinal_ex\n}\n";

static size_t seen;

void ctime_secret(void *p, size_t len)
{
    VALGRIND_MAKE_MEM_UNDEFINED(p, len);
}

void ctime_public(void *p, size_t len)
{
    VALGRIND_MAKE_MEM_DEFINED(p, len);
}

size_t ctime_take_complaints(void)
{
    const size_t now = VALGRIND_COUNT_ERRORS, before = seen;
    seen = now;
    return now - before;
}

int ctime_begin(void **state)
{
    (void)state;
    ctime_take_complaints();
    return 0;
}

int ctime_end(void **state)
{
    (void)state;
    return ctime_take_complaints() ? -1 : 0;
}

static void without_valgrind(void **state)
{
    (void)state;
    skip();
}

/* Does not come back when there is a valgrind. */
static void start_under_valgrind(void)
{
    char self[4096], option[64];
    const ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    const int file = memfd_create("verdicts", 0);
    if (!CAN_RUN || len < 0 || file < 0 ||
        write(file, verdicts, sizeof verdicts - 1) != (ssize_t)sizeof verdicts - 1)
        return;
    self[len] = 0;
    snprintf(option, sizeof option, "--suppressions=/proc/self/fd/%d", file);
    execlp("valgrind", "valgrind", "-q", "--error-limit=no", option, self, (char *)NULL);
    close(file);
}

int ctime_run(struct CMUnitTest *tests, size_t n)
{
    if (!RUNNING_ON_VALGRIND) {
        start_under_valgrind();
        for (size_t i = 0; i < n; i++)
            tests[i] = (struct CMUnitTest){ .name = tests[i].name, .test_func = without_valgrind };
    }
    ec_init();
    return _cmocka_run_group_tests("constant time", tests, n, NULL, NULL);
}
