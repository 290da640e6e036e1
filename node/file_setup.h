/* Files over direct channels as the options describe them; what the event log is told of them. */
#ifndef NODE_FILE_SETUP_H
#define NODE_FILE_SETUP_H

#include "node/feeds.h"
#include "node/settings.h"
#include "p2p/transfers.h"

/* Before the channels start; the feeds outlive it. */
enum err file_setup(struct transfers **out, const struct settings *s, struct channels *c,
                    struct feeds *feeds, struct error *e) MUST_CHECK;

#endif
