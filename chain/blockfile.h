/*
 * Block and undo files, in the reference node's layout (architecture 4.5):
 *   blkNNNNN.dat: records of disk magic (4), length u32 LE, block; when the length is 2^32-1 or
 *                 more: magic, ffffffff, length u64 LE, block.
 *   revNNNNN.dat: the same frame around our own undo content (undo.h).
 * Offsets are explicit, writes positioned, never appended. A block larger than
 * BLOCKFILE_STREAM_MIN is written while it arrives into its own new file under a temporary name
 * and renamed when complete, so a broken download leaves nothing behind.
 *
 * Any thread; one lock inside guards the file table. Reads need no lock.
 */
#ifndef CHAIN_BLOCKFILE_H
#define CHAIN_BLOCKFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "chain/header_index.h"

/* Bytes: below this a block is held in memory while it arrives. */
#define BLOCKFILE_STREAM_MIN (32u << 20)

struct blockfiles;

struct blockfiles_options {
    const char *dir;             /* .../blocks */
    uint8_t magic[4];
    uint64_t preferred_size;     /* a new file begins past this; default 128 MiB */
};

/* What the index knows of one file number; stored by index_db. */
struct blockfile_info {
    uint32_t file;
    uint64_t data_size, undo_size; /* bytes in use */
    uint32_t blocks;
    int32_t height_first, height_last; /* of the blocks in it; first > last: none */
    bool pruned;
    bool dirty;                    /* changed since the last index flush */
};

/*
 * infos: what index_db loaded. Cuts files to the recorded sizes, removes left-over temporaries, the
 * files of pruned numbers, and files with numbers above the recorded ones (made after the last
 * index flush). A recorded file that is missing or short, and whole block files beside empty infos:
 * ERR_CORRUPT with the remedy. For -reindex, pass what blockfiles_list finds.
 */
enum err blockfiles_open(struct blockfiles **out, const struct blockfiles_options *o,
                         const struct blockfile_info *infos, size_t n, struct error *e) MUST_CHECK;
void blockfiles_close(struct blockfiles *bf); /* NULL is fine */

/*
 * The block files that lie in a directory, by rising number, with their sizes on disk (heap array).
 * Undo sizes are 0: undo is made again. blockfiles_note_block then counts the blocks found in them.
 */
enum err blockfiles_list(const char *dir, struct blockfile_info **infos, size_t *n,
                         struct error *e) MUST_CHECK;
void blockfiles_note_block(struct blockfiles *bf, uint32_t file, int32_t height);

/* Writes a whole block; not yet synced. */
enum err blockfiles_write(struct blockfiles *bf, const void *block, size_t size, int32_t height,
                          struct block_pos *pos, struct error *e) MUST_CHECK;

/* A large block in pieces. One thread at a time per writer. */
struct block_writer;
enum err block_writer_begin(struct block_writer **out, struct blockfiles *bf, uint64_t size,
                            struct error *e) MUST_CHECK;
enum err block_writer_put(struct block_writer *w, const void *data, size_t len,
                          struct error *e) MUST_CHECK;
/* Syncs, renames; frees w in every case. */
enum err block_writer_finish(struct block_writer *w, int32_t height, struct block_pos *pos,
                             struct error *e) MUST_CHECK;
void block_writer_abort(struct block_writer *w); /* removes the temporary; NULL is fine */

/* Undo record for a block stored in data_file (same number). content is framed and checksummed. */
enum err blockfiles_write_undo(struct blockfiles *bf, uint32_t data_file,
                               const struct block_hash *hash, const void *content, size_t len,
                               struct block_pos *pos, struct error *e) MUST_CHECK;
enum err blockfiles_read_undo(struct blockfiles *bf, const struct block_pos *pos,
                              const struct block_hash *hash, struct buf *content,
                              struct error *e) MUST_CHECK;

/* Part of a block. A range outside the record is ERR_RANGE; missing or short file ERR_CORRUPT;
 * pruned ERR_NOTFOUND. */
enum err blockfiles_read(struct blockfiles *bf, const struct block_pos *pos, uint64_t offset,
                         void *out, size_t len, struct error *e) MUST_CHECK;
/* A descriptor of the file for serving (caller closes it); the payload starts at pos->offset. */
enum err blockfiles_open_fd(struct blockfiles *bf, const struct block_pos *pos, int *fd,
                            struct error *e) MUST_CHECK;

/* fdatasync of every file written since the last call, and of the directory when files were made. A
 * failure stays. */
enum err blockfiles_sync(struct blockfiles *bf, struct error *e) MUST_CHECK;
/*
 * Hands out changed infos (for the index batch) with the sizes as of the last sync; they stay dirty
 * until blockfiles_clean, and longer when there is more than was synced.
 */
size_t blockfiles_each_dirty(struct blockfiles *bf,
                             void (*fn)(void *ctx, const struct blockfile_info *info), void *ctx);
void blockfiles_clean(struct blockfiles *bf);
void blockfiles_each(struct blockfiles *bf,
                     void (*fn)(void *ctx, const struct blockfile_info *info), void *ctx);
uint64_t blockfiles_disk_bytes(struct blockfiles *bf);
/* Marks a file pruned (index must be flushed and synced next), then removes the two files. */
void blockfiles_mark_pruned(struct blockfiles *bf, uint32_t file);
enum err blockfiles_remove_pruned(struct blockfiles *bf, struct error *e) MUST_CHECK;

/* Path of a file number, for reindex and messages (heap). */
char *blockfiles_path(const struct blockfiles *bf, const char *prefix, uint32_t file);

#endif
