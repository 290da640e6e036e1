/* Calls of other threads to the channel thread, and work that it answers later. */
#include "p2p/channels.h"

#include <stdlib.h>

#include "base/mem.h"
#include "p2p/channels_internal.h"

struct channels_call {
    struct queue_node node;
    void (*fn)(struct channels *c, void *ctx);
    void *ctx;
    bool waits;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    enum { CALL_PENDING, CALL_DONE, CALL_DROPPED } state;
};

static void wake_calls(void *ctx)
{
    struct channels *c = ctx;
    event_active(c->call_ev, 0, 0);
}

void calls_init(struct channels *c)
{
    c->calls = queue_new(0, 0, wake_calls, c);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->answered, NULL);
}

void calls_clear(struct channels *c)
{
    queue_free(c->calls);
    pthread_cond_destroy(&c->answered);
    pthread_mutex_destroy(&c->lock);
}

bool calls_on_thread(struct channels *c)
{
    switch ((enum channels_stage)atomic_load(&c->stage)) {
    case CHANNELS_NEW:
        return pthread_equal(c->maker, pthread_self());
    case CHANNELS_RUNS:
        return pthread_equal(c->thread, pthread_self());
    case CHANNELS_STARTS:
    case CHANNELS_ENDED:
        break;
    }
    return false;
}

static void finish_call(struct channels_call *call, bool ran)
{
    if (!call->waits) {
        free(call);
        return;
    }
    pthread_mutex_lock(&call->lock);
    call->state = ran ? CALL_DONE : CALL_DROPPED;
    pthread_cond_signal(&call->cond);
    pthread_mutex_unlock(&call->lock);
}

void calls_run(struct channels *c, bool run)
{
    struct queue_node *node;
    while ((node = queue_pop(c->calls))) {
        struct channels_call *call = (struct channels_call *)node;
        if (run)
            call->fn(c, call->ctx);
        else if (!call->waits)
            call->fn(NULL, call->ctx); /* frees its ctx */
        finish_call(call, run);
    }
}

bool channels_call(struct channels *c, void (*fn)(struct channels *c, void *ctx), void *ctx)
{
    if (calls_on_thread(c)) {
        fn(c, ctx);
        return true;
    }
    struct channels_call call = { .fn = fn, .ctx = ctx, .waits = true, .state = CALL_PENDING };
    pthread_mutex_init(&call.lock, NULL);
    pthread_cond_init(&call.cond, NULL);
    bool ran = false;
    if (queue_push_always(c->calls, &call.node)) {
        pthread_mutex_lock(&call.lock);
        while (call.state == CALL_PENDING)
            pthread_cond_wait(&call.cond, &call.lock);
        ran = call.state == CALL_DONE;
        pthread_mutex_unlock(&call.lock);
    }
    pthread_cond_destroy(&call.cond);
    pthread_mutex_destroy(&call.lock);
    return ran;
}

void channels_post(struct channels *c, void (*fn)(struct channels *c, void *ctx), void *ctx)
{
    struct channels_call *call = xcalloc(1, sizeof *call);
    call->fn = fn;
    call->ctx = ctx;
    if (queue_push_always(c->calls, &call->node))
        return;
    free(call);
    fn(NULL, ctx);
}

/* --- requests --- */

struct beginning {
    void (*begin)(struct channels *c, struct channels_request *r);
    struct channels_request *r;
};

static void begin_request(struct channels *c, void *ctx)
{
    const struct beginning *b = ctx;
    pthread_mutex_lock(&c->lock);
    b->r->next = c->requests;
    c->requests = b->r;
    pthread_mutex_unlock(&c->lock);
    b->begin(c, b->r);
}

static void wait_for_answer(struct channels *c, const struct channels_request *r)
{
    pthread_mutex_lock(&c->lock);
    while (!r->done)
        pthread_cond_wait(&c->answered, &c->lock);
    pthread_mutex_unlock(&c->lock);
}

enum err channels_ask(struct channels *c, void (*begin)(struct channels *c,
                                                        struct channels_request *r),
                      struct channels_request *r, struct error *e)
{
    struct beginning b = { begin, r };
    BUG_ON(calls_on_thread(c)); /* would wait for itself */
    r->done = false;
    if (!channels_call(c, begin_request, &b))
        return error_set(e, ERR_CANCELLED, "direct channels have stopped");
    wait_for_answer(c, r);
    if (r->rc && e)
        *e = r->error;
    return r->rc;
}

static struct channels_request **find_request(struct channels *c,
                                              const struct channels_request *r)
{
    struct channels_request **at = &c->requests;
    while (*at && *at != r)
        at = &(*at)->next;
    return *at ? at : NULL;
}

void channels_answer(struct channels *c, struct channels_request *r, enum err rc,
                     const struct error *e)
{
    pthread_mutex_lock(&c->lock);
    struct channels_request **at = find_request(c, r);
    if (at) {
        *at = r->next;
        r->rc = rc;
        if (rc && e)
            r->error = *e;
        else if (rc)
            error_set(&r->error, rc, "%s", err_name(rc));
        r->done = true;
        pthread_cond_broadcast(&c->answered);
    }
    pthread_mutex_unlock(&c->lock);
}

bool channels_is_waiting(const struct channels *c, const struct channels_request *r)
{
    struct channels *mutable = (struct channels *)c; /* its lock */
    pthread_mutex_lock(&mutable->lock);
    const bool waits = find_request(mutable, r) != NULL;
    pthread_mutex_unlock(&mutable->lock);
    return waits;
}

void calls_close(struct channels *c)
{
    struct error e;
    error_set(&e, ERR_CANCELLED, "direct channels have stopped");
    queue_close(c->calls);
    calls_run(c, false);
    while (c->requests)
        channels_answer(c, c->requests, ERR_CANCELLED, &e);
}
