#include <config.h>

#include "node/record_asks.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rand.h"

struct asked {
    struct list_link link; /* of the peer */
    struct record_asker *by;
    uint8_t record_key[32];
    int64_t at_ms;
};

void record_asks_init(struct record_asks *a)
{
    list_init(&a->peers);
    map_init(&a->asked);
    rand_bytes(&a->key, sizeof a->key);
}

void record_asks_clear(struct record_asks *a) { map_clear(&a->asked); }

static bool is_asked(const void *item, const void *key)
{
    return mem_equal_var(((const struct asked *)item)->record_key, key, 32);
}

static struct asked *find(const struct record_asks *a, const uint8_t record_key[32])
{
    return map_find(&a->asked, siphash_32(&a->key, record_key), is_asked, record_key);
}

static void forget(struct asked *a)
{
    struct record_asks *asks = a->by->asks;
    list_remove(&a->by->asked, &a->link);
    map_remove(&asks->asked, siphash_32(&asks->key, a->record_key), is_asked, a->record_key);
    free(a);
}

static struct asked *oldest(const struct record_asker *p)
{
    struct list_link *first = list_first(&p->asked);
    return first ? LIST_ITEM(first, struct asked, link) : NULL;
}

void record_asker_join(struct record_asker *p, struct record_asks *a)
{
    p->asks = a;
    list_init(&p->asked);
    list_append(&a->peers, &p->link);
}

void record_asker_leave(struct record_asker *p)
{
    struct asked *a;
    while ((a = oldest(p)))
        forget(a);
    list_remove(&p->asks->peers, &p->link);
}

enum record_asked record_asker_find(const struct record_asker *p, const uint8_t record_key[32])
{
    const struct asked *a = find(p->asks, record_key);
    if (!a)
        return RECORD_FREE;
    return a->by == p ? RECORD_ASKED_HERE : RECORD_ASKED_ELSEWHERE;
}

void record_asker_note(struct record_asker *p, const uint8_t record_key[32], int64_t now_ms)
{
    struct record_asks *asks = p->asks;
    struct asked *a = xcalloc(1, sizeof *a);
    a->by = p;
    a->at_ms = now_ms;
    memcpy(a->record_key, record_key, sizeof a->record_key);
    list_append(&p->asked, &a->link);
    map_put(&asks->asked, siphash_32(&asks->key, record_key), a);
}

static void go_behind(struct record_asker *p)
{
    list_remove(&p->asks->peers, &p->link);
    list_append(&p->asks->peers, &p->link);
}

bool record_asker_answered(struct record_asker *p, const uint8_t record_key[32])
{
    struct asked *a = find(p->asks, record_key);
    if (!a || a->by != p)
        return false;
    forget(a);
    go_behind(p);
    return true;
}

static bool expire(struct record_asker *p, int64_t now_ms)
{
    struct asked *a;
    bool any = false;
    while ((a = oldest(p)) && now_ms - a->at_ms >= RECORD_ASKED_MS) {
        forget(a);
        any = true;
    }
    return any;
}

void record_asks_expire(struct record_asks *a, int64_t now_ms)
{
    struct list_link *l = list_first(&a->peers), *next;
    for (size_t n = a->peers.n; n > 0; n--, l = next) { /* each once: some go to the end */
        struct record_asker *p = LIST_ITEM(l, struct record_asker, link);
        next = list_next(&a->peers, l);
        if (expire(p, now_ms))
            go_behind(p);
    }
}
