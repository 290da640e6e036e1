#include "wallet/master_key.h"

#include "base/buf.h"
#include "base/rand.h"
#include "base/reader.h"
#include "wallet/key_record.h"

enum { SALT_SIZE = 32 };

struct stretch {
    struct scrypt_params params;
    uint8_t salt[SALT_SIZE];
};

static void stretch_put(struct buf *out, const struct stretch *s)
{
    buf_put_le64(out, s->params.n);
    buf_put_le32(out, s->params.r);
    buf_put_le32(out, s->params.p);
    buf_put(out, s->salt, sizeof s->salt);
}

/* The codec has checked the length. */
static struct stretch stretch_get(struct span data)
{
    struct stretch s;
    struct reader in;
    reader_init(&in, data.data, data.len);
    s.params.n = read_le64(&in);
    s.params.r = read_le32(&in);
    s.params.p = read_le32(&in);
    read_copy(&in, s.salt, sizeof s.salt);
    return s;
}

static enum err derive(uint8_t key[AEAD_KEY_SIZE], const struct stretch *s, struct span passphrase,
                       struct error *e)
{
    return scrypt_derive(key, AEAD_KEY_SIZE, &s->params, MASTER_KEY_SCRYPT_MAX, passphrase,
                         span_of(s->salt, sizeof s->salt), e);
}

enum err master_key_seal(struct buf *value, const uint8_t master[MASTER_KEY_SIZE],
                         struct span passphrase, const struct scrypt_params *params,
                         struct error *e)
{
    if (passphrase.len == 0 || passphrase.len > MASTER_KEY_PASSPHRASE_MAX)
        return error_set(e, ERR_RANGE, "a passphrase has 1 to %d bytes", MASTER_KEY_PASSPHRASE_MAX);
    struct stretch s = { .params = *params };
    uint8_t key[AEAD_KEY_SIZE], room[KEY_RECORD_SEALED_MAX];
    enum err rc = rand_secret(s.salt, sizeof s.salt, e);
    if (!rc)
        rc = derive(key, &s, passphrase, e);
    if (rc)
        return rc;
    struct buf data;
    buf_init(&data);
    stretch_put(&data, &s);
    struct key_record r = { .kind = KEY_RECORD_CIPHER, .form = KEY_RECORD_PLAIN,
                            .data = buf_span(&data), .secret = span_of(master, MASTER_KEY_SIZE) };
    rc = key_record_seal(&r, key, room, e);
    if (!rc)
        key_record_value(value, &r);
    buf_clear(&data);
    secure_wipe(key, sizeof key);
    return rc;
}

enum err master_key_unseal(uint8_t master[MASTER_KEY_SIZE], const struct key_record *cipher,
                           struct span passphrase, struct error *e)
{
    const struct stretch s = stretch_get(cipher->data);
    uint8_t key[AEAD_KEY_SIZE], secret[KEY_RECORD_SECRET_MAX];
    size_t len;
    enum err rc = derive(key, &s, passphrase, e);
    if (rc)
        return rc;
    rc = key_record_unseal(cipher, key, secret, &len, NULL);
    if (rc)
        rc = error_set(e, ERR_AUTH, "the passphrase is wrong");
    else
        memcpy(master, secret, MASTER_KEY_SIZE);
    secure_wipe(key, sizeof key);
    secure_wipe(secret, sizeof secret);
    return rc;
}

enum err master_key_check(const struct key_record *cipher, struct error *e)
{
    const struct stretch s = stretch_get(cipher->data);
    return scrypt_check(&s.params, MASTER_KEY_SCRYPT_MAX, e);
}
