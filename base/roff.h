/* Manual pages (man(7)) from the same tables as the help texts. Any thread. */
#ifndef BASE_ROFF_H
#define BASE_ROFF_H

#include "base/buf.h"

/* Text with everything escaped that roff would take for a command; line ends stay. */
void roff_text(struct buf *out, const char *text);
/* ".SH TITLE" or ".SS title". */
void roff_section(struct buf *out, const char *macro, const char *title);
/* A tagged paragraph: the tag in bold, then what follows on the next line. */
void roff_tag(struct buf *out, const char *tag, const char *argument);

#endif
