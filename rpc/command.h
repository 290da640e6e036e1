/*
 * The command table: one row a method is the single source for parameter checks, help, the manual
 * page, and which arguments the client sends as JSON. Adding a method is one row and one function
 * in a cmd_<group>.c, and one test.
 *
 * A handler gets its parameters checked against the row, writes the result as one JSON value to
 * call->out, and returns rpc_done() or rpc_fail(...). What it wrote before failing is taken back.
 * One that would have to wait may leave the answer to another thread (later.h).
 */
#ifndef RPC_COMMAND_H
#define RPC_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "rpc/json_write.h"

struct assigned;
struct bca_intake;
struct bca_store;
struct causes;
struct candidates;
struct chain;
struct channels;
struct config;
struct forwards;
struct kept_forwards;
struct json_object;
struct net;
struct rpc_batch;
struct rpc_call;
struct rpc_laters;
struct rpc_pay_service;
struct rpc_payment_service;
struct rpc_table;
struct chan_relay;
struct services;
struct rpc_wallet_service;
struct transfers;

/* Spec rpc 1.5. */
enum rpc_code {
    RPC_PARSE_ERROR = -32700, RPC_INTERNAL_ERROR = -32603, RPC_INVALID_PARAMS = -32602,
    RPC_METHOD_NOT_FOUND = -32601, RPC_INVALID_REQUEST = -32600,
    RPC_MISC_ERROR = -1, RPC_TYPE_ERROR = -3, RPC_WALLET_ERROR = -4, RPC_NOT_FOUND = -5,
    RPC_INSUFFICIENT_FUNDS = -6, RPC_OUT_OF_MEMORY = -7, RPC_INVALID_PARAMETER = -8,
    RPC_NOT_CONNECTED = -9, RPC_IN_INITIAL_DOWNLOAD = -10, RPC_WALLET_ACCOUNT = -11,
    RPC_WALLET_LOCKED = -13, RPC_WALLET_PASSPHRASE = -14, RPC_WALLET_ENCRYPTION = -15,
    RPC_WALLET_NOT_FOUND = -18, RPC_WALLET_NOT_SPECIFIED = -19, RPC_DATABASE_ERROR = -20,
    RPC_DESERIALIZATION_ERROR = -22, RPC_NODE_ALREADY_ADDED = -23, RPC_NODE_NOT_ADDED = -24,
    RPC_VERIFY_ERROR = -25, RPC_REJECTED = -26, RPC_ALREADY_IN_CHAIN = -27, RPC_IN_WARMUP = -28,
    RPC_NODE_NOT_CONNECTED = -29, RPC_INVALID_SUBNET = -30, RPC_P2P_DISABLED = -31,
    RPC_WALLET_LOADED = -35,
};

/* Who keeps copies of the keys of identities; functions may be NULL. Called without any lock. */
struct rpc_key_keeper {
    void (*refresh)(void *ctx); /* identities or their addresses may have changed */
    void (*locked)(void *ctx, const char *wallet); /* its user wants no secret of it in memory */
    void *ctx;
};

/* What commands may use; filled by node, outlives the server. Pointers may be NULL in tests. */
/* Bytes that direct channels take: themselves, and what is said on them. */
struct channels_memory { uint64_t channels, messages, files, payments; };

