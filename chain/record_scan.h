/*
 * Finds block records in a file: magic, length, block (spec consensus 6), with anything between
 * them. Used for -loadblock and -reindex. One thread at a time.
 */
#ifndef CHAIN_RECORD_SCAN_H
#define CHAIN_RECORD_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"

#define RECORD_SCAN_BUFFER (1u << 20)

struct record_scan {
    const struct file *file;
    uint64_t size;            /* of the file */
    uint64_t at;              /* where the search goes on */
    uint8_t magics[2][4];     /* either begins a record */
    uint8_t *buffer;
    uint64_t buffer_at;
    size_t buffer_len;
};

/* A place in a file where a block may lie. */
struct record {
    uint64_t offset; /* of the block */
    uint64_t size;
};

enum err record_scan_init(struct record_scan *s, const struct file *file,
                          const uint8_t disk_magic[4], const uint8_t wire_magic[4],
                          struct error *e) MUST_CHECK;
void record_scan_clear(struct record_scan *s);
/*
 * Next record that fits into the file; found = false at the end. The search then goes on behind
 * it, or within it after record_scan_refuse: a length that is wrong may hide records.
 */
enum err record_scan_next(struct record_scan *s, struct record *r, bool *found,
                          struct error *e) MUST_CHECK;
void record_scan_refuse(struct record_scan *s, const struct record *r);

#endif
