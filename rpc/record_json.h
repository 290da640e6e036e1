/* Announced records of identities in answers. Any thread. */
#ifndef RPC_RECORD_JSON_H
#define RPC_RECORD_JSON_H

#include "p2p/bca_store.h"
#include "rpc/json_write.h"

enum record_detail { RECORD_IN_LIST, RECORD_WHOLE /* with its bytes */ };
/* One object, of a record that is stored. */
void jw_record(struct json_writer *w, struct span raw, const struct bca_facts *f,
               enum record_detail detail);
/* Members of a record that was read. */
void jw_record_fields(struct json_writer *w, const struct bca_record *r);
/* Text of somebody else without control characters; it is valid UTF-8. */
void jw_put_foreign_text(struct json_writer *w, const char *key, struct span text);

/* What jw_record writes, for the help of methods. */
#define RECORD_FIELDS_HELP \
    "seq, issued, expires, expired, tombstone, alias, " \
    "endpoints:[{type, address, port, priority, proved}...], features"
#define RECORD_JSON_HELP "key, record_key, " RECORD_FIELDS_HELP ", public, reached, equivocal"

#endif
