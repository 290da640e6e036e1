/*
 * Keys and scripts that come from elsewhere: imported, or watched.
 *
 * The order of the writes: first the height from which blocks are wanted, then the label, then the
 * key. A crash in between leaves a scan for nothing, or a label of nothing. The table of scripts
 * comes last: when there is no memory for it, the import has failed, and the next one finds the key
 * in the store and not in the table.
 */
#include <config.h>

#include <string.h>

#include "base/mem.h"
#include "wallet/wallet_internal.h"

static enum err already_there(struct error *e)
{
    return error_set(e, ERR_EXISTS, "the wallet has this already");
}

/* A block that is being told was not looked through for what comes now. */
static enum err want_blocks(struct wallet *w, int32_t scan_from, struct error *e)
{
    if (scan_from == WALLET_NO_SCAN)
        return OK;
    w->feed.again |= w->feed.open && w->feed.passed_over;
    return history_begin_rescan(w->history, scan_from, HISTORY_TO_BEST, e);
}

static enum err store_key(struct wallet *w, const struct key_record *r, struct error *e)
{
    const enum err rc = keystore_add(w->ks, r, 1, e);
    if (rc && rc != ERR_EXISTS)
        return rc;
    w->birth = 0;
    return OK;
}

static bool is_known(const struct wallet *w, const struct key_record *r, struct span script)
{
    struct wallet_key known;
    return wallet_find_key_locked(w, script, &known) &&
           (r->kind != KEY_RECORD_SECRET || known.spendable);
}

static enum err store_imported(struct wallet *w, const struct key_record *r, struct span script,
                               struct span label, int32_t scan_from, struct error *e)
{
    const bool known = is_known(w, r, script);
    if (!known && r->kind == KEY_RECORD_SECRET && keystore_state(w->ks, NULL) == KEYSTORE_LOCKED)
        return error_set(e, ERR_AUTH, "the wallet is locked");
    enum err rc = want_blocks(w, scan_from, e);
    if (!rc && known)
        rc = already_there(e);
    if (!rc && label.len)
        rc = keystore_set_label(w->ks, script, label, e);
    return rc ? rc : store_key(w, r, e);
}

static enum err import_key(struct wallet *w, const struct wallet_entry *entry,
                           const struct key_record *r, struct span label, int32_t scan_from,
                           struct error *e)
{
    uint8_t script[SCRIPT_P2PKH_SIZE];
    script_make_for_key(script, r->id);
    wallet_lock(w);
    enum err rc = store_imported(w, r, span_of(script, sizeof script), label, scan_from, e);
    if (!rc)
        rc = wallet_add_key(w, entry, e);
    if (!rc)
        rc = history_owners_changed(w->history, e);
    wallet_unlock(w);
    return rc;
}

/* entry has all but the key. */
static enum err import_secret(struct wallet *w, struct wallet_entry *entry,
                              const uint8_t secret[32], bool compressed, struct span label,
                              int32_t scan_from, struct error *e)
{
    entry->key_len = (uint8_t)ec_pubkey_create(entry->key, secret, compressed);
    if (!entry->key_len)
        return error_set(e, ERR_RANGE, "this is no private key");
    const struct key_record r = { .kind = KEY_RECORD_SECRET, .form = KEY_RECORD_PLAIN,
                                  .flags = entry->of_payment ? WALLET_SECRET_OF_PAYMENT : 0,
                                  .id = span_of(entry->key, entry->key_len),
                                  .secret = span_of(secret, 32) };
    return import_key(w, entry, &r, label, scan_from, e);
}

enum err wallet_import_secret(struct wallet *w, const uint8_t secret[32], bool compressed,
                              struct span label, int32_t scan_from, struct error *e)
{
    struct wallet_entry entry = { .spendable = true };
    return import_secret(w, &entry, secret, compressed, label, scan_from, e);
}

enum err wallet_import_payment_secret(struct wallet *w, const uint8_t secret[32],
                                      struct span label, int32_t scan_from, struct error *e)
{
    struct wallet_entry entry = { .spendable = true, .of_payment = true };
    return import_secret(w, &entry, secret, true, label, scan_from, e);
}

enum err wallet_import_pubkey(struct wallet *w, struct span key, struct span label,
                              int32_t scan_from, struct error *e)
{
    struct wallet_entry entry = { .key_len = (uint8_t)key.len };
    const struct key_record r = { .kind = KEY_RECORD_PUBKEY, .form = KEY_RECORD_PUBLIC,
                                  .id = key };
    if (key.len > sizeof entry.key || !ec_pubkey_valid(key.data, key.len))
        return error_set(e, ERR_RANGE, "this is no public key");
    memcpy(entry.key, key.data, key.len);
    return import_key(w, &entry, &r, label, scan_from, e);
}

enum err wallet_import_script(struct wallet *w, struct span script, struct span label,
                              int32_t scan_from, struct error *e)
{
    const struct key_record r = { .kind = KEY_RECORD_SCRIPT, .form = KEY_RECORD_PUBLIC,
                                  .id = script };
    wallet_lock(w);
    enum err rc = key_record_check(&r, e);
    if (!rc)
        rc = store_imported(w, &r, script, label, scan_from, e);
    if (!rc)
        rc = wallet_add_script(w, script, e);
    if (!rc)
        rc = history_owners_changed(w->history, e);
    wallet_unlock(w);
    return rc;
}

/* The place of the branches below it; n_branches when there are none. */
static enum err find_branches(const struct wallet *w, const struct hdkey *key, size_t *at,
                              struct error *e)
{
    struct hdkey child;
    enum err rc = hdkey_child(&child, key, 0, e);
    *at = w->n_branches;
    for (size_t i = 0; !rc && i < w->n_branches; i += WALLET_BRANCHES)
        if (mem_equal_var(w->branches[i].key.key, child.key, EC_PUBKEY_SIZE))
            *at = i;
    return rc;
}

static enum err import_xpub_locked(struct wallet *w, const char *text, const struct hdkey *key,
                                   int32_t scan_from, struct error *e)
{
    const struct key_record r = { .kind = KEY_RECORD_XPUB, .form = KEY_RECORD_PUBLIC,
                                  .id = span_of(text, strlen(text)) };
    size_t at;
    enum err rc = find_branches(w, key, &at, e);
    const bool known = at < w->n_branches;
    if (!rc)
        rc = want_blocks(w, scan_from, e);
    if (!rc && !known)
        rc = store_key(w, &r, e);
    if (!rc && !known)
        rc = wallet_watch_branches(w, text, key, e);
    if (!rc)
        rc = wallet_fill_branches(w, at, e);
    if (!rc)
        rc = history_owners_changed(w->history, e);
    return !rc && known ? already_there(e) : rc;
}

enum err wallet_import_xpub(struct wallet *w, const char *text, int32_t scan_from, struct error *e)
{
    struct hdkey key;
    char usual[HDKEY_TEXT_MAX];
    enum err rc = hdkey_decode(&key, w->p.network, text, e);
    if (!rc && key.is_private)
        rc = error_set(e, ERR_RANGE, "an extended private key is not watched: give the public one");
    if (!rc) {
        hdkey_encode(usual, w->p.network, &key);
        wallet_lock(w);
        rc = import_xpub_locked(w, usual, &key, scan_from, e);
        wallet_unlock(w);
    }
    hdkey_wipe(&key);
    return rc;
}
