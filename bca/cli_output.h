/*
 * What bsvpeer-bca prints: named values, as lines "name: value" without those that are not known,
 * or as one JSON object in which these are null. One thread.
 */
#ifndef BCA_CLI_OUTPUT_H
#define BCA_CLI_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct cli_record {
    bool json;
    struct buf text;
};

void cli_record_init(struct cli_record *r, bool json);
/* Names and texts are our own: letters that JSON takes as they are. NULL: not known. */
void cli_put_text(struct cli_record *r, const char *name, const char *value);
void cli_put_number(struct cli_record *r, const char *name, int64_t value);
void cli_put_null(struct cli_record *r, const char *name);
void cli_put_bool(struct cli_record *r, const char *name, bool value);
void cli_put_hex(struct cli_record *r, const char *name, const void *data, size_t len);
/* 32 bytes in display order. */
void cli_put_hash(struct cli_record *r, const char *name, const uint8_t hash[32]);
/* n hashes in internal order, one after the other. */
void cli_put_siblings(struct cli_record *r, const char *name, const uint8_t *hashes, unsigned n);
void cli_put_address(struct cli_record *r, const char *name, const uint8_t address[16]);
/* As buf_print; the record is cleared. */
bool cli_record_print(struct cli_record *r);

#endif
