/*
 * The one source of randomness: the system's generator, asked anew for each draw. Nothing is kept
 * of it in this process that a copy of the process could draw again. Any thread.
 *
 * Two kinds of draws. Keys, nonces, seeds, and whatever must not be guessed or come twice, are
 * drawn by rand_secret, which fails when the generator does: then nothing may be made of it.
 * Delays, picks and keys of hash tables are drawn by the others, which never fail: hashes of what
 * the generator gave at the start are mixed in, so that the rest of the program goes on when it
 * breaks.
 */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* Once at the start: tries the generator. On failure (ERR_IO) the program is not to go on. */
enum err rand_init(struct error *e) MUST_CHECK;

/*
 * ERR_IO: the generator failed, or gave what no generator gives: zeros, the same bytes again. Then
 * out is zeros, and the log says so.
 */
enum err rand_secret(void *out, size_t len, struct error *e) MUST_CHECK;

void rand_bytes(void *out, size_t len);
uint64_t rand_u64(void);
uint64_t rand_below(uint64_t n);       /* uniform in 0..n-1; n > 0 */
double rand_exp(double mean);          /* exponential delay, same unit as mean */

/* Tests replace all of this (NULL: the system's again), */
void rand_set_source(void (*fill)(void *out, size_t len));
/* or only the system's generator below it, by what behaves as getrandom(2). */
void rand_set_system(ssize_t (*get)(void *out, size_t len, unsigned flags));

#endif
