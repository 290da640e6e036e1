#include "wallet/identity_move.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "wallet/identity_file.h"
#include "wallet/identity_internal.h"

/* Over all three steps of an export, and over an import: two exports of one identity at once would
 * give two files that are both good. Before the lock of a wallet. */
static pthread_mutex_t moving = PTHREAD_MUTEX_INITIALIZER;

static bool same_key(const struct identity *a, const struct identity *b)
{
    return mem_equal_var(a->public_key, b->public_key, sizeof a->public_key);
}

/* In secret memory. */
static struct identity_file *new_file(void)
{
    struct identity_file *f = secret_alloc(sizeof *f);
    identity_file_init(f);
    return f;
}

static void free_file(struct identity_file *f)
{
    identity_file_clear(f);
    secret_free(f);
}

static enum err read_file(struct identity_file *f, const char *path, const struct wallet *w,
                          enum bca_network network, struct span passphrase, struct error *e)
{
    struct buf content;
    buf_init(&content);
    enum err rc = file_read_regular(path, IDENTITY_FILE_MAX, &content, e);
    if (!rc) {
        rc = identity_file_read(f, buf_span(&content), wallet_params(w)->magic, network,
                                passphrase, e);
        if (rc)
            (void)error_prefix(e, rc, "%s", path);
    }
    buf_wipe(&content);
    return rc;
}

/* --- export --------------------------------------------------------------------------------- */

struct exporting {
    struct wallet *w;
    const struct identity *ready;
    struct identity_export *how;
    bool again; /* an earlier one did not come to its end */
    struct identity_file *file;
};

static enum err may_move(const struct identity *id, struct error *e)
{
    switch (id->use) {
    case IDENTITY_OPEN:
    case IDENTITY_MOVING:
        return OK;
    case IDENTITY_RESTORED:
    case IDENTITY_RECOVERED:
        return error_set(e, ERR_RANGE, "%s was restored and forms no addresses: there is nothing "
                         "to move", id->name);
    case IDENTITY_MOVED:
    case IDENTITY_USES:
        break;
    }
    return error_set(e, ERR_RANGE, "%s has moved already: only the wallet that has it now can "
                     "move it on", id->name);
}

static bool belongs(const struct identity *id, const struct identity_address *a)
{
    struct bca_params p;
    return strcmp(a->name, id->name) == 0 &&
           bca_params_read(buf_span(&a->params), &p, NULL) == OK &&
           mem_equal_var(p.public_key, id->public_key, sizeof id->public_key);
}

static enum err collect(void *ctx, const struct identity_address *a, struct error *e)
{
    struct identity_file *f = ctx;
    if (!belongs(&f->id, a))
        return OK;
    if (f->n == IDENTITY_FILE_ADDRESSES_MAX)
        return error_set(e, ERR_RANGE, "%s has too many addresses to move", f->id.name);
    if (!f->addresses)
        f->addresses = xcalloc(IDENTITY_FILE_ADDRESSES_MAX, sizeof *f->addresses);
    struct identity_address *to = &f->addresses[f->n++];
    *to = *a;
    buf_init(&to->params);
    buf_put(&to->params, a->params.data, a->params.len);
    return OK;
}

/* The proof of the block that holds it now. */
static void take_proof(struct identity *id, const struct identity *ready)
{
    id->sent = id->mined = true;
    id->txid = ready->txid;
    memcpy(id->header, ready->header, sizeof id->header);
    id->tx_index = ready->tx_index;
    id->tx_depth = ready->tx_depth;
    memcpy(id->tx_siblings, ready->tx_siblings, sizeof id->tx_siblings);
    buf_reset(&id->tx);
    buf_put(&id->tx, ready->tx.data, ready->tx.len);
}

/* What the wallet keeps encrypted does not leave it in plain. */
static enum err may_write(struct exporting *g, struct error *e)
{
    const bool encrypted = keystore_state(wallet_keystore(g->w), NULL) != KEYSTORE_PLAIN;
    g->how->no_passphrase = encrypted && g->how->passphrase.len == 0;
    if (g->how->no_passphrase)
        return error_set(e, ERR_RANGE, "the wallet is encrypted: give a passphrase for the file");
    return OK;
}

