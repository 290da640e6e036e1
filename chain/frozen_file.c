/*
 * frozen.dat, in the frame of base/state_file.h (tag FROZ), replaced as a whole: an operator's
 * lists are short and change rarely. The payload:
 *
 *   number of changes (le64), then what is hashed:
 *   count of outputs (compact), each by rising outpoint: txid 32, index le32, list u8, policy
 *     expires u8, count of intervals (compact), each: start le32, stop le32
 *   count of orders (compact), each by rising id: txid 32, enforce height le32, count of outputs
 *     (compact), each: txid 32, index le32
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"
#include "base/state_file.h"
#include "chain/frozen.h"

#define OUTPUT_MIN 39
#define INTERVAL_SIZE 8
#define ORDER_MIN 37
#define OUTPOINT_SIZE 36
#define FILE_MAX ((size_t)1 << 32)
static const struct state_file_kind frozen_kind = { "FROZ", 1 };

/* --- writing -------------------------------------------------------------------------------- */

static void put_outpoint(struct buf *b, const struct outpoint *o)
{
    buf_put(b, o->txid.b, 32);
    buf_put_le32(b, o->index);
}

static void put_output(struct buf *b, const struct frozen_output *entry)
{
    put_outpoint(b, &entry->outpoint);
    buf_put_u8(b, (uint8_t)entry->list);
    buf_put_u8(b, entry->policy_expires);
    buf_put_compact(b, entry->n_intervals);
    for (size_t i = 0; i < entry->n_intervals; i++) {
        buf_put_le32(b, (uint32_t)entry->intervals[i].start);
        buf_put_le32(b, (uint32_t)entry->intervals[i].stop);
    }
}

static void put_order(struct buf *b, const struct confiscation_order *order)
{
    buf_put(b, order->id.b, 32);
    buf_put_le32(b, (uint32_t)order->enforce_height);
    buf_put_compact(b, order->n_outputs);
    for (size_t i = 0; i < order->n_outputs; i++)
        put_outpoint(b, &order->outputs[i]);
}

static void put_lists(struct buf *b, const struct frozen *f)
{
    size_t n;
    const struct frozen_output **outputs = frozen_outputs(f, &n);
    buf_put_compact(b, n);
    for (size_t i = 0; i < n; i++)
        put_output(b, outputs[i]);
    free(outputs);
    const struct confiscation_order **orders = frozen_orders(f, &n);
    buf_put_compact(b, n);
    for (size_t i = 0; i < n; i++)
        put_order(b, orders[i]);
    free(orders);
}

void frozen_hash(const struct frozen *f, uint8_t out[32])
{
    struct buf b;
    buf_init(&b);
    put_lists(&b, f);
    sha256d(out, b.data, b.len);
    buf_clear(&b);
}

static void put_content(struct buf *b, const struct frozen *f, const uint8_t magic[4])
{
    state_file_begin(b, &frozen_kind, magic);
    buf_put_le64(b, frozen_version(f));
    put_lists(b, f);
}

void frozen_write(struct buf *b, const struct frozen *f, const uint8_t magic[4])
{
    put_content(b, f, magic);
    state_file_finish(b);
}

/* --- reading -------------------------------------------------------------------------------- */

static void read_outpoint(struct reader *r, struct outpoint *o)
{
    read_copy(r, o->txid.b, 32);
    o->index = read_le32(r);
}

static enum err read_output(struct reader *r, struct frozen *f)
{
    struct outpoint o;
    read_outpoint(r, &o);
    uint8_t list = read_u8(r), expires = read_u8(r);
    size_t n = read_count(r, INTERVAL_SIZE);
    bool good = !r->failed && list >= FROZEN_POLICY && list <= FROZEN_CONFISCATION &&
                expires <= 1 && (list != FROZEN_POLICY || n == 0);
    if (!good)
        return ERR_CORRUPT;
    struct frozen_output *entry = try_alloc(1, sizeof *entry + n * INTERVAL_SIZE);
    if (!entry)
        return ERR_NOMEM;
    *entry = (struct frozen_output){
        .outpoint = o, .list = (enum frozen_list)list, .policy_expires = expires, .n_intervals = n
    };
    for (size_t i = 0; i < n; i++) {
        entry->intervals[i].start = (int32_t)read_le32(r);
        entry->intervals[i].stop = (int32_t)read_le32(r);
    }
    good = frozen_put_output(f, entry);
    free(entry);
    return good ? OK : ERR_CORRUPT;
}

static enum err read_order(struct reader *r, struct frozen *f)
{
    struct txid id;
    read_copy(r, id.b, 32);
    int32_t height = (int32_t)read_le32(r);
    size_t n = read_count(r, OUTPOINT_SIZE);
    if (r->failed)
        return ERR_CORRUPT;
    struct confiscation_order *order = try_alloc(1, sizeof *order + n * sizeof *order->outputs);
    if (!order)
        return ERR_NOMEM;
    *order = (struct confiscation_order){ .id = id, .enforce_height = height, .n_outputs = n };
    for (size_t i = 0; i < n; i++)
        read_outpoint(r, &order->outputs[i]);
    bool good = frozen_put_order(f, order);
    free(order);
    return good ? OK : ERR_CORRUPT;
}

static enum err read_lists(struct reader *r, struct frozen *f)
{
    enum err rc = OK;
    for (size_t n = read_count(r, OUTPUT_MIN); !rc && n > 0; n--)
        rc = read_output(r, f);
    for (size_t n = rc ? 0 : read_count(r, ORDER_MIN); !rc && n > 0; n--)
        rc = read_order(r, f);
    return !rc && !reader_done(r) ? ERR_CORRUPT : rc;
}

enum err frozen_read(struct frozen *f, struct span data, const uint8_t magic[4], struct error *e)
{
    struct reader r;
    enum err rc = state_file_open(&r, data.data, data.len, &frozen_kind, magic, e);
    if (rc)
        return rc;
    struct frozen *read = frozen_new();
    frozen_set_version(read, read_le64(&r));
    rc = read_lists(&r, read);
    if (!rc)
        frozen_swap(f, read);
    frozen_free(read);
    return rc ? error_set(e, rc, rc == ERR_NOMEM ? "no memory" : "an entry is wrong") : OK;
}

/* --- the file ------------------------------------------------------------------------------- */

enum err frozen_load(struct frozen *f, const char *path, const uint8_t magic[4], struct error *e)
{
    struct buf data;
    buf_init(&data);
    if (!path_exists(path))
        return OK;
    enum err rc = file_read_all(path, FILE_MAX, &data, e);
    if (!rc) {
        struct error why = { .code = OK };
        rc = frozen_read(f, buf_span(&data), magic, &why);
        if (rc == ERR_NOMEM)
            error_set(e, rc, "%s: %s", path, why.text);
        else if (rc)
            error_set(e, rc,
                      "%s: %s. Blocks cannot be judged without the lists of frozen outputs: put a "
                      "good copy there, or remove it and give the lists anew by RPC",
                      path, why.text);
    }
    buf_clear(&data);
    struct frozen_counts n = frozen_count(f);
    if (!rc)
        log_info("frozen outputs: %zu by policy, %zu by consensus, %zu to be confiscated, %zu "
                 "confiscation transactions allowed",
                 n.policy, n.consensus, n.confiscation, n.orders);
    return rc;
}

enum err frozen_store(const struct frozen *f, const char *path, const uint8_t magic[4],
                      struct error *e)
{
    struct buf data;
    buf_init(&data);
    put_content(&data, f, magic);
    enum err rc = state_file_commit(path, &data, e);
    buf_clear(&data);
    return rc;
}
