/* Handlers of messages with records of identities (spec channels 1.2): decoding for node. */
#include "p2p/net_internal.h"

#include "p2p/msg_bca.h"

#define SCORE_MALFORMED 20 /* of a bcainv; the scores of the others stand in their rows */

static enum msg_result result_of(enum err rc)
{
    if (rc == OK)
        return MSG_DONE;
    return rc == ERR_RANGE ? MSG_TOO_LARGE : MSG_MALFORMED;
}

enum msg_result on_sendbca(struct peer *p, struct span payload)
{
    struct msg_sendbca m;
    if (p->state != PEER_READY)
        return MSG_DONE; /* before verack it says nothing */
    const enum err rc = msg_sendbca_read(&m, payload);
    if (rc == OK && p->net->h.on_sendbca)
        p->net->h.on_sendbca(p->net->h.ctx, p, &m);
    return result_of(rc);
}

enum msg_result on_bcainv(struct peer *p, struct span payload)
{
    struct msg_bca_list m;
    if (msg_bcainv_read(&m, payload))
        peer_misbehave(p, SCORE_MALFORMED, "malformed bcainv");
    else if (p->net->h.on_bcainv)
        p->net->h.on_bcainv(p->net->h.ctx, p, &m);
    return MSG_DONE;
}

enum msg_result on_getbca(struct peer *p, struct span payload)
{
    struct msg_getbca m;
    const enum err rc = msg_getbca_read(&m, payload);
    if (rc == OK && p->net->h.on_getbca)
        p->net->h.on_getbca(p->net->h.ctx, p, &m);
    return result_of(rc);
}

enum msg_result on_bcarec(struct peer *p, struct span payload)
{
    struct msg_bcarec m;
    const enum err rc = msg_bcarec_read(&m, payload);
    if (rc == OK && p->net->h.on_bcarec)
        p->net->h.on_bcarec(p->net->h.ctx, p, &m);
    return result_of(rc);
}
