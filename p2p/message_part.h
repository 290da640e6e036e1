/*
 * Messages in the sessions of direct channels: the machine (messages.h) as a part of channels.h,
 * and what other threads ask of it. Channel thread, but for what says otherwise.
 */
#ifndef P2P_MESSAGE_PART_H
#define P2P_MESSAGE_PART_H

#include "p2p/channels.h"
#include "p2p/messages.h"

struct message_part;

/* For the event log; as in messages_ops. */
struct message_part_ops {
    bool (*tell)(void *ctx, const struct message_news *news);
    uint64_t (*told)(void *ctx);
    void *ctx;
};

/* Before the channels start. */
enum err message_part_new(struct message_part **out, struct channels *c,
                          const struct messages_limits *limits,
                          const struct message_part_ops *ops, struct error *e) MUST_CHECK;
/* After the channels have stopped and their store is closed. NULL is fine. */
void message_part_free(struct message_part *p);
size_t message_part_memory(const struct message_part *p); /* bytes */

/* Messages of a content type from contacts that may send some, which another part takes: they are
 * not kept here, and whoever takes one acknowledges it. */
struct message_diversion {
    const char *content_type; /* static */
    void (*take)(void *ctx, struct chan_peer *p, const struct dchan_m_send *m);
    /* Any acknowledgement of a contact: of one that the part has sent by itself? */
    void (*acked)(void *ctx, struct chan_peer *p, const uint8_t id[MESSAGE_ID_SIZE]);
    void *ctx;
};
/* Before the channels start; one. */
void message_part_divert(struct message_part *p, const struct message_diversion *d);

/* --- for channels_ask: begin --- */

struct message_sending {
    struct channels_request r;
    const char *contact;        /* alias or key */
    struct message_draft draft; /* but for whom it is to */
    uint64_t number;
    uint8_t id[MESSAGE_ID_SIZE];
};
/* Answered when the message is on disk. Dials when no session is up. */
void message_part_send(struct channels *c, struct channels_request *r);

struct message_marking {
    struct channels_request r;
    uint64_t number;
    bool receipt;
};
void message_part_mark(struct channels *c, struct channels_request *r);

/* --- for channels_call --- */

#define MESSAGE_WHO_MAX (CONTACT_ALIAS_MAX + 1)
struct message_shown {
    struct message_head head;   /* SENT when it is on its way */
    char who[MESSAGE_WHO_MAX];  /* the contact's alias; "" for a stranger */
};
struct message_showing {
    struct message_shown *all;
    size_t n;
    struct messages_stats stats;
};
/* Completes heads that were read from the store. */
void message_part_show(struct channels *c, void *showing);

struct message_whose {
    const char *contact; /* as people name it */
    bool found;
    uint64_t id;
    uint8_t key[IDENTITY_KEY_SIZE];
};
void message_part_find(struct channels *c, void *whose);

#endif
