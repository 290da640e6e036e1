#include <config.h>

#include "node/channel_identities.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/bca_view.h"
#include "chain/chain.h"
#include "node/key_copy.h"
#include "p2p/bca_own.h"
#include "wallet/identity.h"

#define LOOK_MS 500

/* What the channels hold: id is the first member. */
struct own_identity {
    struct channel_identity id;
    struct key_copy *secret;
    uint8_t params[];
};

static void release(struct channel_identity *id)
{
    struct own_identity *own = (struct own_identity *)id;
    key_copy_unref(own->secret);
    free(own);
}

void channel_identity_wallet(const struct channel_identity *id, char out[WALLET_NAME_MAX + 1])
{
    const struct own_identity *own = (const struct own_identity *)id;
    memcpy(out, own->secret->wallet, WALLET_NAME_MAX + 1);
}

/* --- what is collected --- */

struct found_address {
    uint8_t address[BCA_ADDRESS_SIZE];
    struct buf params;
    int64_t assigned; /* since when; 0: it is on no interface */
    unsigned modifier, collisions;
};

struct found {
    char name[IDENTITY_NAME_MAX + 1];
    uint32_t number;
    uint8_t pub[IDENTITY_KEY_SIZE];
    struct key_copy *secret; /* NULL: locked */
    struct found_address *addresses; /* best first in the end */
    size_t n_addresses, cap_addresses;
    bool revoked;
};

struct channel_identities {
    struct wallets *wallets;
    struct assigned *assigned;
    struct chain *chain;
    struct bca_store *records;
    struct channels *channels;
    struct bca_view view;
    pthread_mutex_t lock;  /* before those of wallets */
    pthread_cond_t wake;
    pthread_t thread;
    bool started, stopping;
    bool handed;           /* told says what */
    uint8_t stamp[32];     /* of what it was made of; zeros: to be looked at in any case */
    uint8_t told[32];
    struct key_copy **secrets;
    size_t n_secrets;
    uint64_t copies;       /* of secrets, ever */
    struct assigned_address list[ASSIGNED_MAX];
    size_t n_list;
};

/* Of one wallet. */
struct collecting {
    struct channel_identities *ci;
    struct wallet *w;
    struct found *all;
    size_t n, cap;
};

static struct key_copy *held_secret(struct channel_identities *ci, const char *wallet,
                                      const uint8_t *pub)
{
    for (size_t i = 0; i < ci->n_secrets; i++)
        if (mem_equal_var(ci->secrets[i]->pub, pub, IDENTITY_KEY_SIZE) &&
            strcmp(ci->secrets[i]->wallet, wallet) == 0)
            return ci->secrets[i];
    return NULL;
}

static void hold_secret(struct channel_identities *ci, struct key_copy *own)
{
    own->number = ++ci->copies;
    ci->secrets = xrealloc(ci->secrets, (ci->n_secrets + 1) * sizeof(*ci->secrets));
    ci->secrets[ci->n_secrets++] = own;
}

static void drop_secret(struct channel_identities *ci, size_t i)
{
    key_copy_wipe(ci->secrets[i]);
    key_copy_unref(ci->secrets[i]);
    ci->secrets[i] = ci->secrets[--ci->n_secrets];
}

/* NULL: the wallet is locked and was so all the time, or cannot be read. */
static struct key_copy *find_secret(const struct collecting *g, const struct identity *id)
{
    struct identity_secrets s;
    struct error e = { .code = OK };
    struct key_copy *own = held_secret(g->ci, wallet_name(g->w), id->public_key);
    if (own)
        return own;
    const enum err rc = identity_get_secrets(wallet_keystore(g->w), id, &s, &e);
    if (!rc) {
        own = key_copy_new(&s, wallet_name(g->w));
        hold_secret(g->ci, own);
    } else if (rc != ERR_AUTH) {
        log_warn("direct channels: identity %s: %s", id->name, e.text);
    }
    secure_wipe(&s, sizeof s);
    return own;
}

static bool is_ours(const struct identity *id)
{
    return id->sent && (id->use == IDENTITY_OPEN || id->use == IDENTITY_RESTORED ||
                        id->use == IDENTITY_RECOVERED);
}

