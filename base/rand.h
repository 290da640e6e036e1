/* The one source of randomness: the system generator. Stops the process if that
 * fails. Any thread. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

void rand_bytes(void *out, size_t len);
uint64_t rand_u64(void);
uint64_t rand_below(uint64_t n);       /* uniform in 0..n-1; n > 0 */
double rand_exp(double mean);          /* exponential delay, same unit as mean */
/* Tests replace the generator (NULL: the system's again). */
void rand_set_source(void (*fill)(void *out, size_t len));

#endif
