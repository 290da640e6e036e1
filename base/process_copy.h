/*
 * Which copy of the process this is (attacks E6). A key whose nonce is a counter must not be used
 * by two copies of one memory: both would count on from the same number. Whoever holds such a key
 * notes the number when it is made and compares before each use; in a process that was forked off
 * it is another. Any thread; costs one read of memory.
 *
 * It tells copies that the kernel makes by fork(2) or clone(2) of a process. Whoever hears that the
 * whole machine was copied calls process_copy_renew.
 */
#ifndef BASE_PROCESS_COPY_H
#define BASE_PROCESS_COPY_H

#include <stdint.h>

uint64_t process_copy_number(void); /* never 0 */
void process_copy_renew(void);      /* another number from now on */

#endif
