#include <config.h>

#include "wallet/wallets.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

struct wallets {
    char *dir;
    struct wallet_params p;
    void (*wake)(void *ctx);
    void *ctx;
    pthread_mutex_t changing; /* held while one is created, loaded or unloaded: one at a time */
    pthread_mutex_t lock;     /* over the list, never held for long */
    struct wallet **list;     /* in the order of their names */
    size_t n;
};

struct wallets *wallets_new(const char *dir, const struct wallet_params *p,
                            void (*wake)(void *ctx), void *ctx)
{
    struct wallets *ws = (struct wallets *)xcalloc(1, sizeof *ws);
    ws->dir = xstrdup(dir);
    ws->p = *p;
    ws->wake = wake;
    ws->ctx = ctx;
    pthread_mutex_init(&ws->changing, NULL);
    pthread_mutex_init(&ws->lock, NULL);
    return ws;
}

void wallets_free(struct wallets *ws)
{
    if (!ws)
        return;
    for (size_t i = 0; i < ws->n; i++)
        wallet_unref(ws->list[i]);
    free(ws->list);
    pthread_mutex_destroy(&ws->changing);
    pthread_mutex_destroy(&ws->lock);
    free(ws->dir);
    free(ws);
}

/* --- names --- */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_' || c == '.';
}

static bool is_name(const char *name)
{
    const size_t len = strlen(name);
    if (len == 0 || len > WALLET_NAME_MAX || name[0] == '.')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_name_char(name[i]))
            return false;
    return true;
}

static enum err check_name(const char *name, struct error *e)
{
    return is_name(name) ? OK
                         : error_set(e, ERR_RANGE,
                                     "the name of a wallet has 1 to %d letters, digits, '-', '_' "
                                     "and '.', which cannot be the first",
                                     WALLET_NAME_MAX);
}

/* --- the list --- */

/* Where the name is or belongs. */
static size_t place_of(const struct wallets *ws, const char *name, bool *found)
{
    size_t at = 0;
    while (at < ws->n && strcmp(wallet_name(ws->list[at]), name) < 0)
        at++;
    *found = at < ws->n && strcmp(wallet_name(ws->list[at]), name) == 0;
    return at;
}

static void list_add(struct wallets *ws, struct wallet *w)
{
    bool found;
    pthread_mutex_lock(&ws->lock);
    const size_t at = place_of(ws, wallet_name(w), &found);
    ws->list = (struct wallet **)xrealloc(ws->list, (ws->n + 1) * sizeof(*ws->list));
    memmove(ws->list + at + 1, ws->list + at, (ws->n - at) * sizeof(*ws->list));
    ws->list[at] = w;
    ws->n++;
    pthread_mutex_unlock(&ws->lock);
}

static struct wallet *list_take(struct wallets *ws, const char *name)
{
    bool found;
    struct wallet *w = NULL;
    pthread_mutex_lock(&ws->lock);
    const size_t at = place_of(ws, name, &found);
    if (found) {
        w = ws->list[at];
        ws->n--;
        memmove(ws->list + at, ws->list + at + 1, (ws->n - at) * sizeof(*ws->list));
    }
    pthread_mutex_unlock(&ws->lock);
    return w;
}

struct wallet *wallets_get(struct wallets *ws, const char *name)
{
    bool found;
    pthread_mutex_lock(&ws->lock);
    const size_t at = place_of(ws, name, &found);
    struct wallet *w = found ? wallet_ref(ws->list[at]) : NULL;
    pthread_mutex_unlock(&ws->lock);
    return w;
}

size_t wallets_all(struct wallets *ws, struct wallet ***out)
{
    pthread_mutex_lock(&ws->lock);
    const size_t n = ws->n;
    *out = (struct wallet **)xmalloc((n + 1) * sizeof(**out));
    for (size_t i = 0; i < n; i++)
        (*out)[i] = wallet_ref(ws->list[i]);
    pthread_mutex_unlock(&ws->lock);
    return n;
}

void wallets_wake(struct wallets *ws)
{
    if (ws->wake)
        ws->wake(ws->ctx);
}

/* --- creating, loading --- */

static enum err refuse_loaded(struct wallets *ws, const char *name, struct error *e)
{
    struct wallet *w = wallets_get(ws, name);
    wallet_unref(w);
    return w ? error_set(e, ERR_EXISTS, "the wallet %s is loaded already", name) : OK;
}

/* how: NULL to load one. */
static enum err add_wallet(struct wallets *ws, const char *name, const struct wallet_new *how,
                           struct wallet **out, struct error *e)
{
    struct wallet *w = NULL;
    char *dir = path_join(ws->dir, name);
    enum err rc = refuse_loaded(ws, name, e);
    if (!rc)
        rc = how ? wallet_create(&w, dir, name, &ws->p, how, e)
                 : wallet_open(&w, dir, name, &ws->p, e);
    free(dir);
    if (rc)
        return rc;
    *out = wallet_ref(w);
    list_add(ws, w);
    return OK;
}

static enum err add_named(struct wallets *ws, const char *name, const struct wallet_new *how,
                          struct wallet **out, struct error *e)
{
    enum err rc = check_name(name, e);
    if (rc)
        return rc;
    pthread_mutex_lock(&ws->changing);
    rc = add_wallet(ws, name, how, out, e);
    pthread_mutex_unlock(&ws->changing);
    if (!rc)
        wallets_wake(ws);
    return rc;
}

enum err wallets_create(struct wallets *ws, const char *name, const struct wallet_new *how,
                        struct wallet **out, struct error *e)
{
    return add_named(ws, name, how, out, e);
}

enum err wallets_load(struct wallets *ws, const char *name, struct wallet **out, struct error *e)
{
    return add_named(ws, name, NULL, out, e);
}

enum err wallets_unload(struct wallets *ws, const char *name, struct error *e)
{
    pthread_mutex_lock(&ws->changing);
    struct wallet *w = list_take(ws, name);
    pthread_mutex_unlock(&ws->changing);
    if (!w)
        return error_set(e, ERR_NOTFOUND, "no wallet %s is loaded", name);
    wallet_unref(w);
    return OK;
}

/* --- on disk --- */

struct listing {
    const struct wallets *ws;
    wallets_name_fn fn;
    void *ctx;
};

static void list_one(void *ctx, const char *name)
{
    const struct listing *l = (const struct listing *)ctx;
    if (is_name(name)) {
        char *dir = path_join(l->ws->dir, name);
        if (wallet_exists(dir))
            l->fn(l->ctx, name);
        free(dir);
    }
}

enum err wallets_each_on_disk(struct wallets *ws, wallets_name_fn fn, void *ctx, struct error *e)
{
    struct listing l = { ws, fn, ctx };
    return path_exists(ws->dir) ? path_list(ws->dir, list_one, &l, e) : OK;
}
