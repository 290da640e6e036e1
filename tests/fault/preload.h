/*
 * Runs this test program again as a child under fault.so (fault.c describes the settings).
 *
 * The library is tests/fault/fault.so of the working directory, where make check runs, or what
 * BSVPEER_FAULT_LIB names.
 */
#ifndef TESTS_FAULT_PRELOAD_H
#define TESTS_FAULT_PRELOAD_H

#define FAULT_KILLED 137 /* exit status of a child that a crash setting ended */

/* Skips the test when the library is not there or this build cannot have one preloaded
 * (sanitizers). */
void fault_need(void);
/* argv[1..2] of the child are the two arguments; the settings may be NULL. Returns its exit status.
 */
int fault_run(const char *arg1, const char *arg2, const char *setting, const char *path,
              const char *count_file);

#endif
