/*
 * Compact-block messages of one peer in any order (attacks C3). Each step of the input is a byte
 * that chooses what happens and what it needs: a message made of a few known transactions or raw
 * bytes, an offer, the end of offers, a fill, the reading of the block. At most one fill may
 * succeed, and a complete block has the bytes it promised.
 */
#include <stdlib.h>
#include <string.h>

#include "node/rebuild.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KNOWN 8
#define BUDGET (1u << 20)

static struct tx *known[KNOWN];
static const struct block_header header = { .version = 4, .time = 1 };

struct run {
    struct rebuild *r;
    unsigned fills; /* that succeeded */
    bool ended;     /* offers */
};

static void make_known(void)
{
    for (uint32_t i = 0; i < KNOWN; i++) {
        const struct tx tx = { .version = 1, .lock_time = i };
        struct error e;
        struct buf b;
        buf_init(&b);
        tx_write(&b, &tx);
        known[i] = tx_new(b.data, b.len, &e);
        buf_clear(&b);
    }
}

static void begin(struct run *run, const struct msg_cmpctblock *m)
{
    enum rebuild_result why;
    rebuild_free(run->r);
    *run = (struct run){ .r = rebuild_new(m, BUDGET, &why) };
    if ((run->r != NULL) != (why == REBUILD_FINE))
        abort();
}

/* bits: which of the known transactions are named, and which are prefilled. */
static void begin_known(struct run *run, uint8_t named, uint8_t prefilled)
{
    const struct siphash_key key = short_id_key(&header, 5);
    uint8_t ids[KNOWN * SHORT_ID_SIZE];
    struct msg_prefilled list[KNOWN];
    struct msg_cmpctblock m = { .header = header, .nonce = 5 }, read;
    for (uint32_t i = 0; i < KNOWN; i++) {
        if (prefilled & 1u << i)
            list[m.n_prefilled++] = (struct msg_prefilled){ i, known[i]->raw };
        else
            short_id_put(ids + SHORT_ID_SIZE * m.n_short_ids++,
                         short_id_of(&key, &known[named & 1u << i ? i : 0]->id));
    }
    m.short_ids = span_of(ids, m.n_short_ids * SHORT_ID_SIZE);
    struct buf b;
    buf_init(&b);
    msg_cmpctblock_write(&b, &m, list);
    if (msg_cmpctblock_read(&read, buf_span(&b)) != OK)
        abort();
    begin(run, &read);
    buf_clear(&b);
}

static void fill(struct run *run, const struct msg_blocktxn *m)
{
    if (!run->r || rebuild_fill(run->r, m) != REBUILD_FINE)
        return;
    if (++run->fills > 1 || !run->ended)
        abort();
}

/* With as many transactions as are missing, or one more or less. */
static void fill_known(struct run *run, size_t n)
{
    const struct block_hash hash = { { 0 } };
    struct msg_blocktxn m;
    struct buf b;
    buf_init(&b);
    msg_blocktxn_begin(&b, &hash, n);
    for (size_t i = 0; i < n; i++)
        buf_put(&b, known[i % KNOWN]->raw.data, known[i % KNOWN]->raw.len);
    if (msg_blocktxn_read(&m, buf_span(&b)) != OK)
        abort();
    fill(run, &m);
    buf_clear(&b);
}

static void end_offers(struct run *run)
{
    if (!run->r)
        return;
    const size_t n = rebuild_end_offers(run->r);
    uint32_t *missing = calloc(n + 1, sizeof(*missing));
    rebuild_missing(run->r, missing);
    for (size_t i = 1; i < n; i++)
        if (missing[i] <= missing[i - 1])
            abort();
    free(missing);
    run->ended = true;
}

static void read_block(struct run *run)
{
    if (!run->r)
        return;
    const uint64_t size = rebuild_block_size(run->r);
    uint64_t got = 0;
    struct span p;
    while ((p = rebuild_next_piece(run->r)).len)
        got += p.len;
    if (got != 0 && got != size)
        abort();
}

static void take_raw(struct run *run, struct span raw, bool is_block)
{
    struct msg_cmpctblock c;
    struct msg_blocktxn t;
    if (is_block && msg_cmpctblock_read(&c, raw) == OK)
        begin(run, &c);
    else if (!is_block && msg_blocktxn_read(&t, raw) == OK)
        fill(run, &t);
}

enum { STEP_BLOCK, STEP_OFFER, STEP_END, STEP_FILL, STEP_READ, STEP_RAW_BLOCK, STEP_RAW_FILL,
       STEPS };

/* Returns how many bytes of the input it used. */
static size_t step(struct run *run, const uint8_t *data, size_t size)
{
    const uint8_t a = size > 1 ? data[1] : 0, b = size > 2 ? data[2] : 0;
    const size_t rest = size > 2 ? size - 2 : 0, len = a < rest ? a : rest;
    switch (data[0] % STEPS) {
    case STEP_BLOCK:
        begin_known(run, a, b);
        return 3;
    case STEP_OFFER:
        if (run->r)
            rebuild_offer(run->r, known[a % KNOWN]);
        return 2;
    case STEP_END:
        end_offers(run);
        return 1;
    case STEP_FILL:
        fill_known(run, a % (KNOWN + 2u));
        return 2;
    case STEP_READ:
        read_block(run);
        return 1;
    default:
        take_raw(run, span_of(data + 2, len), data[0] % STEPS == STEP_RAW_BLOCK);
        return 2 + len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run run = { .r = NULL };
    if (!known[0])
        make_known();
    for (size_t at = 0; at < size;) {
        const size_t used = step(&run, data + at, size - at);
        at += used;
    }
    rebuild_free(run.r);
    if (rebuild_memory_bytes() != 0)
        abort();
    return 0;
}
