/* Tells people how the download goes: a line in the log each 10 s while syncing, and with
 * -progress one live line on the terminal. Loop thread. */
#ifndef NODE_PROGRESS_H
#define NODE_PROGRESS_H

#include <event2/event.h>
#include <stdbool.h>

#include "chain/chain.h"
#include "p2p/net.h"

struct progress;

enum progress_terminal { PROGRESS_LOG_ONLY, PROGRESS_LIVE_LINE };

struct progress *progress_new(struct chain *chain, struct net *net, struct event_base *base,
                              enum progress_terminal terminal);
void progress_free(struct progress *p); /* NULL is fine */

/* "4m05s", "2h10m"; negative: "?". Any thread. */
void progress_eta_text(char *out, size_t cap, int64_t seconds);

#endif
