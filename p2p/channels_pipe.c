/* Sessions whose bytes somebody else carries: the connection without a socket. */
#include "p2p/channels.h"

#include <string.h>

#include "base/intmath.h"
#include "p2p/channels_internal.h"

/* A pipe is its connection; the name is for those who may not look into it. */
static struct chan_conn *conn_of(struct chan_pipe *pipe)
{
    return (struct chan_conn *)pipe;
}

enum err channels_attach(struct channels *c, const struct chan_pipe_config *config,
                         struct chan_pipe **out)
{
    if (c->stopping)
        return ERR_CANCELLED;
    if (!gate_has_place(c))
        return ERR_BUSY;
    struct chan_conn *conn = conn_new(c, config->role, config->identity);
    conn->pipe = config->ops;
    conn->pipe_ctx = config->ctx;
    const struct dchan_session *live = NULL; /* that it renews */
    if (config->role == DCHAN_INITIATOR) {
        struct chan_peer *p = peer_get(c, config->identity, config->key);
        live = p->renew ? peer_session(p) : NULL;
        peer_add_conn(p, conn);
    }
    if (!conn_begin(conn, config->key, live ? dchan_session_peer(live)->session_id : NULL)) {
        conn->pipe_ended = true;
        return ERR_RANGE;
    }
    *out = (struct chan_pipe *)conn;
    return OK;
}

void chan_pipe_push(struct chan_pipe *pipe, struct span in)
{
    struct chan_conn *conn = conn_of(pipe);
    dchan_session_feed(conn->session, in, channels_now(conn->c));
    if (conn->peer)
        peer_settle(conn->peer);
    conn_kick(conn);
}

void chan_pipe_push_end(struct chan_pipe *pipe)
{
    struct chan_conn *conn = conn_of(pipe);
    dchan_session_feed_end(conn->session, channels_now(conn->c));
    conn_kick(conn);
}

size_t chan_pipe_pull(struct chan_pipe *pipe, uint8_t *out, size_t max, bool *end)
{
    struct chan_conn *conn = conn_of(pipe);
    const uint64_t now = channels_now(conn->c);
    size_t n = 0;
    for (;;) {
        const struct span piece = conn_output(conn, now);
        const size_t take = MIN_OF(piece.len, max - n);
        if (take == 0)
            break;
        memcpy(out + n, piece.data, take);
        n += take;
        dchan_session_written(conn->session, take, now);
    }
    conn_wait_for_beat(conn);
    *end = dchan_session_done(conn->session);
    if (*end)
        conn_kick(conn);
    return n;
}

void chan_pipe_close(struct chan_pipe *pipe)
{
    struct chan_conn *conn = conn_of(pipe);
    conn->pipe_ended = true;
    chan_pipe_push_end(pipe);
}
