/* Handlers of the messages after the handshake: keep-alive, and decoding for node. */
#include "p2p/net_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/bloom.h"
#include "base/clock.h"
#include "base/log.h"

static enum msg_result result_of(enum err rc)
{
    if (rc == OK)
        return MSG_DONE;
    return rc == ERR_RANGE ? MSG_TOO_LARGE : MSG_MALFORMED;
}

enum msg_result on_ping(struct peer *p, struct span payload)
{
    uint64_t nonce;
    if (payload.len < 8 && p->version <= 60000)
        return MSG_DONE; /* spec p2p 1.7: without nonce, no answer */
    enum err rc = msg_u64_read(&nonce, payload);
    if (rc != OK)
        return result_of(rc);
    peer_send(p, MSG_PONG, payload.data, 8);
    return MSG_DONE;
}

enum msg_result on_pong(struct peer *p, struct span payload)
{
    uint64_t nonce;
    if (msg_u64_read(&nonce, payload) != OK || p->ping_nonce == 0 || nonce != p->ping_nonce)
        return MSG_DONE; /* spec p2p 3: ignored */
    p->ping_nonce = 0;
    p->ping_us = clock_mono_us() - p->ping_sent_us;
    if (p->ping_min_us < 0 || p->ping_us < p->ping_min_us)
        p->ping_min_us = p->ping_us;
    return MSG_DONE;
}

enum msg_result on_sendheaders(struct peer *p, struct span payload)
{
    (void)payload;
    if (p->sendheaders)
        peer_misbehave(p, 1, "sendheaders repeated");
    p->sendheaders = true;
    return MSG_DONE;
}

enum msg_result on_sendhdrsen(struct peer *p, struct span payload)
{
    (void)payload;
    if (p->sendhdrsen)
        peer_misbehave(p, 1, "sendhdrsen repeated");
    p->sendhdrsen = true;
    return MSG_DONE;
}

enum msg_result on_sendcmpct(struct peer *p, struct span payload)
{
    bool announce;
    uint64_t version;
    enum err rc = msg_sendcmpct_read(&announce, &version, payload);
    if (rc != OK)
        return result_of(rc);
    if (version == MSG_COMPACT_VERSION) { /* spec p2p 3: only version 1 counts */
        p->compact_version = version;
        p->compact_high = announce;
    }
    return MSG_DONE;
}

enum msg_result on_feefilter(struct peer *p, struct span payload)
{
    uint64_t v;
    enum err rc = msg_u64_read(&v, payload);
    if (rc != OK)
        return result_of(rc);
    int64_t fee = (int64_t)v;
    if (fee < 0)
        return MSG_DONE;
    p->fee_filter = fee;
    if (p->net->h.on_fee_filter != NULL)
        p->net->h.on_fee_filter(p->net->h.ctx, p, fee);
    return MSG_DONE;
}

/* One that cannot be read is not answered: two nodes that did would go on for ever. */
enum msg_result on_reject(struct peer *p, struct span payload)
{
    struct msg_reject m;
    if (msg_reject_read(&m, payload)) {
        log_debug(LOGC_NET, "peer %llu: cannot read its reject", (unsigned long long)p->id);
        return MSG_DONE;
    }
    char command[MSG_NAME_MAX * 4 + 1], reason[111 * 4 + 1];
    log_sanitize(command, sizeof(command), m.command.data, m.command.len);
    log_sanitize(reason, sizeof(reason), m.reason.data, m.reason.len);
    log_debug(LOGC_NET, "peer %llu: rejects %s, code %02x: %s", (unsigned long long)p->id, command,
              m.code, reason);
    if (p->net->h.on_reject != NULL)
        p->net->h.on_reject(p->net->h.ctx, p, &m);
    return MSG_DONE;
}

enum msg_result on_cmpctblock(struct peer *p, struct span payload)
{
    struct msg_cmpctblock m;
    enum err rc = msg_cmpctblock_read(&m, payload);
    if (rc == OK && p->net->h.on_cmpctblock != NULL)
        p->net->h.on_cmpctblock(p->net->h.ctx, p, &m);
    return result_of(rc);
}

enum msg_result on_getblocktxn(struct peer *p, struct span payload)
{
    struct msg_getblocktxn m;
    enum err rc = msg_getblocktxn_read(&m, payload);
    if (rc == OK && p->net->h.on_getblocktxn != NULL)
        p->net->h.on_getblocktxn(p->net->h.ctx, p, &m);
    return result_of(rc);
}

enum msg_result on_blocktxn(struct peer *p, struct span payload)
{
    struct msg_blocktxn m;
    enum err rc = msg_blocktxn_read(&m, payload);
    if (rc == OK && p->net->h.on_blocktxn != NULL)
        p->net->h.on_blocktxn(p->net->h.ctx, p, &m);
    return result_of(rc);
}

typedef void (*inv_fn)(void *ctx, struct peer *p, const struct inv_item *items, size_t n);

static bool may_be_announced(const struct inv_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (items[i].type != INV_TX && items[i].type != INV_BLOCK)
            return false;
    return true;
}

