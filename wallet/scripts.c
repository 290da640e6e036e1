/*
 * Nearly all that is looked up is not there. With many keys the table does not fit the cache of a
 * processor, so a bit for each hash, in a smaller table, is looked at first.
 */
#include <config.h>

#include "wallet/scripts.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "script/build.h"
#include "script/opcode.h"
#include "script/template.h"

/* Lengths counted one by one; the last count is of all longer ones. */
#define LENGTHS 256

enum { BITS_A_SCRIPT = 16, BITS_MIN = 4096 };

struct entry {
    struct owner owner;
    size_t len;
    uint8_t script[];
};

struct scripts {
    struct map map;
    struct siphash_key key;
    uint32_t n_of_length[LENGTHS];
    size_t longest; /* ever */
    size_t entry_bytes;
    uint64_t *bits; /* those of hashes that were ever added are set */
    size_t n_bits;  /* a power of two; 0: all count as set */
};

struct scripts *scripts_new(void)
{
    struct scripts *s = (struct scripts *)xcalloc(1, sizeof *s);
    map_init(&s->map);
    rand_bytes(&s->key, sizeof s->key);
    return s;
}

void scripts_free(struct scripts *s)
{
    if (!s)
        return;
    size_t pos = 0;
    for (void *entry; (entry = map_next(&s->map, &pos));)
        free(entry);
    map_clear(&s->map);
    free(s->bits);
    free(s);
}

static size_t class_of(size_t len)
{
    return MIN_OF(len, LENGTHS - 1);
}

static bool may_be_known(const struct scripts *s, struct span script)
{
    return s->n_of_length[class_of(script.len)] && script.len <= s->longest;
}

static uint64_t hash_of(const struct scripts *s, struct span script)
{
    return siphash(&s->key, script.data, script.len);
}

static uint64_t *word_of(const struct scripts *s, uint64_t hash, uint64_t *bit)
{
    const size_t at = (size_t)(hash >> 16) & (s->n_bits - 1); /* the table uses the low ones */
    *bit = UINT64_C(1) << at % 64;
    return &s->bits[at / 64];
}

static void set_bit(struct scripts *s, uint64_t hash)
{
    uint64_t bit;
    if (s->n_bits)
        *word_of(s, hash, &bit) |= bit;
}

static bool is_set(const struct scripts *s, uint64_t hash)
{
    uint64_t bit;
    return !s->n_bits || *word_of(s, hash, &bit) & bit;
}

/* Without memory for more, there is none until the next try. */
static void grow_bits(struct scripts *s)
{
    size_t pos = 0, n = MAX_OF(s->n_bits, (size_t)BITS_MIN);
    if (s->n_bits >= s->map.n * BITS_A_SCRIPT)
        return;
    while (n < 2 * s->map.n * BITS_A_SCRIPT)
        n *= 2;
    free(s->bits);
    s->bits = (uint64_t *)try_calloc(n / 64, sizeof *s->bits);
    s->n_bits = s->bits ? n : 0;
    for (const struct entry *entry; (entry = (const struct entry *)map_next(&s->map, &pos));)
        set_bit(s, hash_of(s, span_of(entry->script, entry->len)));
}

static bool is_script(const void *item, const void *key)
{
    const struct entry *entry = (const struct entry *)item;
    const struct span *script = (const struct span *)key;
    return entry->len == script->len && mem_equal_var(entry->script, script->data, script->len);
}

static struct owner settled(struct span script, struct owner owner)
{
    struct script_match match;
    script_classify(script, SCRIPT_ERA_GENESIS, &match);
    if (match.type == SCRIPT_TYPE_MULTISIG)
        owner.kind = OWNER_WATCH;
    return owner;
}

static size_t entry_cost(size_t len)
{
    return mem_cost(sizeof(struct entry) + len);
}

static bool add_new(struct scripts *s, struct span script, uint64_t hash, struct owner owner)
{
    size_t size;
    struct entry *entry = NULL;
    if (add_size(sizeof *entry, script.len, &size))
        entry = (struct entry *)try_alloc(size, 1);
    if (!entry)
        return false;
    entry->owner = owner;
    entry->len = script.len;
    memcpy(entry->script, script.data, script.len);
    map_put(&s->map, hash, entry);
    set_bit(s, hash);
    grow_bits(s);
    s->n_of_length[class_of(script.len)]++;
    s->longest = MAX_OF(s->longest, script.len);
    s->entry_bytes += entry_cost(script.len);
    return true;
}

bool scripts_add(struct scripts *s, struct span script, struct owner owner)
{
    if (!script.len)
        return false;
    owner = settled(script, owner);
    const uint64_t hash = hash_of(s, script);
    struct entry *entry = (struct entry *)map_find(&s->map, hash, is_script, &script);
    if (!entry)
        return add_new(s, script, hash, owner);
    if (owner.kind == OWNER_SPENDABLE || entry->owner.kind == OWNER_WATCH)
        entry->owner = owner;
    return true;
}

bool scripts_add_key(struct scripts *s, struct span key, struct owner owner)
{
    uint8_t pay_hash[SCRIPT_P2PKH_SIZE];
    script_make_for_key(pay_hash, key);
    if (!scripts_add(s, span_of(pay_hash, sizeof pay_hash), owner))
        return false;
    struct buf pay_key = { 0 };
    script_put_data(&pay_key, key.data, key.len);
    script_put_op(&pay_key, OP_CHECKSIG);
    const bool ok = scripts_add(s, buf_span(&pay_key), owner);
    buf_clear(&pay_key);
    return ok;
}

bool scripts_find(const struct scripts *s, struct span script, struct owner *owner)
{
    if (!may_be_known(s, script))
        return false;
    const uint64_t hash = hash_of(s, script);
    if (!is_set(s, hash))
        return false;
    const struct entry *entry =
        (const struct entry *)map_find(&s->map, hash, is_script, &script);
    if (!entry)
        return false;
    *owner = entry->owner;
    return true;
}

size_t scripts_count(const struct scripts *s)
{
    return s->map.n;
}

size_t scripts_bytes(const struct scripts *s)
{
    return sizeof *s + map_bytes(&s->map) + s->entry_bytes + s->n_bits / 8;
}