static enum err take_identity(void *ctx, const struct identity *id, struct error *e)
{
    struct collecting *g = ctx;
    (void)e;
    if (!is_ours(id))
        return OK;
    struct key_copy *own = find_secret(g, id);
    if (own)
        own->used = true;
    if (g->n == g->cap) {
        g->cap = 2 * g->cap + 4;
        g->all = xrealloc(g->all, g->cap * sizeof(*g->all));
    }
    struct found *f = &g->all[g->n++];
    *f = (struct found){ .number = id->number, .secret = own };
    memcpy(f->name, id->name, sizeof f->name);
    memcpy(f->pub, id->public_key, sizeof f->pub);
    return OK;
}

static int64_t assigned_since(const struct collecting *g, const struct identity_address *a)
{
    for (size_t i = 0; i < g->ci->n_list; i++) {
        const struct assigned_address *at = &g->ci->list[i];
        if (mem_equal_var(at->address, a->address, sizeof at->address) &&
            strcmp(at->owner, wallet_name(g->w)) == 0 && assigned_in_use(g->ci->assigned, at))
            return at->since > 0 ? at->since : 1;
    }
    return 0;
}

static enum err take_address(void *ctx, const struct identity_address *a, struct error *e)
{
    struct collecting *g = ctx;
    struct found *f = NULL;
    unsigned collisions;
    for (size_t i = 0; i < g->n && !f; i++)
        if (strcmp(g->all[i].name, a->name) == 0)
            f = &g->all[i];
    const enum err rc = f ? identity_address_collisions(a, &collisions, e) : OK;
    if (rc || !f)
        return rc;
    if (f->n_addresses == f->cap_addresses) {
        f->cap_addresses = 2 * f->cap_addresses + 4;
        f->addresses = xrealloc(f->addresses, f->cap_addresses * sizeof(*f->addresses));
    }
    struct found_address *fa = &f->addresses[f->n_addresses++];
    *fa = (struct found_address){ .assigned = assigned_since(g, a), .modifier = a->modifier,
                                  .collisions = collisions };
    memcpy(fa->address, a->address, sizeof fa->address);
    buf_init(&fa->params);
    buf_put(&fa->params, a->params.data, a->params.len);
    return OK;
}

static void clear_found(struct collecting *g)
{
    for (size_t i = 0; i < g->n; i++) {
        for (size_t j = 0; j < g->all[i].n_addresses; j++)
            buf_clear(&g->all[i].addresses[j].params);
        free(g->all[i].addresses);
    }
    free(g->all);
    g->all = NULL;
    g->n = g->cap = 0;
}

static int by_number(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return x->number != y->number ? (x->number < y->number ? -1 : 1) : strcmp(x->name, y->name);
}

static int best_first(const void *a, const void *b)
{
    const struct found_address *x = a, *y = b;
    if (x->assigned != y->assigned)
        return x->assigned > y->assigned ? -1 : 1;
    if (x->modifier != y->modifier)
        return x->modifier > y->modifier ? -1 : 1;
    return (x->collisions < y->collisions) - (x->collisions > y->collisions);
}

/* False: it could not be read, and there are none of it. */
static bool collect_wallet(struct collecting *g)
{
    struct error e = { .code = OK };
    wallet_lock(g->w);
    enum err rc = identity_each(wallet_keystore(g->w), take_identity, g, &e);
    if (!rc)
        rc = identity_each_address(wallet_keystore(g->w), take_address, g, &e);
    wallet_unlock(g->w);
    if (rc) {
        LOG_LIMITED(LOG_WARN, "direct channels: identities of wallet \"%s\": %s",
                    wallet_name(g->w), e.text);
        clear_found(g);
        return false;
    }
    if (g->n)
        qsort(g->all, g->n, sizeof(*g->all), by_number);
    return true;
}

