/*
 * The options of the daemon: one row each (spec rpc 6, design product.md). Help, man page, checking
 * of values and the list of getsettings come from the table.
 */
#ifndef NODE_OPTIONS_H
#define NODE_OPTIONS_H

#include <stddef.h>

#include "base/config.h"

extern const struct option_row node_options[];
extern const size_t node_options_count;

#endif
