/* The manual page of bsvpeerd, from the table of options. */
#ifndef NODE_MAN_H
#define NODE_MAN_H

#include "base/buf.h"

void node_man(struct buf *out);

#endif
