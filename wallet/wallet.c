/*
 * Creating: the key store is made in keys.new, which takes its name when all is in it. So a
 * directory without keys/ holds no wallet, whatever else a crash left there, and creating starts
 * anew.
 */
#include <config.h>

#include "wallet/wallet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/kv.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "wallet/backup.h"
#include "wallet/identity.h"
#include "wallet/mnemonic.h"
#include "wallet/wallet_internal.h"

enum {
    NEW_ENTROPY = 16,
    SETUP_SECONDS = 600, /* unlocked for as long as the seed takes to be stored */
};

/* --- a new key store --- */

static struct keystore_options options_of(const struct wallet_params *p)
{
    struct keystore_options o = { .now = p->now, .mono_ms = p->mono_ms,
                                  .scrypt = p->scrypt };
    memcpy(o.magic, p->magic, sizeof o.magic);
    return o;
}

static enum err new_seed(struct keystore_seed *seed, const struct wallet_params *p,
                         const struct wallet_new *how, struct error *e)
{
    char text[MNEMONIC_TEXT_MAX];
    const char *phrase = how->phrase ? how->phrase : text;
    enum err rc;
    *seed = (struct keystore_seed){ .seed_len = MNEMONIC_SEED_SIZE, .birth = how->birth };
    if (how->phrase) {
        rc = mnemonic_decode(seed->entropy, &seed->entropy_len, phrase, e);
    } else {
        seed->entropy_len = NEW_ENTROPY;
        rc = rand_secret(seed->entropy, NEW_ENTROPY, e);
        if (!rc)
            rc = mnemonic_encode(text, seed->entropy, NEW_ENTROPY, e);
        if (!seed->birth)
            seed->birth = p->now();
    }
    if (!rc)
        rc = mnemonic_seed(seed->seed, phrase,
                           how->phrase_passphrase ? how->phrase_passphrase : "", e);
    secure_wipe(text, sizeof text);
    return rc;
}

static enum err add_account(struct keystore *ks, const struct wallet_params *p,
                            const struct keystore_seed *seed, struct error *e)
{
    struct hdkey account;
    char text[HDKEY_TEXT_MAX];
    enum err rc = wallet_account_key(&account, p, span_of(seed->seed, seed->seed_len), e);
    if (!rc) {
        hdkey_make_public(&account);
        hdkey_encode(text, p->network, &account);
        const struct key_record r = { .kind = KEY_RECORD_XPUB, .form = KEY_RECORD_PUBLIC,
                                      .flags = WALLET_XPUB_OWN, .birth = seed->birth,
                                      .id = span_of(text, strlen(text)) };
        rc = keystore_add(ks, &r, 1, e);
    }
    hdkey_wipe(&account);
    return rc;
}

static enum err encrypt_empty(struct keystore *ks, const struct wallet_params *p,
                              struct span passphrase, struct error *e)
{
    enum err rc = keystore_encrypt(ks, passphrase, e);
    return rc ? rc : keystore_unlock(ks, passphrase, p->now() + SETUP_SECONDS, e);
}

static enum err make_new(struct kv *kv, const struct wallet_params *p,
                         const struct wallet_new *how, struct error *e)
{
    const struct keystore_options o = options_of(p);
    struct keystore_seed seed;
    struct keystore *ks = NULL;
    enum err rc = new_seed(&seed, p, how, e);
    if (!rc)
        rc = keystore_create(&ks, kv, &o, e);
    if (!rc && how->passphrase.len)
        rc = encrypt_empty(ks, p, how->passphrase, e);
    if (!rc)
        rc = keystore_set_seed(ks, &seed, e);
    if (!rc && how->phrase)
        rc = identity_skip_numbers(ks, e);
    if (!rc) /* last: a store without it is no wallet */
        rc = add_account(ks, p, &seed, e);
    keystore_close(ks);
    secure_wipe(&seed, sizeof seed);
    return rc;
}

static enum err restore(struct kv *kv, const struct wallet_params *p, const char *backup,
                        struct error *e)
{
    const struct keystore_options o = options_of(p);
    struct keystore *ks = NULL;
    enum err rc = backup_restore(kv, p->magic, backup, NULL, e);
    if (!rc)
        rc = keystore_open(&ks, kv, &o, e);
    if (!rc)
        rc = identity_mark_restored(ks, e);
    keystore_close(ks);
    return rc;
}

enum err wallet_make_keys(struct kv *kv, const struct wallet_params *p,
                          const struct wallet_new *how, struct error *e)
{
    return how->backup ? restore(kv, p, how->backup, e) : make_new(kv, p, how, e);
}

/* --- directories --- */

struct dir_names {
    char *keys, *keys_new, *coins, *parent;
};

static struct dir_names names_of(const char *dir)
{
    return (struct dir_names){ path_join(dir, "keys"), path_join(dir, "keys.new"),
                               path_join(dir, "coins"), path_join(dir, "..") };
}

static void names_clear(struct dir_names *n)
{
    free(n->keys);
    free(n->keys_new);
    free(n->coins);
    free(n->parent);
}

static enum err open_store(struct kv **out, const char *path, bool must_exist, struct error *e)
{
    const struct kv_options o = { .cache_bytes = 1 << 20, .write_buffer_bytes = 1 << 20,
                                  .bloom_filter = true, .must_exist = must_exist };
    return kv_open_leveldb(out, path, &o, e);
}

static void remove_file(void *ctx, const char *name)
{
    char *path = path_join((const char *)ctx, name);
    struct error why;
    if (path_remove(path, &why))
        log_warn("%s", why.text);
    free(path);
}

