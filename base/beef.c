#include "base/beef.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"

#define ATOMIC_PREFIX UINT32_C(0x01010101)
#define V1_PREFIX UINT32_C(0xefbe0001)
#define V2_PREFIX UINT32_C(0xefbe0002)

#define BUMP_MIN_SIZE 4 /* height, levels, one level with a count and part of a leaf */

void beef_init(struct beef *b, enum beef_version version)
{
    *b = (struct beef){ .version = version };
    arena_init(&b->arena);
}

void beef_clear(struct beef *b)
{
    for (size_t i = 0; i < b->n_bumps; i++)
        bump_clear(&b->bump[i]);
    free(b->bump);
    free(b->tx);
    arena_clear(&b->arena);
    beef_init(b, b->version);
}

const struct beef_tx *beef_subject(const struct beef *b)
{
    if (!b->n_txs)
        return NULL;
    const struct beef_tx *last = &b->tx[b->n_txs - 1];
    for (size_t i = 0; b->atomic && i < b->n_txs; i++)
        if (txid_equal(&b->tx[i].tx.id, &b->subject))
            return &b->tx[i];
    return b->atomic ? NULL : last;
}

/* --- making --------------------------------------------------------------------------------- */

size_t beef_add_bump(struct beef *b, struct bump *bump)
{
    b->bump = (struct bump *)xrealloc(b->bump, (b->n_bumps + 1) * sizeof *b->bump);
    b->bump[b->n_bumps] = *bump;
    bump_init(bump);
    return b->n_bumps++;
}

static struct beef_tx *new_tx(struct beef *b, enum beef_form form)
{
    b->tx = (struct beef_tx *)xrealloc(b->tx, (b->n_txs + 1) * sizeof *b->tx);
    struct beef_tx *t = &b->tx[b->n_txs++];
    *t = (struct beef_tx){ .form = form };
    return t;
}

static enum err read_raw(struct reader *r, struct beef *b, struct beef_tx *t)
{
    enum err rc = tx_read(r, &b->arena, &t->tx);
    if (!rc)
        tx_compute_id(&t->tx);
    return rc;
}

static enum err add_raw(struct beef *b, struct span raw, struct beef_tx *t, struct error *e)
{
    struct reader r;
    reader_init(&r, raw.data, raw.len);
    enum err rc = read_raw(&r, b, t);
    if (!rc && !reader_done(&r))
        rc = ERR_PARSE;
    if (!rc)
        return OK;
    b->n_txs--;
    return error_set(
        e, rc, rc == ERR_NOMEM ? "out of memory for a transaction" : "not exactly one transaction");
}

enum err beef_add_tx(struct beef *b, struct span raw, struct error *e)
{
    return add_raw(b, raw, new_tx(b, BEEF_PLAIN), e);
}

enum err beef_add_proved(struct beef *b, struct span raw, size_t bump, struct error *e)
{
    struct beef_tx *t = new_tx(b, BEEF_PROVED);
    t->bump = bump;
    return add_raw(b, raw, t, e);
}

/* --- format --------------------------------------------------------------------------------- */

static enum err read_version(struct reader *r, struct beef *b)
{
    uint32_t prefix = read_le32(r);
    if (prefix == ATOMIC_PREFIX) {
        b->atomic = true;
        read_copy(r, b->subject.b, 32);
        prefix = read_le32(r);
    }
    b->version = prefix == V2_PREFIX ? BEEF_V2 : BEEF_V1;
    return r->failed || (prefix != V1_PREFIX && prefix != V2_PREFIX) ? ERR_PARSE : OK;
}

static enum err read_bumps(struct reader *r, struct beef *b)
{
    size_t n = read_count(r, BUMP_MIN_SIZE);
    enum err rc = r->failed ? ERR_PARSE : n > BEEF_BUMPS_MAX ? ERR_RANGE : OK;
    for (size_t i = 0; i < n && !rc; i++) {
        struct bump bump;
        rc = bump_read(r, &bump, NULL);
        if (!rc)
            beef_add_bump(b, &bump);
    }
    return rc;
}

