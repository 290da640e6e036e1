/* Base64 (RFC 4648, standard digits). Variable time: wipe buffers after secrets. Any thread. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Decodes up to NUL; the '=' at the end may be missing. The length, or SIZE_MAX when it is no
 * Base64 or longer than cap. */
size_t base64_decode(uint8_t *out, size_t cap, const char *text);
void base64_encode(struct buf *out, const void *data, size_t len);

#endif
