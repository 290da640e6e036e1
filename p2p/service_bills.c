/*
 * On disk, key 'm' | contact u64 | name of the service; value: u8 version 1, charged u64, paid u64,
 * and of a satoshi: u64 / 2^20, u64 / 60000.
 */
#include "p2p/service_bills.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"

#define KEY_PREFIX 'm'
#define KEY_HEAD 9
#define VERSION 1

static struct service_account *account_of(struct list_link *link)
{
    return LIST_ITEM(link, struct service_account, link);
}

static void on_counted(struct stream_meter *m)
{
    LIST_ITEM(m, struct service_account, meter)->dirty = true;
}

static struct service_account *find(const struct service_bills *b, const char *service,
                                    uint64_t contact)
{
    for (struct list_link *l = list_first(&b->all); l; l = list_next(&b->all, l)) {
        struct service_account *a = account_of(l);
        if (a->contact == contact && strcmp(a->service, service) == 0)
            return a;
    }
    return NULL;
}

static struct service_account *add(struct service_bills *b, const char *service, size_t len,
                                   uint64_t contact)
{
    struct service_account *a = xcalloc(1, sizeof *a);
    memcpy(a->service, service, MIN_OF(len, sizeof a->service - 1));
    a->contact = contact;
    a->meter = (struct stream_meter){ .serves = true, .counted = on_counted };
    list_append(&b->all, &a->link);
    return a;
}

static void set_price(struct service_bills *b, struct service_account *a,
                      const struct bill_price *price, uint64_t credit)
{
    const bool was_over = stream_meter_is_over(&a->meter);
    a->meter.spending.bill.price = *price;
    a->meter.serves = !bill_price_is_zero(price);
    a->meter.credit = credit;
    if (was_over && !stream_meter_is_over(&a->meter))
        local_streams_resume(b->streams, &a->meter);
}

struct service_account *service_bills_get(struct service_bills *b, const char *service,
                                          uint64_t contact, const struct bill_price *price,
                                          uint64_t credit)
{
    struct service_account *a = find(b, service, contact);
    if (!a)
        a = add(b, service, strlen(service), contact);
    set_price(b, a, price, credit);
    return a;
}

void service_bills_set_price(struct service_bills *b, const char *service,
                             const struct bill_price *price, uint64_t credit)
{
    for (struct list_link *l = list_first(&b->all); l; l = list_next(&b->all, l))
        if (strcmp(account_of(l)->service, service) == 0)
            set_price(b, account_of(l), price, credit);
}

void service_bills_paid(struct service_bills *b, struct service_account *a, uint64_t amount)
{
    const bool was_over = stream_meter_is_over(&a->meter);
    bill_pay(&a->meter.spending.bill, amount);
    a->dirty = true;
    if (was_over && !stream_meter_is_over(&a->meter))
        local_streams_resume(b->streams, &a->meter);
}

uint64_t service_bills_settle(struct service_bills *b, uint64_t contact, uint64_t amount)
{
    for (struct list_link *l = list_first(&b->all); l && amount; l = list_next(&b->all, l)) {
        struct service_account *a = account_of(l);
        const uint64_t part = MIN_OF(bill_owed(&a->meter.spending.bill), amount);
        if (a->contact != contact || !part)
            continue;
        service_bills_paid(b, a, part);
        amount -= part;
    }
    return amount;
}

void service_bills_each(const struct service_bills *b, const char *service,
                        void (*fn)(const struct service_account *a, void *ctx), void *ctx)
{
    for (struct list_link *l = list_first(&b->all); l; l = list_next(&b->all, l))
        if (strcmp(account_of(l)->service, service) == 0)
            fn(account_of(l), ctx);
}

/* --- disk --- */

static size_t key_of(uint8_t key[KEY_HEAD + DCHAN_SERVICE_MAX], const struct service_account *a)
{
    key[0] = KEY_PREFIX;
    be64_put(key + 1, a->contact);
    memcpy(key + KEY_HEAD, a->service, strlen(a->service));
    return KEY_HEAD + strlen(a->service);
}

