/*
 * Rows of a contact that was removed, when its key is added again: that is another contact, with
 * another id. They become those of the new one before anything is looked up for it: else a request
 * whose payment is under way could be paid again, or with other coins than a payment for it that
 * was taken back, and an answer would find no payment.
 *
 * Ids only rise, so that all rows are read once after a contact was added, and once after a start.
 */
#include <config.h>

#include "node/paytx_internal.h"

#include "base/log.h"
#include "base/mem.h"

struct moving {
    struct paytx *pt;
    struct kv *kv;
    struct dchan_write *w;
    size_t n;
};

static struct contact *heir_of(const struct paytx *pt, const struct pay_row *r)
{
    struct contacts *all = channels_contacts(pt->channels);
    bool former;
    return r->contact && !contacts_by_id(all, r->contact)
               ? contacts_by_key(all, r->theirs, &former)
               : NULL;
}

static enum err move_beef(struct moving *m, const struct pay_row *from, const struct pay_row *to,
                          struct error *e)
{
    const struct pay_key old = pay_beef_key(from), new = pay_beef_key(to);
    struct buf beef;
    bool found = false;
    buf_init(&beef);
    const enum err rc = kv_get(m->kv, old.b, old.len, &beef, &found, e);
    if (!rc && found) {
        dchan_write_delete(m->w, old.b, old.len);
        dchan_write_put(m->w, new.b, new.len, beef.data, beef.len);
    }
    buf_clear(&beef);
    return rc;
}

/* Of this run: the disk has the rows under the former id until the write is done. */
static void note(struct paytx *pt, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < pt->n_heirs; i++)
        if (pt->heirs[i].from == from && pt->heirs[i].to == to)
            return;
    pt->heirs = xrealloc(pt->heirs, (pt->n_heirs + 1) * sizeof *pt->heirs);
    pt->heirs[pt->n_heirs++] = (struct pay_heir){ from, to };
}

static enum err move(struct moving *m, const struct pay_row *from, uint64_t contact,
                     struct error *e)
{
    const struct pay_key old = pay_row_key_of(from);
    struct pay_row to = *from;
    to.contact = contact;
    dchan_write_delete(m->w, old.b, old.len);
    paytx_put_row(m->w, &to);
    note(m->pt, from->contact, contact);
    m->n++;
    return to.kind == PAY_RECEIVED ? move_beef(m, from, &to, e) : OK;
}

/* A row of that id which the new contact has already stays, and the old one where it is. */
static enum err is_taken(const struct moving *m, const struct pay_row *r, uint64_t contact,
                         bool *taken, struct error *e)
{
    const struct pay_key key = pay_row_key(r->kind, contact, NULL, r->id);
    struct pay_row there;
    *taken = paytx_find_of(m->pt, r->kind, contact, r->id) != NULL;
    return *taken ? OK : pay_row_load(m->kv, &key, &there, taken, e);
}

static enum err move_one(void *ctx, const struct pay_row *r, struct error *e)
{
    struct moving *m = ctx;
    const struct contact *heir = heir_of(m->pt, r);
    bool taken;
    enum err rc = heir ? is_taken(m, r, heir->id, &taken, e) : OK;
    if (heir && !rc && !taken && !paytx_find_of(m->pt, r->kind, r->contact, r->id))
        rc = move(m, r, heir->id, e);
    return rc;
}

/* Those of which more is known than the disk says, or will say: a write may be on its way. */
static enum err move_open(struct moving *m, struct error *e)
{
    enum err rc = OK;
    for (size_t i = 0; i < m->pt->n && !rc; i++) {
        struct pay_item *it = m->pt->all[i];
        const struct contact *heir = it->over ? NULL : heir_of(m->pt, &it->row);
        bool taken = true;
        it->heir = 0;
        if (heir)
            rc = is_taken(m, &it->row, heir->id, &taken, e);
        if (!rc && !taken) {
            rc = move(m, &it->row, heir->id, e);
            it->heir = heir->id;
        }
    }
    return rc;
}

static void take_over(struct paytx *pt)
{
    for (size_t i = 0; i < pt->n; i++)
        if (pt->all[i]->heir)
            pt->all[i]->row.contact = pt->all[i]->heir;
}

static void on_moved(void *ctx, enum err rc, const struct error *e)
{
    struct paytx *pt = ctx;
    if (!rc)
        return;
    LOG_LIMITED(LOG_ERROR, "payments: those of a contact that was removed could not be written "
                "as its own: %s", e->text);
    pt->looked_at = 0;
}

static enum err move_all(struct paytx *pt, struct error *e)
{
    struct dchan_store *store = channels_store(pt->channels);
    struct moving m = { pt, dchan_store_kv(store), dchan_write_new(store), 0 };
    enum err rc = move_open(&m, e);
    if (!rc)
        rc = pay_rows_each(m.kv, move_one, &m, e);
    if (rc || !m.n) {
        dchan_write_free(m.w);
        return rc;
    }
    take_over(pt);
    dchan_store_commit(store, m.w, on_moved, pt);
    log_info("payments: %zu of a contact that was removed are those of its key again", m.n);
    return OK;
}

enum err paytx_find_heirs(struct paytx *pt, struct error *e)
{
    struct contacts *all = channels_contacts(pt->channels);
    uint64_t last = pt->looked_at;
    for (const struct contact *c = contacts_next(all, last); c; c = contacts_next(all, last))
        last = c->id;
    if (last == pt->looked_at)
        return OK;
    const enum err rc = move_all(pt, e);
    if (rc)
        LOG_LIMITED(LOG_ERROR, "payments: %s", e->text);
    else
        pt->looked_at = last;
    return rc;
}

/* The former places first: a write that moves a row between the two looks is missed by neither. */
enum err paytx_load(struct paytx *pt, const struct pay_row *of, struct pay_row *r, bool *found,
                    struct error *e)
{
    struct kv *kv = dchan_store_kv(channels_store(pt->channels));
    const struct pay_key key = pay_row_key_of(of);
    struct pay_row former = { .n = 0 }, now = { .n = 0 };
    bool moved = false;
    enum err rc = OK;
    for (size_t i = 0; i < pt->n_heirs && !rc && !moved; i++)
        if (pt->heirs[i].to == of->contact) {
            const struct pay_key old = pay_row_key(of->kind, pt->heirs[i].from, NULL, of->id);
            rc = pay_row_load(kv, &old, &former, &moved, e);
        }
    former.contact = of->contact;
    *found = false;
    if (!rc)
        rc = pay_row_load(kv, &key, &now, found, e);
    *r = !rc && *found ? now : former;
    *found |= moved;
    return rc;
}
