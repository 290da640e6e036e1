/*
 * Tests of what must not depend on secrets. memcheck is told that a secret is uninitialized memory:
 * it then complains of each branch that is decided by one and of each address made of one, and of
 * what was computed from it. Such a program starts itself anew under valgrind; where there is none,
 * and in builds with sanitizers, its tests are skipped.
 *
 * What is public in the end is said to be so: by the test (CTIME_PUBLIC), and for verdicts that are
 * made inside a function, such as whether bytes are a key or a tag is good, by ctime.c.
 */
#ifndef TESTS_CTIME_H
#define TESTS_CTIME_H

#include "tests/test.h"

void ctime_secret(void *p, size_t len);
void ctime_public(void *p, size_t len);
#define CTIME_SECRET(array) ctime_secret(array, sizeof(array))
#define CTIME_PUBLIC(object) ctime_public(&(object), sizeof(object))

/* Complaints since the test began; the next one is the first again. */
size_t ctime_take_complaints(void);

/* One that fails when memcheck complains. */
#define CTIME_TEST(fn) cmocka_unit_test_setup_teardown(fn, ctime_begin, ctime_end)
int ctime_begin(void **state);
int ctime_end(void **state);
/* In place of cmocka_run_group_tests, at the beginning of main. */
int ctime_run(struct CMUnitTest *tests, size_t n);

#endif
