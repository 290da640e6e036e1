/* UTF-8 by RFC 3629: shortest forms only, no surrogates, nothing above U+10FFFF. Any thread. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character that begins at p (1 to 4), or 0 when there is none in these len bytes. */
size_t utf8_sequence(const uint8_t *p, size_t len);
bool utf8_valid(const void *text, size_t len);

#endif
