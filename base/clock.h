/* Time. Wall clock may be mocked (regtest tests); the monotonic clock never is. Any thread. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

int64_t clock_now(void);      /* seconds since 1970, mocked when set */
int64_t clock_now_ms(void);   /* milliseconds since 1970, mocked when set */
void clock_set_mock(int64_t seconds); /* 0: real time again */
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
int64_t clock_thread_cpu_us(void); /* CPU time of the calling thread; costs a system call */

/* For waits with a time limit: a condition variable that goes by the monotonic clock, and the
 * moment that many milliseconds from now (none when negative). */
void clock_cond_init(pthread_cond_t *cond);
struct timespec clock_deadline(int64_t after_ms);

#endif