/* Step 1. */
static enum err begin_locked(struct exporting *g, struct error *e)
{
    struct keystore *ks = wallet_keystore(g->w);
    struct identity_file *f = g->file;
    bool found;
    enum err rc = identity_load(ks, g->ready->name, &f->id, &found, e);
    if (!rc && (!found || !same_key(&f->id, g->ready)))
        rc = error_set(e, ERR_BUSY, "the identity was changed meanwhile");
    if (!rc)
        rc = may_move(&f->id, e);
    if (!rc)
        rc = identity_get_secrets(ks, &f->id, &f->secrets, e);
    if (!rc)
        rc = may_write(g, e);
    if (!rc)
        rc = identity_each_address(ks, collect, f, e);
    if (rc)
        return rc;
    g->how->unused = (unsigned)(f->id.n_modifiers - f->id.n_used);
    g->again = f->id.use == IDENTITY_MOVING;
    if (g->again)
        return OK;
    if (path_exists(g->how->path))
        return error_set(e, ERR_EXISTS, "%s: file exists", g->how->path);
    take_proof(&f->id, g->ready);
    f->id.use = IDENTITY_MOVING;
    f->id.moves++;
    return identity_store(ks, &f->id, e);
}

/* What an earlier try left is whole. */
static enum err accept_file(const struct exporting *g, struct error *e)
{
    struct identity_file *there = new_file();
    enum err rc = read_file(there, g->how->path, g->w, g->how->network, g->how->passphrase, e);
    if (!rc && (!same_key(&there->id, &g->file->id) || there->id.moves != g->file->id.moves))
        rc = error_set(e, ERR_EXISTS, "%s: file exists", g->how->path);
    free_file(there);
    return rc;
}

/* Step 2. */
static enum err write_file(const struct exporting *g, struct error *e)
{
    const struct scrypt_params scrypt = keystore_scrypt(wallet_keystore(g->w));
    struct buf content;
    if (g->again && path_exists(g->how->path))
        return accept_file(g, e);
    buf_init(&content);
    enum err rc = identity_file_write(&content, g->file, wallet_params(g->w)->magic,
                                      g->how->passphrase, &scrypt, e);
    if (!rc)
        rc = file_create_checked(g->how->path, content.data, content.len, e);
    buf_wipe(&content);
    return rc;
}

/* Step 3, or back to where it was when there is no file. */
static enum err mark(const struct exporting *g, enum identity_use use, uint32_t moves,
                     struct error *e)
{
    struct identity now;
    bool found;
    identity_init(&now);
    wallet_lock(g->w);
    enum err rc = identity_load(wallet_keystore(g->w), g->ready->name, &now, &found, e);
    if (!rc && found) {
        now.use = use;
        now.moves = moves;
        rc = identity_store(wallet_keystore(g->w), &now, e);
    }
    wallet_unlock(g->w);
    identity_clear(&now);
    return rc;
}

static enum err run(struct exporting *g, struct error *e)
{
    struct error why = { .code = OK };
    wallet_lock(g->w);
    enum err rc = begin_locked(g, e);
    wallet_unlock(g->w);
    if (rc)
        return rc;
    rc = write_file(g, e);
    const uint32_t moves = g->file->id.moves;
    if (!rc)
        return mark(g, IDENTITY_MOVED, moves, e);
    if (!g->again && !path_exists(g->how->path) && mark(g, IDENTITY_OPEN, moves - 1, &why))
        log_warn("wallet \"%s\": %s", wallet_name(g->w), why.text);
    return rc;
}

enum err identity_export(struct wallet *w, const struct identity *id, struct identity_export *how,
                         struct error *e)
{
    struct exporting g = { .w = w, .ready = id, .how = how, .file = new_file() };
    how->no_passphrase = false;
    pthread_mutex_lock(&moving);
    const enum err rc = run(&g, e);
    pthread_mutex_unlock(&moving);
    free_file(g.file);
    return rc;
}

/* --- import --------------------------------------------------------------------------------- */

