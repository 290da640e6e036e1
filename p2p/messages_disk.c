/*
 * When the disk takes nothing: what arrives is not acknowledged, what the user sends is not
 * accepted, and one write a second finds out when it is over. A write that failed may be there all
 * the same, so then everything that is counted in memory is taken from the store again.
 */
#include "p2p/messages_internal.h"

#include "base/intmath.h"
#include "base/log.h"

/* Once for each trouble, not for each message that meets it. */
void note_write(struct messages *m, enum err rc, const struct error *e)
{
    if (rc && !m->disk_error.code)
        log_error("messages: %s; what arrives is not acknowledged until this is mended", e->text);
    else if (!rc && m->disk_error.code)
        log_info("messages: they can be written again");
    m->reload_due |= rc != OK;
    if (rc)
        m->disk_error = *e;
    else
        m->disk_error.code = OK;
}

/* Numbers that were given away are not given again, whether they came to the disk or not. */
enum err load_totals(struct messages *m, struct error *e)
{
    uint64_t last;
    const enum err rc = message_last_load(m->kv, &last, &m->kept_bytes, e);
    if (!rc)
        m->last_number = MAX_OF(m->last_number, last);
    m->n_box = 0;
    return rc ? rc : box_load(m, e);
}

bool reload_if_due(struct messages *m)
{
    struct error e;
    if (!m->reload_due)
        return true;
    if (m->writes || m->disk_error.code)
        return false;
    for (struct list_link *l = list_first(&m->parties); l; l = list_next(&m->parties, l)) {
        struct message_party *p = LIST_ITEM(l, struct message_party, link);
        out_forget_counts(p);
        p->loaded = false;
    }
    m->reload_due = load_totals(m, &e) || out_count_all(m, &e);
    m->news_due = true;
    return !m->reload_due;
}

enum err reload_check(struct messages *m, struct error *e)
{
    if (reload_if_due(m))
        return OK;
    if (m->disk_error.code)
        return error_set(e, m->disk_error.code, "%s", m->disk_error.text);
    return error_set(e, ERR_BUSY, "messages are read again after their disk was full");
}

static void probe_done(void *ctx, enum err rc, const struct error *e)
{
    struct messages *m = ctx;
    m->writes--;
    m->probing = false;
    note_write(m, rc, e);
}

void probe_disk(struct messages *m)
{
    if (!m->disk_error.code || m->probing)
        return;
    struct dchan_write *w = dchan_write_new(m->store);
    write_last(m, w);
    m->probing = true;
    m->writes++;
    dchan_store_commit(m->store, w, probe_done, m);
}
