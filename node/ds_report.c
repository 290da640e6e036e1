#include "node/ds_report.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

void ds_block_header(const struct ds_block *b, size_t i, struct block_header *out)
{
    struct reader r;
    reader_init(&r, b->headers.data + i * BLOCK_HEADER_SIZE, BLOCK_HEADER_SIZE);
    block_header_read(&r, out);
}

void ds_report_clear(struct ds_report *r)
{
    for (size_t i = 0; i < r->n; i++)
        tx_unref(r->blocks[i].tx);
    r->n = 0;
}

/* --- one block --- */

static bool headers_link(struct ds_block *b)
{
    struct block_header h;
    struct block_hash hash;
    for (size_t i = 0; i < b->n; i++) {
        ds_block_header(b, i, &h);
        block_header_hash(&hash, &h);
        if (i == 0)
            b->hash = hash;
        else if (!block_hash_equal(&hash, &b->ancestor))
            return false;
        b->ancestor = h.prev; /* of the last one in the end */
    }
    return true;
}

static bool proof_holds(const struct msg_ds_block *m, const struct ds_block *b)
{
    struct block_header own;
    struct hash256 root;
    ds_block_header(b, 0, &own);
    return tsc_proof_root(&m->proof, &root) && memcmp(root.b, m->proof.root.b, 32) == 0 &&
           memcmp(root.b, own.merkle_root.b, 32) == 0;
}

static bool read_block(struct ds_block *b, const struct msg_ds_block *m, const char **why)
{
    struct error e;
    *b = (struct ds_block){ .headers = m->headers, .n = m->n, .branch = m->proof.branch };
    if (m->n > DS_FORK_MAX)
        *why = "branch too long";
    else if (!headers_link(b))
        *why = "headers do not link";
    else if (!proof_holds(m, b))
        *why = "proof does not lead to the block";
    else if (!(b->tx = tx_new(m->proof.tx.data, m->proof.tx.len, &e)))
        *why = "no transaction";
    else if (tx_is_coinbase(b->tx))
        *why = "coinbase";
    else
        return true;
    return false;
}

/* --- all together --- */

/* The block stands in the branch of another with the same ancestor: then it is the header at its
 * height there. */
static bool is_below(const struct ds_block *b, const struct ds_block *other)
{
    struct block_header h;
    struct block_hash hash;
    if (b->n > other->n)
        return false;
    ds_block_header(other, other->n - b->n, &h);
    block_header_hash(&hash, &h);
    return block_hash_equal(&hash, &b->hash);
}

static bool blocks_compete(const struct ds_report *r)
{
    for (size_t i = 0; i < r->n; i++)
        for (size_t k = 0; k < r->n; k++)
            if (k != i &&
                (!block_hash_equal(&r->blocks[i].ancestor, &r->blocks[k].ancestor) ||
                 is_below(&r->blocks[i], &r->blocks[k]) ||
                 txid_equal(&r->blocks[i].tx->id, &r->blocks[k].tx->id)))
                return false;
    return true;
}

struct spent {
    struct outpoint out;
    size_t block;
};

static int compare_spent(const void *a, const void *b)
{
    const struct outpoint *x = &((const struct spent *)a)->out;
    const struct outpoint *y = &((const struct spent *)b)->out;
    const int ids = memcmp(x->txid.b, y->txid.b, sizeof(x->txid.b));
    return ids ? ids : (x->index > y->index) - (x->index < y->index);
}

static size_t collect_spent(const struct ds_report *r, struct spent *all)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        for (size_t k = 0; k < r->blocks[i].tx->n_in; k++)
            all[n++] = (struct spent){ r->blocks[i].tx->in[k].prevout, i };
    return n;
}

/* Each transaction spends what one of another block spends. */
static bool all_conflict(const struct ds_report *r, struct spent *all, size_t n)
{
    bool conflicts[DS_BLOCKS_MAX] = { false };
    qsort(all, n, sizeof(*all), compare_spent);
    for (size_t i = 0, end; i < n; i = end) {
        bool several = false;
        for (end = i + 1; end < n && outpoint_equal(&all[end].out, &all[i].out); end++)
            several |= all[end].block != all[i].block;
        for (size_t k = i; several && k < end; k++)
            conflicts[all[k].block] = true;
    }
    for (size_t i = 0; i < r->n; i++)
        if (!conflicts[i])
            return false;
    return true;
}

static bool double_spends(const struct ds_report *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n += r->blocks[i].tx->n_in;
    struct spent *all = try_alloc(n + 1, sizeof(*all));
    const bool found = all && all_conflict(r, all, collect_spent(r, all));
    free(all);
    return found;
}

static int compare_hashes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct hash256));
}

static struct hash256 hash_of_set(struct hash256 *parts, size_t n)
{
    struct hash256 out;
    qsort(parts, n, sizeof(*parts), compare_hashes);
    sha256(out.b, parts, n * sizeof(*parts));
    return out;
}

bool ds_report_read(struct ds_report *out, const struct msg_dsdetected *m, const char **why)
{
    struct hash256 wholes[DS_BLOCKS_MAX], hashes[DS_BLOCKS_MAX];
    struct reader r;
    *why = m->n > DS_BLOCKS_MAX ? "too many blocks" : NULL;
    out->n = 0;
    reader_init(&r, m->blocks.data, m->blocks.len);
    for (size_t i = 0; !*why && i < m->n; i++) {
        struct msg_ds_block b;
        msg_ds_block_next(&r, &b);
        read_block(&out->blocks[out->n++], &b, why);
        sha256(wholes[i].b, b.whole.data, b.whole.len);
        memcpy(hashes[i].b, out->blocks[i].hash.b, 32);
    }
    if (!*why && !blocks_compete(out))
        *why = "blocks do not compete";
    if (!*why && !double_spends(out))
        *why = "no double spend";
    if (*why) {
        ds_report_clear(out);
        return false;
    }
    out->id = hash_of_set(wholes, out->n);
    out->place = hash_of_set(hashes, out->n);
    return true;
}
