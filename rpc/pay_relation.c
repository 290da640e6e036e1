#include "rpc/pay_relation.h"

#include <string.h>

/* A contact may have had another key when one of them was opened. */
static bool same_contact(const struct pay_channel *a, const struct pay_channel *b)
{
    return *a->contact ? strcmp(a->contact, b->contact) == 0
                       : !*b->contact && memcmp(a->key, b->key, sizeof a->key) == 0;
}

static bool is_live(const struct pay_channel *c) { return c->has_funding && !c->spend_height; }

struct pay_relation pay_relation_of(const struct pay_list *l, const struct pay_channel *c)
{
    struct pay_relation r = { .paid = 0 };
    for (size_t i = 0; i < l->n; i++) {
        const struct pay_channel *one = &l->v[i];
        if (!is_live(one) || !same_contact(one, c))
            continue;
        *(one->payer ? &r.channels_out : &r.channels_in) += 1;
        *(one->payer ? &r.paid : &r.received) += one->paid;
    }
    return r;
}

enum err pay_relation_close(const struct rpc_pay_service *s, const struct pay_list *l,
                            const struct pay_channel *c, struct error *e)
{
    enum err rc = OK;
    for (size_t i = 0; i < l->n; i++) {
        const struct pay_channel *one = &l->v[i];
        struct pay_closing in = { .fee_per_kb = 0 };
        if (!one->open || !one->has_id || one->payer == c->payer || !same_contact(one, c))
            continue;
        memcpy(in.id, one->id, sizeof in.id);
        const enum err failed = s->close(s->ctx, &in, rc ? NULL : e);
        rc = rc ? rc : failed;
    }
    return rc;
}
