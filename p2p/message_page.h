/*
 * A page of what was sent and received, read from the store: any thread that may wait for the disk.
 */
#ifndef P2P_MESSAGE_PAGE_H
#define P2P_MESSAGE_PAGE_H

#include "base/kv.h"
#include "p2p/message_part.h"

#define MESSAGE_PAGE_MAX 1000

struct message_page {
    const struct message_whose *whose; /* NULL: everybody */
    uint64_t from;                     /* the first number looked at; 0: the newest ones */
    size_t count;                      /* at most MESSAGE_PAGE_MAX */
    bool (*given_up)(void *ctx);       /* asked now and then */
    void *ctx;
};
/*
 * By rising number, but that a message which came late stands where its sender sent it. Fills at
 * most page->count; ERR_CANCELLED: given up.
 */
enum err message_page_load(struct kv *kv, const struct message_page *page,
                           struct message_shown *out, size_t *n, struct error *e) MUST_CHECK;

#endif