static enum msg_result take_items(struct peer *p, struct span payload, inv_fn fn)
{
    struct inv_item *items;
    size_t n;
    enum err rc = msg_inv_read(&items, &n, payload);
    if (rc == ERR_NOMEM) {
        peer_disconnect(p, "no memory for its message");
        return MSG_DONE;
    }
    if (rc != OK)
        return result_of(rc);
    /* spec p2p 1.9, 6; in other lists an unknown type is nobody's matter, as in the reference */
    if (p->row->id == MSG_INV && !may_be_announced(items, n))
        peer_disconnect(p, "illegal inventory type");
    else if (n > 0 && fn != NULL)
        fn(p->net->h.ctx, p, items, n);
    free(items);
    return MSG_DONE;
}

enum msg_result on_inv(struct peer *p, struct span payload)
{
    return take_items(p, payload, p->net->h.on_inv);
}

enum msg_result on_getdata(struct peer *p, struct span payload)
{
    return take_items(p, payload, p->net->h.on_getdata);
}

enum msg_result on_notfound(struct peer *p, struct span payload)
{
    return take_items(p, payload, p->net->h.on_notfound);
}

static enum msg_result take_locator(struct peer *p, struct span payload,
                                    void (*fn)(void *, struct peer *, const struct msg_locator *))
{
    struct msg_locator m;
    enum err rc = msg_locator_read(&m, payload);
    if (rc == OK && fn != NULL)
        fn(p->net->h.ctx, p, &m);
    return result_of(rc);
}

enum msg_result on_getheaders(struct peer *p, struct span payload)
{
    return take_locator(p, payload, p->net->h.on_getheaders);
}

enum msg_result on_gethdrsen(struct peer *p, struct span payload)
{
    return take_locator(p, payload, p->net->h.on_gethdrsen);
}

enum msg_result on_getblocks(struct peer *p, struct span payload)
{
    return take_locator(p, payload, p->net->h.on_getblocks);
}

enum msg_result on_headers(struct peer *p, struct span payload)
{
    size_t n;
    enum err rc = msg_headers_read(p->net->header_buf, &n, payload);
    if (rc == OK && p->net->h.on_headers != NULL)
        p->net->h.on_headers(p->net->h.ctx, p, p->net->header_buf, n);
    return result_of(rc);
}

enum msg_result on_tx(struct peer *p, struct span payload)
{
    struct txid id;
    memcpy(id.b, p->frame.digest, sizeof(id.b));
    if (p->net->h.on_tx != NULL)
        p->net->h.on_tx(p->net->h.ctx, p, payload, &id);
    return MSG_DONE;
}

enum msg_result on_mempool(struct peer *p, struct span payload)
{
    int64_t age = -1;
    uint64_t asked;
    if (payload.len > 0) {
        enum err rc = msg_u64_read(&asked, payload);
        if (rc != OK)
            return result_of(rc);
        age = asked > INT64_MAX ? INT64_MAX : (int64_t)asked;
    }
    if (p->net->h.on_mempool != NULL)
        p->net->h.on_mempool(p->net->h.ctx, p, age);
    return MSG_DONE;
}

/* --- bloom filters, spec p2p 3 --- */

static bool filters_are_offered(struct peer *p)
{
    if (p->net->c.services & SERVICE_BLOOM)
        return true;
    if (p->version >= MSG_VERSION_NO_BLOOM)
        peer_misbehave(p, 100, "bloom filter without the service");
    else
        peer_disconnect(p, "bloom filter without the service");
    return false;
}

enum msg_result on_filterload(struct peer *p, struct span payload)
{
    struct msg_filterload m;
    if (!filters_are_offered(p))
        return MSG_DONE;
    enum err rc = msg_filterload_read(&m, payload);
    if (rc != OK)
        return result_of(rc);
    if (m.bits.len > BLOOM_BYTES_MAX || m.n_hashes > BLOOM_HASHES_MAX) {
        peer_misbehave(p, 100, "bloom filter too large");
        return MSG_DONE;
    }
    p->relay = true;
    if (p->net->h.on_filter != NULL)
        p->net->h.on_filter(p->net->h.ctx, p, &m);
    return MSG_DONE;
}

enum msg_result on_filteradd(struct peer *p, struct span payload)
{
    struct span element;
    if (!filters_are_offered(p))
        return MSG_DONE;
    enum err rc = msg_filteradd_read(&element, payload);
    if (rc != OK)
        return result_of(rc);
    if (element.len > BLOOM_ELEMENT_MAX)
        peer_misbehave(p, 100, "element too large for a bloom filter");
    else if (p->net->h.on_filter_add != NULL)
        p->net->h.on_filter_add(p->net->h.ctx, p, element);
    return MSG_DONE;
}

enum msg_result on_filterclear(struct peer *p, struct span payload)
{
    (void)payload;
    p->relay = true;
    if (p->net->h.on_filter != NULL)
        p->net->h.on_filter(p->net->h.ctx, p, NULL);
    return MSG_DONE;
}

/* spec p2p 3: even what is no such message scores 10 */
enum msg_result on_dsdetected(struct peer *p, struct span payload)
{
    struct msg_dsdetected m;
    if (msg_dsdetected_read(&m, payload) != OK)
        peer_misbehave(p, 10, "malformed dsdetected");
    else if (p->net->h.on_dsdetected != NULL)
        p->net->h.on_dsdetected(p->net->h.ctx, p, &m);
    return MSG_DONE;
}
