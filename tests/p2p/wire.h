/* A scripted peer: a plain socket that sends what the test says and reads message by message. */
#ifndef TESTS_P2P_WIRE_H
#define TESTS_P2P_WIRE_H

#include <event2/event.h>

#include "p2p/frame.h"
#include "p2p/msg.h"

struct wire {
    struct event_base *base; /* run while waiting */
    int fd;                  /* -1 before wire_accept */
    int listen_fd;           /* -1: it connects */
    struct frame frame;
    struct buf in;           /* received, not parsed */
    size_t in_off;
    struct buf payload;      /* of the last message */
    char command[MSG_NAME_MAX + 1];
    bool closed;             /* by the other side */
};

void wire_connect(struct wire *w, struct event_base *base, uint16_t port);
/* Opens a listening socket and returns its port; wire_accept waits for the connection. */
uint16_t wire_listen(struct wire *w, struct event_base *base);
void wire_accept(struct wire *w);
void wire_close(struct wire *w);

void wire_send_raw(struct wire *w, const void *data, size_t len);
void wire_send(struct wire *w, const char *command, const void *payload, size_t len);
/* Header only, with any size and checksum. */
void wire_send_header(struct wire *w, const char *command, uint32_t size);
/* Default version message; the caller may change it before wire_send_version. */
struct msg_version wire_version(void);
void wire_send_version(struct wire *w, const struct msg_version *m);

/* The next message if one is there already; runs no loop. */
bool wire_poll(struct wire *w);
/* Waits for the next message; false when the other side closed or twenty seconds passed. */
bool wire_next(struct wire *w);
/* The next message must be this one. */
void wire_expect(struct wire *w, const char *command);
/* Reads on until this command comes, dropping others. */
void wire_expect_later(struct wire *w, const char *command);
/* Nothing may come within the time. */
void wire_expect_silence(struct wire *w, int64_t ms);
/* The other side must close; what it sends before is dropped. */
void wire_expect_close(struct wire *w);
/* Handshake of a well-behaved inbound peer up to and with verack. */
void wire_handshake(struct wire *w);

#endif
