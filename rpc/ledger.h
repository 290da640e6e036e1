/*
 * Where the memory of the process is: what each part counts of its own, against what the system
 * says is resident. Worker threads (asks the loop).
 */
#ifndef RPC_LEDGER_H
#define RPC_LEDGER_H

#include "rpc/command.h"

enum ledger_row {
    LEDGER_PROGRAM,       /* pages of files: program, libraries, tables that LevelDB maps */
    LEDGER_STACKS,        /* of threads */
    LEDGER_HEADERS, LEDGER_COINS, LEDGER_DATABASES, LEDGER_MEMPOOL, LEDGER_NONFINAL,
    LEDGER_SIGNATURES,    /* caches of signatures and scripts */
    LEDGER_BLOCKS,        /* arriving and waiting */
    LEDGER_TRANSACTIONS,  /* handed over, not judged */
    LEDGER_NETWORK,       /* peers, queues, address book */
    LEDGER_RELAY,         /* orphans, requests, transactions kept for peers */
    LEDGER_RECORDS,       /* announced records of identities */
    LEDGER_CHANNELS,      /* direct channels themselves, and what is said on them: */
    LEDGER_MESSAGES, LEDGER_FILES, LEDGER_PAYMENTS,
    LEDGER_COMPACT,       /* blocks in compact form */
    LEDGER_FEEDS,         /* event log, ZMQ */
    LEDGER_WALLETS,       /* coins, scripts, what waits to be told to them */
    LEDGER_CAUSES,
    LEDGER_FREE,          /* freed, kept by the allocator, resident */
    LEDGER_OTHER,         /* allocated, resident, counted by nobody: buffers of threads, tables */
    LEDGER_ROWS
};

struct ledger {
    uint64_t bytes[LEDGER_ROWS];
    uint64_t total;    /* of the rows */
    uint64_t resident; /* as the system says */
};

const char *ledger_name(enum ledger_row row);
const char *ledger_help(enum ledger_row row);
void ledger_take(struct rpc_env *env, struct ledger *l);

#endif
