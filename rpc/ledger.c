#include "rpc/ledger.h"

#include <malloc.h>

#include "base/causes.h"
#include "base/intmath.h"
#include "chain/chain.h"
#include "p2p/bca_intake.h"
#include "p2p/net.h"
#include "rpc/candidates.h"
#include "rpc/resident.h"
#include "rpc/wallet_call.h"

static const struct { const char *name, *help; } rows[LEDGER_ROWS] = {
    [LEDGER_PROGRAM] = { "program",
        "the program, its libraries, and mapped files of the databases" },
    [LEDGER_STACKS] = { "stacks", "stacks of threads" },
    [LEDGER_HEADERS] = { "headers", "all headers, for ever" },
    [LEDGER_COINS] = { "coins", "cache of unspent outputs (-dbcache)" },
    [LEDGER_DATABASES] = { "databases", "caches of LevelDB (-dbcache)" },
    [LEDGER_MEMPOOL] = { "mempool", "what waits for a block (-maxmempool), candidates of blocks" },
    [LEDGER_NONFINAL] = { "nonfinal",
        "transactions that wait for their time (-maxmempoolnonfinal)" },
    [LEDGER_SIGNATURES] = { "signatures", "signatures and scripts found valid (touched pages)" },
    [LEDGER_BLOCKS] = { "blocks", "blocks that arrive or wait to be connected (-memory)" },
    [LEDGER_TRANSACTIONS] = { "transactions", "transactions handed over and not judged yet" },
    [LEDGER_NETWORK] = { "network", "peers, their queues, the address book" },
    [LEDGER_RELAY] = { "relay", "orphans, requests, transactions kept for peers" },
    [LEDGER_RECORDS] = { "records",
        "announced records of identities: index, what waits, cache of their database" },
    [LEDGER_CHANNELS] = { "channels",
        "direct channels: contacts, sessions at rest, cache of their database" },
    [LEDGER_MESSAGES] = { "messages",
        "who wrote or is written to, and the heads of messages on their way" },
    [LEDGER_FILES] = { "files",
        "transfers: what is known of files, their leaves, pieces that are read or written" },
    [LEDGER_PAYMENTS] = { "payments", "payment channels, and what of them goes to the disk" },
    [LEDGER_COMPACT] = { "compact", "blocks put together from compact form, and kept in it" },
    [LEDGER_FEEDS] = { "feeds",
        "transactions the event log has told of, messages that wait for ZMQ" },
    [LEDGER_WALLETS] = { "wallets",
        "coins and scripts of wallets, transactions on the way to them" },
    [LEDGER_CAUSES] = { "causes", "what was noted for `why`" },
    [LEDGER_FREE] = { "free", "freed and kept by the allocator" },
    [LEDGER_OTHER] = { "other", "allocated and counted by no part" },
};

const char *ledger_name(enum ledger_row row) { return rows[row].name; }
const char *ledger_help(enum ledger_row row) { return rows[row].help; }

/* Returns what is allocated but was never touched. */
static uint64_t take_chain(struct chain *c, struct ledger *l)
{
    struct chain_memory m;
    chain_get_memory(c, &m);
    l->bytes[LEDGER_HEADERS] = m.headers;
    l->bytes[LEDGER_COINS] = m.coins;
    l->bytes[LEDGER_DATABASES] = m.databases;
    l->bytes[LEDGER_MEMPOOL] = m.mempool;
    l->bytes[LEDGER_NONFINAL] = m.nonfinal;
    l->bytes[LEDGER_SIGNATURES] = m.signatures;
    l->bytes[LEDGER_BLOCKS] = m.blocks_waiting + m.blocks_arriving;
    l->bytes[LEDGER_TRANSACTIONS] = m.transactions_waiting;
    return m.untouched;
}

/*
 * "other" is what the allocator has given out and nobody counts. It and what is free may have pages
 * that were never touched, which are no memory: both end where the resident heap does, free before
 * other, as most of it was used. The total is too large when a part counts what is not resident,
 * and too small when one has mappings of its own that it does not count: it is to be compared with
 * `resident`.
 */
static void take_heap(struct ledger *l, uint64_t untouched, uint64_t resident)
{
    const struct mallinfo2 heap = mallinfo2();
    const uint64_t used = heap.uordblks + heap.hblkhd;
    uint64_t counted = 0;
    for (size_t i = LEDGER_HEADERS; i < LEDGER_FREE; i++)
        counted += l->bytes[i];
    uint64_t room = resident > counted ? resident - counted : 0;
    counted += untouched;
    l->bytes[LEDGER_FREE] = MIN_OF((uint64_t)heap.fordblks, room);
    room -= l->bytes[LEDGER_FREE];
    l->bytes[LEDGER_OTHER] = used > counted ? MIN_OF(used - counted, room) : 0;
}

static uint64_t memory_of_records(struct rpc_env *env)
{
    struct bca_store_counts stored;
    struct bca_intake_counts held;
    bca_store_count(env->records, &stored);
    bca_intake_count(env->record_intake, &held);
    return stored.memory + held.memory;
}

static void take_channels(struct rpc_env *env, struct ledger *l)
{
    struct channels_memory m = { .channels = 0 };
    env->channels_memory(env->node, &m);
    l->bytes[LEDGER_CHANNELS] = m.channels;
    l->bytes[LEDGER_MESSAGES] = m.messages;
    l->bytes[LEDGER_FILES] = m.files;
    l->bytes[LEDGER_PAYMENTS] = m.payments;
}

void ledger_take(struct rpc_env *env, struct ledger *l)
{
    struct net_status net;
    *l = (struct ledger){ .total = 0 };
    uint64_t untouched = causes_untouched(env->causes);
    if (env->chain)
        untouched += take_chain(env->chain, l);
    if (env->net && !net_get_status(env->net, &net)) {
        l->bytes[LEDGER_NETWORK] = net.memory;
        l->bytes[LEDGER_RELAY] = net.relay_memory;
        untouched += net.relay_untouched;
    }
    if (env->candidates)
        l->bytes[LEDGER_MEMPOOL] += candidates_memory(env->candidates);
    if (env->compact_memory)
        l->bytes[LEDGER_COMPACT] = env->compact_memory(env->node);
    if (env->feeds_memory)
        l->bytes[LEDGER_FEEDS] = env->feeds_memory(env->node);
    if (env->records)
        l->bytes[LEDGER_RECORDS] = memory_of_records(env);
    if (env->channels_memory)
        take_channels(env, l);
    if (env->wallets)
        l->bytes[LEDGER_WALLETS] = env->wallets->memory(env->wallets->ctx);
    l->bytes[LEDGER_CAUSES] = causes_bytes(env->causes);
    const struct resident r = resident_take(); /* last, with the allocator: nothing waits between */
    l->resident = r.all;
    l->bytes[LEDGER_PROGRAM] = r.program;
    l->bytes[LEDGER_STACKS] = r.stacks;
    take_heap(l, untouched, r.heap);
    for (size_t i = 0; i < LEDGER_ROWS; i++)
        l->total += l->bytes[i];
}
