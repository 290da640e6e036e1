/* Programs of this machine as tests play them: sockets on loopback that wait with patience. */
#ifndef TESTS_P2P_LOCAL_PROGRAM_H
#define TESTS_P2P_LOCAL_PROGRAM_H

#include "tests/p2p/fake_channels.h"

/* A listening socket of the type on a free port of ::1. */
int program_listen(int type, uint16_t *port);
/* A port of loopback that the system gives to nobody while both are open: who asks for it by its
 * number, with SO_REUSEADDR, can still listen there. */
uint16_t program_reserve(int held[2]);
/* One that listens at a path. */
int program_listen_unix(const char *path);
/* A connection to a port of loopback; family AF_INET or AF_INET6. */
int program_connect(int family, int type, uint16_t port);
/* Turns of the world until somebody has connected. */
int program_accept(struct fake *f, int listener);
/* Reads exactly so much while the world turns. */
void program_read(struct fake *f, int fd, void *out, size_t len);
void program_write(struct fake *f, int fd, const void *data, size_t len);
/* 0: the end, else the errno of what broke off. */
int program_await_end(struct fake *f, int fd);

#endif
