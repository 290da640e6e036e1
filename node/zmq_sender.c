#include <config.h>

#include "node/zmq_sender.h"

#ifdef HAVE_ZMQ

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"

#define LINGER_MS 200 /* at the end, for subscribers that are behind */

struct zmq_sender {
    void *context;
    void *sockets[ZMQ_TOPICS]; /* by topic; the same one for several */
    uint32_t number[ZMQ_TOPICS];
};

/* The topic before this one with the same address, or this one. */
static size_t first_with_address(const struct zmq_addresses *a, size_t topic)
{
    for (size_t i = 0; i < topic; i++)
        if (a->of[i] && strcmp(a->of[i], a->of[topic]) == 0)
            return i;
    return topic;
}

static int unread_max(const struct zmq_addresses *a, size_t topic)
{
    static const enum zmq_topic blocks[] = { ZMQ_RAWBLOCK, ZMQ_RAWBLOCK2 };
    for (size_t i = 0; i < 2; i++)
        if (a->of[blocks[i]] && strcmp(a->of[blocks[i]], a->of[topic]) == 0)
            return ZMQ_UNREAD_MAX_BLOCKS;
    return ZMQ_UNREAD_MAX;
}

static enum err open_socket(struct zmq_sender *s, const struct zmq_addresses *a, size_t topic,
                            struct error *e)
{
    const int unread = unread_max(a, topic), linger = LINGER_MS, on = 1;
    void *socket = zmq_socket(s->context, ZMQ_PUB);
    s->sockets[topic] = socket;
    if (!socket || zmq_setsockopt(socket, ZMQ_SNDHWM, &unread, sizeof unread) ||
        zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger) ||
        zmq_setsockopt(socket, ZMQ_IPV6, &on, sizeof on) ||
        zmq_setsockopt(socket, ZMQ_TCP_KEEPALIVE, &on, sizeof on) ||
        zmq_bind(socket, a->of[topic]))
        return error_set(e, ERR_IO, "-%s=%s: %s", zmq_topic_option((enum zmq_topic)topic),
                         a->of[topic], zmq_strerror(zmq_errno()));
    return OK;
}

enum err zmq_sender_open(struct zmq_sender **out, const struct zmq_addresses *a, struct error *e)
{
    struct zmq_sender *s = xcalloc(1, sizeof *s);
    enum err rc = OK;
    s->context = zmq_ctx_new();
    if (!s->context)
        rc = error_set(e, ERR_NOMEM, "ZMQ: %s", zmq_strerror(zmq_errno()));
    for (size_t i = 0; !rc && i < ZMQ_TOPICS; i++) {
        if (!a->of[i])
            continue;
        size_t first = first_with_address(a, i);
        if (first != i)
            s->sockets[i] = s->sockets[first];
        else
            rc = open_socket(s, a, i, e);
    }
    if (rc) {
        zmq_sender_close(s);
        return rc;
    }
    *out = s;
    return OK;
}

void zmq_sender_close(struct zmq_sender *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < ZMQ_TOPICS; i++) {
        void *socket = s->sockets[i];
        for (size_t k = i; k < ZMQ_TOPICS; k++) /* once for all topics that share it */
            s->sockets[k] = s->sockets[k] == socket ? NULL : s->sockets[k];
        if (socket)
            zmq_close(socket);
    }
    if (s->context)
        zmq_ctx_term(s->context);
    free(s);
}

static bool send_part(void *socket, const void *data, size_t len, int flags)
{
    return zmq_send(socket, data, len, flags | ZMQ_DONTWAIT) >= 0;
}

static void failed(enum zmq_topic topic)
{
    LOG_LIMITED(LOG_WARN, "ZMQ: %s could not be sent: %s", zmq_topic_name(topic),
                zmq_strerror(zmq_errno()));
}

/* Topic, the body through `message`, number. */
static void send_message(struct zmq_sender *s, enum zmq_topic topic, zmq_msg_t *message)
{
    void *socket = s->sockets[topic];
    const char *name = zmq_topic_name(topic);
    uint8_t number[4];
    le32_put(number, s->number[topic]++);
    if (!send_part(socket, name, strlen(name), ZMQ_SNDMORE) ||
        zmq_msg_send(message, socket, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        !send_part(socket, number, sizeof number, 0))
        failed(topic);
    zmq_msg_close(message);
}

void zmq_sender_send(struct zmq_sender *s, enum zmq_topic topic, const void *body, size_t len)
{
    zmq_msg_t message;
    if (zmq_msg_init_size(&message, len)) {
        zmq_sender_skip(s, topic, 1);
        failed(topic);
        return;
    }
    if (len)
        memcpy(zmq_msg_data(&message), body, len);
    send_message(s, topic, &message);
}

void zmq_sender_send_shared(struct zmq_sender *s, enum zmq_topic topic, void *body, size_t len,
                            void (*release)(void *body, void *ctx), void *ctx)
{
    zmq_msg_t message;
    if (zmq_msg_init_data(&message, body, len, release, ctx)) {
        release(body, ctx);
        zmq_sender_skip(s, topic, 1);
        failed(topic);
        return;
    }
    send_message(s, topic, &message);
}

void zmq_sender_skip(struct zmq_sender *s, enum zmq_topic topic, uint32_t n)
{
    s->number[topic] += n;
}

#else /* HAVE_ZMQ */

enum err zmq_sender_open(struct zmq_sender **out, const struct zmq_addresses *a, struct error *e)
{
    *out = NULL;
    size_t i = 0;
    while (i < ZMQ_TOPICS - 1 && !a->of[i])
        i++;
    return error_set(e, ERR_NOTFOUND, "-%s: this build has no ZMQ; configure found no libzmq",
                     zmq_topic_option((enum zmq_topic)i));
}

/* Never reached: there is no sender. */
void zmq_sender_close(struct zmq_sender *s) { (void)s; }

void zmq_sender_send(struct zmq_sender *s, enum zmq_topic topic, const void *body, size_t len)
{
    (void)s;
    (void)topic;
    (void)body;
    (void)len;
}

void zmq_sender_send_shared(struct zmq_sender *s, enum zmq_topic topic, void *body, size_t len,
                            void (*release)(void *body, void *ctx), void *ctx)
{
    (void)s;
    (void)topic;
    (void)len;
    release(body, ctx);
}

void zmq_sender_skip(struct zmq_sender *s, enum zmq_topic topic, uint32_t n)
{
    (void)s;
    (void)topic;
    (void)n;
}

#endif
