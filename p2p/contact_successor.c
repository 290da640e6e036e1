#include <config.h>

#include "p2p/contact_successor.h"

static void statement_at(const struct contact *c, size_t i, struct dchan_successor *out)
{
    struct reader r;
    reader_init(&r, c->statements[i], sizeof c->statements[i]);
    dchan_successor_read(&r, out);
}

static bool same_key(const uint8_t *a, const uint8_t *b)
{
    return mem_equal_var(a, b, IDENTITY_KEY_SIZE);
}

static bool is_present(const struct contact *c, const uint8_t *key)
{
    return c->has_key && same_key(c->key, key);
}

static bool is_known(const struct contact *c, const uint8_t *key)
{
    bool known = is_present(c, key);
    for (size_t i = 0; i < c->n_former; i++)
        known |= same_key(c->former[i], key);
    return known;
}

static bool is_torn(const struct contact *c, const struct dchan_successor *s)
{
    struct dchan_successor other;
    for (size_t i = 0; i < c->n_statements; i++) {
        statement_at(c, i, &other);
        if (same_key(other.old_key, s->old_key) && !same_key(other.new_key, s->new_key))
            return true;
    }
    return false;
}

void contact_heir_get(const struct contact *c, size_t i, struct contact_heir *out)
{
    statement_at(c, i, &out->statement);
    const struct dchan_successor *s = &out->statement;
    out->torn = is_torn(c, s);
    if (is_known(c, s->new_key))
        out->state = CONTACT_HEIR_TAKEN;
    else
        out->state = is_present(c, s->old_key) ? CONTACT_HEIR_PROPOSED : CONTACT_HEIR_PAST;
}

bool contact_has_statement(const struct contact *c, const struct dchan_successor *s)
{
    struct dchan_successor other;
    for (size_t i = 0; i < c->n_statements; i++) {
        statement_at(c, i, &other);
        if (same_key(other.old_key, s->old_key) && same_key(other.new_key, s->new_key) &&
            other.seq == s->seq && other.issued == s->issued)
            return true;
    }
    return false;
}

/* Of the last one that has no effect and never will have: a key of before says something other than
 * what was followed. False: there is none. */
static bool drop_past(struct contact *c)
{
    struct contact_heir heir = { .state = CONTACT_HEIR_TAKEN };
    size_t i = c->n_statements;
    while (i > 0 && heir.state != CONTACT_HEIR_PAST)
        contact_heir_get(c, --i, &heir);
    if (heir.state != CONTACT_HEIR_PAST)
        return false;
    memmove(c->statements[i], c->statements[i + 1],
            (--c->n_statements - i) * sizeof c->statements[0]);
    return true;
}

/* Who has a key of before may fill the list; the word of the present key finds a place. */
static bool has_room(struct contact *c, const struct dchan_successor *s)
{
    return c->n_statements < CONTACT_FORMER_MAX ||
           (is_present(c, s->old_key) && drop_past(c));
}

enum err contact_add_statement(struct contact *c, const struct dchan_successor *s,
                               struct error *e)
{
    struct buf b;
    if (!has_room(c, s))
        return error_set(e, ERR_RANGE, "contact \"%s\" has %d statements about its key already, "
                         "and one more is not kept: see contactlist, ask it for its key by another "
                         "way, and add it anew if that is another", c->alias, CONTACT_FORMER_MAX);
    buf_init(&b);
    dchan_successor_write(&b, s);
    memcpy(c->statements[c->n_statements++], b.data, DCHAN_SUCCESSOR_SIZE);
    buf_clear(&b);
    return OK;
}

enum err contact_follow(struct contact *c, const uint8_t new_key[IDENTITY_KEY_SIZE],
                        struct error *e)
{
    struct contact_heir heir;
    bool said = false;
    for (size_t i = 0; i < c->n_statements; i++) {
        contact_heir_get(c, i, &heir);
        said |= heir.state == CONTACT_HEIR_PROPOSED && same_key(heir.statement.new_key, new_key);
    }
    if (!said)
        return error_set(e, ERR_NOTFOUND,
                         "the present key of \"%s\" has not said that this is its successor",
                         c->alias);
    if (c->n_former == CONTACT_FORMER_MAX)
        return error_set(e, ERR_RANGE, "contact \"%s\" has had %d keys already", c->alias,
                         CONTACT_FORMER_MAX + 1);
    memcpy(c->former[c->n_former++], c->key, sizeof c->key);
    memcpy(c->key, new_key, sizeof c->key);
    return OK;
}