/* The byte that tells the form, and what follows it. */
static enum err read_form(struct reader *r, const struct beef *b, struct beef_tx *t)
{
    uint8_t form = read_u8(r);
    t->form = (enum beef_form)form;
    t->bump = form == BEEF_PROVED ? (size_t)read_compact(r) : 0;
    if (r->failed || form > (b->version == BEEF_V2 ? BEEF_ID_ALONE : BEEF_PROVED) ||
        (form == BEEF_PROVED && t->bump >= b->n_bumps))
        return ERR_PARSE;
    return OK;
}

static enum err read_tx(struct reader *r, struct beef *b)
{
    struct beef_tx *t = new_tx(b, BEEF_PLAIN);
    if (b->version == BEEF_V1) {
        enum err rc = read_raw(r, b, t);
        return rc ? rc : read_form(r, b, t);
    }
    enum err rc = read_form(r, b, t);
    if (rc || t->form != BEEF_ID_ALONE)
        return rc ? rc : read_raw(r, b, t);
    read_copy(r, t->tx.id.b, 32);
    return r->failed ? ERR_PARSE : OK;
}

static enum err read_txs(struct reader *r, struct beef *b)
{
    size_t n = read_count(r, 1 + TX_MIN_SIZE);
    enum err rc = r->failed ? ERR_PARSE : n > BEEF_TXS_MAX ? ERR_RANGE : OK;
    for (size_t i = 0; i < n && !rc; i++)
        rc = read_tx(r, b);
    return rc;
}

enum err beef_read(struct reader *r, struct beef *b, struct error *e)
{
    beef_init(b, BEEF_V1);
    enum err rc = r->left > BEEF_BYTES_MAX ? ERR_RANGE : read_version(r, b);
    if (!rc)
        rc = read_bumps(r, b);
    if (!rc)
        rc = read_txs(r, b);
    if (!rc)
        return OK;
    beef_clear(b);
    return error_set(e, rc, "%s",
                     rc == ERR_NOMEM   ? "out of memory for a BEEF"
                     : rc == ERR_RANGE ? "BEEF above the limits"
                                       : "malformed BEEF");
}

static void write_form(struct buf *out, const struct beef_tx *t)
{
    buf_put_u8(out, (uint8_t)t->form);
    if (t->form == BEEF_PROVED)
        buf_put_compact(out, t->bump);
}

static void write_tx(struct buf *out, const struct beef *b, const struct beef_tx *t)
{
    BUG_ON(b->version == BEEF_V1 && t->form == BEEF_ID_ALONE);
    if (b->version == BEEF_V2)
        write_form(out, t);
    if (t->form == BEEF_ID_ALONE)
        buf_put(out, t->tx.id.b, 32);
    else
        buf_put(out, t->tx.raw.data, t->tx.raw.len);
    if (b->version == BEEF_V1)
        write_form(out, t);
}

void beef_write(struct buf *out, const struct beef *b)
{
    if (b->atomic) {
        buf_put_le32(out, ATOMIC_PREFIX);
        buf_put(out, b->subject.b, 32);
    }
    buf_put_le32(out, b->version == BEEF_V2 ? V2_PREFIX : V1_PREFIX);
    buf_put_compact(out, b->n_bumps);
    for (size_t i = 0; i < b->n_bumps; i++)
        bump_write(out, &b->bump[i]);
    buf_put_compact(out, b->n_txs);
    for (size_t i = 0; i < b->n_txs; i++)
        write_tx(out, b, &b->tx[i]);
}

/* --- structure ------------------------------------------------------------------------------ */

/* Transactions by id, with what was found out about them. */
struct known {
    const struct beef_tx *tx;
    bool related; /* the subject or an ancestor of it */
};

static int by_id(const void *a, const void *b)
{
    const struct known *x = (const struct known *)a, *y = (const struct known *)b;
    return memcmp(x->tx->tx.id.b, y->tx->tx.id.b, 32);
}

static struct known *find_tx(struct known *all, size_t n, const struct txid *id)
{
    const struct beef_tx wanted = { .tx.id = *id };
    const struct known key = { .tx = &wanted };
    return (struct known *)bsearch(&key, all, n, sizeof *all, by_id);
}

