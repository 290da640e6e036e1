/*
 * Small state files (peers.dat, banlist.dat, anchors.dat, frozen.dat, assigned.dat): one frame,
 * replaced as a whole.
 *
 *   offset  size  content
 *   0       4     disk magic of the network
 *   4       4     tag: ASCII, what the file holds
 *   8       4     version, little-endian
 *   12      n     payload
 *   12+n    32    SHA256d of everything before
 *
 * Any thread; file access blocks.
 */
#ifndef BASE_STATE_FILE_H
#define BASE_STATE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf;
struct reader;

struct state_file_kind {
    char tag[5];
    uint32_t version;
};

/* Writers: begin with an empty buffer, append the payload, finish (adds the checksum) or commit. */
void state_file_begin(struct buf *b, const struct state_file_kind *kind, const uint8_t magic[4]);
void state_file_finish(struct buf *b);
/* Finishes and replaces the file; can run on a worker while the owner of the data goes on. */
enum err state_file_commit(const char *path, struct buf *b, struct error *e) MUST_CHECK;
/* Readers: checks the frame and gives the payload. ERR_CORRUPT with the reason. */
enum err state_file_open(struct reader *r, const void *data, size_t len,
                         const struct state_file_kind *kind, const uint8_t magic[4],
                         struct error *e) MUST_CHECK;

typedef enum err (*state_file_decode_fn)(void *ctx, const void *data, size_t len, struct error *e);
/*
 * Reads and decodes a file. Missing: OK, decode is not called. Too long or refused by decode: a
 * warning, the file is renamed to PATH.bad, OK. Other errors are returned.
 */
enum err state_file_load(const char *path, size_t limit, state_file_decode_fn decode, void *ctx,
                         struct error *e) MUST_CHECK;

#endif
