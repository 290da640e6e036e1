/*
 * What statements of successors (dchan_successor.h) mean for a contact (spec channels 2.7). Pure
 * functions over one contact; nothing is stored here. Channel thread.
 */
#ifndef P2P_CONTACT_SUCCESSOR_H
#define P2P_CONTACT_SUCCESSOR_H

#include "p2p/contacts.h"

enum contact_heir_state {
    CONTACT_HEIR_PROPOSED, /* of the present key: the user may take it */
    CONTACT_HEIR_TAKEN,    /* the contact has moved along it */
    CONTACT_HEIR_PAST,     /* of a former key, which went elsewhere */
};

/* A statement that is stored. torn: there is another one of the same old key with another new key,
 * which is a sign of theft. */
struct contact_heir {
    struct dchan_successor statement;
    enum contact_heir_state state;
    bool torn;
};
void contact_heir_get(const struct contact *c, size_t i, struct contact_heir *out);

/* Whether the same content is stored: signatures may differ. */
bool contact_has_statement(const struct contact *c, const struct dchan_successor *s);
/* ERR_RANGE: there is no room. In a full list one of the present key takes the place of the last
 * one of a key of before that leads nowhere, if there is one. */
enum err contact_add_statement(struct contact *c, const struct dchan_successor *s,
                               struct error *e) MUST_CHECK;
/*
 * The contact has the new key from now on, its present one is a former key. ERR_NOTFOUND: no stored
 * statement says so; ERR_RANGE: no room for one more former key.
 */
enum err contact_follow(struct contact *c, const uint8_t new_key[IDENTITY_KEY_SIZE],
                        struct error *e) MUST_CHECK;

#endif
