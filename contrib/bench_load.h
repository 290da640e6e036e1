/*
 * Shared by the parts of bench_load: bench_load.c (options, sockets, times), bench_http.c (RPC) and
 * bench_peer.c (peer-to-peer). One thread; whatever fails ends the program.
 */
#ifndef CONTRIB_BENCH_LOAD_H
#define CONTRIB_BENCH_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct config;

_Noreturn void die(const char *what); /* adds errno's text when errno is set */
void load_file(const char *path, struct buf *out);
/* A TCP connection to [::1] without Nagle's delay. */
int connect_port(int64_t port);
void send_whole(int fd, const void *data, size_t len);

/* Durations in microseconds. */
struct samples {
    uint32_t *list;
    size_t n, cap;
};
void samples_add(struct samples *s, int64_t us);
/* "NAME_p50_us": ..., "NAME_p99_us": ...; zeros when there are none. Sorts the list. */
void samples_print(struct samples *s, const char *name);

/* Each prints one line of JSON. */
void run_http(const struct config *c);
void run_bare(const struct config *c);
void run_txs(const struct config *c);
void run_relay(const struct config *c);

#endif
