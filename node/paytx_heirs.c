/*
 * Rows of a contact that was removed, when its key is added again: that is another contact, with
 * another id. They become those of the new one before anything is looked up for it: else a request
 * whose payment is under way could be paid again, or with other coins than a payment for it that
 * was taken back, and an answer would find no payment.
 *
 * Whose rows the disk has, at which keys, is in memory: read at the start with all rows, added to
 * with each new one. So a contact that is added costs no look at the disk, unless rows of a removed
 * one have its key: those of that one are read then. Ids only rise, which shows whether one was
 * added.
 *
 * A contact that has changed its key and is added again at the new one gets the rows at the former
 * one as well, as long as the node runs: only memory knows that both were of the same contact, but
 * where there are rows at both.
 */
#include <config.h>

#include "node/paytx_internal.h"

#include "base/log.h"
#include "base/mem.h"

/* --- whose rows there are --- */

static int compare(const struct pay_party *a, const struct pay_row *r)
{
    if (a->contact != r->contact)
        return a->contact < r->contact ? -1 : 1;
    return memcmp(a->theirs, r->theirs, sizeof a->theirs);
}

/* Where it is or would be. */
static size_t place_of(const struct paytx *pt, const struct pay_row *r)
{
    size_t from = 0, to = pt->n_parties;
    while (from < to) {
        const size_t mid = from + (to - from) / 2;
        if (compare(&pt->parties[mid], r) < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

static struct pay_party *insert(struct paytx *pt, size_t at, const struct pay_row *r)
{
    if (pt->n_parties == pt->cap_parties) {
        pt->cap_parties = 2 * pt->cap_parties + 4;
        pt->parties = xrealloc(pt->parties, pt->cap_parties * sizeof *pt->parties);
    }
    struct pay_party *p = &pt->parties[at];
    memmove(p + 1, p, (pt->n_parties++ - at) * sizeof *p);
    *p = (struct pay_party){ .contact = r->contact };
    memcpy(p->theirs, r->theirs, sizeof p->theirs);
    return p;
}

/* What was being looked at when its contact was removed and added is written as a row of the former
 * one: it has to be looked for again. */
void paytx_note_party(struct paytx *pt, const struct pay_row *r)
{
    if (!r->contact)
        return; /* of strangers there are no heirs */
    const size_t at = place_of(pt, r);
    struct pay_party *p = at < pt->n_parties && compare(&pt->parties[at], r) == 0
                              ? &pt->parties[at]
                              : insert(pt, at, r);
    p->moved = false;
    if (!contacts_by_id(channels_contacts(pt->channels), r->contact))
        pt->looked_at = 0;
}

/* Who has another key that the contact had, where nobody has this one: it was a former key, and is
 * not that of the contact as it was added again. */
static struct contact *heir_at_any_key(const struct paytx *pt, uint64_t contact)
{
    const struct pay_row first = { .contact = contact };
    struct contact *heir = NULL;
    bool former;
    for (size_t i = place_of(pt, &first);
         i < pt->n_parties && pt->parties[i].contact == contact && !heir; i++)
        heir = contacts_by_key(channels_contacts(pt->channels), pt->parties[i].theirs, &former);
    return heir;
}

static struct contact *heir_at(const struct paytx *pt, uint64_t contact,
                               const uint8_t theirs[IDENTITY_KEY_SIZE])
{
    struct contacts *all = channels_contacts(pt->channels);
    bool former;
    if (!contact || contacts_by_id(all, contact))
        return NULL;
    struct contact *heir = contacts_by_key(all, theirs, &former);
    return heir ? heir : heir_at_any_key(pt, contact);
}

static struct contact *heir_of(const struct paytx *pt, const struct pay_row *r)
{
    return heir_at(pt, r->contact, r->theirs);
}

/* --- making them those of another --- */

struct moving {
    struct paytx *pt;
    struct kv *kv;
    struct dchan_write *w;
    size_t n;
};

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

/* Those of each contact that has left some to another one. */
static enum err move_stored(struct moving *m, struct error *e)
{
    const struct paytx *pt = m->pt;
    uint64_t last = 0;
    enum err rc = OK;
    for (size_t i = 0; i < pt->n_parties && !rc; i++) {
        const struct pay_party *p = &pt->parties[i];
        if (p->moved || p->contact == last || !heir_at(pt, p->contact, p->theirs))
            continue;
        last = p->contact;
        rc = pay_rows_of(m->kv, last, move_one, m, e);
    }
    return rc;
}

/* An insertion before one that is looked at makes that one be looked at twice, none be missed. */
static void mark_moved(struct paytx *pt)
{
    for (size_t i = 0; i < pt->n_parties; i++) {
        struct pay_party *p = &pt->parties[i];
        const struct contact *heir = p->moved ? NULL : heir_at(pt, p->contact, p->theirs);
        struct pay_row row = { .contact = heir ? heir->id : 0 };
        p->moved |= heir != NULL;
        memcpy(row.theirs, p->theirs, sizeof row.theirs);
        paytx_note_party(pt, &row);
    }
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
    for (size_t i = 0; i < pt->n_parties; i++)
        pt->parties[i].moved = false;
    pt->looked_at = 0;
}

static enum err move_all(struct paytx *pt, struct error *e)
{
    struct dchan_store *store = channels_store(pt->channels);
    struct moving m = { pt, dchan_store_kv(store), dchan_write_new(store), 0 };
    enum err rc = move_open(&m, e);
    if (!rc)
        rc = move_stored(&m, e);
    if (rc || !m.n) {
        dchan_write_free(m.w);
        return rc;
    }
    mark_moved(pt);
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
