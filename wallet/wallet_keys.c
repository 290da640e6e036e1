/*
 * The next index of a branch is raised on disk before anything else knows of it: a key that was
 * given out, or was seen in a transaction of a block that is about to be recorded, is not given out
 * again whatever happens in between. The table of scripts follows from the next index when the
 * wallet is opened, so it is never stored.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "script/template.h"
#include "wallet/hdpath.h"
#include "wallet/key_cache.h"
#include "wallet/wallet_internal.h"

/* --- the tree --- */

enum err wallet_account_key(struct hdkey *out, const struct wallet_params *p, struct span seed,
                            struct error *e)
{
    struct hdpath path;
    *out = (struct hdkey){ .depth = 0 };
    enum err rc = hdpath_account(&path, p->coin_type, WALLET_ACCOUNT, e);
    if (!rc)
        rc = hdkey_master(out, seed, e);
    return rc ? rc : hdkey_derive(out, out, &path, e);
}

/* --- the table --- */

static enum err add_entry(struct wallet *w, const struct wallet_entry *entry, struct owner *owner,
                          struct error *e)
{
    if (w->n_entries == w->entries_cap) {
        const size_t cap = MAX_OF(2 * w->entries_cap, (size_t)64);
        void *more = cap > UINT32_MAX ? NULL : try_realloc(w->entries, cap, sizeof *w->entries);
        if (!more)
            return error_set(e, ERR_NOMEM, "no memory for the keys of the wallet");
        w->entries = (struct wallet_entry *)more;
        w->entries_cap = cap;
    }
    owner->id = (uint32_t)w->n_entries;
    owner->kind = entry->spendable ? OWNER_SPENDABLE : OWNER_WATCH;
    w->entries[w->n_entries++] = *entry;
    return OK;
}

enum err wallet_add_key(struct wallet *w, const struct wallet_entry *entry, struct error *e)
{
    struct owner owner = { .id = 0 };
    enum err rc = add_entry(w, entry, &owner, e);
    if (!rc && !scripts_add_key(w->scripts, span_of(entry->key, entry->key_len), owner))
        rc = error_set(e, ERR_NOMEM, "no memory for the scripts of the wallet");
    return rc;
}

static bool is_own(uint32_t branch)
{
    return branch < WALLET_BRANCHES;
}

/* The next one of its branch. */
static enum err add_derived(struct wallet *w, uint32_t branch, const uint8_t key[EC_PUBKEY_SIZE],
                            struct error *e)
{
    struct wallet_branch *b = &w->branches[branch];
    struct wallet_entry entry = { .branch = branch, .index = b->n_made, .derived = true,
                                  .spendable = is_own(branch), .key_len = EC_PUBKEY_SIZE };
    memcpy(entry.key, key, EC_PUBKEY_SIZE);
    enum err rc = wallet_add_key(w, &entry, e);
    if (!rc)
        b->n_made++;
    return rc;
}

static enum err make_key(struct wallet *w, uint32_t branch, struct error *e)
{
    struct hdkey child;
    enum err rc = hdkey_child(&child, &w->branches[branch].key, w->branches[branch].n_made, e);
    return rc ? rc : add_derived(w, branch, child.key, e);
}

/* Keys up to the look-ahead of this next index. */
static enum err look_ahead(struct wallet *w, uint32_t branch, uint32_t next, struct error *e)
{
    const uint64_t want = MIN_OF((uint64_t)next + w->p.gap_limit, (uint64_t)HDPATH_HARDENED);
    enum err rc = OK;
    while (!rc && w->branches[branch].n_made < want)
        rc = make_key(w, branch, e);
    return rc;
}

/* For keys that somebody asks for, perhaps while a block is told. */
static enum err extend(struct wallet *w, uint32_t branch, uint32_t next, struct error *e)
{
    const uint32_t had = w->branches[branch].n_made;
    enum err rc = look_ahead(w, branch, next, e);
    if (w->branches[branch].n_made > had && w->feed.open && w->feed.passed_over)
        w->feed.again = w->feed.given = true;
    return rc;
}

enum err wallet_fill_reserve(struct wallet *w, struct error *e)
{
    enum err rc = OK;
    for (uint32_t i = 0; !rc && i < WALLET_BRANCHES; i++)
        rc = look_ahead(w, i, (uint32_t)MIN_OF((uint64_t)w->branches[i].next + w->reserve,
                                               (uint64_t)HDPATH_HARDENED), e);
    return rc;
}

