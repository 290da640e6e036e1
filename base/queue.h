/*
 * Queue of messages between threads, bounded in items and bytes. Nodes are embedded in the
 * sender's struct; ownership moves with the push. The wake callback lets an event loop be the
 * receiver. Any thread pushes, and takes what is there by queue_pop; one thread waits for nodes.
 */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;

struct queue_node {
    struct queue_node *next;
    size_t bytes; /* charged to the queue's budget while queued */
};

/* 0 = no limit. A node larger than the byte limit passes when the queue is empty.
 * wake (may be NULL) is called without the lock when the queue becomes non-empty. */
struct queue *queue_new(size_t max_items, size_t max_bytes, void (*wake)(void *ctx), void *ctx);
void queue_free(struct queue *q); /* must be empty */
/* False when full or closed: the caller keeps the node. */
bool queue_push(struct queue *q, struct queue_node *node) __attribute__((warn_unused_result));
/* Waits for room; false only when closed. */
bool queue_push_wait(struct queue *q, struct queue_node *node) __attribute__((warn_unused_result));
/* Past the limits: for replies and stop messages that must not be lost. False only when closed. */
bool queue_push_always(struct queue *q, struct queue_node *node)
    __attribute__((warn_unused_result));
struct queue_node *queue_pop(struct queue *q);                       /* NULL when empty */
struct queue_node *
queue_pop_wait(struct queue *q,
               int64_t timeout_ms); /* -1: for ever; NULL on time-out or closed and empty */
void queue_close(struct queue *q); /* pushes fail from now on; what is queued can still be popped */
size_t queue_items(struct queue *q);
size_t queue_bytes(struct queue *q);

#endif
