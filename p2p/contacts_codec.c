/*
 * One contact on disk, little-endian:
 *
 *   version 1 | flags 2 | file quota 8 | added 8 | seen 8 | key 33 (zeros: none yet) |
 *   alias | identity (compact lengths) | count 1 | each: address 16, port 2 |
 *   count 1 | each: former key 33 | count 1 | each: statement 206
 *
 * A flag is never given another meaning; unknown ones are refused as a newer version is, since a
 * permission that is not understood must not be lost when the contact is written again.
 */
#include <config.h>

#include "p2p/contacts_internal.h"

#include "base/ec.h"
#include "base/intmath.h"
#include "base/utf8.h"

#define FORM_VERSION 1
_Static_assert(CONTACT_ALIAS_MAX < 2 * IDENTITY_KEY_SIZE, "no alias looks like a key");

/* Bit i of the flags. */
#define POLICY_FLAGS(X) \
    X(0, bare) X(1, keep) X(2, follow_successor) X(3, messages) X(4, files) X(5, accept_files) \
    X(6, relay) X(7, relay_for_us) X(9, padding)
#define FLAG_HAS_KEY 8
#define FLAGS_KNOWN ((1u << 10) - 1)

static uint16_t flags_of(const struct contact *c)
{
    unsigned flags = (unsigned)c->has_key << FLAG_HAS_KEY;
#define ADD(bit, name) flags |= (unsigned)c->policy.name << (bit);
    POLICY_FLAGS(ADD)
#undef ADD
    return (uint16_t)flags;
}

static void set_flags(struct contact *c, unsigned flags)
{
    c->has_key = flags >> FLAG_HAS_KEY & 1;
#define TAKE(bit, name) c->policy.name = flags >> (bit) & 1;
    POLICY_FLAGS(TAKE)
#undef TAKE
}

void contact_disk_key(uint8_t out[CONTACTS_KEY_SIZE], uint64_t id)
{
    out[0] = CONTACTS_PREFIX;
    be64_put(out + 1, id);
}

void contact_write(struct buf *b, const struct contact *c)
{
    buf_put_u8(b, FORM_VERSION);
    buf_put_le16(b, flags_of(c));
    buf_put_le64(b, c->policy.file_quota);
    buf_put_le64(b, c->added_ms);
    buf_put_le64(b, c->seen_ms);
    buf_put(b, c->key, sizeof c->key);
    buf_put_var_bytes(b, c->alias, strlen(c->alias));
    buf_put_var_bytes(b, c->identity, strlen(c->identity));
    buf_put_u8(b, (uint8_t)c->n_addresses);
    for (size_t i = 0; i < c->n_addresses; i++) {
        buf_put(b, c->addresses[i].address, sizeof c->addresses[i].address);
        buf_put_le16(b, c->addresses[i].port);
    }
    buf_put_u8(b, (uint8_t)c->n_former);
    buf_put(b, c->former, c->n_former * sizeof c->former[0]);
    buf_put_u8(b, (uint8_t)c->n_statements);
    buf_put(b, c->statements, c->n_statements * sizeof c->statements[0]);
}

static void read_text(struct reader *r, char *out, size_t max)
{
    const struct span text = read_var_bytes(r);
    if (text.len > max || (text.len && memchr(text.data, 0, text.len))) {
        r->failed = true;
        return;
    }
    if (text.len)
        memcpy(out, text.data, text.len);
    out[text.len] = 0;
}

static size_t read_number_of(struct reader *r, size_t max)
{
    const size_t n = read_u8(r);
    r->failed |= n > max;
    return r->failed ? 0 : n;
}

static void read_lists(struct reader *r, struct contact *out)
{
    out->n_addresses = read_number_of(r, CONTACT_ADDRESSES_MAX);
    for (size_t i = 0; i < out->n_addresses; i++) {
        read_copy(r, out->addresses[i].address, sizeof out->addresses[i].address);
        out->addresses[i].port = read_le16(r);
    }
    out->n_former = read_number_of(r, CONTACT_FORMER_MAX);
    read_copy(r, out->former, out->n_former * sizeof out->former[0]);
    out->n_statements = read_number_of(r, CONTACT_FORMER_MAX);
    read_copy(r, out->statements, out->n_statements * sizeof out->statements[0]);
}

