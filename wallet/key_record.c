#include "wallet/key_record.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/rand.h"
#include "base/reader.h"

enum {
    CHECKSUM = 4,
    SHOWN_ID = 33, /* bytes of an id in messages: a whole public key */
    SEAL_MORE = KEY_RECORD_IV + AEAD_TAG_SIZE,
};

enum secrecy { NO_SECRET, HAS_SECRET, ALWAYS_SEALED };

static const struct kind_row {
    char letter; /* on disk: never changed */
    const char *text;
    enum secrecy secrecy;
    uint16_t id_min, id_max, data_min, data_max, secret_min, secret_max;
} kinds[] = {
    [KEY_RECORD_HEAD] = { 'h', "head", NO_SECRET, 0, 0, 20, 20, 0, 0 },
    [KEY_RECORD_CHANGES] = { 'c', "change counter", NO_SECRET, 0, 0, 8, 8, 0, 0 },
    [KEY_RECORD_CIPHER] = { 'e', "master key", ALWAYS_SEALED, 0, 0, 48, 48, 32, 32 },
    [KEY_RECORD_SCRUB] = { 'z', "scrub mark", NO_SECRET, 0, 0, 0, 0, 0, 0 },
    [KEY_RECORD_INDEX] = { 'i', "next index", NO_SECRET, 5, 5, 4, 4, 0, 0 },
    [KEY_RECORD_SEED] = { 's', "seed", HAS_SECRET, 0, 0, 0, 0, 17, 97 },
    [KEY_RECORD_SECRET] = { 'k', "private key", HAS_SECRET, 33, 65, 0, 256, 32, 32 },
    [KEY_RECORD_PUBKEY] = { 'p', "watched public key", NO_SECRET, 33, 65, 0, 256, 0, 0 },
    [KEY_RECORD_SCRIPT] = { 'w', "watched script", NO_SECRET, 1, KEY_RECORD_NAME_MAX - 1, 0, 256,
                            0, 0 },
    [KEY_RECORD_XPUB] = { 'x', "watched extended key", NO_SECRET, 1, 128, 0, 256, 0, 0 },
    [KEY_RECORD_LABEL] = { 'l', "label", NO_SECRET, 1, 256, 1, 1024, 0, 0 },
    [KEY_RECORD_IDENTITY] = { 'n', "identity", NO_SECRET, 1, 64, 260, 2048, 0, 0 },
    [KEY_RECORD_IDENTITY_KEYS] = { 'm', "identity key", HAS_SECRET, 33, 33, 0, 0, 96, 96 },
    [KEY_RECORD_BCA] = { 'a', "certified address", NO_SECRET, 16, 16, 84, 2304, 0, 0 },
    [KEY_RECORD_PAYEE] = { 'j', "identity key of payments", NO_SECRET, 0, 0, 33, 33, 0, 0 },
    [KEY_RECORD_PAYMENT] = { 'y', "payment", NO_SECRET, 35, 162, 39, 8600, 0, 0 },
};
_Static_assert(COUNT_OF(kinds) == KEY_RECORD_KINDS, "a row for each kind");

static bool kind_of_letter(uint8_t letter, enum key_record_kind *kind)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if ((uint8_t)kinds[i].letter == letter) {
            *kind = (enum key_record_kind)i;
            return true;
        }
    return false;
}

const char *key_record_text(char out[KEY_RECORD_TEXT_MAX], const struct key_record *r)
{
    char hex[2 * SHOWN_ID + 1];
    hex_encode(hex, r->id.data, MIN_OF(r->id.len, (size_t)SHOWN_ID));
    snprintf(out, KEY_RECORD_TEXT_MAX, "%s%s%s%s", kinds[r->kind].text, r->id.len ? " " : "", hex,
             r->id.len > SHOWN_ID ? "..." : "");
    return out;
}

static bool within(size_t n, unsigned min, unsigned max)
{
    return n >= min && n <= max;
}

static bool secret_fits(const struct key_record *r, const struct kind_row *row)
{
    switch (r->form) {
    case KEY_RECORD_PUBLIC:
        return row->secrecy == NO_SECRET && r->secret.len == 0;
    case KEY_RECORD_PLAIN:
        return row->secrecy == HAS_SECRET &&
               within(r->secret.len, row->secret_min, row->secret_max);
    case KEY_RECORD_SEALED:
        return row->secrecy != NO_SECRET &&
               within(r->secret.len, row->secret_min + SEAL_MORE, row->secret_max + SEAL_MORE);
    }
    return false; /* a form from disk that is none */
}

enum err key_record_check(const struct key_record *r, struct error *e)
{
    const struct kind_row *row = &kinds[r->kind];
    char text[KEY_RECORD_TEXT_MAX];
    if (within(r->id.len, row->id_min, row->id_max) &&
        within(r->data.len, row->data_min, row->data_max) && secret_fits(r, row))
        return OK;
    return error_set(e, ERR_RANGE, "%s: a length that this kind of record cannot have",
                     key_record_text(text, r));
}

void key_record_name(struct buf *out, enum key_record_kind kind, struct span id)
{
    buf_put_u8(out, (uint8_t)kinds[kind].letter);
    buf_put(out, id.data, id.len);
}

/* All of a value that comes before the secret. */
static void put_public(struct buf *out, const struct key_record *r)
{
    buf_put_u8(out, KEY_RECORD_VERSION);
    buf_put_u8(out, (uint8_t)r->form);
    buf_put_le32(out, r->flags);
    buf_put_le64(out, (uint64_t)r->birth);
    buf_put_var_bytes(out, r->data.data, r->data.len);
}

