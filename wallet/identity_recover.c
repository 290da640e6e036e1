#include "wallet/identity_recover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "bca/registration.h"
#include "wallet/identity_internal.h"

struct candidate {
    uint32_t number;
    struct txid txid;
    uint8_t modifier_root[32], marker_hash[20];
};

struct recovering {
    struct wallet *w;
    struct identity_tree *tree;
    uint8_t (*hashes)[32]; /* H(public key) of each number */
    uint32_t n_hashes;
    struct candidate *all;
    size_t n, cap;
    bool nomem;
    identity_fn fn;
    void *ctx;
};

/* --- registrations among the transactions --------------------------------------------------- */

static enum err make_hashes(struct recovering *g, struct error *e)
{
    struct identity_secrets s;
    enum err rc = identity_last_number(wallet_keystore(g->w), &g->n_hashes, e);
    if (rc)
        return rc;
    g->hashes = try_alloc(g->n_hashes, sizeof *g->hashes);
    if (!g->hashes)
        return error_set(e, ERR_NOMEM, "no memory for the keys of identities");
    for (uint32_t i = 0; !rc && i < g->n_hashes; i++) {
        rc = identity_tree_key(g->tree, i, &s, e);
        sha256(g->hashes[i], s.public_key, sizeof s.public_key);
    }
    secure_wipe(&s, sizeof s);
    return rc;
}

static bool find_number(const struct recovering *g, const uint8_t hash[32], uint32_t *number)
{
    for (*number = 0; *number < g->n_hashes; ++*number)
        if (mem_equal_var(g->hashes[*number], hash, 32))
            return true;
    return false;
}

static bool has_room(struct recovering *g)
{
    if (g->n < g->cap)
        return true;
    const size_t cap = 2 * g->cap + 8;
    struct candidate *more = try_realloc(g->all, cap, sizeof *more);
    if (!more)
        return false;
    g->all = more;
    g->cap = cap;
    return true;
}

static bool see_tx(void *ctx, const struct history_tx *t)
{
    struct recovering *g = ctx;
    struct bca_registration r;
    uint32_t number;
    if (!t->from_us || t->abandoned || t->confirmations < 0 ||
        bca_registration_find(span_of(t->tx->raw.data, t->tx->raw.len), &r) !=
            BCA_REGISTRATION_FOUND ||
        !r.marker || !find_number(g, r.key_hash, &number))
        return true;
    g->nomem = !has_room(g);
    if (g->nomem)
        return false;
    struct candidate *c = &g->all[g->n++];
    *c = (struct candidate){ .number = number, .txid = t->tx->id };
    memcpy(c->modifier_root, r.modifier_root, sizeof c->modifier_root);
    memcpy(c->marker_hash, r.marker, sizeof c->marker_hash);
    return true;
}

/* --- what becomes of them ------------------------------------------------------------------- */

struct look_up {
    const uint8_t *registration;
    bool known;
};

static enum err compare(void *ctx, const struct identity *id, struct error *e)
{
    struct look_up *l = ctx;
    (void)e;
    l->known |= mem_equal_var(id->registration, l->registration, sizeof id->registration);
    return OK;
}

/* The first name that is free. */
static enum err give_name(struct recovering *g, struct identity *id, struct error *e)
{
    bool taken = true;
    enum err rc = OK;
    for (unsigned i = 1; !rc && taken; i++) {
        snprintf(id->name, sizeof id->name, "recovered-%u", i);
        rc = keystore_has(wallet_keystore(g->w), KEY_RECORD_IDENTITY,
                          span_of(id->name, strlen(id->name)), &taken, e);
    }
    return rc;
}

static enum err store(struct recovering *g, struct identity *id, const struct identity_secrets *s,
                      struct error *e)
{
    struct look_up l = { .registration = id->registration };
    struct error why = { .code = OK };
    enum err rc = identity_each(wallet_keystore(g->w), compare, &l, e);
    if (rc || l.known)
        return rc;
    rc = give_name(g, id, &why);
    if (!rc)
        rc = identity_number_taken(wallet_keystore(g->w), id->number, &why);
    if (!rc)
        rc = identity_store_with_keys(wallet_keystore(g->w), id, s, &why);
    if (rc == ERR_EXISTS) /* its key is that of another registration, and is there with it */
        return OK;
    if (rc)
        return error_set(e, rc, "%s", why.text);
    return g->fn ? g->fn(g->ctx, id, e) : OK;
}

static enum err take(struct recovering *g, const struct candidate *c, struct error *e)
{
    uint8_t marker[SCRIPT_P2PKH_SIZE];
    struct identity_secrets s = { .key = { 0 } };
    struct identity id = { .use = IDENTITY_RECOVERED, .number = c->number, .sent = true,
                           .txid = c->txid };
    script_make_p2pkh(marker, c->marker_hash);
    enum err rc = identity_tree_key(g->tree, c->number, &s, e);
    if (!rc) {
        identity_tree_marker(g->tree, c->modifier_root, &s);
        memcpy(id.public_key, s.public_key, sizeof id.public_key);
        bca_registration_put(id.registration, s.public_key, c->modifier_root);
        if (identity_marker_script(&s, id.marker) &&
            mem_equal_var(id.marker, marker, sizeof marker))
            rc = store(g, &id, &s, e);
    }
    secure_wipe(&s, sizeof s);
    return rc;
}

enum err identity_recover(struct wallet *w, identity_fn fn, void *ctx, struct error *e)
{
    struct recovering g = { .w = w, .fn = fn, .ctx = ctx };
    enum err rc = identity_tree_open(&g.tree, w, e);
    if (!rc)
        rc = make_hashes(&g, e);
    if (!rc)
        rc = history_list(wallet_history(w), 0, see_tx, &g, e);
    if (!rc && g.nomem)
        rc = error_set(e, ERR_NOMEM, "no memory for the registrations of the wallet");
    while (!rc && g.n) /* the oldest first, since the history gives the newest first */
        rc = take(&g, &g.all[--g.n], e);
    identity_tree_free(g.tree);
    free(g.hashes);
    free(g.all);
    return rc;
}
