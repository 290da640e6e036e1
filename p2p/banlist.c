/*
 * Entries live in one array that grows up to the limit; a chained hash table keyed with a random
 * key (C20) finds a subnet, two age lists (automatic and manual bans, oldest first) give the
 * next to leave. used_bits counts entries for each prefix length, so that a lookup probes only
 * lengths that occur: remote parties can cause two of them, /64 and /128.
 */
#include "p2p/banlist.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/reader.h"
#include "p2p/netgroup.h"
#include "base/state_file.h"

#define NONE UINT32_MAX
#define SWEEP_INTERVAL_S 60
#define FIRST_CAPACITY 64
/* ip 16, bits 1, reason 1, created 8, until 8 */
#define DISK_ENTRY_SIZE 34

static const struct state_file_kind banlist_kind = { "BANS", 1 };

struct slot {
    struct ban_entry ban;
    uint32_t chain;      /* next in the hash chain, or next free */
    uint32_t prev, next; /* age list */
};

struct age_list { uint32_t oldest, newest; };

struct banlist {
    struct slot *slots;
    uint32_t *heads;     /* cap of them, a power of two */
    uint32_t cap, n, free, max;
    struct age_list automatic, manual;
    uint32_t used_bits[129];
    struct siphash_key key;
    int64_t last_sweep;
    bool dirty;
};

static struct age_list *list_of(struct banlist *b, const struct slot *s)
{
    return s->ban.reason == BAN_MANUAL ? &b->manual : &b->automatic;
}

static void list_append(struct banlist *b, uint32_t i)
{
    struct age_list *l = list_of(b, &b->slots[i]);
    b->slots[i].prev = l->newest;
    b->slots[i].next = NONE;
    if (l->newest == NONE)
        l->oldest = i;
    else
        b->slots[l->newest].next = i;
    l->newest = i;
}

static void list_unlink(struct banlist *b, uint32_t i)
{
    const struct slot *s = &b->slots[i];
    struct age_list *l = list_of(b, s);
    *(s->prev == NONE ? &l->oldest : &b->slots[s->prev].next) = s->next;
    *(s->next == NONE ? &l->newest : &b->slots[s->next].prev) = s->prev;
}

static uint32_t head_of(const struct banlist *b, const struct subnet *net)
{
    uint8_t data[17];
    memcpy(data, net->ip, 16);
    data[16] = net->bits;
    return (uint32_t)siphash(&b->key, data, sizeof data) & (b->cap - 1);
}

static uint32_t find(const struct banlist *b, const struct subnet *net)
{
    uint32_t i = b->heads[head_of(b, net)];
    while (i != NONE && !subnet_equal(&b->slots[i].ban.net, net))
        i = b->slots[i].chain;
    return i;
}

static void chain_insert(struct banlist *b, uint32_t i)
{
    uint32_t *head = &b->heads[head_of(b, &b->slots[i].ban.net)];
    b->slots[i].chain = *head;
    *head = i;
}

/* Frees all slots and empties the table, keeping the memory. */
static void reset(struct banlist *b)
{
    b->automatic = b->manual = (struct age_list){ NONE, NONE };
    memset(b->used_bits, 0, sizeof b->used_bits);
    memset(b->heads, 0xff, b->cap * sizeof *b->heads);
    b->n = 0;
    b->free = NONE;
    for (uint32_t i = b->cap; i-- > 0; b->free = i)
        b->slots[i].chain = b->free;
}

struct banlist *banlist_new(size_t max_entries)
{
    struct banlist *b = xcalloc(1, sizeof *b);
    if (max_entries == 0)
        max_entries = BANLIST_DEFAULT_MAX;
    b->max = max_entries < UINT32_MAX / 2 ? (uint32_t)max_entries : UINT32_MAX / 2;
    b->cap = FIRST_CAPACITY;
    b->slots = xcalloc(b->cap, sizeof *b->slots);
    b->heads = xcalloc(b->cap, sizeof *b->heads);
    rand_bytes(&b->key, sizeof b->key);
    reset(b);
    return b;
}

void banlist_free(struct banlist *b)
{
    if (!b)
        return;
    free(b->slots);
    free(b->heads);
    free(b);
}

/* Doubles the table; all slots are in use when this is called. */
static void grow(struct banlist *b)
{
    uint32_t old = b->cap;
    b->cap *= 2;
    b->slots = xrealloc(b->slots, b->cap * sizeof *b->slots);
    b->heads = xrealloc(b->heads, b->cap * sizeof *b->heads);
    memset(b->heads, 0xff, b->cap * sizeof *b->heads);
    for (uint32_t i = 0; i < old; i++)
        chain_insert(b, i);
    for (uint32_t i = b->cap; i-- > old; b->free = i)
        b->slots[i].chain = b->free;
}

