/*
 * The memory of this process as the kernel sees it, by what the pages are for. Any thread; walks
 * the table of mappings, which takes milliseconds in a large process.
 */
#ifndef RPC_RESIDENT_H
#define RPC_RESIDENT_H

#include <stdint.h>
#include <stdio.h>

/* Bytes that are resident; `all` is the sum of the others. */
struct resident {
    uint64_t all;
    uint64_t program; /* pages of files, those that were written (data, relocations) among them */
    uint64_t stacks;  /* of all threads */
    uint64_t heap;    /* what the allocator has from the kernel, and other unnamed mappings */
};

/* All zero when /proc does not tell. */
struct resident resident_take(void);
/* The same of a text in the form of /proc/self/smaps. */
struct resident resident_read(FILE *smaps);

#endif