/* The best one that the chain does not deny; NULL: none. */
static const struct found_address *choose_address(struct channel_identities *ci, struct found *f)
{
    if (f->n_addresses)
        qsort(f->addresses, f->n_addresses, sizeof(*f->addresses), best_first);
    for (size_t i = 0; i < f->n_addresses && !f->revoked; i++) {
        const struct found_address *a = &f->addresses[i];
        struct bca_verdict v;
        bca_verify(a->address, buf_span(&a->params), &ci->view.policy, &v);
        if (v.result != BCA_INVALID)
            return a;
        f->revoked = v.step == BCA_STEP_REVOKED;
    }
    return NULL;
}

/* --- what is handed over --- */

/* Of one that is not handed over now. */
struct kept_name {
    char name[CHANNEL_IDENTITY_NAME_MAX + 1];
    uint8_t pub[IDENTITY_KEY_SIZE];
};

struct handing {
    struct channel_identity **ids;
    size_t n;
    struct kept_name *kept;
    size_t n_kept;
    struct sha256 told; /* over all that channels may see a change of */
};

/* Whether another has the name; pub may be in two wallets, of which one is locked. */
static bool is_named(const struct handing *h, const char *name, const uint8_t *pub)
{
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->ids[i]->name, name) == 0)
            return true;
    for (size_t i = 0; i < h->n_kept; i++)
        if (strcmp(h->kept[i].name, name) == 0 &&
            !mem_equal_var(h->kept[i].pub, pub, IDENTITY_KEY_SIZE))
            return true;
    return false;
}

/* Its own name, or with that of its wallet when another wallet has one of the name. */
static bool name_it(const struct handing *h, const char *wallet, const struct found *f,
                    char out[CHANNEL_IDENTITY_NAME_MAX + 1])
{
    int n = snprintf(out, CHANNEL_IDENTITY_NAME_MAX + 1, "%s", f->name);
    if (is_named(h, out, f->pub))
        n = snprintf(out, CHANNEL_IDENTITY_NAME_MAX + 1, "%s/%s", wallet, f->name);
    return n <= CHANNEL_IDENTITY_NAME_MAX && !is_named(h, out, f->pub);
}

/* Of one that is locked or revoked: contacts it was chosen for are not shown another meanwhile. */
static void keep_name(struct handing *h, const char *wallet, const struct found *f)
{
    struct kept_name kept;
    if (!name_it(h, wallet, f, kept.name))
        return;
    memcpy(kept.pub, f->pub, sizeof kept.pub);
    h->kept = xrealloc(h->kept, (h->n_kept + 1) * sizeof(*h->kept));
    h->kept[h->n_kept++] = kept;
}

/* Of the record by which others find it; 0: it is private. */
static uint64_t record_seq(const struct channel_identities *ci, const uint8_t *key)
{
    struct bca_own *own = xmalloc(sizeof(*own)); /* has a record in it */
    uint64_t seq = 0;
    if (ci->records && bca_own_get(ci->records, key, own) && own->mode != BCA_PRIVATE)
        seq = own->seq;
    free(own);
    return seq;
}

static void hand(const struct channel_identities *ci, struct handing *h, const char *wallet,
                 const struct found *f, const struct found_address *a)
{
    const size_t len = a ? a->params.len : 0;
    struct own_identity *own = xcalloc(1, sizeof(*own) + len);
    struct channel_identity *id = &own->id;
    if (!name_it(h, wallet, f, id->name)) {
        log_warn("direct channels: identity %s of wallet \"%s\" is left out: another one has the "
                 "name", f->name, wallet);
        free(own);
        return;
    }
    own->secret = key_copy_ref(f->secret);
    id->key = key_copy_use(f->secret);
    id->seq = record_seq(ci, f->pub);
    id->release = release;
    id->refs = 1;
    id->has_address = a != NULL;
    if (a) {
        memcpy(id->address, a->address, sizeof id->address);
        memcpy(own->params, a->params.data, len);
    }
    id->params = span_of(own->params, len);
    sha256_update(&h->told, id->key.pub, sizeof id->key.pub);
    sha256_update(&h->told, id->name, sizeof id->name);
    sha256_update(&h->told, id->address, sizeof id->address);
    sha256_update(&h->told, own->params, len);
    sha256_update(&h->told, &id->seq, sizeof id->seq);
    sha256_update(&h->told, &f->secret->number, sizeof f->secret->number); /* not a wiped one */
    h->ids = xrealloc(h->ids, (h->n + 1) * sizeof(*h->ids));
    h->ids[h->n++] = id;
}

