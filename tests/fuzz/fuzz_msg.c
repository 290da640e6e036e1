/*
 * Every decoder of the message table; the first byte chooses. What decodes is written and decoded
 * again to the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "p2p/msg.h"
#include "p2p/msg_compact.h"
#include "p2p/msg_ds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decodes; on success writes the canonical form. False when refused. */
typedef bool (*rewrite_fn)(struct buf *out, struct span in);

static bool version(struct buf *out, struct span in)
{
    struct msg_version m;
    if (msg_version_read(&m, in) != OK)
        return false;
    if (m.user_agent.len > MSG_USER_AGENT_MAX || m.association.len > MSG_ASSOCIATION_MAX)
        abort();
    msg_version_write(out, &m);
    return true;
}

static bool protoconf(struct buf *out, struct span in)
{
    struct msg_protoconf m;
    char policies[651] = { 0 };
    if (msg_protoconf_read(&m, in) != OK || m.n_fields < 2)
        return false;
    if (m.stream_policies.len > 650)
        abort();
    if (m.stream_policies.len > 0)
        memcpy(policies, m.stream_policies.data, m.stream_policies.len);
    msg_protoconf_write(out, m.max_recv_payload, policies);
    return true;
}

static bool has_nul(struct span s)
{
    return s.len > 0 && memchr(s.data, 0, s.len) != NULL;
}

static bool reject(struct buf *out, struct span in)
{
    struct msg_reject m;
    char command[13] = { 0 }, reason[112] = { 0 };
    if (msg_reject_read(&m, in) != OK)
        return false;
    if (m.command.len > 12 || m.reason.len > 111)
        abort();
    if (has_nul(m.command) || has_nul(m.reason))
        return false; /* the encoder takes texts */
    if (m.command.len > 0)
        memcpy(command, m.command.data, m.command.len);
    if (m.reason.len > 0)
        memcpy(reason, m.reason.data, m.reason.len);
    msg_reject_write(out, command, (enum reject_code)m.code, reason, m.has_hash ? m.hash.b : NULL);
    return true;
}

static bool locator(struct buf *out, struct span in)
{
    struct msg_locator m;
    if (msg_locator_read(&m, in) != OK)
        return false;
    msg_locator_write(out, &m);
    return true;
}

static bool headers(struct buf *out, struct span in)
{
    static struct block_header h[MSG_HEADERS_MAX];
    size_t n;
    if (msg_headers_read(h, &n, in) != OK)
        return false;
    if (n > MSG_HEADERS_MAX)
        abort();
    msg_headers_write(out, h, n);
    return true;
}

static bool addr(struct buf *out, struct span in)
{
    static struct peer_addr a[MSG_ADDR_MAX];
    size_t n;
    if (msg_addr_read(a, &n, in) != OK)
        return false;
    if (n > MSG_ADDR_MAX)
        abort();
    msg_addr_write(out, a, n);
    return true;
}

static bool inv(struct buf *out, struct span in)
{
    struct inv_item *items;
    size_t n;
    if (msg_inv_read(&items, &n, in) != OK)
        return false;
    if (n > in.len / MSG_INV_ITEM_SIZE)
        abort();
    msg_inv_write(out, items, n);
    free(items);
    return true;
}

static bool number(struct buf *out, struct span in)
{
    uint64_t v;
    if (msg_u64_read(&v, in) != OK)
        return false;
    buf_put_le64(out, v);
    return true;
}

static bool sendcmpct(struct buf *out, struct span in)
{
    bool announce;
    uint64_t v;
    if (msg_sendcmpct_read(&announce, &v, in) != OK)
        return false;
    msg_sendcmpct_write(out, announce, v);
    return true;
}

static bool cmpctblock(struct buf *out, struct span in)
{
    struct msg_cmpctblock m;
    struct msg_indices at;
    if (msg_cmpctblock_read(&m, in) != OK)
        return false;
    struct msg_prefilled *list = calloc(m.n_prefilled + 1, sizeof(*list));
    msg_indices_init(&at, m.prefilled);
    for (size_t i = 0; i < m.n_prefilled; i++)
        list[i].index = msg_prefilled_next(&at, &list[i].tx);
    if (!reader_done(&at.r))
        abort();
    msg_cmpctblock_write(out, &m, list);
    free(list);
    return true;
}

static bool getblocktxn(struct buf *out, struct span in)
{
    struct msg_getblocktxn m;
    struct msg_indices at;
    if (msg_getblocktxn_read(&m, in) != OK)
        return false;
    uint32_t *indices = calloc(m.n + 1, sizeof(*indices));
    msg_indices_init(&at, m.indices);
    for (size_t i = 0; i < m.n; i++)
        indices[i] = msg_index_next(&at);
    if (!reader_done(&at.r))
        abort();
    msg_getblocktxn_write(out, &m.hash, indices, m.n);
    free(indices);
    return true;
}

static bool blocktxn(struct buf *out, struct span in)
{
    struct msg_blocktxn m;
    if (msg_blocktxn_read(&m, in) != OK)
        return false;
    msg_blocktxn_begin(out, &m.hash, m.n);
    buf_put(out, m.txs.data, m.txs.len);
    return true;
}

static bool filterload(struct buf *out, struct span in)
{
    struct msg_filterload m;
    if (msg_filterload_read(&m, in) != OK)
        return false;
    msg_filterload_write(out, &m);
    return true;
}

static bool filteradd(struct buf *out, struct span in)
{
    struct span element;
    if (msg_filteradd_read(&element, in) != OK)
        return false;
    buf_put_var_bytes(out, element.data, element.len);
    return true;
}

static bool dsdetected(struct buf *out, struct span in)
{
    struct msg_dsdetected m;
    struct reader r;
    if (msg_dsdetected_read(&m, in) != OK)
        return false;
    msg_dsdetected_begin(out, m.n);
    reader_init(&r, m.blocks.data, m.blocks.len);
    for (size_t i = 0; i < m.n; i++) {
        struct msg_ds_block b;
        msg_ds_block_next(&r, &b);
        buf_put(out, b.whole.data, b.whole.len);
    }
    if (!reader_done(&r))
        abort();
    return true;
}

static const rewrite_fn rewriters[] = { version, protoconf, reject, locator, headers,
                                        addr, inv, number, sendcmpct, cmpctblock, getblocktxn,
                                        blocktxn, filterload, filteradd, dsdetected };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    rewrite_fn rewrite = rewriters[data[0] % (sizeof(rewriters) / sizeof(rewriters[0]))];
    struct buf once, twice;
    buf_init(&once);
    buf_init(&twice);
    if (rewrite(&once, span_of(data + 1, size - 1))) {
        if (!rewrite(&twice, buf_span(&once)) || once.len != twice.len ||
            !mem_equal_var(once.data, twice.data, once.len))
            abort();
    }
    buf_clear(&once);
    buf_clear(&twice);
    return 0;
}
