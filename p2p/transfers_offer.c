/*
 * Offers of ours. A file is hashed by a worker in steps, so that reads and writes for other
 * transfers come in between, and read once more when its size, time or inode are not those of the
 * offer.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "p2p/transfers_internal.h"

#define HASHES_MAX 16     /* at a time */
#define HASH_READ (1u << 20)
#define HASH_STEP (32u << 20) /* then others have their turn */
#define TOLD_MAX 64       /* offers that a peer has not answered; half of what it may refuse */

/* --- which file it is --- */

enum err file_mark_of(const struct file *f, struct file_mark *out, struct error *e)
{
    struct stat st;
    if (fstat(f->fd, &st) != 0)
        return error_set_errno(e, errno, "%s", f->path);
    *out = (struct file_mark){
        .size = (uint64_t)st.st_size, .device = (uint64_t)st.st_dev, .inode = (uint64_t)st.st_ino,
        .changed_ns = (uint64_t)st.st_mtim.tv_sec * UINT64_C(1000000000) +
                      (uint64_t)st.st_mtim.tv_nsec
    };
    return OK;
}

bool file_mark_equal(const struct file_mark *a, const struct file_mark *b)
{
    return a->size == b->size && a->device == b->device && a->inode == b->inode &&
           a->changed_ns == b->changed_ns;
}

/* --- hashing --- */

struct hashing {
    struct disk_job job; /* first */
    char *path;
    struct file file;
    struct file_mark mark;
    struct dchan_file_hash hash;
    uint8_t *leaves, *step;
    uint8_t id[32];
    bool finished;
    /* a new offer */
    struct channels_request *request;
    uint8_t *id_out;
    uint64_t contact_id, price;
    /* an old one */
    bool again;
    uint8_t old_id[32];
};

static void hashing_free(struct disk_job *j)
{
    struct hashing *h = (struct hashing *)(void *)j;
    file_close(&h->file);
    free(h->leaves);
    free(h->step);
    free(h->path);
    free(h);
}

static void keep_leaf(void *ctx, uint32_t index, const uint8_t leaf[32])
{
    memcpy(((struct hashing *)ctx)->leaves + 32 * (size_t)index, leaf, 32);
}

static enum err begin_hash(struct hashing *h, struct error *e)
{
    enum err rc = file_open(&h->file, h->path, FILE_READ_REGULAR, e);
    if (!rc)
        rc = file_mark_of(&h->file, &h->mark, e);
    if (!rc && dchan_file_hash_init(&h->hash, h->mark.size, keep_leaf, h))
        rc = error_set(e, ERR_RANGE, "%s: more than 256 GiB", h->path);
    if (rc)
        return rc;
    h->leaves = try_alloc(dchan_chunk_count(h->mark.size), 32);
    h->step = try_alloc(1, HASH_READ);
    return h->leaves && h->step ? OK : error_set(e, ERR_NOMEM, "out of memory");
}

static enum err end_hash(struct hashing *h, struct error *e)
{
    struct file_mark now;
    enum err rc = file_mark_of(&h->file, &now, e);
    if (rc)
        return rc;
    h->finished = true;
    if (!file_mark_equal(&h->mark, &now) || dchan_file_hash_final(&h->hash, NULL, h->id))
        return error_set(e, ERR_CORRUPT, "%s: changes while it is read", h->path);
    return OK;
}

static enum err hash_step(struct hashing *h, struct error *e)
{
    enum err rc = h->step ? OK : begin_hash(h, e);
    const uint64_t until = MIN_OF(h->hash.fed + HASH_STEP, h->mark.size);
    while (!rc && h->hash.fed < until) {
        const size_t n = (size_t)MIN_OF(until - h->hash.fed, (uint64_t)HASH_READ);
        rc = file_pread(&h->file, h->step, n, h->hash.fed, e);
        if (!rc)
            rc = dchan_file_hash_update(&h->hash, h->step, n);
    }
    return !rc && h->hash.fed == h->mark.size ? end_hash(h, e) : rc;
}

static void run_hash(struct disk_job *j)
{
    struct hashing *h = (struct hashing *)(void *)j;
    j->rc = hash_step(h, &j->error);
}

static void hash_done(struct disk_job *j);

static void start_hash(struct transfers *t, struct hashing *h)
{
    h->job.run = run_hash;
    h->job.done = hash_done;
    h->job.drop = hashing_free;
    h->file.fd = -1;
    t->hashing++;
    disk_submit(t, &h->job, JOB_LOW);
}

