/* What import.c (thread, order of blocks, flow), load_file.c and reindex.c share. */
#ifndef CHAIN_IMPORT_INTERNAL_H
#define CHAIN_IMPORT_INTERNAL_H

#include "chain/chain_internal.h"
#include "chain/record_scan.h"

struct import_orphans;

/* A block handed on whose end has not come. */
struct import_flight {
    const struct header_node *node;
    size_t bytes;
};

struct import {
    struct chain *chain;
    char **load_files;
    size_t n_load_files;
    bool reindex;
    pthread_t thread;
    struct cancel stop;
    struct import_orphans *orphans;
    pthread_mutex_t lock;       /* guards what is in flight */
    pthread_cond_t done;
    struct import_flight *flights;
    size_t n_flights, flights_cap, bytes_in_flight;
    uint64_t blocks;            /* handed on so far */
};

/* A file whose records are imported. */
struct import_file {
    struct import *import;
    uint32_t number; /* of a block file, or of the -loadblock file in its list */
    /* Hands on a block whose header is accepted and whose data is wanted. NULL: headers alone. */
    enum err (*deliver)(struct import_file *f, struct header_node *node, const struct record *r,
                        struct error *e);
    /* Header of a record in any of the files (orphans may lie in another one). */
    enum err (*read_header)(struct import_file *f, const struct record *r, struct block_header *h,
                            struct error *e);
    struct file file;
};

/*
 * Files are scanned twice, the first time for headers alone: without the headers above it no block
 * lies deep enough for its scripts to be assumed valid.
 *
 * Scans a file; every block whose ancestors are known is delivered, others wait for their parents.
 */
enum err import_scan(struct import_file *f, struct error *e) MUST_CHECK;
/* Waits until another block of that size may be under way. ERR_CANCELLED. */
enum err import_reserve(struct import *im, size_t bytes, const struct header_node *node) MUST_CHECK;
/* The block of node came to its end. */
void import_release(struct import *im, const struct header_node *node);
/* Records that wait for a parent are forgotten. */
void import_forget_orphans(struct import *im);

enum err import_load_file(struct import *im, size_t i, struct error *e) MUST_CHECK;
enum err import_reindex(struct import *im, struct error *e) MUST_CHECK;

#endif
