/*
 * peers.dat, in the frame of base/state_file.h (tag ADDR). The payload:
 *
 *   32 bytes secret, u32 number of entries, then for each entry
 *   i64 time, u64 services, 18 address, 18 source, i64 last success, i64 last try, u32 attempts,
 *   u8 places in new (0: tried), u16 for each place (slot number)
 *
 * Integers are little-endian, addresses as on the wire.
 */
#include "p2p/addrman_internal.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/reader.h"
#include "base/state_file.h"

#define ENTRY_MIN_SIZE (8 + 8 + 18 + 18 + 8 + 8 + 4 + 1)
#define FILE_MAX_SIZE (ADDRMAN_MAX_ENTRIES * (ENTRY_MIN_SIZE + 2 * AM_MAX_PLACES) + 4096)

static const struct state_file_kind addrman_kind = { "ADDR", 1 };

static void encode_entry(const struct am_entry *x, struct buf *out)
{
    buf_put_le64(out, (uint64_t)x->pa.time);
    buf_put_le64(out, x->pa.services);
    netaddr_write(out, &x->pa.addr);
    netaddr_write(out, &x->source);
    buf_put_le64(out, (uint64_t)x->last_success);
    buf_put_le64(out, (uint64_t)x->last_try);
    buf_put_le32(out, x->attempts);
    buf_put_u8(out, x->places);
    for (unsigned k = 0; k < x->places; k++)
        buf_put_le16(out, x->where[k]);
}

void addrman_encode(const struct addrman *am, const uint8_t magic[4], struct buf *out)
{
    buf_reserve(out, 128 + am->n * (size_t)ENTRY_MIN_SIZE);
    state_file_begin(out, &addrman_kind, magic);
    buf_put(out, am->secret, sizeof am->secret);
    buf_put_le32(out, am->n);
    for (uint32_t k = 0; k < am->n; k++)
        encode_entry(&am->entries[am->order[k]], out);
}

static int64_t not_after(int64_t t, int64_t limit)
{
    return t < 0 ? 0 : t > limit ? limit : t;
}

static bool decode_record(struct reader *r, struct am_entry *x, int64_t now)
{
    *x = (struct am_entry){ .tried = false };
    x->pa.time = not_after((int64_t)read_le64(r), now);
    x->pa.services = read_le64(r);
    netaddr_read(r, &x->pa.addr);
    netaddr_read(r, &x->source);
    x->last_success = not_after((int64_t)read_le64(r), now);
    x->last_try = not_after((int64_t)read_le64(r), now);
    x->attempts = read_le32(r);
    x->places = read_u8(r);
    if (x->places > AM_MAX_PLACES)
        return false;
    for (unsigned k = 0; k < x->places; k++)
        x->where[k] = read_le16(r);
    return !r->failed;
}

/* The places it had, as far as they are its own and free; else the one its source gives. */
static void restore_new(struct addrman *am, uint32_t i, const struct am_entry *stored)
{
    struct am_entry *x = &am->entries[i];
    for (unsigned k = 0; k < stored->places; k++) {
        uint32_t slot = stored->where[k];
        if (am->fresh.slots[slot] == AM_NONE &&
            slot == am_new_slot_in(am, &x->pa.addr, slot / ADDRMAN_BUCKET_SIZE))
            am_put_new(am, i, slot);
    }
    if (x->places)
        return;
    uint32_t slot = am_new_slot(am, &x->pa.addr, &x->source);
    if (am->fresh.slots[slot] == AM_NONE)
        am_put_new(am, i, slot);
    else
        am_delete(am, i);
}

/* False: the file contradicts itself. */
static bool restore(struct addrman *am, const struct am_entry *stored)
{
    if (!netaddr_is_routable(&stored->pa.addr) || stored->pa.addr.port == 0 ||
        am_find(am, &stored->pa.addr) != AM_NONE)
        return false;
    uint32_t i = am_create(am, &stored->pa, &stored->source);
    if (i == AM_NONE)
        return false;
    am->entries[i].last_success = stored->last_success;
    am->entries[i].last_try = stored->last_try;
    am->entries[i].attempts = stored->attempts;
    if (stored->places || am->tried.slots[am_tried_slot(am, &stored->pa.addr)] != AM_NONE)
        restore_new(am, i, stored);
    else
        am_make_tried(am, i);
    return true;
}

static bool decode_all(struct addrman *am, struct reader *r, int64_t now)
{
    struct am_entry stored;
    read_copy(r, am->secret, sizeof am->secret);
    uint32_t n = read_le32(r);
    if (r->failed || n > ADDRMAN_MAX_ENTRIES || n > r->left / ENTRY_MIN_SIZE)
        return false;
    while (n-- > 0)
        if (!decode_record(r, &stored, now) || !restore(am, &stored))
            return false;
    return reader_done(r);
}

enum err addrman_decode(struct addrman *am, const void *data, size_t len, const uint8_t magic[4],
                        int64_t now, struct error *e)
{
    struct reader r;
    enum err rc = state_file_open(&r, data, len, &addrman_kind, magic, e);
    if (rc)
        return rc;
    am_reset(am);
    if (decode_all(am, &r, now))
        return OK;
    am_reset(am);
    rand_bytes(am->secret, sizeof am->secret);
    return error_set(e, ERR_CORRUPT, "entries of the address book are damaged");
}

struct load { struct addrman *am; const uint8_t *magic; int64_t now; };

static enum err load_decode(void *ctx, const void *data, size_t len, struct error *e)
{
    const struct load *l = ctx;
    return addrman_decode(l->am, data, len, l->magic, l->now, e);
}

enum err addrman_load(struct addrman *am, const char *path, const uint8_t magic[4], int64_t now,
                      struct error *e)
{
    struct load l = { am, magic, now };
    enum err rc = state_file_load(path, FILE_MAX_SIZE, load_decode, &l, e);
    if (rc == OK)
        log_debug(LOGC_ADDRMAN, "addrman: %zu new and %zu tried addresses", am->n_new, am->n_tried);
    return rc;
}

enum err addrman_store(const struct addrman *am, const char *path, const uint8_t magic[4],
                       struct error *e)
{
    struct buf data;
    buf_init(&data);
    addrman_encode(am, magic, &data);
    enum err rc = state_file_commit(path, &data, e);
    buf_clear(&data);
    return rc;
}
