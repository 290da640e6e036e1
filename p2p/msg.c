/* The message table. Adding a message is one row here, one id in msg.h and one handler. */
#include "p2p/msg.h"

#include <string.h>

#include "p2p/net_internal.h"

#define RATIO_GETBLOCKTXN_TX 215 /* spec p2p 1.5 */
#define TX_MAX UINT64_C(1000000000)
#define PROTOCONF_MAX UINT64_C(1048576)
#define DEFAULT_PROTOCOL_MAX UINT64_C(2097152)

#define READY MSG_IN_READY
#define ANY_AFTER_VERSION (MSG_IN_VERSION | MSG_IN_READY)

static const struct msg_row table[MSG_ID_COUNT] = {
    /* clang-format off */
    [MSG_VERSION] = { "version", MSG_VERSION, MSG_IN_START | ANY_AFTER_VERSION, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_version },
    [MSG_VERACK] = { "verack", MSG_VERACK, ANY_AFTER_VERSION, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_verack },
    [MSG_PROTOCONF] = { "protoconf", MSG_PROTOCONF, READY, LIMIT_PROTOCONF, INTAKE_COLLECT, 1, on_protoconf },
    [MSG_PING] = { "ping", MSG_PING, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_ping },
    [MSG_PONG] = { "pong", MSG_PONG, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_pong },
    [MSG_GETADDR] = { "getaddr", MSG_GETADDR, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_getaddr },
    [MSG_ADDR] = { "addr", MSG_ADDR, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 20, on_addr },
    [MSG_SENDHEADERS] = { "sendheaders", MSG_SENDHEADERS, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_sendheaders },
    [MSG_FEEFILTER] = { "feefilter", MSG_FEEFILTER, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_feefilter },
    [MSG_SENDCMPCT] = { "sendcmpct", MSG_SENDCMPCT, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_sendcmpct },
    [MSG_REJECT] = { "reject", MSG_REJECT, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_reject },
    [MSG_INV] = { "inv", MSG_INV, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_inv },
    [MSG_GETDATA] = { "getdata", MSG_GETDATA, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_getdata },
    [MSG_NOTFOUND] = { "notfound", MSG_NOTFOUND, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_notfound },
    [MSG_GETHEADERS] = { "getheaders", MSG_GETHEADERS, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_getheaders },
    [MSG_GETBLOCKS] = { "getblocks", MSG_GETBLOCKS, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_getblocks },
    [MSG_HEADERS] = { "headers", MSG_HEADERS, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 20, on_headers },
    [MSG_TX] = { "tx", MSG_TX, READY, LIMIT_TX, INTAKE_COLLECT_OR_STREAM, 1, on_tx },
    [MSG_BLOCK] = { "block", MSG_BLOCK, READY, LIMIT_BLOCK, INTAKE_STREAM, 1, NULL },
    [MSG_MEMPOOL] = { "mempool", MSG_MEMPOOL, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_mempool },
    [MSG_CMPCTBLOCK] = { "cmpctblock", MSG_CMPCTBLOCK, READY, LIMIT_BLOCK, INTAKE_COLLECT_OR_STREAM, 1, on_cmpctblock },
    [MSG_GETBLOCKTXN] = { "getblocktxn", MSG_GETBLOCKTXN, READY, LIMIT_GETBLOCKTXN, INTAKE_COLLECT_OR_STREAM, 1, on_getblocktxn },
    [MSG_BLOCKTXN] = { "blocktxn", MSG_BLOCKTXN, READY, LIMIT_BLOCK, INTAKE_COLLECT_OR_STREAM, 1, on_blocktxn },
    [MSG_GETHDRSEN] = { "gethdrsen", MSG_GETHDRSEN, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_gethdrsen },
    [MSG_HDRSEN] = { "hdrsen", MSG_HDRSEN, READY, LIMIT_BLOCK, INTAKE_SKIP, 1, NULL },
    [MSG_SENDHDRSEN] = { "sendhdrsen", MSG_SENDHDRSEN, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_sendhdrsen },
    [MSG_FILTERLOAD] = { "filterload", MSG_FILTERLOAD, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_filterload },
    [MSG_FILTERADD] = { "filteradd", MSG_FILTERADD, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_filteradd },
    [MSG_FILTERCLEAR] = { "filterclear", MSG_FILTERCLEAR, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_filterclear },
    [MSG_MERKLEBLOCK] = { "merkleblock", MSG_MERKLEBLOCK, READY, LIMIT_PROTOCOL, INTAKE_SKIP, 1, NULL },
    [MSG_DATAREFTX] = { "datareftx", MSG_DATAREFTX, READY, LIMIT_TX, INTAKE_SKIP, 1, NULL },
    [MSG_CREATESTRM] = { "createstrm", MSG_CREATESTRM, MSG_IN_START | ANY_AFTER_VERSION, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_createstrm },
    [MSG_STREAMACK] = { "streamack", MSG_STREAMACK, MSG_IN_START | ANY_AFTER_VERSION, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_createstrm },
    [MSG_AUTHCH] = { "authch", MSG_AUTHCH, ANY_AFTER_VERSION, LIMIT_PROTOCOL, INTAKE_SKIP, 1, NULL },
    [MSG_AUTHRESP] = { "authresp", MSG_AUTHRESP, ANY_AFTER_VERSION, LIMIT_PROTOCOL, INTAKE_SKIP, 1, NULL },
    [MSG_DSDETECTED] = { "dsdetected", MSG_DSDETECTED, READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_dsdetected },
    [MSG_REVOKEMID] = { "revokemid", MSG_REVOKEMID, READY, LIMIT_PROTOCOL, INTAKE_SKIP, 1, NULL },
    [MSG_ALERT] = { "alert", MSG_ALERT, READY, LIMIT_PROTOCOL, INTAKE_SKIP, 1, NULL },
    [MSG_UNKNOWN] = { "*other*", MSG_UNKNOWN, READY, LIMIT_PROTOCOL, INTAKE_SKIP, 1, NULL },
    /* clang-format on */
};
_Static_assert(sizeof(table) / sizeof(table[0]) == MSG_ID_COUNT, "a row for each id");

const struct msg_row *msg_row(enum msg_id id)
{
    return &table[id];
}

const struct msg_row *msg_find(const uint8_t command[MSG_NAME_MAX])
{
    for (size_t i = 0; i < MSG_UNKNOWN; i++) {
        size_t len = strlen(table[i].name);
        if (memcmp(command, table[i].name, len) == 0 && (len == MSG_NAME_MAX || command[len] == 0))
            return &table[i];
    }
    return &table[MSG_UNKNOWN];
}

uint64_t msg_size_limit(const struct msg_row *row, const struct msg_limits *limits)
{
    uint64_t block = limits->block == 0 ? (uint64_t)INT64_MAX : limits->block;
    switch (row->limit) {
    case LIMIT_PROTOCONF:
        return PROTOCONF_MAX;
    case LIMIT_TX:
        return TX_MAX;
    case LIMIT_BLOCK:
        return block;
    case LIMIT_GETBLOCKTXN:
        return block / RATIO_GETBLOCKTXN_TX * 6 + BLOCK_HEADER_SIZE;
    case LIMIT_PROTOCOL:
    case LIMIT_KINDS:
        break;
    }
    return limits->protocol == 0 ? DEFAULT_PROTOCOL_MAX : limits->protocol;
}