enum err wallet_see_script(struct wallet *w, struct span script, struct wallet_sight *seen,
                           struct error *e)
{
    struct owner owner;
    if (!scripts_find(w->scripts, script, &owner))
        return OK;
    seen->pays_us = true;
    const struct wallet_entry entry = w->entries[owner.id]; /* the array may move */
    if (!entry.derived || entry.index < w->branches[entry.branch].next)
        return OK;
    struct wallet_branch *b = &w->branches[entry.branch];
    const uint32_t had = b->n_made;
    enum err rc = look_ahead(w, entry.branch, entry.index + 1, e);
    seen->made |= b->n_made > had;
    if (!rc) {
        b->next = entry.index + 1;
        b->seen = true;
    }
    return rc;
}

enum err wallet_store_seen(struct wallet *w, struct error *e)
{
    enum err rc = OK;
    for (size_t i = 0; !rc && i < w->n_branches; i++) {
        struct wallet_branch *b = &w->branches[i];
        if (b->seen)
            rc = keystore_raise_index(w->ks, b->account, b->which, b->next, e);
        if (!rc)
            b->seen = false;
    }
    return rc;
}

/* --- loading --- */

static void note_birth(struct wallet *w, int64_t birth, bool *any)
{
    if (!*any || birth < w->birth)
        w->birth = birth;
    *any = true;
}

struct loading {
    struct wallet *w;
    bool own, any; /* the account was found; any record had a birth */
};

static uint32_t watched_account(const char *text)
{
    uint8_t digest[32];
    sha256(digest, text, strlen(text));
    return HDPATH_HARDENED | be32_get(digest);
}

/* The table of the branches' keys is not filled yet. */
static enum err set_branches(struct wallet *w, size_t at, uint32_t account,
                             const struct hdkey *key, struct error *e)
{
    enum err rc = OK;
    for (uint32_t i = 0; !rc && i < WALLET_BRANCHES; i++) {
        struct wallet_branch *b = &w->branches[at + i];
        *b = (struct wallet_branch){ .account = account, .which = (enum keystore_branch)i };
        rc = hdkey_child(&b->key, key, i, e);
    }
    return rc;
}

enum err wallet_watch_branches(struct wallet *w, const char *text, const struct hdkey *key,
                               struct error *e)
{
    const size_t n = w->n_branches;
    void *more = try_realloc(w->branches, n + WALLET_BRANCHES, sizeof *w->branches);
    if (!more)
        return error_set(e, ERR_NOMEM, "no memory for the keys of the wallet");
    w->branches = (struct wallet_branch *)more;
    enum err rc = set_branches(w, n, watched_account(text), key, e);
    if (!rc)
        w->n_branches = n + WALLET_BRANCHES;
    return rc;
}

static enum err load_account(void *ctx, const struct key_record *r, struct error *e)
{
    struct loading *l = (struct loading *)ctx;
    struct hdkey key;
    char text[HDKEY_TEXT_MAX];
    if (r->id.len >= sizeof text)
        return error_set(e, ERR_CORRUPT, "an extended key of the wallet is too long");
    memcpy(text, r->id.data, r->id.len);
    text[r->id.len] = 0;
    note_birth(l->w, r->birth, &l->any);
    enum err rc = hdkey_decode(&key, l->w->p.network, text, e);
    if (rc)
        return rc;
    if (!(r->flags & WALLET_XPUB_OWN))
        return wallet_watch_branches(l->w, text, &key, e);
    l->own = true;
    return set_branches(l->w, 0, WALLET_ACCOUNT, &key, e);
}

static enum err load_key(void *ctx, const struct key_record *r, struct error *e)
{
    struct loading *l = (struct loading *)ctx;
    struct wallet_entry entry = { .spendable = r->kind == KEY_RECORD_SECRET,
                                  .key_len = (uint8_t)r->id.len };
    entry.of_payment = entry.spendable && (r->flags & WALLET_SECRET_OF_PAYMENT);
    if (r->id.len > sizeof entry.key)
        return error_set(e, ERR_CORRUPT, "a key of the wallet is too long");
    memcpy(entry.key, r->id.data, r->id.len);
    note_birth(l->w, r->birth, &l->any);
    return wallet_add_key(l->w, &entry, e);
}

enum err wallet_add_script(struct wallet *w, struct span script, struct error *e)
{
    const struct wallet_entry entry = { .key_len = 0 };
    struct owner owner = { .id = 0 };
    enum err rc = add_entry(w, &entry, &owner, e);
    if (!rc && !scripts_add(w->scripts, script, owner))
        rc = error_set(e, ERR_NOMEM, "no memory for the scripts of the wallet");
    return rc;
}

static enum err load_script(void *ctx, const struct key_record *r, struct error *e)
{
    struct loading *l = (struct loading *)ctx;
    note_birth(l->w, r->birth, &l->any);
    return wallet_add_script(l->w, r->id, e);
}