/* --- life --- */

struct outgoing *outgoing_find(struct transfers *t, const uint8_t id[32], uint64_t contact_id)
{
    for (struct list_link *l = list_first(&t->outgoing); l; l = list_next(&t->outgoing, l)) {
        struct outgoing *o = LIST_ITEM(l, struct outgoing, link);
        if (o->contact_id == contact_id && memcmp(o->id, id, 32) == 0)
            return o;
    }
    return NULL;
}

void outgoing_free(struct transfers *t, struct outgoing *o)
{
    serve_forget(t, o);
    list_remove(&t->outgoing, &o->link);
    free(o->path);
    free(o->went);
    free(o->billed);
    free(o);
}

static void set_state(struct transfers *t, struct outgoing *o, enum transfer_state state,
                      unsigned code)
{
    o->state = state;
    o->code = code;
    o->changed_ms = transfers_unix();
    o->untold = false;
    if (state != TRANSFER_WAITING && state != TRANSFER_RUNNING)
        serve_forget(t, o);
    outgoing_store(t, o, NULL, NULL);
}

static struct outgoing *find_of_peer(struct transfers *t, struct chan_peer *p,
                                     const uint8_t id[32])
{
    const struct contact *c = chan_peer_contact(p);
    return c ? outgoing_find(t, id, c->id) : NULL;
}

/* --- telling the peer --- */

static void send_offer(struct chan_peer *p, struct outgoing *o)
{
    const struct dchan_msg m = {
        .type = DCHAN_F_OFFER,
        .f_offer = { .size = o->mark.size,
                     .chunk_log2 = (uint8_t)dchan_chunk_log2(o->mark.size),
                     .name = span_of(o->name, strlen(o->name)), .price = o->price }
    };
    struct dchan_msg out = m;
    memcpy(out.f_offer.file_id, o->id, 32);
    if (chan_peer_send(p, &out) == OK)
        o->told = true;
}

static bool is_live(const struct outgoing *o)
{
    return o->state == TRANSFER_WAITING || o->state == TRANSFER_RUNNING;
}

static void tell_end(struct transfers *t, struct chan_peer *p, struct outgoing *o)
{
    transfers_send_id(p, DCHAN_F_CANCEL, o->id, o->code);
    outgoing_erase(t, o);
    outgoing_free(t, o);
}

/* What this peer has to hear, a few offers at a time. An accepted one is offered again in each
 * session: the answer says how far it is. */
static void tell(struct transfers *t, struct chan_peer *p)
{
    unsigned open = 0;
    for (struct list_link *l = list_first(&t->outgoing), *next; l; l = next) {
        struct outgoing *o = LIST_ITEM(l, struct outgoing, link);
        next = list_next(&t->outgoing, l);
        if (!transfers_is(p, o->contact_id, NULL))
            continue;
        if (o->untold) {
            tell_end(t, p, o);
            continue;
        }
        if (is_live(o) && !o->told && open < TOLD_MAX)
            send_offer(p, o);
        open += o->told && o->state == TRANSFER_WAITING;
    }
}

void offers_up(struct transfers *t, struct chan_peer *p)
{
    for (struct list_link *l = list_first(&t->outgoing); l; l = list_next(&t->outgoing, l)) {
        struct outgoing *o = LIST_ITEM(l, struct outgoing, link);
        if (transfers_is(p, o->contact_id, NULL))
            o->told = false;
    }
    tell(t, p);
}

/* It was withdrawn, and the session in which that was said broke off: a contact that is not told
 * once more asks for ever. */
static void tell_withdrawn(struct chan_peer *p, const struct outgoing *o, const uint8_t id[32])
{
    if (chan_peer_contact(p) && (!o || (!is_live(o) && o->state != TRANSFER_DONE)))
        transfers_send_id(p, DCHAN_F_CANCEL, id, o ? o->code : CANCEL_USER);
}

void offers_accepted(struct transfers *t, struct chan_peer *p, const uint8_t id[32])
{
    struct outgoing *o = find_of_peer(t, p, id);
    if (!o || o->state != TRANSFER_WAITING) {
        tell_withdrawn(p, o, id);
        return;
    }
    set_state(t, o, TRANSFER_RUNNING, 0);
    tell(t, p);
}

