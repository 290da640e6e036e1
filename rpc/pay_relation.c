#include "rpc/pay_relation.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static bool is_live(const struct pay_channel *c) { return c->has_funding && !c->spend_height; }

/* 0: the same contact, which may have had another key when one of them was opened. */
static int by_contact(const void *x, const void *y)
{
    const struct pay_channel *a = *(const struct pay_channel *const *)x;
    const struct pay_channel *b = *(const struct pay_channel *const *)y;
    const int order = strcmp(a->contact, b->contact);
    return order || *a->contact ? order : memcmp(a->key, b->key, sizeof a->key);
}

static void add(struct pay_relation *r, const struct pay_channel *c)
{
    if (!is_live(c))
        return;
    *(c->payer ? &r->channels_out : &r->channels_in) += 1;
    *(c->payer ? &r->paid : &r->received) += c->paid;
}

/* One contact after the other: each channel is looked at twice. */
struct pay_relation *pay_relations_of(const struct pay_list *l)
{
    struct pay_relation *all = xcalloc(l->n + 1, sizeof *all);
    const struct pay_channel **sorted = xcalloc(l->n + 1, sizeof *sorted);
    for (size_t i = 0; i < l->n; i++)
        sorted[i] = &l->v[i];
    qsort(sorted, l->n, sizeof *sorted, by_contact);
    for (size_t from = 0, to; from < l->n; from = to) {
        struct pay_relation r = { .paid = 0 };
        for (to = from; to < l->n && by_contact(&sorted[from], &sorted[to]) == 0; to++)
            add(&r, sorted[to]);
        for (size_t i = from; i < to; i++)
            all[sorted[i] - l->v] = r;
    }
    free(sorted);
    return all;
}

enum err pay_relation_close(const struct rpc_pay_service *s, const struct pay_list *l,
                            const struct pay_channel *c, struct error *e)
{
    enum err rc = OK;
    for (size_t i = 0; i < l->n; i++) {
        const struct pay_channel *one = &l->v[i];
        struct pay_closing in = { .fee_per_kb = 0 };
        if (!one->open || !one->has_id || one->payer == c->payer || by_contact(&one, &c) != 0)
            continue;
        memcpy(in.id, one->id, sizeof in.id);
        const enum err failed = s->close(s->ctx, &in, rc ? NULL : e);
        rc = rc ? rc : failed;
    }
    return rc;
}
