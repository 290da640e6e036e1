/*
 * The request box: messages of strangers that nobody has read yet. At most limits.box of them, of
 * one /48 limits.box_per_48: keys cost nothing, prefixes do.
 */
#include "p2p/messages_internal.h"

#include <string.h>

enum err box_load(struct messages *m, struct error *e)
{
    const struct message_key table = message_key_number(TABLE_BOX, 0);
    struct kv_iter *it = kv_iter_new(m->kv);
    uint64_t number;
    for (kv_iter_seek(it, table.b, table.len);
         kv_iter_valid(it) && message_key_has_number(kv_iter_key(it), TABLE_BOX, &number) &&
         m->n_box < MESSAGES_BOX_MAX;
         kv_iter_next(it)) {
        const struct span value = kv_iter_value(it);
        struct boxed *b = &m->box[m->n_box++];
        *b = (struct boxed){ .number = number };
        if (value.len == sizeof b->prefix)
            memcpy(b->prefix, value.data, sizeof b->prefix);
    }
    const enum err rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

bool box_has_room(const struct messages *m, const uint8_t prefix[6])
{
    size_t same = 0;
    for (size_t i = 0; i < m->n_box; i++)
        same += memcmp(m->box[i].prefix, prefix, 6) == 0;
    return m->n_box < m->limits.box && same < m->limits.box_per_48;
}

void box_add(struct messages *m, struct dchan_write *w, uint64_t number, const uint8_t prefix[6])
{
    const struct message_key key = message_key_number(TABLE_BOX, number);
    struct boxed *b = &m->box[m->n_box++];
    b->number = number;
    memcpy(b->prefix, prefix, sizeof b->prefix);
    dchan_write_put(w, key.b, key.len, prefix, sizeof b->prefix);
}

void box_remove(struct messages *m, struct dchan_write *w, uint64_t number)
{
    const struct message_key key = message_key_number(TABLE_BOX, number);
    for (size_t i = 0; i < m->n_box; i++)
        if (m->box[i].number == number) {
            m->box[i] = m->box[--m->n_box];
            break;
        }
    if (w)
        write_delete(w, &key);
}
