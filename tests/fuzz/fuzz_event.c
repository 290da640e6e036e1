/* A record of the event log, what is said about it, and a query for events. */
#include <stdlib.h>
#include <string.h>

#include "node/event_record.h"
#include "node/event_serve.h"
#include "node/told_chain.h"
#include "node/told_txs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *ctx, struct event_record *r)
{
    (void)ctx;
    (void)r;
}

/* What was read is written the same way. */
static void check_record(const struct event_record *r, const uint8_t *data, size_t used)
{
    struct json_writer w;
    struct buf b;
    buf_init(&b);
    event_record_write(&b, r);
    if (b.len != used || memcmp(b.data, data, used) != 0)
        abort();
    buf_reset(&b);
    jw_init(&w, &b, NULL, NULL);
    event_record_json(&w, r);
    if (b.len < 2 || b.data[b.len - 1] != '}')
        abort();
    buf_clear(&b);
}

static void read_records(const uint8_t *data, size_t size)
{
    struct told_chain chain;
    struct told_txs txs;
    struct event_record r;
    size_t used, at = 0;
    told_chain_init(&chain, ignore, NULL);
    told_txs_init(&txs, ignore, NULL);
    for (; event_record_read(data + at, size - at, &r, &used) == EVENT_READ; at += used) {
        check_record(&r, data + at, used);
        if (!told_chain_replay(&chain, &r) || !told_txs_replay(&txs, &r))
            break;
    }
    told_chain_clear(&chain);
    told_txs_clear(&txs);
}

/* The checksum hides most of the decoder from mutations: it is put right here. */
static void read_with_checksum(const uint8_t *data, size_t size)
{
    static const struct siphash_key key = { 0, 0 };
    uint8_t raw[EVENT_RECORD_MAX];
    size_t n = size < sizeof raw - EVENT_FRAME_SIZE ? size : sizeof raw - EVENT_FRAME_SIZE;
    if (!n)
        return;
    le32_put(raw, (uint32_t)n);
    memcpy(raw + EVENT_FRAME_SIZE, data, n);
    le32_put(raw + 4, (uint32_t)siphash(&key, data, n));
    read_records(raw, EVENT_FRAME_SIZE + n);
}

static void read_state(const uint8_t *data, size_t size)
{
    struct told_chain chain;
    struct told_txs txs;
    struct reader r;
    told_chain_init(&chain, ignore, NULL);
    told_txs_init(&txs, ignore, NULL);
    reader_init(&r, data, size);
    told_chain_load(&chain, &r);
    told_txs_load(&txs, &r);
    told_chain_clear(&chain);
    told_txs_clear(&txs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct event_query q;
    char *text = malloc(size + 1);
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    if (!event_query_parse(&q, text) && q.follow && !q.has_from)
        abort();
    free(text);
    read_records(data, size);
    read_with_checksum(data, size);
    read_state(data, size);
    return 0;
}