enum err wallet_fill_branches(struct wallet *w, size_t from, struct error *e)
{
    enum err rc = OK;
    for (size_t i = from; !rc && i < w->n_branches; i++) {
        struct wallet_branch *b = &w->branches[i];
        uint32_t next = 0;
        rc = keystore_peek_index(w->ks, b->account, b->which, &next, e);
        b->next = MAX_OF(b->next, next);
        if (!rc)
            rc = look_ahead(w, (uint32_t)i, b->next, e);
    }
    return rc;
}

/* Keys that were derived at an earlier opening, or will be found at the next. */
static enum err load_run(struct wallet *w, uint32_t branch, struct kv *cache, struct error *e)
{
    struct wallet_branch *b = &w->branches[branch];
    const uint32_t number = b->n_made / KEY_CACHE_RUN;
    uint8_t keys[KEY_CACHE_BYTES];
    struct error ignored;
    bool found;
    enum err rc = key_cache_load(cache, &b->key, number, keys, &found, e);
    for (size_t i = 0; !rc && i < KEY_CACHE_RUN; i++) {
        uint8_t *key = keys + i * EC_PUBKEY_SIZE;
        rc = found ? add_derived(w, branch, key, e) : make_key(w, branch, e);
        if (!rc && !found)
            memcpy(key, w->entries[w->n_entries - 1].key, EC_PUBKEY_SIZE);
    }
    if (!rc && !found && key_cache_store(cache, &b->key, number, keys, &ignored))
        log_debug(LOGC_WALLET, "derived keys are not kept: %s", ignored.text);
    return rc;
}

static enum err load_runs(struct wallet *w, uint32_t branch, struct kv *cache, struct error *e)
{
    const struct wallet_branch *b = &w->branches[branch];
    enum err rc = keystore_peek_index(w->ks, b->account, b->which, &w->branches[branch].next, e);
    while (!rc && b->n_made + KEY_CACHE_RUN <= b->next)
        rc = load_run(w, branch, cache, e);
    return rc;
}

enum err wallet_load_keys(struct wallet *w, struct kv *cache, struct error *e)
{
    struct loading l = { .w = w };
    w->branches = (struct wallet_branch *)xcalloc(WALLET_BRANCHES, sizeof *w->branches);
    w->n_branches = WALLET_BRANCHES;
    enum err rc = keystore_each(w->ks, KEY_RECORD_XPUB, load_account, &l, e);
    if (!rc && !l.own)
        rc = error_set(e, ERR_CORRUPT, "the wallet has lost its account: restore a backup");
    if (!rc)
        rc = keystore_each(w->ks, KEY_RECORD_SCRIPT, load_script, &l, e);
    if (!rc)
        rc = keystore_each(w->ks, KEY_RECORD_PUBKEY, load_key, &l, e);
    if (!rc)
        rc = keystore_each(w->ks, KEY_RECORD_SECRET, load_key, &l, e);
    /* The last owner of a script counts: of a key that was imported too the derived one, which
     * moves the look-ahead. */
    for (uint32_t i = 0; !rc && i < w->n_branches; i++)
        rc = load_runs(w, i, cache, e);
    return rc ? rc : wallet_fill_branches(w, 0, e);
}

int64_t wallet_birth(struct wallet *w)
{
    wallet_lock(w);
    const int64_t birth = w->birth;
    wallet_unlock(w);
    return birth;
}

/* --- addresses --- */

static void describe(struct wallet_key *out, const struct wallet_entry *entry)
{
    *out = (struct wallet_key){ .key_len = entry->key_len,
                                .spendable = entry->spendable,
                                .of_payment = entry->of_payment };
    if (entry->derived && is_own(entry->branch)) {
        out->derived = true;
        out->branch = (enum keystore_branch)entry->branch;
        out->index = entry->index;
    }
    memcpy(out->key, entry->key, entry->key_len);
}

bool wallet_find_key_locked(const struct wallet *w, struct span script, struct wallet_key *out)
{
    struct owner owner;
    *out = (struct wallet_key){ .key_len = 0 };
    if (!scripts_find(w->scripts, script, &owner))
        return false;
    describe(out, &w->entries[owner.id]);
    out->spendable = owner.kind == OWNER_SPENDABLE;
    return true;
}

/* Neither change, nor a key of the look-ahead. */
static bool is_given_out(const struct wallet *w, const struct wallet_entry *entry)
{
    if (!entry->key_len)
        return false;
    return !entry->derived || (w->branches[entry->branch].which == KEYSTORE_RECEIVE &&
                               entry->index < w->branches[entry->branch].next);
}

