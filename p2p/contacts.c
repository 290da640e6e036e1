/*
 * A change is made in memory and handed to the store in one go, so that what follows sees it. When
 * the store could not write it, and nothing newer was handed over meanwhile, the contact goes back
 * to what is on disk: therefore names and keys that a contact had there stay taken as long as one
 * of its changes waits. One that is being removed is kept until the removal is on disk, out of
 * sight.
 */
#include <config.h>

#include "p2p/contacts_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"

#define KEYS_MAX (1 + CONTACT_FORMER_MAX)
#define ALIAS_TRIES 100
#define SEEN_PRECISION_MS 60000 /* a later time alone is not worth a write */

struct entry;

struct key_ref {
    uint8_t key[IDENTITY_KEY_SIZE];
    bool former;
    struct entry *entry;
};

struct entry {
    struct contact now;
    struct contact *disk; /* what is there, while changes wait; NULL: nothing, or none waits */
    bool on_disk, gone;
    unsigned pending;     /* changes that were handed over */
    uint64_t latest;      /* number of the last of them */
    size_t n_refs;
    struct key_ref refs[KEYS_MAX];
    char alias[CONTACT_ALIAS_MAX + 1]; /* under which it is in the table; "" not */
};

struct contacts {
    struct dchan_store *store;
    struct entry **entries; /* by id */
    size_t n, cap, n_gone, n_waiting; /* of them removed; with changes that wait */
    size_t n_keyless;
    uint64_t next_id, changes;
    struct map keys, aliases; /* of key_ref; of entry */
    struct siphash_key hash_key;
};

/* Of one contact, under way to the disk. */
struct change {
    struct contacts *contacts;
    struct entry *entry;
    struct contact *version; /* NULL: removed */
    uint64_t number;
    dchan_store_fn done;
    void *ctx;
};

static struct contact *dup_contact(const struct contact *c)
{
    struct contact *copy = xmalloc(sizeof(*copy));
    *copy = *c;
    return copy;
}

/* --- tables --- */

static uint64_t hash_of(const struct contacts *c, const uint8_t *key)
{
    return siphash(&c->hash_key, key, IDENTITY_KEY_SIZE);
}

static bool ref_is(const void *item, const void *key)
{
    return mem_equal_var(((const struct key_ref *)item)->key, key, IDENTITY_KEY_SIZE);
}

static struct key_ref *find_ref(const struct contacts *c, const uint8_t *key)
{
    return (struct key_ref *)map_find(&c->keys, hash_of(c, key), ref_is, key);
}

static uint64_t hash_text(const struct contacts *c, const char *alias)
{
    return siphash(&c->hash_key, alias, strlen(alias));
}

static bool alias_is(const void *item, const void *alias)
{
    return strcmp(((const struct entry *)item)->alias, (const char *)alias) == 0;
}

static struct entry *find_alias(const struct contacts *c, const char *alias)
{
    return (struct entry *)map_find(&c->aliases, hash_text(c, alias), alias_is, alias);
}

static void drop_refs(struct contacts *c, struct entry *en)
{
    if (en->alias[0]) {
        map_remove(&c->aliases, hash_text(c, en->alias), alias_is, en->alias);
        c->n_keyless -= en->n_refs == 0;
    }
    en->alias[0] = 0;
    for (size_t i = 0; i < en->n_refs; i++)
        map_remove(&c->keys, hash_of(c, en->refs[i].key), ref_is, en->refs[i].key);
    en->n_refs = 0;
}

static void add_ref(struct contacts *c, struct entry *en, const uint8_t *key, bool former)
{
    struct key_ref *ref = &en->refs[en->n_refs++];
    memcpy(ref->key, key, sizeof ref->key);
    ref->former = former;
    ref->entry = en;
    map_put(&c->keys, hash_of(c, key), ref);
}

static void index_entry(struct contacts *c, struct entry *en)
{
    drop_refs(c, en);
    memcpy(en->alias, en->now.alias, sizeof en->alias);
    map_put(&c->aliases, hash_text(c, en->alias), en);
    if (en->now.has_key)
        add_ref(c, en, en->now.key, false);
    for (size_t i = 0; i < en->now.n_former; i++)
        add_ref(c, en, en->now.former[i], true);
    c->n_keyless += en->n_refs == 0;
}

/* --- entries --- */

static void free_entry(struct entry *en)
{
    if (!en)
        return;
    free(en->disk);
    free(en);
}

static struct entry *append(struct contacts *c, const struct contact *in)
{
    struct entry *en = xcalloc(1, sizeof(*en));
    en->now = *in;
    if (c->n == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 16;
        c->entries = xrealloc(c->entries, c->cap * sizeof(*c->entries));
    }
    c->entries[c->n++] = en;
    index_entry(c, en);
    return en;
}

