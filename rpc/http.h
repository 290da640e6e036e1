/*
 * A small HTTP/1.1 server: enough for JSON-RPC and REST, and for nothing else.
 *
 * It runs a loop and a thread of its own, so that a burst of requests cannot delay peers. The
 * handlers are called on that thread and must not block; a request is answered at once or later,
 * from any thread. Requests of one connection are handled one after the other (pipelining is
 * safe). Output is bounded: a writer on another thread waits while its client does not read.
 *
 * Why not evhttp: it reads whole bodies before anybody can check credentials.
 */
#ifndef RPC_HTTP_H
#define RPC_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct http_server;
struct http_request;
struct sockaddr;

/* What to do after the head of a request. status 0: read the body and call on_request. */
struct http_decision {
    int status;
    const char
        *fields; /* further header lines, each with CRLF, static or alive till the reply; or NULL */
    const char *body;     /* text/plain, NULL: empty */
    unsigned delay_ms;    /* before the answer is sent */
    uint64_t max_body;    /* of this request; 0: what the server allows */
};

struct http_handlers {
    void *ctx;
    /* The head is complete, no byte of the body has been looked at. `fields` of an accepted request
     * is added to its reply. */
    struct http_decision (*on_head)(void *ctx, const struct http_request *r);
    /* The request is complete; exactly one reply must follow. */
    void (*on_request)(void *ctx, struct http_request *r);
};

struct http_options {
    uint64_t max_body;         /* bytes */
    uint64_t spool_above;      /* bodies above this go to an unlinked file; 0: 32 MiB */
    const char *spool_dir;     /* for those files; borrowed */
    int64_t idle_timeout_ms; /* of a silent connection, of a head, of a client that does not read */
    size_t max_connections;    /* 0: 256; the longest idle one makes room */
};

enum err http_server_new(struct http_server **out, const struct http_options *o,
                         const struct http_handlers *h, struct error *e) MUST_CHECK;
/* Before http_server_start. ERR_IO names the address. */
enum err http_server_listen(struct http_server *s, const struct sockaddr *addr, unsigned addr_len,
                            struct error *e) MUST_CHECK;
/* Port of the n-th listening socket, 0: no such socket (tests listen on port 0). */
uint16_t http_server_port(const struct http_server *s, size_t n);
/* Takes over a connected socket; before http_server_start (tests). */
void http_server_adopt(struct http_server *s, int fd);
enum err http_server_start(struct http_server *s, struct error *e) MUST_CHECK;
/* Accepts nothing more, gives replies under way up to grace_ms, ends the thread. */
void http_server_stop(struct http_server *s, int64_t grace_ms);
void http_server_free(struct http_server *s); /* after stop; NULL is fine */

/* --- a request: valid from the handler until its reply has been finished; any thread --- */
const char *http_request_method(const struct http_request *r);
const char *http_request_path(const struct http_request *r);
const char *http_request_query(const struct http_request *r); /* after '?', NULL: none */
const char *http_request_field(const struct http_request *r, const char *name); /* NULL: absent */
const struct sockaddr *http_request_peer(const struct http_request *r);
struct span http_request_body(const struct http_request *r);
/* The client has left: work for it is in vain. */
bool http_request_gone(const struct http_request *r);
/* The client has closed its side. It may still read, but who streams without an end should go. */
bool http_request_ended(const struct http_request *r);
/* What is written from now on is wiped when it is sent or dropped. */
void http_request_set_secret(struct http_request *r);

/* Whole reply; r is given up. type NULL: no Content-Type. */
void http_reply(struct http_request *r, int status, const char *type, const void *body, size_t len);
/*
 * A reply in pieces, chunked for HTTP/1.1 clients. write waits while the client is more than
 * HTTP_UNSENT_MAX behind (not on the server's own thread); ERR_CANCELLED: the client has left or
 * the server stops. finish gives r up; abort does too and cuts the connection, so that the client
 * cannot take the piece for the whole.
 */
#define HTTP_UNSENT_MAX (1u << 20)
void http_reply_start(struct http_request *r, int status, const char *type);
/* The same for a body whose length is known: just that much must follow. fields: further header
 * lines, each with CRLF, or NULL. */
void http_reply_start_sized(struct http_request *r, int status, const char *type,
                            const char *fields, uint64_t length);
enum err http_reply_write(struct http_request *r, const void *data, size_t len) MUST_CHECK;
void http_reply_finish(struct http_request *r);
void http_reply_abort(struct http_request *r);

#endif
