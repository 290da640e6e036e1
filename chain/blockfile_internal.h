/*
 * Block files as their own sources see them: blockfile.c (table of files, blocks), undofile.c,
 * blockfile_open.c (what is there at the start), block_writer.c (large blocks), block_fds.c (open
 * descriptors).
 */
#ifndef CHAIN_BLOCKFILE_INTERNAL_H
#define CHAIN_BLOCKFILE_INTERNAL_H

#include <pthread.h>

#include "chain/blockfile.h"

enum bf_kind { BF_BLOCK, BF_UNDO };
#define BF_KINDS 2

#define BF_FRAME_MAX 16
#define BF_MAX_FILES (1u << 22) /* larger file numbers are damage */
#define BF_REINDEX "restart with -reindex to rebuild from the block files"

/* --- open descriptors: a few are kept, least recently used ones close first; any thread --- */
struct bf_fds;
struct bf_fd; /* borrowed between get and put */
struct bf_fds *bf_fds_new(const char *dir);
void bf_fds_free(struct bf_fds *fds);
/* FILE_READ, FILE_WRITE or FILE_CREATE. A file that is missing: ERR_CORRUPT with the remedy. */
enum err bf_fds_get(struct bf_fds *fds, enum bf_kind kind, uint32_t number, enum file_mode mode,
                    struct bf_fd **out, struct error *e) MUST_CHECK;
const struct file *bf_fd_file(const struct bf_fd *fd);
void bf_fds_put(struct bf_fds *fds, struct bf_fd *fd);
void bf_fds_drop(struct bf_fds *fds, enum bf_kind kind, uint32_t number);
char *bf_path(const char *dir, const char *prefix, uint32_t number);
const char *bf_prefix(enum bf_kind kind);

/* --- table --- */
struct bf_slot {
    struct blockfile_info info;
    bool present;    /* the number is in use */
    bool handed_out; /* info was given to the index since it changed last */
    bool removed;    /* pruned and its files are gone */
    bool unsynced[BF_KINDS];
    bool linked[BF_KINDS]; /* its name was there at a sync of the directory */
    uint64_t written[BF_KINDS]; /* end of the last write that is complete */
    uint64_t synced[BF_KINDS]; /* the same when the file was synced last: what the index may name */
    uint64_t allocated[BF_KINDS]; /* file size reserved so far */
};

struct blockfiles {
    pthread_mutex_t lock; /* everything below but fds and the constants */
    char *dir;
    uint8_t magic[4];
    uint64_t preferred_size;
    struct bf_fds *fds;
    struct bf_slot *slots; /* by file number */
    uint32_t n_slots;
    uint32_t current;                  /* small blocks go here */
    uint64_t temp_counter, temp_bytes; /* large blocks under way */
    bool dir_unsynced;
    struct error sync_error; /* sticky: after a failed sync nobody knows what is on the disk */
};

bool bf_grow_slots(struct blockfiles *bf, uint32_t n); /* false: no memory */
enum err bf_remove_files(struct blockfiles *bf, uint32_t number, struct error *e) MUST_CHECK;
size_t bf_frame(const struct blockfiles *bf, uint8_t out[BF_FRAME_MAX], uint64_t size);
struct bf_slot *bf_add_slot_locked(struct blockfiles *bf); /* next number, NULL: no memory */
void bf_changed_locked(struct bf_slot *s);
void bf_add_block_locked(struct bf_slot *s, int32_t height);
/* Size of the kind's file in use. */
uint64_t *bf_used(struct bf_slot *s, enum bf_kind kind);
/* A write that ends there is complete. */
void bf_written_locked(struct bf_slot *s, enum bf_kind kind, uint64_t end);
/* Reserves file space ahead in steps; a file system or disk that will not is no failure. */
void bf_allocate(struct blockfiles *bf, enum bf_kind kind, uint32_t number, const struct file *f,
                 uint64_t end);
/* Says why a record cannot be read: ERR_NOTFOUND when pruned. */
enum err bf_check_readable(struct blockfiles *bf, uint32_t number, struct error *e) MUST_CHECK;

#endif
