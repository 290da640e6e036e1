/*
 * Runs this test program again as a child under fault.so (fault.c describes the settings).
 *
 * The library is tests/fault/fault.so of the working directory, where make check runs, or what
 * BSVPEER_FAULT_LIB names.
 */
#ifndef TESTS_FAULT_PRELOAD_H
#define TESTS_FAULT_PRELOAD_H

#include <stdbool.h>

#define FAULT_KILLED 137 /* exit status of a child that a crash setting ended */

/* Skips the test when the library is not there or this build cannot have one preloaded
 * (sanitizers). */
void fault_need(void);
/* argv[1..2] of the child are the two arguments; the settings may be NULL. Returns its exit status.
 */
int fault_run(const char *arg1, const char *arg2, const char *setting, const char *path,
              const char *count_file);
/* What it says: how often the child called on the files that count. */
unsigned long fault_counted(const char *count_file);

/* Looks at what a child left; whole: nothing was cut off. */
typedef void (*fault_check_fn)(const char *dir, bool whole);
/*
 * A child with the arguments "child" and a new directory, once for each of its calls, at most about
 * 60 of them; what (exit, torn, ENOSPC) happens there, then check looks at the directory. The child
 * must end with status, or with 0: the log of LevelDB may fail unseen. Only calls on paths with
 * path in them count; NULL: on the directory.
 */
void fault_at_every_call(const char *path, const char *what, int status, fault_check_fn check);

#endif