/* Whether it has been elsewhere since what is here: it knows which modifiers were used. */
static bool comes_back(const struct identity *here, const struct identity *id)
{
    return here->use != IDENTITY_OPEN && same_key(here, id) && id->moves > here->moves;
}

static enum err find_place(struct wallet *w, struct identity *id, struct error *e)
{
    struct keystore *ks = wallet_keystore(w);
    struct identity here;
    bool found, has;
    identity_init(&here);
    enum err rc = identity_load(ks, id->name, &here, &found, e);
    if (!rc)
        rc = keystore_has(ks, KEY_RECORD_IDENTITY_KEYS,
                          span_of(id->public_key, sizeof id->public_key), &has, e);
    if (!rc && found && comes_back(&here, id))
        id->number = here.number;
    else if (!rc && found)
        rc = error_set(e, ERR_EXISTS, "there is an identity %s already", id->name);
    else if (!rc && has)
        rc = error_set(e, ERR_EXISTS, "the wallet has this identity already");
    identity_clear(&here);
    return rc;
}

static enum err store_all(struct wallet *w, const struct identity_file *f, struct error *e)
{
    uint8_t secret[IDENTITY_SECRETS_SIZE];
    struct key_record *r = xcalloc(2 + f->n, sizeof *r);
    struct buf *room = xcalloc(1 + f->n, sizeof *room);
    identity_secrets_write(secret, &f->secrets);
    r[0] = identity_record(&f->id, &room[0]);
    r[1] = identity_keys_record(&f->id, span_of(secret, sizeof secret));
    for (size_t i = 0; i < f->n; i++)
        r[2 + i] = identity_address_record(&f->addresses[i], &room[1 + i]);
    const enum err rc = keystore_replace(wallet_keystore(w), r, 2 + f->n, e);
    for (size_t i = 0; i < 1 + f->n; i++)
        buf_clear(&room[i]);
    free(room);
    free(r);
    secure_wipe(secret, sizeof secret);
    return rc;
}

/* The wallet then sees the registration in another block when this one is reorganised away. */
static enum err watch_marker(struct wallet *w, const struct identity *id, struct error *e)
{
    struct error why = { .code = OK };
    const enum err rc = wallet_import_script(w, span_of(id->marker, sizeof id->marker),
                                             span_of(NULL, 0), WALLET_NO_SCAN, &why);
    return rc && rc != ERR_EXISTS ? error_set(e, rc, "%s", why.text) : OK;
}

/* The marker is watched first: alone that does no harm. */
static enum err place_locked(struct wallet *w, struct identity_file *f, struct error *e)
{
    enum err rc = find_place(w, &f->id, e);
    if (!rc && keystore_state(wallet_keystore(w), NULL) == KEYSTORE_LOCKED)
        rc = error_set(e, ERR_AUTH, "the wallet is locked");
    if (!rc)
        rc = watch_marker(w, &f->id, e);
    return rc ? rc : store_all(w, f, e);
}

static void rename_all(struct identity_file *f, const char *name)
{
    f->id.use = IDENTITY_OPEN;
    f->id.number = IDENTITY_NO_NUMBER;
    if (!name)
        return;
    memcpy(f->id.name, name, strlen(name) + 1);
    for (size_t i = 0; i < f->n; i++)
        memcpy(f->addresses[i].name, f->id.name, sizeof f->id.name);
}

enum err identity_import(struct wallet *w, struct identity_import *how, struct error *e)
{
    struct identity_file *f = new_file();
    how->fault = IMPORT_FAULT_FILE;
    enum err rc = read_file(f, how->path, w, how->network, how->passphrase, e);
    if (!rc) {
        how->fault = IMPORT_FAULT_WALLET;
        rename_all(f, how->name);
        pthread_mutex_lock(&moving);
        wallet_lock(w);
        rc = place_locked(w, f, e);
        wallet_unlock(w);
        pthread_mutex_unlock(&moving);
    }
    if (!rc) {
        how->id = f->id;
        f->id.tx = (struct buf){ 0 };
    }
    free_file(f);
    return rc;
}