struct rpc_env {
    struct chain *chain;
    struct net *net;
    const struct config *config;
    const struct rpc_table *table;
    struct candidates *candidates; /* of getminingcandidate, the server's */
    int64_t start_time;          /* seconds since 1970 */
    bool mock_time_allowed;      /* regtest */
    const char *user_agent;      /* as peers see it */
    void (*stop)(void *node);    /* asks the node to stop; any thread */
    uint64_t (*compact_memory)(void *node); /* bytes of blocks in compact form; may be NULL */
    void (*channels_memory)(void *node, struct channels_memory *out); /* may be NULL */
    uint64_t (*feeds_memory)(void *node); /* bytes of event log and ZMQ; may be NULL */
    void *node;
    struct cancel *cancel;       /* set while stopping */
    struct causes *causes;       /* what was noted; may be NULL */
    struct rpc_wallet_service *wallets; /* wallet_call.h; NULL: -disablewallet */
    struct assigned *assigned;   /* addresses on interfaces; NULL: -disablewallet */
    struct channels *channels;   /* direct channels; NULL: -channel=0 or -disablewallet */
    struct transfers *transfers; /* of files over them; NULL: no channels */
    struct services *services;   /* with channels */
    struct forwards *forwards;   /* the same */
    struct kept_forwards *kept_forwards; /* the same */
    struct chan_relay *relay;         /* NULL: -channelrelay=0 */
    const struct rpc_pay_service *payments; /* payment channels (pay_call.h); NULL: no channels */
    const struct rpc_payment_service *transactions; /* payment_call.h; the same */
    struct rpc_key_keeper keeper;
    struct bca_store *records;   /* announced records; NULL: none yet, as what follows */
    struct bca_intake *record_intake;
    void (*own_record_changed)(void *node); /* any thread */
    void (*look_for_record)(void *node, const uint8_t key[33]); /* asks peers; any thread */
};

/* The ways a handler can end; made by the functions below alone. */
struct rpc_result { enum { RPC_DONE, RPC_FAILED, RPC_PENDING, RPC_ELSEWHERE } end; };

typedef struct rpc_result (*rpc_fn)(struct rpc_call *call);

enum rpc_type {
    RPC_ANY,    /* the handler looks itself */
    RPC_TEXT,   /* without zero characters, so that it ends where rpc_text does */
    RPC_MESSAGE, /* text with any: the handler asks for its length */
    RPC_INT, RPC_NUMBER, RPC_BOOL, RPC_AMOUNT,
    RPC_HASH,   /* 64 hex digits */
    RPC_HEX,    /* any even number of hex digits */
    RPC_TX, RPC_BLOCK, /* the same: what is no hex is -22, as what does not decode */
    RPC_OBJECT, RPC_ARRAY,
};
enum rpc_need { RPC_REQUIRED, RPC_OPTIONAL };
enum rpc_cli { RPC_CLI_TEXT, RPC_CLI_JSON }; /* how the client sends it */

struct rpc_param {
    const char *name;   /* further names after '|' */
    enum rpc_type type;
    enum rpc_need need;
    enum rpc_cli cli;
    const char *help;
};

enum rpc_where {
    RPC_ON_HTTP,   /* on the HTTP thread: short, never waits, small result */
    RPC_ON_WORKER,
    RPC_TRY_ON_HTTP, /* on the HTTP thread while the disk is quick, unless the handler declines */
    RPC_ON_WAITER, /* waits for events: a thread of its own */
};

enum rpc_flag {
    RPC_HIDDEN = 1,
    RPC_ANY_PARAMS = 2,      /* no names and no limit of their number */
    RPC_ANY_PARAMS_JSON = 4, /* with the one above: the client sends them as JSON */
    RPC_SECRET = 8,          /* a passphrase, a phrase or a private key may be among the parameters
                                or in the result: no copy stays when the call has ended */
    RPC_OVERLAPS = 16,       /* waits for others and answers later (later.h); in a batch the next
                                call begins meanwhile */
    RPC_TYPES_FIRST = 32,    /* the reference looks at the types of the parameters before all else:
                                a wrong one is -3, elsewhere -1 */
};

#define RPC_PARAMS_MAX 8

struct rpc_command {
    const char *name, *category;
    enum rpc_where where;
    unsigned flags;
    rpc_fn fn;
    /* Where a call with these parameters (array, object or NULL) runs; NULL: all where it says */
    enum rpc_where (*place)(struct json_object *params);
    const char *help;    /* what it does */
    const char *result;  /* what comes back */
    const char *example; /* arguments as typed to the client, "" for none */
    struct rpc_param params[RPC_PARAMS_MAX + 1]; /* ends with name NULL */
};