static bool hand_wallet(struct channel_identities *ci, struct handing *h, struct wallet *w)
{
    struct collecting g = { .ci = ci, .w = w };
    if (!collect_wallet(&g))
        return false;
    for (size_t i = 0; i < g.n; i++) {
        struct found *f = &g.all[i];
        const struct found_address *a = f->secret ? choose_address(ci, f) : NULL;
        if (f->revoked)
            log_debug(LOGC_CHANNEL, "direct channels: identity %s is revoked", f->name);
        if (f->secret && !f->revoked)
            hand(ci, h, wallet_name(w), f, a);
        else
            keep_name(h, wallet_name(w), f);
    }
    clear_found(&g);
    return true;
}

static void drop_unused(struct channel_identities *ci)
{
    for (size_t i = ci->n_secrets; i-- > 0;)
        if (!ci->secrets[i]->used)
            drop_secret(ci, i);
}

/* False: a wallet could not be read, which is no reason to end sessions: all stays as it was. */
static bool collect_locked(struct channel_identities *ci, struct wallet **all, size_t n)
{
    struct handing h = { .n = 0 };
    uint8_t told[32];
    bool good = true;
    sha256_init(&h.told);
    for (size_t i = 0; i < ci->n_secrets; i++)
        ci->secrets[i]->used = false;
    for (size_t i = 0; good && i < n; i++)
        good = hand_wallet(ci, &h, all[i]);
    sha256_final(&h.told, told);
    if (good && !(ci->handed && mem_equal_var(told, ci->told, sizeof told))) {
        log_info("direct channels: %zu %s", h.n, h.n == 1 ? "identity" : "identities");
        channels_set_identities(ci->channels, h.ids, h.n);
        memcpy(ci->told, told, sizeof told);
        ci->handed = true;
    } else {
        for (size_t i = 0; i < h.n; i++)
            channel_identity_unref(h.ids[i]);
    }
    free(h.ids);
    free(h.kept);
    if (good)
        drop_unused(ci);
    return good;
}

/* --- looking --- */

static void stamp_wallet(struct sha256 *s, struct wallet *w)
{
    uint8_t id[KEYSTORE_ID_SIZE];
    wallet_lock(w);
    struct keystore *ks = wallet_keystore(w);
    const uint64_t changes = keystore_changes(ks);
    const bool locked = keystore_state(ks, NULL) == KEYSTORE_LOCKED;
    keystore_id(ks, id);
    wallet_unlock(w);
    sha256_update(s, wallet_name(w), strlen(wallet_name(w)) + 1);
    sha256_update(s, id, sizeof id);
    sha256_update(s, &changes, sizeof changes);
    sha256_update(s, &locked, sizeof locked);
}

/* The tip decides which addresses are good; while blocks rush in it does not yet. */
static void stamp_chain(struct sha256 *s, struct chain *c)
{
    struct chain_tip tip;
    if (chain_is_initial_download(c))
        return;
    chain_get_tip(c, &tip);
    sha256_update(s, tip.hash.b, sizeof tip.hash.b);
}

/* The numbers of their records, which others compare with the one they have. */
static void stamp_records(struct sha256 *s, const struct channel_identities *ci)
{
    for (size_t i = 0; i < ci->n_secrets; i++) {
        const uint64_t seq = record_seq(ci, ci->secrets[i]->pub);
        sha256_update(s, &seq, sizeof seq);
    }
}

static void make_stamp(struct channel_identities *ci, struct wallet **all, size_t n,
                       uint8_t stamp[32])
{
    struct sha256 s;
    sha256_init(&s);
    stamp_chain(&s, ci->chain);
    ci->n_list = ci->assigned ? assigned_list(ci->assigned, ci->list) : 0;
    for (size_t i = 0; i < ci->n_list; i++) {
        const struct assigned_address *at = &ci->list[i];
        sha256_update(&s, at->address, sizeof at->address);
        sha256_update(&s, &at->since, sizeof at->since);
        sha256_update(&s, &at->retired, sizeof at->retired);
        sha256_update(&s, &at->trying, sizeof at->trying);
    }
    for (size_t i = 0; i < n; i++)
        stamp_wallet(&s, all[i]);
    stamp_records(&s, ci);
    sha256_final(&s, stamp);
}