/* A store that was never finished; it has no directories in it. */
static enum err remove_store(char *path, struct error *e)
{
    if (!path_exists(path))
        return OK;
    enum err rc = path_list(path, remove_file, path, e);
    if (!rc && rmdir(path) != 0)
        rc = error_set_errno(e, errno, "%s: cannot remove", path);
    return rc;
}

static enum err fill_new_store(const struct dir_names *n, const struct wallet_params *p,
                               const struct wallet_new *how, struct error *e)
{
    struct kv *kv = NULL;
    enum err rc = remove_store(n->keys_new, e);
    if (!rc)
        rc = open_store(&kv, n->keys_new, false, e);
    if (!rc)
        rc = wallet_make_keys(kv, p, how, e);
    kv_close(kv);
    return rc;
}

static enum err name_store(const struct dir_names *n, const char *dir, struct error *e)
{
    enum err rc = path_sync_dir(n->keys_new, e);
    if (!rc && rename(n->keys_new, n->keys) != 0)
        rc = error_set_errno(e, errno, "%s: cannot rename", n->keys_new);
    if (!rc)
        rc = path_sync_dir(dir, e);
    return rc ? rc : path_sync_dir(n->parent, e);
}

enum err wallet_create(struct wallet **out, const char *dir, const char *name,
                       const struct wallet_params *p, const struct wallet_new *how,
                       struct error *e)
{
    struct dir_names n = names_of(dir);
    enum err rc = OK;
    if (path_exists(n.keys) || path_exists(n.coins))
        rc = error_set(e, ERR_EXISTS, "%s: there is a wallet already", dir);
    if (!rc)
        rc = path_make_dirs(dir, e);
    if (!rc) {
        rc = fill_new_store(&n, p, how, e);
        if (!rc)
            rc = name_store(&n, dir, e);
        if (rc && !remove_store(n.keys_new, NULL))
            (void)rmdir(dir); /* stays when there is something else in it */
    }
    names_clear(&n);
    return rc ? rc : wallet_open(out, dir, name, p, e);
}

enum err wallet_open(struct wallet **out, const char *dir, const char *name,
                     const struct wallet_params *p, struct error *e)
{
    struct dir_names n = names_of(dir);
    struct kv *keys = NULL, *coins = NULL;
    enum err rc = OK;
    if (!path_exists(n.keys))
        rc = error_set(e, ERR_NOTFOUND, "%s: there is no wallet", dir);
    if (!rc)
        rc = open_store(&keys, n.keys, true, e);
    if (!rc)
        rc = open_store(&coins, n.coins, false, e);
    if (!rc)
        rc = wallet_open_stores(out, keys, coins, name, p, e);
    else
        kv_close(keys);
    names_clear(&n);
    return rc;
}

bool wallet_exists(const char *dir)
{
    char *keys = path_join(dir, "keys");
    const bool exists = path_exists(keys);
    free(keys);
    return exists;
}

/* --- open wallets --- */

static void init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

static struct wallet *new_wallet(struct kv *keys, const char *name, const struct wallet_params *p)
{
    struct wallet *w = (struct wallet *)xcalloc(1, sizeof *w);
    atomic_init(&w->refs, 1);
    w->name = xstrdup(name);
    w->p = *p;
    init_lock(&w->lock);
    w->keys_kv = keys;
    w->scripts = scripts_new();
    return w;
}

static enum err store_seen(void *ctx, struct error *e)
{
    return wallet_store_seen((struct wallet *)ctx, e);
}

enum err wallet_open_stores(struct wallet **out, struct kv *keys, struct kv *coins,
                            const char *name, const struct wallet_params *p, struct error *e)
{
    const struct keystore_options o = options_of(p);
    struct wallet *w = new_wallet(keys, name, p);
    enum err rc = keystore_open(&w->ks, keys, &o, e);
    if (!rc)
        rc = wallet_load_keys(w, coins, e);
    if (!rc)
        rc = history_open(&w->history, coins, w->scripts, e);
    else
        kv_close(coins);
    if (rc) {
        wallet_unref(w);
        return rc;
    }
    history_before_write(w->history, store_seen, w);
    w->pick = pick_new(w->history);
    *out = w;
    return OK;
}

struct wallet *wallet_ref(struct wallet *w)
{
    atomic_fetch_add(&w->refs, 1);
    return w;
}

void wallet_unref(struct wallet *w)
{
    if (!w || atomic_fetch_sub(&w->refs, 1) != 1)
        return;
    wallet_block_cancel(w);
    pick_free(w->pick);
    history_close(w->history);
    scripts_free(w->scripts);
    keystore_close(w->ks);
    kv_close(w->keys_kv);
    free(w->entries);
    free(w->branches);
    free(w->feed.txs);
    free(w->name);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

bool wallet_is_held(const struct wallet *w)
{
    return atomic_load(&w->refs) > 1;
}

const char *wallet_name(const struct wallet *w)
{
    return w->name;
}

const struct wallet_params *wallet_params(const struct wallet *w)
{
    return &w->p;
}

void wallet_lock(struct wallet *w)
{
    pthread_mutex_lock(&w->lock);
}

void wallet_unlock(struct wallet *w)
{
    pthread_mutex_unlock(&w->lock);
}

struct history *wallet_history(struct wallet *w)
{
    return w->history;
}

struct keystore *wallet_keystore(struct wallet *w)
{
    return w->ks;
}

const struct scripts *wallet_scripts(struct wallet *w)
{
    return w->scripts;
}

enum err wallet_backup(struct wallet *w, const char *path, struct backup_info *info,
                       struct error *e)
{
    return backup_write(w->keys_kv, w->p.magic, path, info, e);
}
