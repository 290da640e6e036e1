/* The form of a contact on disk, shared by contacts*.c and their tests. */
#ifndef P2P_CONTACTS_INTERNAL_H
#define P2P_CONTACTS_INTERNAL_H

#include "p2p/contacts.h"

#define CONTACTS_PREFIX 'c'
#define CONTACTS_KEY_SIZE 9

void contact_disk_key(uint8_t out[CONTACTS_KEY_SIZE], uint64_t id);
void contact_write(struct buf *b, const struct contact *c);
/* All but id. ERR_CORRUPT; ERR_RANGE: of a newer version. */
enum err contact_read(struct contact *out, struct span in, struct error *e) MUST_CHECK;

/* The rules that need no look at other contacts; an empty alias is fine. ERR_RANGE. */
enum err contact_check(const struct contact *c, struct error *e) MUST_CHECK;

#endif