/* False: it must be looked at again. */
static bool look_locked(struct channel_identities *ci)
{
    struct wallet **all;
    uint8_t stamp[32];
    bool good = true;
    if (!ci->channels || ci->stopping)
        return true;
    const size_t n = wallets_all(ci->wallets, &all);
    make_stamp(ci, all, n, stamp);
    if (!mem_equal_var(stamp, ci->stamp, sizeof stamp))
        good = collect_locked(ci, all, n);
    if (good)
        memcpy(ci->stamp, stamp, sizeof stamp);
    for (size_t i = 0; i < n; i++)
        wallet_unref(all[i]);
    free(all);
    return good;
}

void channel_identities_refresh(struct channel_identities *ci)
{
    pthread_mutex_lock(&ci->lock);
    (void)look_locked(ci);
    pthread_mutex_unlock(&ci->lock);
}

void channel_identities_lock(struct channel_identities *ci, const char *wallet)
{
    pthread_mutex_lock(&ci->lock);
    for (size_t i = ci->n_secrets; i-- > 0;)
        if (strcmp(ci->secrets[i]->wallet, wallet) == 0)
            drop_secret(ci, i);
    memset(ci->stamp, 0, sizeof ci->stamp);
    if (!look_locked(ci)) { /* sessions of the wallet end, those of others come back soon */
        channels_set_identities(ci->channels, NULL, 0);
        ci->handed = false;
    }
    pthread_mutex_unlock(&ci->lock);
}

/* --- the thread --- */

static void *run(void *arg)
{
    struct channel_identities *ci = arg;
    pthread_mutex_lock(&ci->lock);
    while (!ci->stopping) {
        const struct timespec until = clock_deadline(LOOK_MS);
        (void)pthread_cond_timedwait(&ci->wake, &ci->lock, &until);
        (void)look_locked(ci);
    }
    pthread_mutex_unlock(&ci->lock);
    return NULL;
}

struct channel_identities *channel_identities_new(struct wallets *wallets,
                                                  struct assigned *assigned, struct chain *chain,
                                                  struct bca_store *records)
{
    struct channel_identities *ci = xcalloc(1, sizeof(*ci));
    ci->wallets = wallets;
    ci->assigned = assigned;
    ci->chain = chain;
    ci->records = records;
    bca_view_init_indexed(&ci->view, chain);
    pthread_mutex_init(&ci->lock, NULL);
    clock_cond_init(&ci->wake);
    return ci;
}

/* Run behind what was handed over before. */
static void were_taken(struct channels *c, void *ctx)
{
    (void)c;
    (void)ctx;
}

enum err channel_identities_start(struct channel_identities *ci, struct channels *channels,
                                  struct error *e)
{
    ci->channels = channels;
    channel_identities_refresh(ci);
    if (!channels_call(channels, were_taken, NULL))
        return error_set(e, ERR_CANCELLED, "direct channels have stopped");
    const int failed = pthread_create(&ci->thread, NULL, run, ci);
    ci->started = failed == 0;
    return failed ? error_set_errno(e, failed, "cannot start a thread") : OK;
}

void channel_identities_stop(struct channel_identities *ci)
{
    if (!ci)
        return;
    pthread_mutex_lock(&ci->lock);
    ci->stopping = true;
    pthread_cond_signal(&ci->wake);
    pthread_mutex_unlock(&ci->lock);
    if (ci->started)
        pthread_join(ci->thread, NULL);
    ci->started = false;
}

void channel_identities_free(struct channel_identities *ci)
{
    if (!ci)
        return;
    while (ci->n_secrets)
        drop_secret(ci, ci->n_secrets - 1);
    free(ci->secrets);
    pthread_mutex_destroy(&ci->lock);
    pthread_cond_destroy(&ci->wake);
    free(ci);
}
