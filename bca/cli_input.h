/* Values on the command line of bsvpeer-bca: bytes, addresses, prefixes. One thread. */
#ifndef BCA_CLI_INPUT_H
#define BCA_CLI_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * HEX, @FILE, or - for standard input, at most limit bytes. What is read from a file is hex digits
 * with any white space, or the bytes themselves when it is no text. Errors name the value by
 * `what`, never by its content, which may be secret.
 */
enum err cli_read_bytes(const char *what, const char *text, size_t limit, struct buf *out,
                        struct error *e) MUST_CHECK;
/* The same for exactly len bytes. */
enum err cli_read_exact(const char *what, const char *text, uint8_t *out, size_t len,
                        struct error *e) MUST_CHECK;

/* An IPv6 address as text or 32 hex digits. */
enum err cli_read_address(const char *text, uint8_t out[16], struct error *e) MUST_CHECK;
/* A prefix of 64 bits: "2001:db8:0:1::", "2001:db8:0:1::/64" or 16 hex digits. */
enum err cli_read_prefix(const char *text, uint8_t out[8], struct error *e) MUST_CHECK;

#endif
