/* Encodings of signatures and keys as rules demand them (spec consensus 4.7). Any thread. */
#ifndef SCRIPT_ENCODING_H
#define SCRIPT_ENCODING_H

#include <stdbool.h>

#include "base/bytes.h"

/* BIP66: strict DER with the hash type byte at the end, 9 to 73 bytes. */
bool script_sig_is_strict_der(struct span sig);
/* The hash type without its flag bits is ALL, NONE or SINGLE. */
bool script_hash_type_is_defined(uint8_t hash_type);
/* 33 bytes that begin with 02 or 03. */
bool script_key_is_compressed(struct span key);
/* The same, or 65 bytes that begin with 04: no hybrid keys. */
bool script_key_is_strict(struct span key);

#endif
