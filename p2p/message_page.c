#include "p2p/message_page.h"

#include <string.h>

#include "base/intmath.h"

#define WINDOW 256 /* numbers looked at together, going back from the newest */

struct loading {
    struct kv *kv;
    const struct message_page *page;
    struct message_shown *out;
    size_t n;
};

/* What came from a stranger belongs to the contact that it has become. */
static bool is_wanted(const struct message_page *page, const struct message_head *h)
{
    const struct message_whose *w = page->whose;
    return !w || h->contact == w->id ||
           (!h->contact && mem_equal_var(h->key, w->key, sizeof h->key));
}

/* Those of [first, end), until there are so many. */
static enum err load_range(struct loading *l, uint64_t first, uint64_t end, size_t most,
                           struct error *e)
{
    const struct message_key from = message_key_number(TABLE_HEAD, first);
    struct kv_iter *it = kv_iter_new(l->kv);
    size_t looked = 0;
    uint64_t number;
    enum err rc = OK;
    for (kv_iter_seek(it, from.b, from.len);
         !rc && l->n < most && kv_iter_valid(it) &&
         message_key_has_number(kv_iter_key(it), TABLE_HEAD, &number) && number < end;
         kv_iter_next(it)) {
        struct message_head *h = &l->out[l->n].head;
        if (++looked % WINDOW == 0 && l->page->given_up(l->page->ctx))
            rc = error_set(e, ERR_CANCELLED, "given up");
        else if (message_head_read(h, number, kv_iter_value(it)) && is_wanted(l->page, h))
            l->n++;
    }
    if (!rc)
        rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

/* A window in front of those that are there; of it the last ones. */
static enum err load_window(struct loading *l, uint64_t first, uint64_t end, struct error *e)
{
    struct message_shown window[WINDOW];
    struct loading w = { l->kv, l->page, window, 0 };
    const enum err rc = load_range(&w, first, end, WINDOW, e);
    const size_t n = MIN_OF(w.n, l->page->count - l->n);
    memmove(l->out + n, l->out, l->n * sizeof *l->out);
    memcpy(l->out, window + (w.n - n), n * sizeof *l->out);
    l->n += n;
    return rc;
}

static enum err load_newest(struct loading *l, struct error *e)
{
    uint64_t end, bytes;
    enum err rc = message_last_load(l->kv, &end, &bytes, e);
    for (end++; !rc && end > 1 && l->n < l->page->count;) {
        const uint64_t first = end > WINDOW ? end - WINDOW : 1;
        rc = load_window(l, first, end, e);
        end = first;
        if (!rc && l->page->given_up(l->page->ctx))
            rc = error_set(e, ERR_CANCELLED, "given up");
    }
    return rc;
}

/* --- order --- */

static bool same_sender(const struct message_head *a, const struct message_head *b)
{
    struct message_name x, y;
    message_head_name(a, &x);
    message_head_name(b, &y);
    return a->ours == b->ours && x.len == y.len && memcmp(x.b, y.b, x.len) == 0;
}

/* In front of the first of the same sender that was sent after it. */
static void put_in_order(struct message_shown *all, size_t i)
{
    const struct message_shown late = all[i];
    size_t at = i;
    for (size_t k = i; k-- > 0;)
        if (same_sender(&all[k].head, &late.head) && all[k].head.has_seq && !all[k].head.reset &&
            all[k].head.seq > late.head.seq)
            at = k;
    memmove(&all[at + 1], &all[at], (i - at) * sizeof *all);
    all[at] = late;
}

enum err message_page_load(struct kv *kv, const struct message_page *page,
                           struct message_shown *out, size_t *n, struct error *e)
{
    struct loading l = { kv, page, out, 0 };
    const enum err rc = page->from ? load_range(&l, page->from, UINT64_MAX, page->count, e)
                                   : load_newest(&l, e);
    for (size_t i = 0; i < l.n; i++)
        if (out[i].head.late)
            put_in_order(out, i);
    *n = l.n;
    return rc;
}
