#include "p2p/assigned.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/reader.h"
#include "base/state_file.h"

#define ENTRY_MIN 51
#define FILE_MAX 65536

static const struct state_file_kind assigned_kind = { "ASGN", 1 };

struct assigned {
    pthread_mutex_t work; /* begin to end */
    pthread_mutex_t lock; /* the list, and the file */
    char *path;
    uint8_t magic[4];
    struct assigned_address list[ASSIGNED_MAX];
    size_t n;
};

/* --- file ----------------------------------------------------------------------------------- */

static bool take_text(struct reader *r, char *out, size_t room)
{
    const struct span text = read_var_bytes(r);
    if (r->failed || text.len >= room || (text.len && memchr(text.data, 0, text.len)))
        return false;
    if (text.len)
        memcpy(out, text.data, text.len);
    out[text.len] = 0;
    return true;
}

static bool take_entry(struct reader *r, struct assigned_address *out)
{
    read_copy(r, out->address, sizeof out->address);
    read_copy(r, out->replaces, sizeof out->replaces);
    out->since = (int64_t)read_le64(r);
    out->retired = (int64_t)read_le64(r);
    return take_text(r, out->interface, sizeof out->interface) &&
           take_text(r, out->owner, sizeof out->owner) &&
           take_text(r, out->name, sizeof out->name);
}

static enum err decode(void *ctx, const void *data, size_t len, struct error *e)
{
    struct assigned *a = ctx;
    struct reader r;
    enum err rc = state_file_open(&r, data, len, &assigned_kind, a->magic, e);
    if (rc)
        return rc;
    const size_t n = read_le16(&r);
    bool good = n <= ASSIGNED_MAX && n <= r.left / ENTRY_MIN;
    for (size_t i = 0; good && i < n; i++)
        good = take_entry(&r, &a->list[i]);
    if (!good || !reader_done(&r))
        return error_set(e, ERR_CORRUPT, "the list of addresses is malformed");
    a->n = n;
    return OK;
}

static enum err store(const struct assigned *a, const struct assigned_address *list, size_t n,
                      struct error *e)
{
    struct buf b;
    buf_init(&b);
    state_file_begin(&b, &assigned_kind, a->magic);
    buf_put_le16(&b, (uint16_t)n);
    for (size_t i = 0; i < n; i++) {
        buf_put(&b, list[i].address, sizeof list[i].address);
        buf_put(&b, list[i].replaces, sizeof list[i].replaces);
        buf_put_le64(&b, (uint64_t)list[i].since);
        buf_put_le64(&b, (uint64_t)list[i].retired);
        buf_put_var_bytes(&b, list[i].interface, strlen(list[i].interface));
        buf_put_var_bytes(&b, list[i].owner, strlen(list[i].owner));
        buf_put_var_bytes(&b, list[i].name, strlen(list[i].name));
    }
    const enum err rc = state_file_commit(a->path, &b, e);
    buf_clear(&b);
    return rc;
}

enum err assigned_open(struct assigned **out, const char *path, const uint8_t magic[4],
                       struct error *e)
{
    struct assigned *a = xcalloc(1, sizeof *a);
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&a->work, &kind);
    pthread_mutexattr_destroy(&kind);
    pthread_mutex_init(&a->lock, NULL);
    a->path = xstrdup(path);
    memcpy(a->magic, magic, sizeof a->magic);
    const enum err rc = state_file_load(path, FILE_MAX, decode, a, e);
    *out = rc ? NULL : a;
    if (rc)
        assigned_free(a);
    return rc;
}

void assigned_free(struct assigned *a)
{
    if (!a)
        return;
    pthread_mutex_destroy(&a->work);
    pthread_mutex_destroy(&a->lock);
    free(a->path);
    free(a);
}

/* --- list ----------------------------------------------------------------------------------- */

void assigned_begin(struct assigned *a) { pthread_mutex_lock(&a->work); }
void assigned_end(struct assigned *a) { pthread_mutex_unlock(&a->work); }

/* a->n when it is not there. */
static size_t find_locked(const struct assigned *a, const uint8_t *address)
{
    size_t i = 0;
    while (i < a->n && !mem_equal_var(a->list[i].address, address, sizeof a->list[i].address))
        i++;
    return i;
}

size_t assigned_list(struct assigned *a, struct assigned_address *out)
{
    pthread_mutex_lock(&a->lock);
    const size_t n = a->n;
    memcpy(out, a->list, n * sizeof *out);
    pthread_mutex_unlock(&a->lock);
    return n;
}

bool assigned_find(struct assigned *a, const uint8_t address[16], struct assigned_address *out)
{
    pthread_mutex_lock(&a->lock);
    const size_t i = find_locked(a, address);
    const bool found = i < a->n;
    if (found)
        *out = a->list[i];
    pthread_mutex_unlock(&a->lock);
    return found;
}

bool assigned_in_use(struct assigned *a, const struct assigned_address *at)
{
    struct assigned_address old;
    return !at->retired && !at->trying && (!assigned_find(a, at->replaces, &old) || old.retired);
}

static enum err check_number(size_t n, struct error *e)
{
    return n <= ASSIGNED_MAX ? OK
                             : error_set(e, ERR_RANGE, "there are %d addresses on interfaces, "
                                         "retired ones among them", ASSIGNED_MAX);
}

enum err assigned_room(struct assigned *a, struct error *e)
{
    pthread_mutex_lock(&a->lock);
    const size_t n = a->n;
    pthread_mutex_unlock(&a->lock);
    return check_number(n + 1, e);
}

static enum err put_locked(struct assigned *a, const uint8_t *old,
                           const struct assigned_address *in, struct error *e)
{
    const size_t i = find_locked(a, old), n = i == a->n ? a->n + 1 : a->n;
    const enum err room = check_number(n, e);
    if (room)
        return room;
    const size_t same = find_locked(a, in->address);
    if (same < a->n && same != i)
        return error_set(e, ERR_EXISTS, "the address is on the interface %s already",
                         a->list[same].interface);
    const struct assigned_address before = a->list[i];
    a->list[i] = *in;
    const enum err rc = store(a, a->list, n, e);
    if (rc)
        a->list[i] = before;
    else
        a->n = n;
    return rc;
}

enum err assigned_put(struct assigned *a, const uint8_t *old, const struct assigned_address *in,
                      struct error *e)
{
    pthread_mutex_lock(&a->lock);
    const enum err rc = put_locked(a, old ? old : in->address, in, e);
    pthread_mutex_unlock(&a->lock);
    return rc;
}

void assigned_settle(struct assigned *a, const uint8_t address[16])
{
    pthread_mutex_lock(&a->lock);
    const size_t i = find_locked(a, address);
    if (i < a->n)
        a->list[i].trying = false;
    pthread_mutex_unlock(&a->lock);
}

static enum err remove_locked(struct assigned *a, const uint8_t *address, struct error *e)
{
    const size_t i = find_locked(a, address);
    if (i == a->n)
        return OK;
    const struct assigned_address gone = a->list[i];
    const size_t after = a->n - i - 1;
    memmove(&a->list[i], &a->list[i + 1], after * sizeof gone);
    const enum err rc = store(a, a->list, a->n - 1, e);
    if (!rc) {
        a->n--;
        return OK;
    }
    memmove(&a->list[i + 1], &a->list[i], after * sizeof gone);
    a->list[i] = gone;
    return rc;
}

enum err assigned_remove(struct assigned *a, const uint8_t address[16], struct error *e)
{
    pthread_mutex_lock(&a->lock);
    const enum err rc = remove_locked(a, address, e);
    pthread_mutex_unlock(&a->lock);
    return rc;
}