void offers_done(struct transfers *t, struct chan_peer *p, const uint8_t id[32])
{
    struct outgoing *o = find_of_peer(t, p, id);
    if (!o || !is_live(o))
        return;
    o->done = o->mark.size;
    set_state(t, o, TRANSFER_DONE, 0);
    tell(t, p);
}

bool offers_cancelled(struct transfers *t, struct chan_peer *p, const uint8_t id[32],
                      unsigned code)
{
    struct outgoing *o = find_of_peer(t, p, id);
    if (!o || !is_live(o))
        return false;
    set_state(t, o, code == CANCEL_REFUSED ? TRANSFER_REFUSED
                    : code == CANCEL_USER  ? TRANSFER_CANCELLED : TRANSFER_FAILED, code);
    tell(t, p);
    return true;
}

/* Ours ends, whatever the reason: the peer hears of it now or in the next session. */
static void end_offer(struct transfers *t, struct outgoing *o, enum transfer_state state,
                      unsigned code)
{
    struct chan_peer *p = is_live(o) ? transfers_peer_of(t, o->contact_id) : NULL;
    const bool untold = is_live(o) && !p;
    set_state(t, o, state, code);
    if (p)
        transfers_send_id(p, DCHAN_F_CANCEL, o->id, code);
    if (untold) {
        o->untold = true;
        outgoing_store(t, o, NULL, NULL);
    }
}

void offers_cancel(struct transfers *t, struct outgoing *o)
{
    if (is_live(o))
        end_offer(t, o, TRANSFER_CANCELLED, CANCEL_USER);
    if (o->untold)
        return;
    outgoing_erase(t, o);
    outgoing_free(t, o);
}

void offers_contact_gone(struct transfers *t)
{
    for (struct list_link *l = list_first(&t->outgoing), *next; l; l = next) {
        struct outgoing *o = LIST_ITEM(l, struct outgoing, link);
        next = list_next(&t->outgoing, l);
        if (contacts_by_id(channels_contacts(t->channels), o->contact_id))
            continue;
        outgoing_erase(t, o);
        outgoing_free(t, o);
    }
}

static bool has_expired(const struct transfers *t, const struct outgoing *o, uint64_t now)
{
    return o->state != TRANSFER_RUNNING && now > o->changed_ms &&
           now - o->changed_ms > t->config.expire_ms;
}

void offers_tick(struct transfers *t)
{
    const uint64_t now = transfers_unix();
    for (struct list_link *l = list_first(&t->outgoing), *next; l; l = next) {
        struct outgoing *o = LIST_ITEM(l, struct outgoing, link);
        next = list_next(&t->outgoing, l);
        meter_tick(&o->sent);
        if (o->state == TRANSFER_RUNNING ||
            (is_live(o) && t->ticks % TRANSFERS_DIAL_TICKS == 0))
            transfers_dial_again(t, o->contact_id);
        if (!has_expired(t, o, now))
            continue;
        outgoing_erase(t, o);
        outgoing_free(t, o);
    }
}

/* --- the file was read --- */

static bool has_request(struct transfers *t, const struct hashing *h)
{
    return h->request && channels_is_waiting(t->channels, h->request);
}

static void answer(struct transfers *t, struct hashing *h, enum err rc, const struct error *e)
{
    if (has_request(t, h))
        channels_answer(t->channels, h->request, rc, e);
    h->request = NULL;
}

static void display_name(struct outgoing *o)
{
    const char *slash = strrchr(o->path, '/');
    const char *name = slash ? slash + 1 : o->path;
    size_t n = 0;
    while (name[n] && n < DCHAN_NAME_MAX)
        n++;
    while (n && !utf8_valid(name, n))
        n--; /* cut in the middle of a character, or something else */
    memcpy(o->name, name, n);
}

static void tell_or_dial(struct transfers *t, const struct outgoing *o)
{
    struct chan_peer *p = transfers_peer_of(t, o->contact_id);
    if (p)
        tell(t, p);
    else
        transfers_dial(t, o->contact_id);
}

/* When it is on disk it is told and answered. */
static void on_offer_stored(struct transfers *t, void *ctx, enum err rc, const struct error *e)
{
    struct hashing *h = ctx;
    struct outgoing *o = outgoing_find(t, h->id, h->contact_id);
    const bool waits = has_request(t, h);
    if (waits && !rc)
        memcpy(h->id_out, h->id, 32);
    answer(t, h, rc, e);
    hashing_free(&h->job);
    if (rc && o)
        outgoing_free(t, o);
    else if (o && waits) /* else all ends, and it is told after the next start */
        tell_or_dial(t, o);
}

