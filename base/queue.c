#include <config.h>

#include "base/queue.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled, drained;
    struct queue_node *head, *tail;
    size_t items, bytes, max_items, max_bytes;
    bool closed;
    bool waiting;          /* the receiver sleeps in queue_pop_wait */
    atomic_uint signallers; /* between their unlocking and the end of their signal */
    void (*wake)(void *ctx);
    void *ctx;
};

struct queue *queue_new(size_t max_items, size_t max_bytes, void (*wake)(void *ctx), void *ctx)
{
    struct queue *q = xcalloc(1, sizeof(*q));
    pthread_mutex_init(&q->lock, NULL);
    clock_cond_init(&q->filled);
    pthread_cond_init(&q->drained, NULL);
    q->max_items = max_items;
    q->max_bytes = max_bytes;
    q->wake = wake;
    q->ctx = ctx;
    return q;
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
    BUG_ON(q->head != NULL);
    while (atomic_load_explicit(&q->signallers, memory_order_acquire))
        sched_yield();
    pthread_cond_destroy(&q->drained);
    pthread_cond_destroy(&q->filled);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

static bool has_room_locked(const struct queue *q, size_t bytes)
{
    if (q->items == 0)
        return true;
    if (q->max_items && q->items >= q->max_items)
        return false;
    return !q->max_bytes || (q->bytes <= q->max_bytes && bytes <= q->max_bytes - q->bytes);
}

/* The signal comes after the unlocking, since who wakes up takes the lock first. By then the
 * receiver may have the node and free the queue: queue_free waits for signallers. */
static void unlock_and_signal(struct queue *q)
{
    if (!q->waiting) {
        pthread_mutex_unlock(&q->lock);
        return;
    }
    atomic_fetch_add_explicit(&q->signallers, 1, memory_order_relaxed);
    pthread_mutex_unlock(&q->lock);
    pthread_cond_signal(&q->filled);
    atomic_fetch_sub_explicit(&q->signallers, 1, memory_order_release);
}

static bool append_unlock(struct queue *q, struct queue_node *node)
{
    void (*wake)(void *) = q->head ? NULL : q->wake;
    void *ctx = q->ctx;
    node->next = NULL;
    if (q->tail)
        q->tail->next = node;
    else
        q->head = node;
    q->tail = node;
    q->items++;
    q->bytes += node->bytes;
    unlock_and_signal(q);
    if (wake)
        wake(ctx);
    return true;
}

static bool refuse_unlock(struct queue *q)
{
    pthread_mutex_unlock(&q->lock);
    return false;
}

bool queue_push(struct queue *q, struct queue_node *node)
{
    pthread_mutex_lock(&q->lock);
    if (q->closed || !has_room_locked(q, node->bytes))
        return refuse_unlock(q);
    return append_unlock(q, node);
}

bool queue_push_wait(struct queue *q, struct queue_node *node)
{
    pthread_mutex_lock(&q->lock);
    while (!q->closed && !has_room_locked(q, node->bytes))
        pthread_cond_wait(&q->drained, &q->lock);
    return q->closed ? refuse_unlock(q) : append_unlock(q, node);
}

bool queue_push_always(struct queue *q, struct queue_node *node)
{
    pthread_mutex_lock(&q->lock);
    return q->closed ? refuse_unlock(q) : append_unlock(q, node);
}

static struct queue_node *pop_locked(struct queue *q)
{
    struct queue_node *node = q->head;
    if (!node)
        return NULL;
    q->head = node->next;
    if (!q->head)
        q->tail = NULL;
    q->items--;
    q->bytes -= node->bytes;
    node->next = NULL;
    /* All: waiting senders differ in size, and the first may still not fit where another does. */
    pthread_cond_broadcast(&q->drained);
    return node;
}

struct queue_node *queue_pop(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    struct queue_node *node = pop_locked(q);
    pthread_mutex_unlock(&q->lock);
    return node;
}

struct queue_node *queue_pop_wait(struct queue *q, int64_t timeout_ms)
{
    struct timespec until = clock_deadline(timeout_ms);
    int rc = 0;
    pthread_mutex_lock(&q->lock);
    q->waiting = true;
    while (!q->head && !q->closed && rc != ETIMEDOUT)
        rc = timeout_ms < 0 ? pthread_cond_wait(&q->filled, &q->lock)
                            : pthread_cond_timedwait(&q->filled, &q->lock, &until);
    q->waiting = false;
    struct queue_node *node = pop_locked(q);
    pthread_mutex_unlock(&q->lock);
    return node;
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->filled);
    pthread_cond_broadcast(&q->drained);
    pthread_mutex_unlock(&q->lock);
}

size_t queue_items(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    size_t n = q->items;
    pthread_mutex_unlock(&q->lock);
    return n;
}

size_t queue_bytes(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    size_t n = q->bytes;
    pthread_mutex_unlock(&q->lock);
    return n;
}