static void drop(struct banlist *b, uint32_t i)
{
    struct slot *s = &b->slots[i];
    uint32_t *link = &b->heads[head_of(b, &s->ban.net)];
    while (*link != i)
        link = &b->slots[*link].chain;
    *link = s->chain;
    list_unlink(b, i);
    b->used_bits[s->ban.net.bits]--;
    s->chain = b->free;
    b->free = i;
    b->n--;
    b->dirty = true;
}

static void sweep_list(struct banlist *b, const struct age_list *l, int64_t now)
{
    for (uint32_t i = l->oldest, next; i != NONE; i = next) {
        next = b->slots[i].next;
        if (b->slots[i].ban.until <= now)
            drop(b, i);
    }
}

void banlist_sweep(struct banlist *b, int64_t now)
{
    b->last_sweep = now;
    sweep_list(b, &b->automatic, now);
    sweep_list(b, &b->manual, now);
}

/* Expired entries first, at most one pass a minute, then the oldest automatic ban. */
static bool make_room(struct banlist *b, int64_t now)
{
    if (b->n < b->max)
        return true;
    if (now - b->last_sweep >= SWEEP_INTERVAL_S || now < b->last_sweep)
        banlist_sweep(b, now);
    if (b->n >= b->max && b->automatic.oldest != NONE)
        drop(b, b->automatic.oldest);
    return b->n < b->max;
}

static bool insert(struct banlist *b, const struct ban_entry *ban, int64_t now)
{
    if (!make_room(b, now))
        return false;
    if (b->free == NONE)
        grow(b);
    uint32_t i = b->free;
    b->free = b->slots[i].chain;
    b->slots[i].ban = *ban;
    chain_insert(b, i);
    list_append(b, i);
    b->used_bits[ban->net.bits]++;
    b->n++;
    b->dirty = true;
    return true;
}

static void replace(struct banlist *b, uint32_t i, const struct ban_entry *ban)
{
    list_unlink(b, i);
    b->slots[i].ban = *ban;
    list_append(b, i);
    b->dirty = true;
}

bool banlist_ban_at_once(struct banlist *b, const struct netaddr *a, int64_t seconds, int64_t now)
{
    struct ban_entry ban = { .created = now, .reason = BAN_MISBEHAVING };
    if (seconds <= 0)
        return false;
    if (__builtin_add_overflow(now, seconds, &ban.until))
        ban.until = INT64_MAX;
    if (netaddr_is_local(a))
        subnet_of(&ban.net, a, 128);
    else
        netgroup_ban_subnet(&ban.net, a);
    uint32_t i = find(b, &ban.net);
    if (i == NONE)
        return insert(b, &ban, now);
    if (b->slots[i].ban.reason == BAN_MANUAL) /* stays one, may only become longer */
        ban.reason = BAN_MANUAL;
    if (b->slots[i].ban.until < ban.until)
        replace(b, i, &ban);
    return true;
}

bool banlist_ban_peer(struct banlist *b, const struct netaddr *a, int64_t seconds, int64_t now)
{
    return !netaddr_is_local(a) && banlist_ban_at_once(b, a, seconds, now); /* spec p2p 6 */
}

enum err banlist_add(struct banlist *b, const struct subnet *net, int64_t until, int64_t now,
                     struct error *e)
{
    struct ban_entry ban = { *net, now, until, BAN_MANUAL };
    if (until <= now)
        return error_set(e, ERR_RANGE, "the ban would end in the past");
    uint32_t i = find(b, net);
    if (i != NONE && b->slots[i].ban.until > now)
        return error_set(e, ERR_EXISTS, "IP/Subnet already banned");
    if (i != NONE)
        replace(b, i, &ban);
    else if (!insert(b, &ban, now))
        return error_set(e, ERR_RANGE, "the ban list is full (%u manual bans)", b->max);
    return OK;
}

bool banlist_remove(struct banlist *b, const struct subnet *net)
{
    uint32_t i = find(b, net);
    if (i != NONE)
        drop(b, i);
    return i != NONE;
}

void banlist_clear(struct banlist *b)
{
    b->dirty = b->dirty || b->n != 0;
    reset(b);
}

bool banlist_has(struct banlist *b, const struct subnet *net, int64_t now)
{
    uint32_t i = find(b, net);
    return i != NONE && b->slots[i].ban.until > now;
}

bool banlist_is_banned(struct banlist *b, const struct netaddr *a, int64_t now)
{
    struct subnet net;
    for (unsigned bits = 0; bits <= 128; bits++) {
        if (!b->used_bits[bits])
            continue;
        subnet_of(&net, a, bits);
        if (banlist_has(b, &net, now))
            return true;
    }
    return false;
}

size_t banlist_count(const struct banlist *b)
{
    return b->n;
}