static void make_offer(struct transfers *t, struct hashing *h)
{
    struct outgoing *o = outgoing_find(t, h->id, h->contact_id);
    if (o) /* offered again: from where it is, or anew */
        outgoing_free(t, o);
    o = xcalloc(1, sizeof *o);
    list_append(&t->outgoing, &o->link);
    memcpy(o->id, h->id, 32);
    o->contact_id = h->contact_id;
    o->path = xstrdup(h->path);
    o->mark = h->mark;
    o->price = h->price;
    o->created_ms = o->changed_ms = transfers_unix();
    display_name(o);
    outgoing_store(t, o, h->leaves, kept_new(t, on_offer_stored, h));
}

/* Nothing is known of what could not be read: the next who asks has it tried again. */
static bool could_not_look(enum err rc) { return rc == ERR_IO || rc == ERR_NOMEM; }

/* Each offer of the file that was hashed again. */
static void take_again(struct transfers *t, struct hashing *h, enum err rc)
{
    const bool same = rc == OK && memcmp(h->id, h->old_id, 32) == 0;
    for (struct list_link *l = list_first(&t->outgoing), *next; l; l = next) {
        struct outgoing *o = LIST_ITEM(l, struct outgoing, link);
        next = list_next(&t->outgoing, l);
        if (!o->rehashing || memcmp(o->id, h->old_id, 32) != 0 || strcmp(o->path, h->path) != 0)
            continue;
        o->rehashing = false;
        if (same) {
            o->mark = h->mark;
            outgoing_store(t, o, NULL, NULL);
        } else if (!could_not_look(rc) && is_live(o)) {
            end_offer(t, o, TRANSFER_CHANGED, CANCEL_CHANGED);
            continue;
        }
        serve_looked(t, o);
    }
}

static void hash_done(struct disk_job *j)
{
    struct hashing *h = (struct hashing *)(void *)j;
    struct transfers *t = j->t;
    if (!j->rc && !h->finished && (h->again || has_request(t, h))) {
        disk_submit(t, j, JOB_LOW);
        return;
    }
    t->hashing--;
    if (h->again) {
        if (could_not_look(j->rc))
            LOG_LIMITED(LOG_WARN, "files: %s", j->error.text);
        take_again(t, h, j->rc);
        hashing_free(j);
    } else if (j->rc || !has_request(t, h)) {
        answer(t, h, j->rc ? j->rc : ERR_CANCELLED, &j->error);
        hashing_free(j);
    } else {
        make_offer(t, h);
    }
}

void offers_rehash(struct transfers *t, struct outgoing *o)
{
    if (o->rehashing)
        return;
    struct hashing *h = xcalloc(1, sizeof *h);
    h->path = xstrdup(o->path);
    h->again = o->rehashing = true;
    memcpy(h->old_id, o->id, 32);
    start_hash(t, h);
}

/* --- any --- */

struct send_request {
    struct channels_request request; /* first */
    struct transfers *t;
    const char *contact, *path;
    uint64_t price;
    uint8_t *id;
};

static void begin_send(struct channels *c, struct channels_request *r)
{
    struct send_request *s = (struct send_request *)(void *)r;
    struct transfers *t = s->t;
    struct contact *contact = contacts_find(channels_contacts(c), s->contact);
    struct error e = { .code = OK };
    if (!contact)
        contact_unknown(s->contact, &e);
    else if (s->price && !t->payments)
        error_set(&e, ERR_RANGE, "payment channels are off (-paychannels=0)");
    else if (t->hashing >= HASHES_MAX)
        error_set(&e, ERR_BUSY, "too many files are being read");
    if (e.code) {
        channels_answer(c, r, e.code, &e);
        return;
    }
    struct hashing *h = xcalloc(1, sizeof *h);
    h->path = xstrdup(s->path);
    h->request = r;
    h->id_out = s->id;
    h->contact_id = contact->id;
    h->price = s->price;
    start_hash(t, h);
}

enum err transfers_send(struct transfers *t, const char *contact, const char *path, uint64_t price,
                        uint8_t id[32], struct error *e)
{
    struct send_request s = { .t = t, .contact = contact, .path = path, .price = price, .id = id };
    if (path[0] != '/')
        return error_set(e, ERR_RANGE, "the path must begin with /");
    return channels_ask(t->channels, begin_send, &s.request, e);
}
