/* Commands run on events (-blocknotify). Loop thread; the command runs on its own. */
#ifndef NODE_NOTIFY_H
#define NODE_NOTIFY_H

#include "base/ids.h"

/* command NULL or empty: nothing. %s in it stands for the block hash. */
void notify_block(const char *command, const struct block_hash *hash);

#endif
