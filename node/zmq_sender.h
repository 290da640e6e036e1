/*
 * The publishing sockets of ZMQ. The only place that calls libzmq; a build without it cannot open
 * any (zmq_sender_open says so).
 *
 * A message has three frames: topic, body, and a number that counts the topic's messages, u32
 * little-endian, from 0 (spec rpc 5). Sending never waits: a subscriber that is more than
 * ZMQ_UNREAD_MAX messages behind misses some, and sees that in the numbers. One thread sends; it
 * may be another than the one that opened.
 */
#ifndef NODE_ZMQ_SENDER_H
#define NODE_ZMQ_SENDER_H

#include <stddef.h>
#include <stdint.h>

#include "node/zmq_topics.h"

#define ZMQ_UNREAD_MAX 100000     /* messages a subscriber may leave unread, */
#define ZMQ_UNREAD_MAX_BLOCKS 100 /* and on addresses where whole blocks are published */

struct zmq_sender;

/* Topics with the same address share a socket. Errors name option and address. */
enum err zmq_sender_open(struct zmq_sender **out, const struct zmq_addresses *a,
                         struct error *e) MUST_CHECK;
void zmq_sender_close(struct zmq_sender *s); /* NULL is fine */

void zmq_sender_send(struct zmq_sender *s, enum zmq_topic topic, const void *body, size_t len);
/* The body is used as it is, and release(ctx) called when nobody needs it any more, on any
 * thread. */
void zmq_sender_send_shared(struct zmq_sender *s, enum zmq_topic topic, void *body, size_t len,
                            void (*release)(void *body, void *ctx), void *ctx);
/* Messages that will not be sent: the numbers go on without them. */
void zmq_sender_skip(struct zmq_sender *s, enum zmq_topic topic, uint32_t n);

#endif