void wallet_each_address(struct wallet *w, wallet_address_fn fn, void *ctx)
{
    uint8_t script[SCRIPT_P2PKH_SIZE];
    wallet_lock(w);
    for (size_t i = 0; i < w->n_entries; i++) {
        const struct wallet_entry *entry = &w->entries[i];
        if (!is_given_out(w, entry))
            continue;
        script_make_for_key(script, span_of(entry->key, entry->key_len));
        fn(ctx, span_of(script, sizeof script), !entry->spendable);
    }
    wallet_unlock(w);
}

bool wallet_find_key(struct wallet *w, struct span script, struct wallet_key *out)
{
    wallet_lock(w);
    const bool found = wallet_find_key_locked(w, script, out);
    wallet_unlock(w);
    return found;
}

bool wallet_is_change(struct wallet *w, struct span script)
{
    struct wallet_key k;
    return wallet_find_key(w, script, &k) && k.derived && k.branch == KEYSTORE_CHANGE;
}

struct each {
    struct wallet *w;
    wallet_each_fn fn;
    void *ctx;
};

static enum err tell_key(const struct each *all, size_t i, struct error *e)
{
    const struct wallet_entry *entry = &all->w->entries[i];
    uint8_t script[SCRIPT_P2PKH_SIZE];
    struct owner owner;
    struct wallet_key k;
    if (!entry->key_len ||
        (entry->derived && entry->index >= all->w->branches[entry->branch].next))
        return OK;
    script_make_for_key(script, span_of(entry->key, entry->key_len));
    if (!scripts_find(all->w->scripts, span_of(script, sizeof script), &owner) || owner.id != i)
        return OK; /* it is there once more, with a later entry */
    describe(&k, entry);
    return all->fn(all->ctx, &k, span_of(script, sizeof script), e);
}

static enum err tell_script(void *ctx, const struct key_record *r, struct error *e)
{
    const struct each *all = (const struct each *)ctx;
    struct wallet_key k;
    if (!wallet_find_key_locked(all->w, r->id, &k) || k.key_len)
        return OK;
    return all->fn(all->ctx, &k, r->id, e);
}

enum err wallet_each(struct wallet *w, wallet_each_fn fn, void *ctx, struct error *e)
{
    struct each all = { w, fn, ctx };
    enum err rc = OK;
    wallet_lock(w);
    for (size_t i = 0; !rc && i < w->n_entries; i++)
        rc = tell_key(&all, i, e);
    if (!rc)
        rc = keystore_each(w->ks, KEY_RECORD_SCRIPT, tell_script, &all, e);
    wallet_unlock(w);
    return rc;
}

static enum err new_key_locked(struct wallet *w, enum keystore_branch branch,
                               struct wallet_key *out, struct error *e)
{
    struct wallet_branch *b = &w->branches[branch];
    struct hdkey child;
    uint32_t index;
    enum err rc = wallet_store_seen(w, e); /* of a block that is being told */
    if (!rc)
        rc = extend(w, branch, b->next + 1, e);
    if (!rc)
        rc = keystore_next_index(w->ks, WALLET_ACCOUNT, branch, &index, e);
    if (rc)
        return rc;
    b->next = index + 1;
    rc = hdkey_child(&child, &b->key, index, e);
    *out = (struct wallet_key){ .key_len = EC_PUBKEY_SIZE, .derived = true, .spendable = true,
                                .branch = branch, .index = index };
    memcpy(out->key, child.key, EC_PUBKEY_SIZE);
    return rc;
}

enum err wallet_new_key(struct wallet *w, enum keystore_branch branch, struct span label,
                        struct wallet_key *out, struct error *e)
{
    uint8_t script[SCRIPT_P2PKH_SIZE];
    wallet_lock(w);
    enum err rc = new_key_locked(w, branch, out, e);
    if (!rc && label.len) {
        script_make_for_key(script, span_of(out->key, out->key_len));
        rc = keystore_set_label(w->ks, span_of(script, sizeof script), label, e);
    }
    wallet_unlock(w);
    return rc;
}

enum err wallet_raise_gap_limit(struct wallet *w, uint32_t gap_limit, struct error *e)
{
    enum err rc = OK;
    wallet_lock(w);
    w->p.gap_limit = MAX_OF(w->p.gap_limit, gap_limit);
    for (uint32_t i = 0; !rc && i < w->n_branches; i++)
        rc = extend(w, i, w->branches[i].next, e);
    if (!rc)
        rc = history_owners_changed(w->history, e);
    wallet_unlock(w);
    return rc;
}
