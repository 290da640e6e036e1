#include "wallet/brc78.h"

#include <string.h>

#include "base/rand.h"
#include "base/reader.h"
#include "wallet/brc2.h"
#include "wallet/brc42.h"

static const uint8_t version[4] = { 0x42, 0x42, 0x10, 0x33 };
static const char protocol[] = "message encryption";

enum err brc78_read(struct brc78 *m, struct span data, struct error *e)
{
    uint8_t head[sizeof version];
    struct reader r;
    memset(m, 0, sizeof *m);
    reader_init(&r, data.data, data.len);
    read_copy(&r, head, sizeof head);
    if (!mem_equal_var(head, version, sizeof version))
        return error_set(e, ERR_PARSE, "an encrypted message begins with 42421033");
    read_copy(&r, m->sender, sizeof m->sender);
    read_copy(&r, m->recipient, sizeof m->recipient);
    read_copy(&r, m->key_id, sizeof m->key_id);
    if (r.failed || r.left < BRC2_OVERHEAD)
        return error_set(e, ERR_PARSE, "the encrypted message is cut off");
    m->sealed = span_of(r.p, r.left);
    if (!ec_pubkey_valid(m->sender, sizeof m->sender))
        return error_set(e, ERR_PARSE, "the sender's key is no key");
    if (!ec_pubkey_valid(m->recipient, sizeof m->recipient))
        return error_set(e, ERR_PARSE, "the recipient's key is no key");
    return OK;
}

/* Everybody reads what has the key 1 on one side. */
static bool is_secret_pair(const struct brc78 *m)
{
    uint8_t known[EC_PUBKEY_SIZE];
    return ec_pubkey_of(known, brc42_anyone_secret) &&
           !mem_equal_var(m->sender, known, sizeof known) &&
           !mem_equal_var(m->recipient, known, sizeof known);
}

static void put_head(struct buf *out, const struct brc78 *m)
{
    buf_put(out, version, sizeof version);
    buf_put(out, m->sender, sizeof m->sender);
    buf_put(out, m->recipient, sizeof m->recipient);
    buf_put(out, m->key_id, sizeof m->key_id);
}

enum err brc78_encrypt(struct buf *out, const uint8_t sender[32],
                       const uint8_t recipient[EC_PUBKEY_SIZE], struct span plain,
                       struct error *e)
{
    const struct brc42_party party = brc42_other(recipient);
    const size_t before = out->len;
    struct brc78 m;
    struct buf invoice;
    memcpy(m.recipient, recipient, sizeof m.recipient);
    if (!ec_pubkey_of(m.sender, sender) || !ec_pubkey_valid(recipient, EC_PUBKEY_SIZE))
        return error_set(e, ERR_RANGE, "the key of the sender or of the recipient is no key");
    if (!is_secret_pair(&m))
        return error_set(e, ERR_RANGE, "everybody has the secret of the sender or the recipient");
    enum err rc = rand_secret(m.key_id, sizeof m.key_id, e);
    if (rc)
        return rc;
    buf_init(&invoice);
    brc43_message_invoice(&invoice, protocol, m.key_id);
    put_head(out, &m);
    rc = brc2_encrypt(out, sender, &party, buf_span(&invoice), plain, e);
    if (rc)
        out->len = before;
    buf_clear(&invoice);
    return rc;
}

enum err brc78_decrypt(struct buf *out, const struct brc78 *m, const uint8_t secret[32],
                       struct error *e)
{
    uint8_t key[EC_PUBKEY_SIZE];
    struct buf invoice;
    const bool is_key = ec_pubkey_of(key, secret);
    const bool is_recipient = mem_equal_var(key, m->recipient, sizeof key);
    if (!is_key || (!is_recipient && !mem_equal_var(key, m->sender, sizeof key)))
        return error_set(e, ERR_AUTH, "the message is for another recipient");
    const struct brc42_party party = brc42_other(is_recipient ? m->sender : m->recipient);
    buf_init(&invoice);
    brc43_message_invoice(&invoice, protocol, m->key_id);
    const enum err rc = brc2_decrypt(out, secret, &party, buf_span(&invoice), m->sealed, e);
    buf_clear(&invoice);
    return rc;
}
