/* Keys and scripts that come from elsewhere: imported, or watched. */
#include <config.h>

#include <string.h>

#include "wallet/wallet_internal.h"

static enum err refuse_known(struct wallet *w, struct span script, bool secret, struct error *e)
{
    struct wallet_key known;
    if (!wallet_find_key_locked(w, script, &known) || (secret && !known.spendable))
        return OK;
    return error_set(e, ERR_EXISTS, "the wallet has this already");
}

/* The label is written first: alone it does no harm. */
static enum err store_imported(struct wallet *w, const struct key_record *r, struct span script,
                               struct span label, struct error *e)
{
    enum err rc = refuse_known(w, script, r->kind == KEY_RECORD_SECRET, e);
    if (!rc && label.len)
        rc = keystore_set_label(w->ks, script, label, e);
    return rc ? rc : keystore_add(w->ks, r, 1, e);
}

static enum err import_key(struct wallet *w, struct wallet_entry *entry,
                           const struct key_record *r, struct span label, struct error *e)
{
    uint8_t script[SCRIPT_P2PKH_SIZE];
    wallet_key_script(script, r->id);
    wallet_lock(w);
    enum err rc = store_imported(w, r, span_of(script, sizeof script), label, e);
    if (!rc)
        rc = wallet_add_key(w, entry, e);
    if (!rc)
        rc = history_owners_changed(w->history, e);
    if (!rc)
        w->birth = 0;
    wallet_unlock(w);
    return rc;
}

enum err wallet_import_secret(struct wallet *w, const uint8_t secret[32], bool compressed,
                              struct span label, struct error *e)
{
    struct wallet_entry entry = { .spendable = true };
    entry.key_len = (uint8_t)ec_pubkey_create(entry.key, secret, compressed);
    if (!entry.key_len)
        return error_set(e, ERR_RANGE, "this is no private key");
    const struct span key = span_of(entry.key, entry.key_len);
    const struct key_record r = { .kind = KEY_RECORD_SECRET, .form = KEY_RECORD_PLAIN,
                                  .id = key, .secret = span_of(secret, 32) };
    return import_key(w, &entry, &r, label, e);
}

enum err wallet_import_pubkey(struct wallet *w, struct span key, struct span label,
                              struct error *e)
{
    struct wallet_entry entry = { .key_len = (uint8_t)key.len };
    const struct key_record r = { .kind = KEY_RECORD_PUBKEY, .form = KEY_RECORD_PUBLIC,
                                  .id = key };
    if (key.len > sizeof entry.key || !ec_pubkey_valid(key.data, key.len))
        return error_set(e, ERR_RANGE, "this is no public key");
    memcpy(entry.key, key.data, key.len);
    return import_key(w, &entry, &r, label, e);
}

enum err wallet_import_script(struct wallet *w, struct span script, struct span label,
                              struct error *e)
{
    const struct key_record r = { .kind = KEY_RECORD_SCRIPT, .form = KEY_RECORD_PUBLIC,
                                  .id = script };
    wallet_lock(w);
    enum err rc = key_record_check(&r, e);
    if (!rc)
        rc = store_imported(w, &r, script, label, e);
    if (!rc)
        rc = wallet_add_script(w, script, e);
    if (!rc)
        rc = history_owners_changed(w->history, e);
    if (!rc)
        w->birth = 0;
    wallet_unlock(w);
    return rc;
}

static enum err import_xpub_locked(struct wallet *w, const char *text, const struct hdkey *key,
                                   struct error *e)
{
    const struct key_record r = { .kind = KEY_RECORD_XPUB, .form = KEY_RECORD_PUBLIC,
                                  .id = span_of(text, strlen(text)) };
    const size_t from = w->n_branches;
    enum err rc = keystore_add(w->ks, &r, 1, e);
    if (!rc)
        rc = wallet_watch_branches(w, text, key, e);
    if (!rc)
        rc = wallet_fill_branches(w, from, e);
    if (!rc)
        rc = history_owners_changed(w->history, e);
    if (!rc)
        w->birth = 0;
    return rc;
}

enum err wallet_import_xpub(struct wallet *w, const char *text, struct error *e)
{
    struct hdkey key;
    char usual[HDKEY_TEXT_MAX];
    enum err rc = hdkey_decode(&key, w->p.network, text, e);
    if (!rc && key.is_private)
        rc = error_set(e, ERR_RANGE, "an extended private key is not watched: give the public one");
    if (!rc) {
        hdkey_encode(usual, w->p.network, &key);
        wallet_lock(w);
        rc = import_xpub_locked(w, usual, &key, e);
        wallet_unlock(w);
    }
    hdkey_wipe(&key);
    return rc;
}
