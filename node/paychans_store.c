/*
 * Payment channels on disk. Journal records and values of the database, little-endian:
 *
 *   'W' | number 8 | contact 8 | identity of ours 33 | of theirs 33 | created 8 |
 *       height then 4 | wallet (length 1, bytes) | memo (length 2, bytes) |
 *       wallet/paychan_record.h, whole
 *   'N' | number 8 | numbers of wallet/paychan_record.h: a payment of ours
 *   'P' | number 8 | entry 8 | amount 8 | numbers | ref: a payment to us; entries rise over all
 *       channels, and are those of the event log
 *   'F' | number 8: forgotten
 *
 * Database: 'p' | number 8 big-endian -> the whole record. It has what the journal came to when it
 * was last turned; the journal's files are replayed over it, which may repeat what it has.
 */
#include <config.h>

#include "node/paychans_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"
#include "wallet/paychan_record.h"

#define KEY_PREFIX 'p'
#define KEY_SIZE 9

/* --- records --- */

static void put_whole(struct buf *b, const struct held *h)
{
    const size_t wallet = strlen(h->wallet), memo = strlen(h->memo);
    buf_put_u8(b, 'W');
    buf_put_le64(b, h->number);
    buf_put_le64(b, h->contact);
    buf_put(b, h->ours, sizeof h->ours);
    buf_put(b, h->theirs, sizeof h->theirs);
    buf_put_le64(b, (uint64_t)h->created);
    buf_put_le32(b, h->opened_at);
    buf_put_u8(b, (uint8_t)wallet);
    buf_put(b, h->wallet, wallet);
    buf_put_le16(b, (uint16_t)memo);
    buf_put(b, h->memo, memo);
    paychan_put_whole(b, &h->c);
}

static void read_string(struct reader *r, size_t len, char *out, size_t room)
{
    const uint8_t *text = len < room ? read_bytes(r, len) : NULL;
    r->failed |= len >= room;
    if (text && !r->failed)
        memcpy(out, text, len);
}

static enum err read_whole(struct paychans *pc, uint64_t number, struct reader *r,
                           struct error *e)
{
    struct held *h = paychans_by_number(pc, number);
    struct paychan c;
    const bool is_new = !h;
    if (is_new)
        h = xcalloc(1, sizeof *h);
    h->number = number;
    h->contact = read_le64(r);
    read_copy(r, h->ours, sizeof h->ours);
    read_copy(r, h->theirs, sizeof h->theirs);
    h->created = (int64_t)read_le64(r);
    h->opened_at = read_le32(r);
    read_string(r, read_u8(r), h->wallet, sizeof h->wallet);
    read_string(r, read_le16(r), h->memo, sizeof h->memo);
    const size_t left = r->left;
    const uint8_t *whole = read_bytes(r, left);
    enum err rc = r->failed ? error_set(e, ERR_CORRUPT, "a record is damaged")
                            : paychan_get_whole(&c, span_of(whole, left), e);
    if (!rc)
        h->c = c;
    if (!rc && is_new)
        paychans_add(pc, h);
    else if (!rc)
        paychans_index(h);
    else if (is_new)
        free(h);
    return rc;
}

static void forget_loaded(struct paychans *pc, uint64_t number)
{
    for (size_t i = 0; i < pc->n; i++)
        if (pc->all[i]->number == number)
            pc->all[i]->forgotten = true;
}

