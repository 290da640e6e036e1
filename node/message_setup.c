#include <config.h>

#include "node/message_setup.h"

#include <stdio.h>
#include <string.h>

static size_t number(const struct config *c, const char *name)
{
    return (size_t)config_int(c, name);
}

static void read_limits(const struct config *c, struct messages_limits *l)
{
    *l = (struct messages_limits){
        .outbox = number(c, "channeloutbox"),
        .outbox_bytes = config_size(c, "channeloutboxsize"),
        .outbox_total = config_size(c, "channeloutboxtotal"),
        .inbox_total = config_size(c, "channelinbox"),
        .rate = (unsigned)number(c, "channelmessagerate"),
        .burst = (unsigned)number(c, "channelmessageburst"),
        .stranger_per_hour = (unsigned)number(c, "channelrequestrate"),
        .stranger_bytes = config_size(c, "channelrequestsize"),
        .box = number(c, "channelrequests"),
        .box_per_48 = number(c, "channelrequestsper48"),
        .seen = (uint32_t)number(c, "channelmessageids"),
        .ttl = (uint32_t)number(c, "channelmessagettl"),
        .in_flight = (unsigned)number(c, "channelmessagesinflight"),
        .resend_ms = 1000 * (uint64_t)number(c, "channelmessageresend"),
        .strangers = config_bool(c, "channelstrangermessages"),
    };
}

/* --- the event log; channel thread --- */

static enum logged_event event_of(enum message_news_kind kind)
{
    switch (kind) {
    case MESSAGE_RECEIVED:
        return LOGGED_MESSAGE_RECEIVED;
    case MESSAGE_DELIVERED:
        return LOGGED_MESSAGE_DELIVERED;
    case MESSAGE_FAILED:
        break;
    }
    return LOGGED_MESSAGE_FAILED;
}

static bool tell(void *ctx, const struct message_news *news)
{
    struct event_record r = { .type = event_of(news->kind) };
    r.v[MESSAGE_ENTRY].number = (int64_t)news->entry;
    r.v[MESSAGE_NUMBER].number = (int64_t)news->number;
    memcpy(r.v[MESSAGE_ID].id, news->id, sizeof news->id);
    memcpy(r.v[MESSAGE_KEY].key, news->key, sizeof news->key);
    if (news->reason)
        snprintf(r.v[MESSAGE_REASON].text, EVENT_TEXT_MAX, "%s", news->reason);
    return feeds_tell(ctx, &r);
}

static uint64_t told(void *ctx) { return feeds_told(ctx, TOLD_MESSAGES); }

enum err message_setup(struct message_part **out, const struct config *config, struct channels *c,
                       struct feeds *feeds, struct error *e)
{
    struct messages_limits limits;
    const struct message_part_ops ops = { tell, told, feeds };
    read_limits(config, &limits);
    return message_part_new(out, c, &limits, &ops, e);
}
