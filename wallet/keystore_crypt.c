#include <config.h>

#include "base/intmath.h"
#include "base/kv.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/secret.h"
#include "wallet/keystore_internal.h"
#include "wallet/master_key.h"

enum {
    SEED_ENTROPY_MAX = 32,
    SEED_MIN = 16,
    SEED_MAX = 64,
};

#define UNLOCK_MAX_S INT64_C(1000000000000) /* keeps milliseconds within their type */

/* --- encryption --- */

static void forget_master_locked(struct keystore *ks)
{
    secret_free(ks->master);
    ks->master = NULL;
}

static int64_t mono_ms(const struct keystore *ks)
{
    return ks->options.mono_ms ? ks->options.mono_ms() : INT64_MIN;
}

/* A wrong clock that is put right must not leave a wallet open for years. */
static bool is_time_up(const struct keystore *ks)
{
    return ks->options.now() >= ks->until || mono_ms(ks) >= ks->mono_until_ms;
}

static enum keystore_state state_locked(struct keystore *ks)
{
    if (!ks->encrypted)
        return KEYSTORE_PLAIN;
    if (ks->master && is_time_up(ks))
        forget_master_locked(ks);
    return ks->master ? KEYSTORE_UNLOCKED : KEYSTORE_LOCKED;
}

enum keystore_state keystore_state(struct keystore *ks, int64_t *until)
{
    pthread_mutex_lock(&ks->lock);
    const enum keystore_state state = state_locked(ks);
    if (until)
        *until = state == KEYSTORE_UNLOCKED ? ks->until : 0;
    pthread_mutex_unlock(&ks->lock);
    return state;
}

static enum err need_unlocked_locked(struct keystore *ks, struct error *e)
{
    if (state_locked(ks) != KEYSTORE_LOCKED)
        return OK;
    return error_set(e, ERR_AUTH, "the wallet is locked: unlock it with walletpassphrase first");
}