static void checksum(uint8_t out[CHECKSUM], uint8_t letter, struct span id, struct span value)
{
    struct sha256 ctx;
    uint8_t digest[32];
    sha256_init(&ctx);
    sha256_update(&ctx, &letter, 1);
    sha256_update(&ctx, id.data, id.len);
    sha256_update(&ctx, value.data, value.len);
    sha256d_final(&ctx, digest);
    memcpy(out, digest, CHECKSUM);
    secure_wipe(&ctx, sizeof ctx);
}

void key_record_value(struct buf *out, const struct key_record *r)
{
    BUG_ON(key_record_check(r, NULL) != OK);
    uint8_t sum[CHECKSUM];
    buf_reserve(out, 32 + r->data.len + r->secret.len); /* at once: growth would leave copies */
    const size_t at = out->len;
    put_public(out, r);
    buf_put_var_bytes(out, r->secret.data, r->secret.len);
    checksum(sum, (uint8_t)kinds[r->kind].letter, r->id, span_of(out->data + at, out->len - at));
    buf_put(out, sum, sizeof sum);
}

static enum err damaged(const struct key_record *r, struct error *e)
{
    char text[KEY_RECORD_TEXT_MAX];
    return error_set(e, ERR_CORRUPT, "the record '%s' of the wallet is damaged",
                     key_record_text(text, r));
}

static enum err read_value(struct key_record *r, struct span value, struct error *e)
{
    struct reader in;
    uint8_t sum[CHECKSUM];
    if (value.len <= CHECKSUM)
        return damaged(r, e);
    const struct span body = span_of(value.data, value.len - CHECKSUM);
    checksum(sum, (uint8_t)kinds[r->kind].letter, r->id, body);
    if (!mem_equal_var(sum, value.data + body.len, CHECKSUM))
        return damaged(r, e);
    reader_init(&in, body.data, body.len);
    (void)read_u8(&in); /* the version */
    r->form = (enum key_record_form)read_u8(&in);
    r->flags = read_le32(&in);
    r->birth = (int64_t)read_le64(&in);
    r->data = read_var_bytes(&in);
    r->secret = read_var_bytes(&in);
    return reader_done(&in) && key_record_check(r, NULL) == OK ? OK : damaged(r, e);
}

enum err key_record_read(struct key_record *r, struct span name, struct span value,
                         struct error *e)
{
    *r = (struct key_record){ .kind = KEY_RECORD_HEAD };
    if (name.len == 0 || name.len > KEY_RECORD_NAME_MAX ||
        !kind_of_letter(name.data[0], &r->kind)) {
        char hex[2 * SHOWN_ID + 1];
        hex_encode(hex, name.data, MIN_OF(name.len, (size_t)SHOWN_ID));
        return error_set(e, ERR_CORRUPT, "the wallet has a record of no known kind, '%s'", hex);
    }
    r->id = span_of(name.data + 1, name.len - 1);
    /* Before the checksum, which another version may form in another way. */
    if (value.len > 0 && value.data[0] > KEY_RECORD_VERSION) {
        char text[KEY_RECORD_TEXT_MAX];
        return error_set(e, ERR_RANGE,
                         "the record '%s' of the wallet has format %d and this program knows %d: "
                         "open the wallet with the newer program that wrote it",
                         key_record_text(text, r), value.data[0], KEY_RECORD_VERSION);
    }
    if (value.len > 0 && value.data[0] < KEY_RECORD_VERSION)
        return damaged(r, e);
    return read_value(r, value, e);
}

/* Name and public part, as a sealed record has them. */
static void additional_data(struct buf *out, const struct key_record *r)
{
    struct key_record sealed = *r;
    sealed.form = KEY_RECORD_SEALED;
    key_record_name(out, r->kind, r->id);
    put_public(out, &sealed);
}

enum err key_record_seal(struct key_record *r, const uint8_t key[AEAD_KEY_SIZE],
                         uint8_t room[KEY_RECORD_SEALED_MAX], struct error *e)
{
    struct buf aad;
    BUG_ON(r->form == KEY_RECORD_SEALED || r->secret.len > KEY_RECORD_SECRET_MAX);
    const enum err rc = rand_secret(room, KEY_RECORD_IV, e);
    if (rc)
        return rc;
    buf_init(&aad);
    additional_data(&aad, r);
    const bool sealed = aead_seal(AEAD_CHACHA20_POLY1305, key, span_of(room, KEY_RECORD_IV),
                                  buf_span(&aad), r->secret, room + KEY_RECORD_IV);
    BUG_ON(!sealed);
    buf_clear(&aad);
    r->form = KEY_RECORD_SEALED;
    r->secret = span_of(room, r->secret.len + SEAL_MORE);
    return OK;
}

enum err key_record_unseal(const struct key_record *r, const uint8_t key[AEAD_KEY_SIZE],
                           uint8_t out[KEY_RECORD_SECRET_MAX], size_t *len, struct error *e)
{
    struct buf aad;
    BUG_ON(r->form != KEY_RECORD_SEALED || r->secret.len < SEAL_MORE ||
           r->secret.len > KEY_RECORD_SEALED_MAX);
    buf_init(&aad);
    additional_data(&aad, r);
    const bool opened = aead_open(
        AEAD_CHACHA20_POLY1305, key, span_of(r->secret.data, KEY_RECORD_IV), buf_span(&aad),
        span_of(r->secret.data + KEY_RECORD_IV, r->secret.len - KEY_RECORD_IV), out);
    buf_clear(&aad);
    if (!opened) {
        char text[KEY_RECORD_TEXT_MAX];
        return error_set(e, ERR_AUTH, "the record '%s' of the wallet does not open with this key",
                         key_record_text(text, r));
    }
    *len = r->secret.len - SEAL_MORE;
    return OK;
}