static void put(struct dchan_write *w, const struct service_account *a)
{
    const struct bill *bill = &a->meter.spending.bill;
    uint8_t key[KEY_HEAD + DCHAN_SERVICE_MAX];
    const size_t len = key_of(key, a);
    struct buf value;
    buf_init(&value);
    buf_put_u8(&value, VERSION);
    buf_put_be64(&value, bill->charged);
    buf_put_be64(&value, bill->paid);
    buf_put_be64(&value, bill->mib_rest);
    buf_put_be64(&value, bill->minute_rest);
    dchan_write_put(w, key, len, value.data, value.len);
    buf_clear(&value);
}

static void on_written(void *ctx, enum err rc, const struct error *e)
{
    (void)ctx;
    if (rc)
        LOG_LIMITED(LOG_WARN, "what contacts owe for services could not be written: %s", e->text);
}

void service_bills_write(struct service_bills *b)
{
    struct dchan_write *w = NULL;
    struct dchan_store *store = channels_store(b->streams->channels);
    b->written_ms = channels_now(b->streams->channels);
    for (struct list_link *l = list_first(&b->all); l; l = list_next(&b->all, l)) {
        struct service_account *a = account_of(l);
        if (!a->dirty)
            continue;
        if (!w)
            w = dchan_write_new(store);
        put(w, a);
        a->dirty = false;
    }
    if (w)
        dchan_store_commit(store, w, on_written, NULL);
}

void service_bills_tick(struct service_bills *b, uint64_t now_ms)
{
    if (now_ms - b->written_ms >= SERVICE_BILLS_WRITE_MS)
        service_bills_write(b);
}

static void drop(struct service_bills *b, struct service_account *a)
{
    list_remove(&b->all, &a->link);
    free(a);
}

/* Their streams have ended. */
void service_bills_forget(struct service_bills *b)
{
    struct dchan_store *store = channels_store(b->streams->channels);
    struct contacts *contacts = channels_contacts(b->streams->channels);
    for (struct list_link *l = list_first(&b->all), *next; l; l = next) {
        struct service_account *a = account_of(l);
        next = list_next(&b->all, l);
        if (contacts_by_id(contacts, a->contact) || local_streams_have(b->streams, &a->meter))
            continue;
        uint8_t key[KEY_HEAD + DCHAN_SERVICE_MAX];
        struct dchan_write *w = dchan_write_new(store);
        dchan_write_delete(w, key, key_of(key, a));
        dchan_store_commit(store, w, on_written, NULL);
        drop(b, a);
    }
}

static enum err load_one(struct service_bills *b, struct span key, struct span value,
                         struct error *e)
{
    struct reader r;
    reader_init(&r, value.data, value.len);
    const uint8_t version = read_u8(&r);
    if (version > VERSION)
        return error_set(e, ERR_RANGE, "an account of a service was written by a newer version");
    struct bill bill = { .charged = read_be64(&r) };
    bill.paid = read_be64(&r);
    bill.mib_rest = read_be64(&r);
    bill.minute_rest = read_be64(&r);
    if (!reader_done(&r) || key.len <= KEY_HEAD || key.len > KEY_HEAD + DCHAN_SERVICE_MAX ||
        bill.mib_rest >= BILL_MIB || bill.minute_rest >= BILL_MINUTE_MS)
        return error_set(e, ERR_CORRUPT, "an account of a service does not have its form");
    struct service_account *a = add(b, (const char *)key.data + KEY_HEAD, key.len - KEY_HEAD,
                                    be64_get(key.data + 1));
    a->meter.spending.bill = bill;
    a->meter.serves = false; /* until its price is known */
    return OK;
}

enum err service_bills_init(struct service_bills *b, struct local_streams *streams,
                            struct error *e)
{
    const uint8_t prefix = KEY_PREFIX;
    enum err rc = OK;
    *b = (struct service_bills){ .streams = streams };
    list_init(&b->all);
    struct kv_iter *it = kv_iter_new(dchan_store_kv(channels_store(streams->channels)));
    for (kv_iter_seek(it, &prefix, 1); !rc && kv_iter_valid(it); kv_iter_next(it)) {
        const struct span key = kv_iter_key(it);
        if (key.data[0] != prefix)
            break;
        rc = load_one(b, key, kv_iter_value(it), e);
    }
    if (!rc)
        rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

void service_bills_clear(struct service_bills *b)
{
    while (b->all.n)
        drop(b, account_of(list_first(&b->all)));
}
