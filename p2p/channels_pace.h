/*
 * How much may be on its way in a TCP connection so that what is sent next is not long behind it:
 * what the path delivers in its shortest round trip and PACE_DELAY_MS more. Without that a transfer
 * fills whatever buffers the path has, and voice waits in them. Any thread; nothing waits.
 */
#ifndef P2P_CHANNELS_PACE_H
#define P2P_CHANNELS_PACE_H

#include <stdbool.h>

enum {
    PACE_DELAY_MS = 10,
    PACE_LEAST = 16384,  /* bytes, before anything was measured */
    PACE_AGAIN_MS = 2,   /* when it was full */
};

/* False also when the system does not tell. */
bool pace_is_full(int fd);

#endif
