/*
 * JSON input. Our own pass over the text decides what is JSON (RFC 8259, UTF-8 checked), since
 * json-c lets too much through and clamps large integers; another makes json-c's tree
 * (json_tree.h).
 *
 * Refused: control characters and lone surrogates in strings, U+0000 in names, NaN and Infinity,
 * nesting beyond JSON_READ_DEPTH, anything after the value. Of equal names in an object the last
 * one counts. An integer outside -2^63 .. 2^64-1 is a double which, as each does, keeps its text:
 * whoever wants an integer refuses it, and an id comes back as it was. Any thread.
 */
#ifndef RPC_JSON_READ_H
#define RPC_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define JSON_READ_DEPTH 512
/* What json-c's positions can hold. */
#define JSON_READ_MAX ((size_t)INT32_MAX - 1)

struct json_object;

/* Our pass alone: ERR_PARSE with position and reason when text is not acceptable. */
enum err json_check(const char *text, size_t len, struct error *e) MUST_CHECK;
/* Check and build; the caller releases *out with json_object_put. The value null gives *out NULL.
 */
enum err json_read(const char *text, size_t len, struct json_object **out,
                   struct error *e) MUST_CHECK;

/*
 * A decimal number as text, with optional fraction and exponent, as a multiple of 10^-decimals.
 * False when it is no number, has digits below that unit, or does not fit.
 */
bool json_fixed_point(const char *text, unsigned decimals, int64_t *out);
/* Satoshis of a number or a string with coins; false when it is neither or has a ninth decimal. */
bool json_get_amount(struct json_object *v, int64_t *satoshis);
/* The text of a string, borrowed; empty when there is none. */
struct span json_get_span(struct json_object *v);

#endif
