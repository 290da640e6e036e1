#include "node/events.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/queue.h"

#define EVENTS_AT_ONCE 256 /* then sockets get their turn */

struct queued_event {
    struct queue_node node; /* first */
    struct node_event event;
};

struct node_events {
    struct queue *queue;
    struct event *wake;
    void (*handle)(void *ctx, const struct node_event *ev);
    void *ctx;
};

static void wake_loop(void *ctx)
{
    struct node_events *ev = ctx;
    event_active(ev->wake, EV_READ, 0);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct node_events *ev = arg;
    for (int i = 0; i < EVENTS_AT_ONCE; i++) {
        struct queued_event *q = (struct queued_event *)queue_pop(ev->queue);
        if (!q)
            return;
        ev->handle(ev->ctx, &q->event);
        free(q);
    }
    wake_loop(ev);
}

struct node_events *node_events_new(struct event_base *base,
                                    void (*handle)(void *ctx, const struct node_event *ev),
                                    void *ctx)
{
    struct node_events *ev = xcalloc(1, sizeof(*ev));
    ev->handle = handle;
    ev->ctx = ctx;
    ev->wake = event_new(base, -1, EV_PERSIST, on_wake, ev);
    /* No limit: the chain produces a few events a block, and none may be lost. */
    ev->queue = queue_new(0, 0, wake_loop, ev);
    return ev;
}

void node_events_free(struct node_events *ev)
{
    if (!ev)
        return;
    queue_close(ev->queue);
    for (struct queue_node *q = queue_pop(ev->queue); q; q = queue_pop(ev->queue))
        free(q);
    queue_free(ev->queue);
    event_free(ev->wake);
    free(ev);
}

void node_events_post(struct node_events *ev, const struct node_event *event)
{
    struct queued_event *q = xcalloc(1, sizeof(*q));
    q->event = *event;
    q->node.bytes = sizeof(*q);
    if (!queue_push_always(ev->queue, &q->node))
        free(q); /* stopping */
}
