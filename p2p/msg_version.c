/* version, protoconf, reject and the one-number messages: the codecs of the handshake. */
#include "p2p/msg.h"

#include <string.h>

#include "p2p/msg_internal.h"

#define STREAM_POLICIES_MAX 650 /* spec p2p 3: protoconf */
#define REJECT_REASON_MAX 111

/* A text or id with a cap of its own: above it the message is refused as "size too large". */
static struct span read_capped(struct reader *r, size_t cap)
{
    struct span s = read_var_bytes(r);
    if (!r->failed && s.len > cap) {
        r->failed = true;
        r->too_large = true;
    }
    return s;
}

/* spec p2p 2.1: the first four fields must be there, the others each if anything is left */
static void version_read_optional(struct msg_version *m, struct reader *r)
{
    if (r->left == 0)
        return;
    peer_addr_read(r, &m->from, PEER_ADDR_26);
    m->nonce = read_le64(r);
    if (r->left > 0)
        m->user_agent = read_capped(r, MSG_USER_AGENT_MAX);
    if (r->left > 0)
        m->start_height = (int32_t)read_le32(r);
    if (r->left > 0)
        m->relay = read_u8(r) != 0;
    if (r->left > 0)
        m->association = read_capped(r, MSG_ASSOCIATION_MAX);
}

enum err msg_version_read(struct msg_version *m, struct span payload)
{
    struct reader r;
    reader_init(&r, payload.data, payload.len);
    *m = (struct msg_version){ .relay = true };
    m->version = (int32_t)read_le32(&r);
    m->services = read_le64(&r);
    m->time = (int64_t)read_le64(&r);
    peer_addr_read(&r, &m->to, PEER_ADDR_26);
    if (!r.failed)
        version_read_optional(m, &r);
    return msg_reader_result(&r);
}

void msg_version_write(struct buf *b, const struct msg_version *m)
{
    buf_put_le32(b, (uint32_t)m->version);
    buf_put_le64(b, m->services);
    buf_put_le64(b, (uint64_t)m->time);
    peer_addr_write(b, &m->to, PEER_ADDR_26);
    peer_addr_write(b, &m->from, PEER_ADDR_26);
    buf_put_le64(b, m->nonce);
    buf_put_var_bytes(b, m->user_agent.data, m->user_agent.len);
    buf_put_le32(b, (uint32_t)m->start_height);
    buf_put_u8(b, m->relay ? 1 : 0);
    buf_put_var_bytes(b, m->association.data, m->association.len);
}

enum err msg_protoconf_read(struct msg_protoconf *m, struct span payload)
{
    struct reader r;
    reader_init(&r, payload.data, payload.len);
    *m = (struct msg_protoconf){ .n_fields = read_compact(&r) };
    if (m->n_fields >= 1)
        m->max_recv_payload = read_le32(&r);
    if (m->n_fields >= 2)
        m->stream_policies = read_capped(&r, STREAM_POLICIES_MAX);
    return msg_reader_result(&r);
}

void msg_protoconf_write(struct buf *b, uint32_t max_recv_payload, const char *policies)
{
    buf_put_compact(b, 2);
    buf_put_le32(b, max_recv_payload);
    buf_put_var_bytes(b, policies, strlen(policies));
}

static bool command_is(struct span s, const char *name)
{
    return s.len == strlen(name) && mem_equal_var(s.data, name, s.len);
}

enum err msg_reject_read(struct msg_reject *m, struct span payload)
{
    struct reader r;
    reader_init(&r, payload.data, payload.len);
    *m = (struct msg_reject){ .has_hash = false };
    m->command = read_capped(&r, MSG_NAME_MAX);
    m->code = read_u8(&r);
    m->reason = read_capped(&r, REJECT_REASON_MAX);
    if (!r.failed && (command_is(m->command, "block") || command_is(m->command, "tx"))) {
        read_copy(&r, m->hash.b, 32);
        m->has_hash = true;
    }
    return msg_reader_result(&r);
}

void msg_reject_write(struct buf *b, const char *command, enum reject_code code, const char *reason,
                      const uint8_t *hash)
{
    buf_put_var_bytes(b, command, strnlen(command, MSG_NAME_MAX));
    buf_put_u8(b, (uint8_t)code);
    buf_put_var_bytes(b, reason, strnlen(reason, REJECT_REASON_MAX));
    if (hash != NULL)
        buf_put(b, hash, 32);
}

enum err msg_u64_read(uint64_t *v, struct span payload)
{
    struct reader r;
    reader_init(&r, payload.data, payload.len);
    *v = read_le64(&r);
    return msg_reader_result(&r);
}

enum err msg_sendcmpct_read(bool *announce, uint64_t *version, struct span payload)
{
    struct reader r;
    reader_init(&r, payload.data, payload.len);
    *announce = read_u8(&r) != 0;
    *version = read_le64(&r);
    return msg_reader_result(&r);
}

void msg_sendcmpct_write(struct buf *b, bool announce, uint64_t version)
{
    buf_put_u8(b, announce);
    buf_put_le64(b, version);
}

enum err msg_filterload_read(struct msg_filterload *m, struct span payload)
{
    struct reader r;
    reader_init(&r, payload.data, payload.len);
    m->bits = read_var_bytes(&r);
    m->n_hashes = read_le32(&r);
    m->tweak = read_le32(&r);
    m->flags = read_u8(&r);
    return msg_reader_result(&r);
}

void msg_filterload_write(struct buf *b, const struct msg_filterload *m)
{
    buf_put_var_bytes(b, m->bits.data, m->bits.len);
    buf_put_le32(b, m->n_hashes);
    buf_put_le32(b, m->tweak);
    buf_put_u8(b, m->flags);
}

enum err msg_filteradd_read(struct span *element, struct span payload)
{
    struct reader r;
    reader_init(&r, payload.data, payload.len);
    *element = read_var_bytes(&r);
    return msg_reader_result(&r);
}