/* h NULL: forgotten since. */
static enum err read_payment(struct paychans *pc, struct held *h, struct reader *r,
                             struct error *e)
{
    const uint64_t entry = read_le64(r), amount = read_le64(r);
    const uint8_t *numbers = read_bytes(r, PAYCHAN_NUMBERS_SIZE);
    const size_t left = r->left;
    struct paychan paid = { .n = 0 };
    if (r->failed || left > PAYCHAN_REF_MAX)
        return error_set(e, ERR_CORRUPT, "the record of a payment is damaged");
    if (pc->next_entry <= entry)
        pc->next_entry = entry + 1;
    if (!h)
        return OK;
    paid.terms.capacity = h->c.terms.capacity;
    const struct span in = span_of(numbers, PAYCHAN_NUMBERS_SIZE);
    enum err rc = paychan_get_numbers(&paid, in, e);
    if (!rc && entry > feeds_told(pc->feeds, TOLD_PAYCHANS))
        paychans_note_paid(h, entry, &(struct paychan_pay_msg){
            .n = paid.n, .paid = paid.paid, .ref = span_of(read_bytes(r, left), left) }, amount);
    return rc ? rc : paychan_get_numbers(&h->c, in, e);
}

static enum err replay(void *ctx, struct span record, struct error *e)
{
    struct paychans *pc = ctx;
    struct reader r;
    reader_init(&r, record.data, record.len);
    const uint8_t kind = read_u8(&r);
    const uint64_t number = read_le64(&r);
    struct held *h = paychans_by_number(pc, number);
    if (r.failed)
        return error_set(e, ERR_CORRUPT, "a record is damaged");
    if (pc->next_number <= number) /* what was forgotten too: its record may be read once more */
        pc->next_number = number + 1;
    if (kind == 'W')
        return read_whole(pc, number, &r, e);
    if (kind == 'F')
        forget_loaded(pc, number);
    else if (kind == 'P')
        return read_payment(pc, h, &r, e);
    else if (kind == 'N' && h) /* else it has been forgotten since, in a file that is gone */
        return paychan_get_numbers(&h->c, span_of(record.data + 9, record.len - 9), e);
    else if (kind != 'N')
        return error_set(e, ERR_RANGE, "a record of a newer version");
    return OK;
}