static const char *check_inputs(const struct beef *b, struct known *all, const struct beef_tx *t)
{
    for (size_t i = 0; i < t->tx.n_in; i++) {
        const struct outpoint *o = &t->tx.in[i].prevout;
        const struct known *parent = find_tx(all, b->n_txs, &o->txid);
        if (!parent)
            return "an input of a transaction without proof spends what is not there";
        if (parent->tx >= t)
            return "a parent stands behind its child";
        if (parent->tx->form != BEEF_ID_ALONE && o->index >= parent->tx->tx.n_out)
            return "an input spends an output that its parent does not have";
    }
    return t->tx.n_in ? NULL : "a transaction has no inputs";
}

/* Of what a block has nobody asks for the inputs: the SDKs write two such parents of a transaction
 * in the order of its inputs, also when one of them spends the other. */
static const char *check_tx(const struct beef *b, struct known *all, const struct beef_tx *t)
{
    uint64_t offset;
    if (t->form == BEEF_ID_ALONE)
        return NULL;
    if (t->form == BEEF_PROVED && !bump_find(&b->bump[t->bump], &t->tx.id, &offset))
        return "a transaction is not in its proof";
    if (t->form == BEEF_PROVED && t->tx.raw.len == 64)
        return "a transaction of 64 bytes has a proof";
    return t->form == BEEF_PROVED ? NULL : check_inputs(b, all, t);
}

/* Children stand behind parents, so one way from the end finds all ancestors. */
static const char *check_related(const struct beef *b, struct known *all)
{
    struct known *subject = find_tx(all, b->n_txs, &b->subject);
    if (!subject)
        return "the subject is missing";
    subject->related = true;
    for (size_t i = b->n_txs; i--;) {
        const struct tx *tx = &b->tx[i].tx;
        if (!find_tx(all, b->n_txs, &tx->id)->related)
            return "a transaction is unrelated to the subject";
        for (size_t k = 0; b->tx[i].form != BEEF_ID_ALONE && k < tx->n_in; k++) {
            struct known *parent = find_tx(all, b->n_txs, &tx->in[k].prevout.txid);
            if (parent)
                parent->related = true;
        }
    }
    return NULL;
}

static const char *check_txs(const struct beef *b, struct known *all)
{
    const char *fault = NULL;
    for (size_t i = 0; i < b->n_txs; i++)
        all[i] = (struct known){ .tx = &b->tx[i] };
    qsort(all, b->n_txs, sizeof *all, by_id);
    for (size_t i = 1; i < b->n_txs; i++)
        if (by_id(&all[i - 1], &all[i]) == 0)
            return "a transaction is there twice";
    for (size_t i = 0; i < b->n_txs && !fault; i++)
        fault = check_tx(b, all, &b->tx[i]);
    return fault || !b->atomic ? fault : check_related(b, all);
}

static bool agree(const struct bump *a, const struct bump_top *ta, const struct bump *b,
                  const struct bump_top *tb)
{
    return a->height != b->height ||
           (ta->depth == tb->depth && mem_equal_var(ta->root.b, tb->root.b, 32));
}

static enum err check_bumps(const struct beef *b, struct error *e)
{
    struct bump_top *top = (struct bump_top *)try_alloc(b->n_bumps + 1, sizeof *top);
    enum err rc = top ? OK : error_set(e, ERR_NOMEM, "out of memory for a BEEF");
    for (size_t i = 0; i < b->n_bumps && !rc; i++) {
        rc = bump_climb(&b->bump[i], &top[i], e);
        for (size_t k = 0; k < i && !rc; k++)
            if (!agree(&b->bump[k], &top[k], &b->bump[i], &top[i]))
                rc = error_set(e, ERR_PARSE, "BEEF: two proofs of one height disagree");
    }
    free(top);
    return rc;
}

enum err beef_check(const struct beef *b, struct error *e)
{
    if (!b->n_txs)
        return error_set(e, ERR_PARSE, "BEEF: there is no transaction");
    enum err rc = check_bumps(b, e);
    if (rc)
        return rc;
    struct known *all = (struct known *)try_alloc(b->n_txs, sizeof *all);
    if (!all)
        return error_set(e, ERR_NOMEM, "out of memory for a BEEF");
    const char *fault = check_txs(b, all);
    free(all);
    return fault ? error_set(e, ERR_PARSE, "BEEF: %s", fault) : OK;
}