enum err contact_read(struct contact *out, struct span in, struct error *e)
{
    struct reader r;
    *out = (struct contact){ .id = 0 };
    reader_init(&r, in.data, in.len);
    const uint8_t version = read_u8(&r);
    const unsigned flags = read_le16(&r);
    if (!r.failed && (version > FORM_VERSION || flags & ~FLAGS_KNOWN))
        return error_set(e, ERR_RANGE, "a contact was written by a newer version of this program");
    set_flags(out, flags);
    out->policy.file_quota = read_le64(&r);
    out->added_ms = read_le64(&r);
    out->seen_ms = read_le64(&r);
    read_copy(&r, out->key, sizeof out->key);
    read_text(&r, out->alias, CONTACT_ALIAS_MAX);
    read_text(&r, out->identity, CONTACT_IDENTITY_MAX);
    read_lists(&r, out);
    if (!reader_done(&r) || version != FORM_VERSION || !out->alias[0] || contact_check(out, NULL))
        return error_set(e, ERR_CORRUPT, "a contact on disk is damaged");
    return OK;
}

/* --- rules --- */

/* C0, DEL and C1, and what changes the direction of text or cannot be seen. */
static bool is_hidden(const uint8_t *p, size_t len)
{
    if (len == 1)
        return p[0] < 0x20 || p[0] == 0x7f;
    if (len == 2)
        return p[0] == 0xc2 && p[1] < 0xa0;
    if (len != 3 || p[0] != 0xe2)
        return len == 3 && p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf; /* U+FEFF */
    return (p[1] == 0x80 && ((p[2] >= 0x8b && p[2] <= 0x8f) || (p[2] >= 0xa8 && p[2] <= 0xae))) ||
           (p[1] == 0x81 && p[2] >= 0xa0 && p[2] <= 0xaf);
}

bool contact_alias_allowed(const char *alias)
{
    const uint8_t *p = (const uint8_t *)alias;
    size_t left = strlen(alias);
    if (!left || left > CONTACT_ALIAS_MAX || alias[0] == ' ' || alias[left - 1] == ' ')
        return false;
    while (left) {
        const size_t n = utf8_sequence(p, left);
        if (!n || is_hidden(p, n))
            return false;
        p += n;
        left -= n;
    }
    return true;
}

/* Each of an own form, and none twice. */
static enum err check_keys(const struct contact *c, struct error *e)
{
    if (c->has_key && !ec_pubkey_valid(c->key, sizeof c->key))
        return error_set(e, ERR_RANGE, "not the key of an identity");
    for (size_t i = 0; i < c->n_former; i++) {
        bool twice = mem_equal_var(c->former[i], c->key, sizeof c->key);
        for (size_t j = 0; j < i; j++)
            twice |= mem_equal_var(c->former[i], c->former[j], sizeof c->key);
        if (twice)
            return error_set(e, ERR_RANGE, "a former key of the contact is listed twice");
    }
    return OK;
}

enum err contact_check(const struct contact *c, struct error *e)
{
    if (c->alias[0] && !contact_alias_allowed(c->alias))
        return error_set(e, ERR_RANGE,
                         "the alias must have at most %d bytes of UTF-8, without characters "
                         "that cannot be seen", CONTACT_ALIAS_MAX);
    if (c->n_addresses > CONTACT_ADDRESSES_MAX || c->n_former > CONTACT_FORMER_MAX ||
        c->n_statements > CONTACT_FORMER_MAX)
        return error_set(e, ERR_RANGE, "too many addresses, former keys or statements");
    if (!c->has_key && !c->n_addresses)
        return error_set(e, ERR_RANGE, "a contact needs a key or an address");
    return check_keys(c, e);
}
