/*
 * Cuts a byte stream into messages (spec p2p 1.2, 1.3). Bytes in, events out, no sockets.
 *
 * Memory follows the bytes received, never the size claimed (attacks C6); a message that lies
 * whole in the input is handed out without a copy. Magic is judged as soon as 4 bytes are there.
 * Not thread safe; the connection owns it.
 */
#ifndef P2P_FRAME_H
#define P2P_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/hash.h"

#define FRAME_HEADER_SIZE 24
#define FRAME_EXT_HEADER_SIZE 44
#define FRAME_COMMAND_SIZE 12

enum frame_event {
    FRAME_MORE,      /* all input used, more is needed */
    FRAME_HEADER,    /* command, size, checksum are known: call frame_take before feeding on */
    FRAME_DATA,      /* FRAME_STREAM: the next piece is in data */
    FRAME_MESSAGE,   /* FRAME_COLLECT: the whole payload is in data, valid until the next feed */
    FRAME_END,       /* FRAME_STREAM and FRAME_SKIP: the payload is through */
    FRAME_BAD_MAGIC, /* the stream is useless from here on */
    FRAME_NOMEM,
};

enum frame_mode { FRAME_COLLECT, FRAME_STREAM, FRAME_SKIP };

struct frame {
    /* Valid from FRAME_HEADER until the next one. */
    uint8_t command[FRAME_COMMAND_SIZE]; /* the extended one in extended framing */
    bool command_ok;     /* printable ASCII, zero padded (spec p2p 1.2) */
    bool extended;       /* no checksum in the header */
    uint8_t checksum[4];
    uint64_t size;       /* payload bytes claimed */
    uint64_t received;   /* of them */
    struct span data;
    uint8_t digest[32];  /* FRAME_MESSAGE: SHA256d of the payload */
    bool checksum_ok;    /* FRAME_MESSAGE; true in extended framing */

    /* the parser's own */
    uint8_t magic[4];
    enum {
        FRAME_IN_HEADER,
        FRAME_IN_CHOICE,
        FRAME_IN_COLLECT,
        FRAME_IN_STREAM,
        FRAME_IN_SKIP
    } state;
    uint8_t head[FRAME_EXT_HEADER_SIZE];
    size_t head_len;
    struct buf body;
    struct sha256 hash;
};

void frame_init(struct frame *f, const uint8_t magic[4]);
void frame_clear(struct frame *f);
/* Feed again with the rest (also when nothing is left) until FRAME_MORE. */
enum frame_event frame_feed(struct frame *f, const uint8_t *in, size_t len, size_t *used);
/* Answer to FRAME_HEADER; FRAME_STREAM may turn into FRAME_SKIP in the middle. */
void frame_take(struct frame *f, enum frame_mode mode);
/* In the middle of a payload. */
static inline bool frame_in_payload(const struct frame *f) { return f->state > FRAME_IN_CHOICE; }
/* Bytes of memory held. */
static inline size_t frame_memory(const struct frame *f) { return f->body.cap; }

/* Writes the header for a payload; returns its size, 24 or 44. checksum is ignored above 4 GiB. */
size_t frame_header_put(uint8_t out[FRAME_EXT_HEADER_SIZE], const uint8_t magic[4],
                        const char *command, uint64_t size, const uint8_t checksum[4]);
/* First 4 bytes of SHA256d. */
void frame_checksum(uint8_t out[4], const void *payload, size_t len);

#endif