static void forget(struct contacts *c, struct entry *en)
{
    size_t i = 0;
    while (c->entries[i] != en)
        i++;
    memmove(c->entries + i, c->entries + i + 1, (c->n - i - 1) * sizeof(*c->entries));
    c->n--;
    c->n_gone -= en->gone;
    drop_refs(c, en);
    free_entry(en);
}

/* Position of the first one with at least this id. */
static size_t position_of(const struct contacts *c, uint64_t id)
{
    size_t low = 0, high = c->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (c->entries[middle]->now.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct entry *entry_by_id(const struct contacts *c, uint64_t id)
{
    const size_t at = position_of(c, id);
    return at < c->n && c->entries[at]->now.id == id ? c->entries[at] : NULL;
}

/* --- looking up --- */

size_t contacts_count(const struct contacts *c) { return c->n - c->n_gone; }

size_t contacts_bytes(const struct contacts *c)
{
    const size_t waiting = 2 * mem_cost(sizeof(struct contact)); /* before and after */
    return c->n * mem_cost(sizeof(struct entry)) + c->n_waiting * waiting +
           c->cap * sizeof(*c->entries) + map_bytes(&c->keys) + map_bytes(&c->aliases);
}

size_t contacts_keyless(const struct contacts *c) { return c->n_keyless; }

struct contact *contacts_by_key(struct contacts *c, const uint8_t key[IDENTITY_KEY_SIZE],
                                bool *former)
{
    const struct key_ref *ref = find_ref(c, key);
    if (!ref || ref->entry->gone || (ref->former && !former))
        return NULL;
    if (former)
        *former = ref->former;
    return &ref->entry->now;
}

struct contact *contacts_by_alias(struct contacts *c, const char *alias)
{
    struct entry *en = find_alias(c, alias);
    return en && !en->gone ? &en->now : NULL;
}

struct contact *contacts_by_id(struct contacts *c, uint64_t id)
{
    struct entry *en = entry_by_id(c, id);
    return en && !en->gone ? &en->now : NULL;
}

struct contact *contacts_find(struct contacts *c, const char *text)
{
    uint8_t key[IDENTITY_KEY_SIZE];
    size_t len;
    if (strlen(text) == 2 * sizeof key && hex_decode(key, sizeof key, text, strlen(text), &len))
        return contacts_by_key(c, key, NULL);
    return contacts_by_alias(c, text);
}

struct contact *contacts_next(struct contacts *c, uint64_t id)
{
    size_t at = position_of(c, id + 1);
    while (at < c->n && c->entries[at]->gone)
        at++;
    return at < c->n ? &c->entries[at]->now : NULL;
}

void contacts_each(struct contacts *c, void (*fn)(struct contact *contact, void *ctx), void *ctx)
{
    for (size_t i = 0; i < c->n; i++)
        if (!c->entries[i]->gone)
            fn(&c->entries[i]->now, ctx);
}

/* --- what is taken --- */

static bool shares_key(const struct contact *a, const uint8_t *key)
{
    bool same = a->has_key && mem_equal_var(a->key, key, sizeof a->key);
    for (size_t i = 0; i < a->n_former; i++)
        same |= mem_equal_var(a->former[i], key, sizeof a->key);
    return same;
}

static bool share_keys(const struct contact *a, const struct contact *b)
{
    bool same = b->has_key && shares_key(a, b->key);
    for (size_t i = 0; i < b->n_former; i++)
        same |= shares_key(a, b->former[i]);
    return same;
}

static enum err refuse(const struct entry *holder, bool alias, struct error *e)
{
    const char *name = holder->now.alias;
    if (holder->gone)
        return error_set(e, ERR_BUSY, "contact \"%s\" is being removed", name);
    return error_set(e, ERR_EXISTS, alias ? "there is a contact \"%s\" already"
                                          : "that key is one of contact \"%s\"", name);
}

static const struct entry *holder_of_key(const struct contacts *c, const struct contact *in,
                                         const struct entry *self)
{
    const struct key_ref *ref = in->has_key ? find_ref(c, in->key) : NULL;
    for (size_t i = 0; (!ref || ref->entry == self) && i < in->n_former; i++)
        ref = find_ref(c, in->former[i]);
    return ref && ref->entry != self ? ref->entry : NULL;
}

/* What others would have again when their changes fail. */
static enum err check_waiting(const struct contacts *c, const struct contact *in,
                              const struct entry *self, struct error *e)
{
    size_t left = c->n_waiting;
    for (size_t i = 0; left && i < c->n; i++) {
        const struct entry *en = c->entries[i];
        left -= en->pending != 0;
        if (en != self && en->disk &&
            (strcmp(en->disk->alias, in->alias) == 0 || share_keys(en->disk, in)))
            return error_set(e, ERR_BUSY, "contact \"%s\" is being changed", en->disk->alias);
    }
    return OK;
}

static enum err check_free(const struct contacts *c, const struct contact *in,
                           const struct entry *self, struct error *e)
{
    const struct entry *named = find_alias(c, in->alias);
    const struct entry *keyed = holder_of_key(c, in, self);
    if (named && named != self)
        return refuse(named, true, e);
    if (keyed)
        return refuse(keyed, false, e);
    return check_waiting(c, in, self, e);
}

/* --- changes under way --- */

static void go_back(struct contacts *c, struct entry *en)
{
    if (!en->on_disk) {
        en->gone = true;
        c->n_gone++;
        drop_refs(c, en);
        return;
    }
    c->n_gone -= en->gone;
    en->gone = false;
    en->now = *en->disk;
    index_entry(c, en);
}

static void settle(struct contacts *c, struct entry *en)
{
    if (en->pending)
        return;
    c->n_waiting--;
    free(en->disk);
    en->disk = NULL;
    if (en->gone)
        forget(c, en);
}

static void finished(void *ctx, enum err rc, const struct error *e)
{
    struct change *ch = ctx;
    struct contacts *c = ch->contacts;
    struct entry *en = ch->entry;
    en->pending--;
    if (!rc) {
        free(en->disk);
        en->disk = ch->version;
        en->on_disk = ch->version != NULL;
    } else {
        free(ch->version);
        if (ch->number == en->latest)
            go_back(c, en);
    }
    settle(c, en);
    if (ch->done)
        ch->done(ch->ctx, rc, e);
    else if (rc)
        log_warn("contacts: %s", e->text);
    free(ch);
}

/* To be called before the contact is changed in memory. */
static void begin_change(struct contacts *c, struct entry *en)
{
    if (en->pending++)
        return;
    c->n_waiting++;
    if (en->on_disk)
        en->disk = dup_contact(&en->now);
}

static void hand_over(struct contacts *c, struct entry *en, struct dchan_write *w,
                      dchan_store_fn done, void *ctx)
{
    struct change *ch = xcalloc(1, sizeof(*ch));
    struct contact *now = en->gone ? NULL : dup_contact(&en->now);
    *ch = (struct change){ c, en, now, ++c->changes, done, ctx };
    en->latest = ch->number;
    dchan_store_commit(c->store, w, finished, ch);
}

static void put_contact(struct dchan_write *w, const struct contact *contact)
{
    uint8_t key[CONTACTS_KEY_SIZE];
    struct buf b;
    buf_init(&b);
    contact_disk_key(key, contact->id);
    contact_write(&b, contact);
    dchan_write_put(w, key, sizeof key, b.data, b.len);
    buf_clear(&b);
}

static void store_entry(struct contacts *c, struct entry *en, dchan_store_fn done, void *ctx)
{
    struct dchan_write *w = dchan_write_new(c->store);
    put_contact(w, &en->now);
    hand_over(c, en, w, done, ctx);
}

/* --- changes --- */

/* From the key, which tells contacts apart even when a few digits are read. */
static enum err make_alias(struct contacts *c, struct contact *in, struct error *e)
{
    char base[INET6_ADDRSTRLEN];
    if (in->has_key)
        hex_encode(base, in->key, 8);
    else if (!inet_ntop(AF_INET6, in->addresses[0].address, base, sizeof base))
        return error_set(e, ERR_RANGE, "the address cannot be printed");
    for (unsigned i = 1; i <= ALIAS_TRIES; i++) {
        (void)snprintf(in->alias, sizeof in->alias, i == 1 ? "%s" : "%s-%u", base, i);
        const enum err rc = check_free(c, in, NULL, e);
        if (!rc || !find_alias(c, in->alias))
            return rc;
    }
    return error_set(e, ERR_EXISTS, "choose an alias");
}

enum err contacts_add(struct contacts *c, const struct contact *in, dchan_store_fn done, void *ctx,
                      struct contact **out, struct error *e)
{
    uint8_t next[8], id_key = CONTACTS_PREFIX;
    struct contact fresh = *in;
    enum err rc = contact_check(in, e);
    if (!rc && c->n >= CONTACTS_MAX)
        rc = error_set(e, ERR_RANGE, "there are %d contacts, more are not kept", CONTACTS_MAX);
    if (!rc)
        rc = in->alias[0] ? check_free(c, &fresh, NULL, e) : make_alias(c, &fresh, e);
    if (rc)
        return rc;
    fresh.id = c->next_id++;
    fresh.added_ms = (uint64_t)clock_now() * 1000;
    fresh.seen_ms = 0;
    struct entry *en = append(c, &fresh);
    struct dchan_write *w = dchan_write_new(c->store);
    le64_put(next, c->next_id);
    dchan_write_put(w, &id_key, 1, next, sizeof next);
    put_contact(w, &fresh);
    begin_change(c, en);
    if (out)
        *out = &en->now;
    hand_over(c, en, w, done, ctx);
    return OK;
}

enum err contacts_change(struct contacts *c, const struct contact *in, dchan_store_fn done,
                         void *ctx, struct error *e)
{
    struct entry *en = entry_by_id(c, in->id);
    if (!en || en->gone)
        return error_set(e, ERR_NOTFOUND, "there is no such contact");
    enum err rc = contact_check(in, e);
    if (!rc && !in->alias[0])
        rc = error_set(e, ERR_RANGE, "the alias is empty");
    if (!rc)
        rc = check_free(c, in, en, e);
    if (rc)
        return rc;
    const struct contact next = *in; /* in may be the contact itself */
    begin_change(c, en);
    en->now = next;
    index_entry(c, en);
    store_entry(c, en, done, ctx);
    return OK;
}

void contacts_remove(struct contacts *c, struct contact *contact, dchan_store_fn done, void *ctx)
{
    struct entry *en = entry_by_id(c, contact->id);
    uint8_t key[CONTACTS_KEY_SIZE];
    struct dchan_write *w = dchan_write_new(c->store);
    begin_change(c, en);
    contact_disk_key(key, contact->id);
    dchan_write_delete(w, key, sizeof key);
    en->gone = true;
    c->n_gone++;
    hand_over(c, en, w, done, ctx);
}

static bool same_address(const struct contact_address *a, const struct contact_address *b)
{
    return a->port == b->port && mem_equal_var(a->address, b->address, sizeof a->address);
}

void contact_put_first(struct contact *c, const struct contact_address *where)
{
    const struct contact_address first = *where;
    size_t at = 0;
    while (at < c->n_addresses && !same_address(&c->addresses[at], where))
        at++;
    if (at == c->n_addresses && c->n_addresses < CONTACT_ADDRESSES_MAX)
        c->n_addresses++;
    at = MIN_OF(at, (size_t)CONTACT_ADDRESSES_MAX - 1);
    memmove(c->addresses + 1, c->addresses, at * sizeof c->addresses[0]);
    c->addresses[0] = first;
}

void contacts_seen(struct contacts *c, struct contact *contact,
                   const struct contact_address *where, uint64_t now_unix_ms)
{
    struct entry *en = entry_by_id(c, contact->id);
    const bool moved = where && !(contact->n_addresses &&
                                  same_address(&contact->addresses[0], where));
    if (!moved && now_unix_ms < contact->seen_ms + SEEN_PRECISION_MS)
        return;
    begin_change(c, en);
    if (moved)
        contact_put_first(&en->now, where);
    en->now.seen_ms = now_unix_ms;
    store_entry(c, en, NULL, NULL);
}

/* --- opening --- */

static enum err load_one(struct contacts *c, struct span key, struct span value, struct error *e)
{
    struct contact contact;
    if (key.len == 1 && value.len == 8) {
        c->next_id = le64_get(value.data);
        return OK;
    }
    if (key.len != CONTACTS_KEY_SIZE)
        return error_set(e, ERR_CORRUPT, "the contacts on disk are damaged");
    enum err rc = contact_read(&contact, value, e);
    contact.id = be64_get(key.data + 1);
    if (!rc && (contact.id >= c->next_id || c->n >= CONTACTS_MAX))
        rc = error_set(e, ERR_CORRUPT, "the contacts on disk do not fit together");
    if (!rc && check_free(c, &contact, NULL, NULL))
        rc = error_set(e, ERR_CORRUPT, "two contacts on disk have one key or alias");
    if (!rc)
        append(c, &contact)->on_disk = true;
    return rc;
}

static enum err load_all(struct contacts *c, struct error *e)
{
    const uint8_t prefix = CONTACTS_PREFIX;
    struct kv_iter *it = kv_iter_new(dchan_store_kv(c->store));
    enum err rc = OK;
    for (kv_iter_seek(it, &prefix, 1); !rc && kv_iter_valid(it); kv_iter_next(it)) {
        const struct span key = kv_iter_key(it);
        if (!key.len || key.data[0] != prefix)
            break;
        rc = load_one(c, key, kv_iter_value(it), e);
    }
    if (!rc)
        rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

enum err contacts_open(struct contacts **out, struct dchan_store *store, struct error *e)
{
    struct contacts *c = xcalloc(1, sizeof(*c));
    *out = NULL;
    c->store = store;
    c->next_id = 1;
    c->hash_key = (struct siphash_key){ rand_u64(), rand_u64() };
    map_init(&c->keys);
    map_init(&c->aliases);
    const enum err rc = load_all(c, e);
    if (rc)
        contacts_free(c);
    else
        *out = c;
    return rc;
}

void contacts_free(struct contacts *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        free_entry(c->entries[i]);
    free(c->entries);
    map_clear(&c->keys);
    map_clear(&c->aliases);
    free(c);
}
