/* Time. Wall clock may be mocked (regtest tests); the monotonic clock never is. Any thread. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t clock_now(void);      /* seconds since 1970, mocked when set */
int64_t clock_now_ms(void);   /* milliseconds since 1970, mocked when set */
void clock_set_mock(int64_t seconds); /* 0: real time again */
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);

#endif