/* Adds the sealed form of every plain record to the batch. */
static enum err seal_all(struct kv *kv, const uint8_t *master, struct kv_batch *b, struct error *e)
{
    struct kv_iter *it = kv_iter_new(kv);
    enum err rc = OK;
    for (kv_iter_seek(it, "", 0); !rc && kv_iter_valid(it); kv_iter_next(it)) {
        struct key_record r;
        uint8_t room[KEY_RECORD_SEALED_MAX];
        rc = key_record_read(&r, kv_iter_key(it), kv_iter_value(it), e);
        if (rc || r.form != KEY_RECORD_PLAIN)
            continue;
        rc = key_record_seal(&r, master, room, e);
        if (!rc)
            keystore_put(b, &r);
    }
    if (!rc)
        rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

static enum err encrypt_locked(struct keystore *ks, const uint8_t *master, struct span passphrase,
                               struct error *e)
{
    struct kv_batch *b = kv_batch_new(ks->kv);
    struct buf cipher;
    buf_init(&cipher);
    enum err rc = master_key_seal(&cipher, master, passphrase, &ks->options.scrypt, e);
    if (!rc)
        rc = seal_all(ks->kv, master, b, e);
    if (!rc) {
        keystore_put_value(b, KEY_RECORD_CIPHER, &cipher);
        rc = keystore_commit_and_scrub_locked(ks, b, e);
    }
    if (!rc)
        ks->encrypted = true;
    buf_clear(&cipher);
    kv_batch_free(b);
    return rc;
}

enum err keystore_encrypt(struct keystore *ks, struct span passphrase, struct error *e)
{
    uint8_t *master = secret_alloc(MASTER_KEY_SIZE);
    enum err rc = rand_secret(master, MASTER_KEY_SIZE, e);
    pthread_mutex_lock(&ks->lock);
    if (!rc && ks->encrypted)
        rc = error_set(e, ERR_EXISTS, "the wallet is encrypted already: change its passphrase "
                                      "with walletpassphrasechange");
    else if (!rc)
        rc = encrypt_locked(ks, master, passphrase, e);
    pthread_mutex_unlock(&ks->lock);
    secret_free(master);
    return rc;
}

/* The master key by the record on disk. Without the lock: scrypt takes its time. */
static enum err open_master(struct kv *kv, uint8_t *master, struct span passphrase, struct error *e)
{
    struct stored_record s;
    stored_init(&s);
    enum err rc = stored_load(kv, KEY_RECORD_CIPHER, span_of(NULL, 0), &s, e);
    if (!rc && !s.found)
        rc = error_set(e, ERR_NOTFOUND, "the wallet is not encrypted");
    if (!rc)
        rc = master_key_unseal(master, &s.r, passphrase, e);
    stored_clear(&s);
    return rc;
}

enum err keystore_unlock(struct keystore *ks, struct span passphrase, int64_t until,
                         struct error *e)
{
    uint8_t *master = secret_alloc(MASTER_KEY_SIZE);
    const int64_t began = ks->options.now();
    enum err rc = open_master(ks->kv, master, passphrase, e);
    if (rc) {
        secret_free(master);
        return rc;
    }
    const int64_t now = ks->options.now(), took = now - began; /* seconds, of a busy machine */
    pthread_mutex_lock(&ks->lock);
    forget_master_locked(ks);
    ks->master = master;
    ks->until = took > 0 ? until + took : until;
    ks->mono_until_ms = mono_ms(ks) + 1000 * MIN_OF(MAX_OF(ks->until - now, 0), UNLOCK_MAX_S);
    pthread_mutex_unlock(&ks->lock);
    return OK;
}

void keystore_lock(struct keystore *ks)
{
    pthread_mutex_lock(&ks->lock);
    forget_master_locked(ks);
    pthread_mutex_unlock(&ks->lock);
}

static enum err change_passphrase_locked(struct keystore *ks, struct span old,
                                         struct span passphrase, uint8_t *master, struct error *e)
{
    struct kv_batch *b = kv_batch_new(ks->kv);
    struct buf cipher;
    buf_init(&cipher);
    enum err rc = open_master(ks->kv, master, old, e);
    if (!rc)
        rc = master_key_seal(&cipher, master, passphrase, &ks->options.scrypt, e);
    if (!rc) {
        keystore_put_value(b, KEY_RECORD_CIPHER, &cipher);
        rc = keystore_commit_and_scrub_locked(ks, b, e);
    }
    buf_clear(&cipher);
    kv_batch_free(b);
    return rc;
}

enum err keystore_change_passphrase(struct keystore *ks, struct span old, struct span passphrase,
                                    struct error *e)
{
    uint8_t *master = secret_alloc(MASTER_KEY_SIZE);
    pthread_mutex_lock(&ks->lock);
    enum err rc = change_passphrase_locked(ks, old, passphrase, master, e);
    pthread_mutex_unlock(&ks->lock);
    secret_free(master);
    return rc;
}

/* --- secrets --- */

/* As the store is: sealed in an encrypted one. */
static enum err put_secret_locked(struct keystore *ks, struct kv_batch *b, struct key_record r,
                                  struct error *e)
{
    uint8_t room[KEY_RECORD_SEALED_MAX];
    enum err rc = OK;
    if (ks->encrypted && r.form == KEY_RECORD_PLAIN)
        rc = key_record_seal(&r, ks->master, room, e);
    if (!rc)
        keystore_put(b, &r);
    return rc;
}

static enum err check_new(struct keystore *ks, const struct key_record *r, struct error *e)
{
    bool found;
    enum err rc = key_record_check(r, e);
    if (!rc)
        rc = keystore_has(ks, r->kind, r->id, &found, e);
    if (rc || !found)
        return rc;
    char text[KEY_RECORD_TEXT_MAX];
    return error_set(e, ERR_EXISTS, "the wallet has %s already", key_record_text(text, r));
}

static enum err check_any(struct keystore *ks, const struct key_record *r, struct error *e)
{
    (void)ks;
    return key_record_check(r, e);
}

typedef enum err (*check_fn)(struct keystore *ks, const struct key_record *r, struct error *e);

static enum err write_locked(struct keystore *ks, const struct key_record *records, size_t n,
                             check_fn check, struct error *e)
{
    struct kv_batch *b = kv_batch_new(ks->kv);
    enum err rc = OK;
    for (size_t i = 0; !rc && i < n; i++) {
        if (records[i].form == KEY_RECORD_PLAIN)
            rc = need_unlocked_locked(ks, e);
        if (!rc)
            rc = check(ks, &records[i], e);
        if (!rc)
            rc = put_secret_locked(ks, b, records[i], e);
    }
    if (!rc)
        rc = keystore_commit_locked(ks, b, e);
    kv_batch_free(b);
    return rc;
}

static bool can_be_added(const struct key_record *r)
{
    if (r->kind == KEY_RECORD_SECRET)
        return r->form == KEY_RECORD_PLAIN;
    return r->form == KEY_RECORD_PUBLIC &&
           (r->kind == KEY_RECORD_PUBKEY || r->kind == KEY_RECORD_SCRIPT ||
            r->kind == KEY_RECORD_XPUB || r->kind == KEY_RECORD_PAYEE ||
            r->kind == KEY_RECORD_PAYMENT);
}

enum err keystore_add(struct keystore *ks, const struct key_record *records, size_t n,
                      struct error *e)
{
    for (size_t i = 0; i < n; i++)
        BUG_ON(!can_be_added(&records[i]));
    pthread_mutex_lock(&ks->lock);
    enum err rc = write_locked(ks, records, n, check_new, e);
    pthread_mutex_unlock(&ks->lock);
    return rc;
}

static bool may_be_replaced(const struct key_record *r)
{
    return keystore_changes_kind(r->kind) &&
           r->form == (r->kind == KEY_RECORD_IDENTITY_KEYS ? KEY_RECORD_PLAIN : KEY_RECORD_PUBLIC);
}

enum err keystore_replace(struct keystore *ks, const struct key_record *records, size_t n,
                          struct error *e)
{
    for (size_t i = 0; i < n; i++)
        BUG_ON(!may_be_replaced(&records[i]));
    pthread_mutex_lock(&ks->lock);
    enum err rc = write_locked(ks, records, n, check_any, e);
    pthread_mutex_unlock(&ks->lock);
    return rc;
}

/* A plain secret in an encrypted store is no work of ours. */
static enum err open_secret_locked(struct keystore *ks, const struct key_record *r,
                                   uint8_t out[KEY_RECORD_SECRET_MAX], size_t *len,
                                   struct error *e)
{
    char text[KEY_RECORD_TEXT_MAX];
    if (ks->encrypted != (r->form == KEY_RECORD_SEALED))
        return error_set(e, ERR_CORRUPT, "the record '%s' of the wallet is %s",
                         key_record_text(text, r),
                         ks->encrypted ? "not encrypted as it ought to be"
                                       : "encrypted and the wallet is not");
    if (r->form == KEY_RECORD_PLAIN) {
        memcpy(out, r->secret.data, r->secret.len);
        *len = r->secret.len;
        return OK;
    }
    /* The master key is the right one, so the record is not. */
    if (key_record_unseal(r, ks->master, out, len, NULL))
        return error_set(e, ERR_CORRUPT, "the record '%s' of the wallet is damaged",
                         key_record_text(text, r));
    return OK;
}

/* Also fills flags and birth of about. */
static enum err get_secret(struct keystore *ks, struct key_record *about,
                           uint8_t out[KEY_RECORD_SECRET_MAX], size_t *len, struct error *e)
{
    struct stored_record s;
    char text[KEY_RECORD_TEXT_MAX];
    stored_init(&s);
    pthread_mutex_lock(&ks->lock);
    enum err rc = stored_load(ks->kv, about->kind, about->id, &s, e);
    if (!rc && !s.found)
        rc = error_set(e, ERR_NOTFOUND, "the wallet has no %s", key_record_text(text, about));
    if (!rc)
        rc = need_unlocked_locked(ks, e);
    if (!rc)
        rc = open_secret_locked(ks, &s.r, out, len, e);
    pthread_mutex_unlock(&ks->lock);
    about->flags = s.r.flags;
    about->birth = s.r.birth;
    stored_clear(&s);
    return rc;
}

enum err keystore_open_secret(struct keystore *ks, enum key_record_kind kind, struct span id,
                              uint8_t out[KEY_RECORD_SECRET_MAX], size_t *len, struct error *e)
{
    struct key_record about = { .kind = kind, .id = id };
    return get_secret(ks, &about, out, len, e);
}

enum err keystore_get_secret(struct keystore *ks, struct span pubkey, uint8_t out[32],
                             struct error *e)
{
    uint8_t secret[KEY_RECORD_SECRET_MAX];
    size_t len;
    enum err rc = keystore_open_secret(ks, KEY_RECORD_SECRET, pubkey, secret, &len, e);
    if (!rc)
        memcpy(out, secret, 32); /* the codec allows no other length */
    secure_wipe(secret, sizeof secret);
    return rc;
}

enum err keystore_set_seed(struct keystore *ks, const struct keystore_seed *seed, struct error *e)
{
    if (seed->entropy_len > SEED_ENTROPY_MAX || seed->seed_len < SEED_MIN ||
        seed->seed_len > SEED_MAX)
        return error_set(e, ERR_RANGE, "a seed has %d to %d bytes and its entropy at most %d",
                         SEED_MIN, SEED_MAX, SEED_ENTROPY_MAX);
    uint8_t secret[1 + SEED_ENTROPY_MAX + SEED_MAX];
    secret[0] = (uint8_t)seed->entropy_len;
    memcpy(secret + 1, seed->entropy, seed->entropy_len);
    memcpy(secret + 1 + seed->entropy_len, seed->seed, seed->seed_len);
    const struct key_record r = {
        .kind = KEY_RECORD_SEED, .form = KEY_RECORD_PLAIN, .flags = seed->flags,
        .birth = seed->birth, .secret = span_of(secret, 1 + seed->entropy_len + seed->seed_len),
    };
    pthread_mutex_lock(&ks->lock);
    enum err rc = write_locked(ks, &r, 1, check_new, e);
    pthread_mutex_unlock(&ks->lock);
    secure_wipe(secret, sizeof secret);
    return rc;
}

static enum err split_seed(struct keystore_seed *seed, const uint8_t *secret, size_t len,
                           struct error *e)
{
    const size_t entropy = secret[0], rest = len - 1;
    if (entropy > SEED_ENTROPY_MAX || entropy > rest || rest - entropy < SEED_MIN ||
        rest - entropy > SEED_MAX)
        return error_set(e, ERR_CORRUPT, "the record 'seed' of the wallet is damaged");
    seed->entropy_len = entropy;
    seed->seed_len = rest - entropy;
    memcpy(seed->entropy, secret + 1, entropy);
    memcpy(seed->seed, secret + 1 + entropy, seed->seed_len);
    return OK;
}

enum err keystore_get_seed(struct keystore *ks, struct keystore_seed *seed, struct error *e)
{
    struct key_record about = { .kind = KEY_RECORD_SEED };
    uint8_t secret[KEY_RECORD_SECRET_MAX];
    size_t len;
    *seed = (struct keystore_seed){ .seed_len = 0 };
    enum err rc = get_secret(ks, &about, secret, &len, e);
    if (!rc)
        rc = split_seed(seed, secret, len, e);
    seed->flags = about.flags;
    seed->birth = about.birth;
    secure_wipe(secret, sizeof secret);
    return rc;
}