static int by_subnet(const void *pa, const void *pb)
{
    const struct ban_entry *a = pa, *b = pb;
    int c = memcmp(a->net.ip, b->net.ip, 16);
    return c ? c : a->net.bits - b->net.bits;
}

static size_t copy_list(const struct banlist *b, const struct age_list *l, struct ban_entry *out)
{
    size_t n = 0;
    for (uint32_t i = l->oldest; i != NONE; i = b->slots[i].next)
        out[n++] = b->slots[i].ban;
    return n;
}

size_t banlist_list(struct banlist *b, int64_t now, struct ban_entry **out)
{
    banlist_sweep(b, now);
    *out = b->n ? xcalloc(b->n, sizeof **out) : NULL;
    if (!b->n)
        return 0;
    size_t n = copy_list(b, &b->automatic, *out);
    n += copy_list(b, &b->manual, *out + n);
    qsort(*out, n, sizeof **out, by_subnet);
    return n;
}

const char *ban_reason_text(enum ban_reason r)
{
    return r == BAN_MANUAL ? "manually added" : "node misbehaving";
}

bool banlist_take_dirty(struct banlist *b)
{
    bool was = b->dirty;
    b->dirty = false;
    return was;
}

static void encode_list(const struct banlist *b, const struct age_list *l, struct buf *out)
{
    for (uint32_t i = l->oldest; i != NONE; i = b->slots[i].next) {
        const struct ban_entry *ban = &b->slots[i].ban;
        buf_put(out, ban->net.ip, 16);
        buf_put_u8(out, ban->net.bits);
        buf_put_u8(out, (uint8_t)ban->reason);
        buf_put_le64(out, (uint64_t)ban->created);
        buf_put_le64(out, (uint64_t)ban->until);
    }
}

/* Payload: u32 count, then entries, automatic ones first, oldest first. */
void banlist_encode(const struct banlist *b, const uint8_t magic[4], struct buf *out)
{
    state_file_begin(out, &banlist_kind, magic);
    buf_put_le32(out, b->n);
    encode_list(b, &b->automatic, out);
    encode_list(b, &b->manual, out);
}

static bool decode_entry(struct reader *r, struct ban_entry *ban)
{
    struct netaddr a = { .port = 0 };
    read_copy(r, a.ip, 16);
    uint8_t bits = read_u8(r), reason = read_u8(r);
    ban->created = (int64_t)read_le64(r);
    ban->until = (int64_t)read_le64(r);
    if (bits > 128 || (reason != BAN_MISBEHAVING && reason != BAN_MANUAL))
        return false;
    ban->reason = (enum ban_reason)reason;
    subnet_of(&ban->net, &a, bits);
    return memcmp(ban->net.ip, a.ip, 16) == 0;
}

static bool decode_entries(struct banlist *b, struct reader *r, int64_t now)
{
    struct ban_entry ban;
    uint32_t n = read_le32(r);
    if (n != r->left / DISK_ENTRY_SIZE || r->left % DISK_ENTRY_SIZE)
        return false;
    while (n-- > 0) {
        if (!decode_entry(r, &ban) || find(b, &ban.net) != NONE)
            return false;
        if (ban.until > now && !insert(b, &ban, now))
            LOG_LIMITED(LOG_WARN, "ban list: more entries than fit, one is dropped");
    }
    return reader_done(r);
}

enum err banlist_decode(struct banlist *b, const void *data, size_t len, const uint8_t magic[4],
                        int64_t now, struct error *e)
{
    struct reader r;
    enum err rc = state_file_open(&r, data, len, &banlist_kind, magic, e);
    if (rc)
        return rc;
    reset(b);
    if (!decode_entries(b, &r, now)) {
        reset(b);
        rc = error_set(e, ERR_CORRUPT, "entries of the ban list are damaged");
    }
    b->dirty = false;
    return rc;
}

struct load { struct banlist *b; const uint8_t *magic; int64_t now; };

static enum err load_decode(void *ctx, const void *data, size_t len, struct error *e)
{
    const struct load *l = ctx;
    return banlist_decode(l->b, data, len, l->magic, l->now, e);
}

enum err banlist_load(struct banlist *b, const char *path, const uint8_t magic[4], int64_t now,
                      struct error *e)
{
    struct load l = { b, magic, now };
    size_t limit = (size_t)b->max * DISK_ENTRY_SIZE + 4096;
    return state_file_load(path, limit, load_decode, &l, e);
}

enum err banlist_store(const struct banlist *b, const char *path, const uint8_t magic[4],
                       struct error *e)
{
    struct buf data;
    buf_init(&data);
    banlist_encode(b, magic, &data);
    enum err rc = state_file_commit(path, &data, e);
    buf_clear(&data);
    return rc;
}