static enum err load_database(struct paychans *pc, struct error *e)
{
    const uint8_t prefix = KEY_PREFIX;
    struct kv_iter *it = kv_iter_new(dchan_store_kv(channels_store(pc->channels)));
    enum err rc = OK;
    for (kv_iter_seek(it, &prefix, 1); !rc && kv_iter_valid(it); kv_iter_next(it)) {
        const struct span key = kv_iter_key(it), value = kv_iter_value(it);
        if (key.len != KEY_SIZE || key.data[0] != KEY_PREFIX)
            break;
        rc = replay(pc, value, e);
    }
    if (!rc)
        rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

static void drop_forgotten(struct paychans *pc)
{
    size_t n = 0;
    for (size_t i = 0; i < pc->n; i++) {
        struct held *h = pc->all[i];
        if (h->forgotten) {
            pc->gone = xrealloc(pc->gone, (pc->n_gone + 1) * sizeof *pc->gone);
            pc->gone[pc->n_gone++] = h->number;
            pc->gone_cap = pc->n_gone;
            free(h);
        } else {
            pc->all[n++] = h;
        }
    }
    pc->n = n;
    map_clear(&pc->ids);
    map_init(&pc->ids);
    for (size_t i = 0; i < n; i++)
        paychans_index(pc->all[i]);
}

/* --- writing --- */

static void poll(struct channels *c, void *ctx)
{
    if (c)
        paychans_poll(ctx);
}

/* The journal's thread. */
static void wake(void *ctx)
{
    struct paychans *pc = ctx;
    if (!atomic_exchange(&pc->polling, true))
        channels_post(pc->channels, poll, pc);
}

void paychans_poll(struct paychans *pc)
{
    atomic_store(&pc->polling, false);
    if (pc->stopping)
        return;
    journal_poll(pc->journal);
    paychans_tell_paid(pc);
    paychans_send_acks(pc);
    paychans_pay_queued(pc);
}

static void fail(struct paychans *pc, const struct error *e)
{
    if (*pc->trouble)
        return;
    const char *why = e && *e->text ? e->text : "unknown";
    log_sanitize(pc->trouble, sizeof pc->trouble, why, strlen(why));
    log_error("payment channels: the journal has failed: %s; nothing is paid or taken any more, "
              "until the disk is mended and the node started again", pc->trouble);
    for (size_t i = 0; i < pc->n; i++) {
        struct held *h = pc->all[i];
        struct chan_peer *p = h->c.role == PAYCHAN_PAYEE ? paychans_peer(h) : NULL;
        paychans_alarm(h, "the disk fails: nothing is paid or taken");
        paychans_end_pays(h, ERR_IO);
        if (p) /* who waits for an acknowledgement will not get one */
            paychans_send_fail(p, h->c.id, PAYCHAN_REFUSED, "the disk fails");
    }
    paychans_tell_failed(pc);
}

static void on_durable(void *ctx, enum err rc, const struct error *e)
{
    struct paychan_pending *p = ctx;
    p->durable = true;
    p->rc = rc;
    if (rc && !p->h->pc->stopping)
        fail(p->h->pc, e);
    paychans_run(p->h);
}

/* With what it is for, so that it is told after a crash, too. */
static void put_payment(struct buf *b, const struct held *h, const struct paychan_pending *p)
{
    buf_put_u8(b, 'P');
    buf_put_le64(b, h->number);
    buf_put_le64(b, p->entry);
    buf_put_le64(b, p->amount);
    paychan_put_numbers(b, &h->c);
    for (size_t i = 0; i < p->n; i++)
        if (p->actions[i].what == PAYCHAN_DO_SERVE)
            buf_put(b, p->actions[i].pay.ref.data, p->actions[i].pay.ref.len);
}

void paychans_write(struct held *h, enum paychan_record_kind kind, struct paychan_pending *p)
{
    struct buf b;
    buf_init(&b);
    if (p->entry)
        put_payment(&b, h, p);
    if (p->entry && kind == PAYCHAN_WHOLE) { /* it closes the channel as well */
        journal_append(h->pc->journal, buf_span(&b), NULL, NULL);
        buf_reset(&b);
    }
    if (kind == PAYCHAN_WHOLE) {
        put_whole(&b, h);
    } else if (!p->entry) {
        buf_put_u8(&b, 'N');
        buf_put_le64(&b, h->number);
        paychan_put_numbers(&b, &h->c);
    }
    journal_append(h->pc->journal, buf_span(&b), on_durable, p);
    buf_clear(&b);
}

void paychans_write_forget(struct paychans *pc, uint64_t number)
{
    struct buf b;
    buf_init(&b);
    buf_put_u8(&b, 'F');
    buf_put_le64(&b, number);
    journal_append(pc->journal, buf_span(&b), NULL, NULL);
    buf_clear(&b);
    if (pc->n_gone == pc->gone_cap) {
        pc->gone_cap = 2 * pc->gone_cap + 4;
        pc->gone = xrealloc(pc->gone, pc->gone_cap * sizeof *pc->gone);
    }
    pc->gone[pc->n_gone++] = number;
}

/* --- compaction --- */

/* What is not dropped is replayed once more at the next start, over what is stored. */
static void on_dropped(void *ctx, enum err rc, const struct error *e)
{
    struct paychans *pc = ctx;
    pc->compacting = false;
    if (rc && !pc->stopping)
        log_warn("payment channels: the journal is not shortened: %s", e->text);
}

/* --- dropping what the event log has, synced --- */

struct keep_job {
    struct paychan_job job; /* first */
    struct paychans *pc;
    uint64_t entry;
    bool kept;
};

static void work_keep(const struct rpc_env *env, struct paychan_job *j)
{
    struct keep_job *job = (struct keep_job *)j;
    (void)env;
    job->kept = feeds_keep(job->pc->feeds, TOLD_PAYCHANS, job->entry);
}

static void done_keep(struct channels *c, struct paychan_job *j)
{
    struct keep_job *job = (struct keep_job *)j;
    struct paychans *pc = job->pc;
    if (c && !pc->stopping && pc->journal) {
        if (job->kept)
            journal_drop_before(pc->journal, pc->compacted_from, on_dropped, pc);
        else
            pc->dropping = true; /* in a second once more */
    }
    free(job);
}

static void drop_when_told(struct paychans *pc)
{
    if (!pc->dropping || pc->stopping)
        return;
    struct keep_job *job = xcalloc(1, sizeof *job);
    pc->dropping = false;
    job->job = (struct paychan_job){ .work = work_keep, .done = done_keep };
    job->pc = pc;
    job->entry = pc->drop_entry;
    paychan_wallet_do(pc->wallet, &job->job);
}

static void on_compacted(void *ctx, enum err rc, const struct error *e)
{
    struct paychans *pc = ctx;
    if (pc->stopping || !pc->journal)
        return;
    if (rc) {
        on_dropped(pc, rc, e);
        return;
    }
    pc->n_gone -= pc->n_going; /* those that were forgotten since stand behind them */
    if (pc->n_gone)
        memmove(pc->gone, pc->gone + pc->n_going, pc->n_gone * sizeof *pc->gone);
    pc->dropping = true;
    drop_when_told(pc);
}

/* The records of what it has are on disk: stored before them, a state would be counted after a
 * crash that nobody was told of. */
static void on_turned(void *ctx, enum err rc, const struct error *e)
{
    struct paychans *pc = ctx;
    struct dchan_write *w = pc->compaction;
    pc->compaction = NULL;
    if (rc || pc->stopping) {
        dchan_write_free(w);
        on_dropped(pc, rc, e);
    } else {
        dchan_store_commit(channels_store(pc->channels), w, on_compacted, pc);
    }
}

static void make_key(uint8_t key[KEY_SIZE], uint64_t number)
{
    key[0] = KEY_PREFIX;
    be64_put(key + 1, number);
}

static void compact(struct paychans *pc)
{
    struct dchan_store *store = channels_store(pc->channels);
    struct dchan_write *w = dchan_write_new(store);
    uint8_t key[KEY_SIZE];
    struct buf b;
    buf_init(&b);
    pc->compacting = pc->compacted = true;
    pc->compacted_from = journal_turn(pc->journal, on_turned, pc);
    pc->drop_entry = pc->next_entry - 1;
    for (size_t i = 0; i < pc->n; i++) {
        if (pc->all[i]->forgetting) /* it has no state any more that could be read */
            continue;
        buf_reset(&b);
        put_whole(&b, pc->all[i]);
        make_key(key, pc->all[i]->number);
        dchan_write_put(w, key, sizeof key, b.data, b.len);
    }
    for (size_t i = 0; i < pc->n_gone; i++) {
        make_key(key, pc->gone[i]);
        dchan_write_delete(w, key, sizeof key);
    }
    pc->n_going = pc->n_gone; /* not before they are: the journal that says so will be dropped */
    pc->compaction = w;
    buf_clear(&b);
}

void paychans_compact_if_due(struct paychans *pc)
{
    drop_when_told(pc);
    if (pc->compacting || *pc->trouble)
        return;
    /* Each start begins a file, which takes megabytes: it tries once to have no others. */
    const bool older = !pc->compacted && journal_has_older(pc->journal);
    if (older || journal_bytes(pc->journal) > pc->config.compact_bytes)
        compact(pc);
}

enum err paychans_load(struct paychans *pc, struct error *e)
{
    const struct journal_options o = { .dir = pc->dir, .gather_us = pc->config.gather_us,
                                       .wake = wake, .ctx = pc };
    const uint64_t told = feeds_told(pc->feeds, TOLD_PAYCHANS);
    pc->next_entry = told == UINT64_MAX ? 1 : told + 1; /* all ones: there is no log */
    enum err rc = load_database(pc, e);
    if (!rc)
        rc = journal_open(&pc->journal, &o, replay, pc, e);
    if (!rc)
        drop_forgotten(pc);
    return rc;
}
