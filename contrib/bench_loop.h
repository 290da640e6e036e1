/* Shared by the programs that contrib/bench runs and that measure a loop of their own. */
#ifndef CONTRIB_BENCH_LOOP_H
#define CONTRIB_BENCH_LOOP_H

#include <time.h>

_Noreturn void die(const char *text); /* with the name of the program */
double seconds_of(clockid_t clock);
double cpu_seconds(void); /* of the process */

#endif
