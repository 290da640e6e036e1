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
#define ALWAYS (MSG_IN_START | ANY_AFTER_VERSION)
#define ROW(id, name, ...) [id] = { name, id, __VA_ARGS__ }

static const struct msg_row table[MSG_ID_COUNT] = {
    /* clang-format off */
    ROW(MSG_VERSION, "version", ALWAYS, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_version),
    ROW(MSG_VERACK, "verack", ANY_AFTER_VERSION, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_verack),
    ROW(MSG_PROTOCONF, "protoconf", READY, LIMIT_PROTOCONF, INTAKE_COLLECT, 1, on_protoconf),
    ROW(MSG_PING, "ping", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_ping),
    ROW(MSG_PONG, "pong", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_pong),
    ROW(MSG_GETADDR, "getaddr", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_getaddr),
    ROW(MSG_ADDR, "addr", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 20, on_addr),
    ROW(MSG_SENDHEADERS, "sendheaders", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_sendheaders),
    ROW(MSG_FEEFILTER, "feefilter", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_feefilter),
    ROW(MSG_SENDCMPCT, "sendcmpct", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_sendcmpct),
    ROW(MSG_REJECT, "reject", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_reject),
    ROW(MSG_INV, "inv", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_inv),
    ROW(MSG_GETDATA, "getdata", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_getdata),
    ROW(MSG_NOTFOUND, "notfound", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_notfound),
    ROW(MSG_GETHEADERS, "getheaders", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_getheaders),
    ROW(MSG_GETBLOCKS, "getblocks", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_getblocks),
    ROW(MSG_HEADERS, "headers", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 20, on_headers),
    ROW(MSG_TX, "tx", READY, LIMIT_TX, INTAKE_COLLECT_OR_STREAM, 1, on_tx),
    ROW(MSG_BLOCK, "block", READY, LIMIT_BLOCK, INTAKE_STREAM, 1, NULL),
    ROW(MSG_MEMPOOL, "mempool", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_mempool),
    ROW(MSG_CMPCTBLOCK, "cmpctblock", READY, LIMIT_BLOCK, INTAKE_COLLECT_OR_STREAM, 1,
        on_cmpctblock),
    ROW(MSG_GETBLOCKTXN, "getblocktxn", READY, LIMIT_GETBLOCKTXN, INTAKE_COLLECT_OR_STREAM, 1,
        on_getblocktxn),
    ROW(MSG_BLOCKTXN, "blocktxn", READY, LIMIT_BLOCK, INTAKE_COLLECT_OR_STREAM, 1, on_blocktxn),
    ROW(MSG_GETHDRSEN, "gethdrsen", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_gethdrsen),
    ROW(MSG_HDRSEN, "hdrsen", READY, LIMIT_BLOCK, INTAKE_SKIP, 1, NULL),
    ROW(MSG_SENDHDRSEN, "sendhdrsen", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_sendhdrsen),
    ROW(MSG_FILTERLOAD, "filterload", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_filterload),
    ROW(MSG_FILTERADD, "filteradd", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_filteradd),
    ROW(MSG_FILTERCLEAR, "filterclear", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_filterclear),
    ROW(MSG_MERKLEBLOCK, "merkleblock", READY, LIMIT_PROTOCOL, INTAKE_SKIP, 1, NULL),
    ROW(MSG_DATAREFTX, "datareftx", READY, LIMIT_TX, INTAKE_SKIP, 1, NULL),
    ROW(MSG_CREATESTRM, "createstrm", ALWAYS, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_createstrm),
    ROW(MSG_STREAMACK, "streamack", ALWAYS, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_createstrm),
    ROW(MSG_AUTHCH, "authch", ANY_AFTER_VERSION, LIMIT_PROTOCOL, INTAKE_SKIP, 1, NULL),
    ROW(MSG_AUTHRESP, "authresp", ANY_AFTER_VERSION, LIMIT_PROTOCOL, INTAKE_SKIP, 1, NULL),
    ROW(MSG_DSDETECTED, "dsdetected", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_dsdetected),
    ROW(MSG_REVOKEMID, "revokemid", READY, LIMIT_PROTOCOL, INTAKE_SKIP, 1, NULL),
    ROW(MSG_ALERT, "alert", READY, LIMIT_PROTOCOL, INTAKE_SKIP, 1, NULL),
    ROW(MSG_SENDBCA, "sendbca", ANY_AFTER_VERSION, LIMIT_PROTOCOL, INTAKE_COLLECT, 1, on_sendbca),
    ROW(MSG_BCAINV, "bcainv", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 20, on_bcainv),
    ROW(MSG_GETBCA, "getbca", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 20, on_getbca),
    ROW(MSG_BCAREC, "bcarec", READY, LIMIT_PROTOCOL, INTAKE_COLLECT, 20, on_bcarec),
    ROW(MSG_UNKNOWN, "*other*", READY, LIMIT_PROTOCOL, INTAKE_SKIP, 1, NULL),
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
