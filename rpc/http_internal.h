/*
 * Shared by http_server.c (the loop, new connections), http.c (a connection: reading, writing),
 * http_body.c and http_reply.c (requests and their replies).
 *
 * A connection belongs to the loop thread. A request is shared by its connection and whoever
 * answers it: two references. What another thread writes goes through the request's lock into
 * `pending`; the loop moves it on.
 *
 * A reply that another thread has written to its end need not wake the loop: it finds out when the
 * next request comes, or when it sweeps.
 */
#ifndef RPC_HTTP_INTERNAL_H
#define RPC_HTTP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "rpc/http.h"
#include "rpc/http_parse.h"

struct event;
struct evbuffer;
struct event_base;

enum http_conn_state {
    CONN_HEAD,    /* waiting for a head or in the middle of one */
    CONN_BODY,
    CONN_HANDLER, /* a request is being answered */
    CONN_DELAY,   /* a refusal waits for its time */
    CONN_FLUSH,   /* last bytes go out, then linger */
    CONN_LINGER,  /* our side is closed; what still arrives is dropped, so that no reset overtakes
                     the answer */
};

struct http_conn {
    struct http_server *server;
    struct http_conn *next, *prev;
    int fd;
    enum http_conn_state state;
    bool reading, writing;     /* events that are added */
    bool processing;           /* http_conn_process is on the stack */
    bool dead;                 /* to be freed when processing ends */
    bool eof;                  /* the client has closed its side */
    struct event *read_event, *write_event, *delay;
    struct buf in;
    size_t in_at;              /* consumed part of in */
    struct evbuffer *out;
    int64_t deadline_ms;       /* monotonic; 0: none */
    struct http_request *request;
    struct http_chunks chunks;
    struct http_decision refusal; /* while CONN_DELAY */
    struct sockaddr_storage peer;
};

struct http_request {
    atomic_uint refs;
    struct http_server *server;
    struct http_conn *conn;    /* loop only; NULL when gone */
    struct sockaddr_storage peer;
    char *head_text;           /* its parts end with zero characters once it is parsed */
    size_t head_size;
    struct http_head head;
    const char *extra_fields;
    struct buf body;           /* or a mapped file: */
    int spool_fd;              /* -1: none */
    uint64_t body_size, max_body;
    void *map;
    /* Reply. Under lock but for what belongs to the answering thread, down to `chunk_open`. */
    bool streaming, chunked, keep_alive;
    bool sized;                /* `left` bytes of the body are still to be written */
    uint64_t left;
    bool chunk_open;           /* the line end after a chunk's data is still to be sent */
    bool secret;               /* what waits to be sent is wiped when it has gone */
    int fd; /* for direct writes by the answering thread; -1: leave it to the loop */
    pthread_mutex_t lock;
    pthread_cond_t room;
    struct evbuffer *pending;
    size_t unsent;             /* pending and handed on, not yet taken by the system */
    bool finished, aborted;
    bool wake_at_end;          /* more waits on the connection: the loop must hear of the end */
    bool end_untold;           /* finished, and the loop has not been woken for it */
    bool queued;               /* in the server's ready list */
    struct http_request *ready_next;
    atomic_bool gone, ended;
};

struct http_server {
    struct http_options o;
    struct http_handlers handlers;
    struct event_base *base;
    struct event *sweep, *wake;
    struct http_listener { struct http_server *server; int fd; struct event *event; } *listeners;
    size_t n_listeners;
    struct http_conn *conns;
    size_t n_conns;
    uint64_t spool_bytes, memory_bytes; /* of bodies, all connections */
    pthread_t thread;
    pthread_t loop_thread;     /* the same, written by the thread itself */
    bool started;
    atomic_bool stopping;
    int64_t stop_grace_ms;
    int64_t stop_deadline_ms;  /* 0: running; loop */
    pthread_mutex_t ready_lock;
    struct http_request *ready; /* requests with something in pending */
};

/* http.c, loop only */
/* peer may be NULL. */
void http_conn_add(struct http_server *s, int fd, const struct sockaddr *peer, socklen_t peer_len);
void http_conn_free(struct http_conn *c);
/* Ends the request whose reply another thread has written, see above. Nothing that has been read
 * waits then, so the connection lives on. */
void http_conn_settle(struct http_conn *c);
void http_conn_process(struct http_conn *c);
/* The time limit of the connection begins anew. */
void http_conn_touch(struct http_conn *c);
/* Sends what it can at once; the rest when the socket drains. May mark the connection dead. */
void http_conn_send(struct http_conn *c, const void *a, size_t a_len, const void *b, size_t b_len);
/* What the system takes of two pieces at once, 0 when it would have to wait;
 * -1: connection broken. */
ssize_t http_send_now(int fd, const void *a, size_t a_len, const void *b, size_t b_len);
/* The reply of c's request is complete. */
void http_conn_reply_done(struct http_conn *c);
void http_conn_kill(struct http_conn *c);

/* http_body.c, loop only */
/* Takes what has arrived; *done when the body is complete. Returns 0 or a status to refuse with. */
int http_body_take(struct http_conn *c, bool *done);
/* Makes a body in a file readable as memory. */
bool http_body_map(struct http_request *r);
/* The body of c's request counts no longer. */
void http_body_forget(struct http_conn *c);

/* http_reply.c */
struct http_request *http_request_new(struct http_conn *c);
/* Copies to the end of a queue; a secret piece is wiped when it leaves it. */
void http_queue(struct evbuffer *to, const void *data, size_t len, bool secret);
void http_request_unref(struct http_request *r);
/* Loop: n bytes of r's output were taken by the system. */
void http_request_sent(struct http_request *r, size_t n);
/* Loop: moves pending output of all ready requests to their connections. */
void http_server_deliver(struct http_server *s);
/* Loop: the connection of r ends. */
void http_request_detach(struct http_request *r);
/* Loop: has the reply been written to its end, without word of it? If not, word will come. */
bool http_request_take_end(struct http_request *r);
/* Status line and fields with the empty line; returns the length. fields, type may be NULL. */
size_t http_format_head(char *out, size_t cap, int status, const char *type, const char *fields,
                        const char *framing, bool keep_alive);

#endif