struct rpc_group { const struct rpc_command *rows; size_t n; };

struct rpc_call {
    struct rpc_env *env;
    const struct rpc_command *command;
    struct json_object *argv[RPC_PARAMS_MAX]; /* NULL: null or not given */
    size_t argc;              /* given, holes included */
    struct json_object *params; /* as received (array or object), for RPC_ANY_PARAMS */
    struct json_writer *out;  /* NULL: the node calls a helper for itself, there is no client */
    bool (*client_gone)(void *ctx); /* NULL: not known, as the next */
    bool (*client_ended)(void *ctx);
    void *client;
    struct rpc_laters *laters; /* NULL: the handler cannot answer later (later.h) */
    struct rpc_batch *batch;   /* NULL: it is none of a batch */
    struct json_object *id;
    const char *wallet;       /* named by the address; NULL: none was */
    bool on_http;             /* may decline by rpc_elsewhere rather than wait */
    enum rpc_code code;       /* of a failure */
    struct buf message;
};

struct rpc_result rpc_done(void);
struct rpc_result rpc_pending(void); /* the answer has been handed over, see later.h */
struct rpc_result rpc_elsewhere(void); /* on_http: it takes long or fails, a worker begins anew */
struct rpc_result rpc_failed(const struct rpc_call *call); /* when a helper has called rpc_fail */
struct rpc_result rpc_fail(struct rpc_call *call, enum rpc_code code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* From an error below: out of memory -7, not found -5, anything else -1. */
struct rpc_result rpc_fail_error(struct rpc_call *call, const struct error *e);

/* Work for this call is in vain: long handlers look now and then. */
bool rpc_client_gone(const struct rpc_call *call);
/* The same, or the node stops. */
bool rpc_given_up(const struct rpc_call *call);
/* Any of these, or the client has closed its side, as a program that ends does. It may still read,
 * but nobody can tell: what could wait for it without an end gives up. */
bool rpc_wait_is_vain(const struct rpc_call *call);

/* Parameters by position. A null or missing one gives the default. */
bool rpc_has(const struct rpc_call *call, size_t i);
const char *rpc_text(const struct rpc_call *call, size_t i, const char *def);
int64_t rpc_int(const struct rpc_call *call, size_t i, int64_t def);
bool rpc_bool(const struct rpc_call *call, size_t i, bool def);
void rpc_hash(const struct rpc_call *call, size_t i, uint8_t out[32]); /* must be given */
void rpc_hex(const struct rpc_call *call, size_t i, struct buf *out);  /* appends */
/* 32 bytes in the order of their digits; false, and the call has failed, when it is not so many. */
bool rpc_bytes32(struct rpc_call *call, size_t i, const char *what, uint8_t out[32]);

/* --- table --- */
extern const struct rpc_group *const rpc_groups[]; /* NULL-terminated; commands.c */

struct rpc_table *rpc_table_new(void);
void rpc_table_free(struct rpc_table *t);
const struct rpc_command *rpc_table_find(const struct rpc_table *t, const char *name); /* or NULL */
/* Rows sorted by name. */
size_t rpc_table_count(const struct rpc_table *t);
const struct rpc_command *rpc_table_at(const struct rpc_table *t, size_t i);

size_t rpc_param_count(const struct rpc_command *c);
/* Position of a name (or one of its further names), SIZE_MAX when there is none. */
size_t rpc_param_find(const struct rpc_command *c, const char *name);

const char *rpc_type_name(enum rpc_type type); /* "integer" */
/* "getblock "blockhash" ( verbosity )" */
void rpc_help_line(const struct rpc_command *c, struct buf *out);
void rpc_help_text(const struct rpc_command *c, struct buf *out);
/* All visible commands under their categories. */
void rpc_help_list(const struct rpc_table *t, struct buf *out);

#endif
