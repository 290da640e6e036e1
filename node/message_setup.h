/* Messages of direct channels as the options describe them; what the event log is told of them. */
#ifndef NODE_MESSAGE_SETUP_H
#define NODE_MESSAGE_SETUP_H

#include "node/feeds.h"
#include "p2p/message_part.h"

/* Before the channels start; the feeds outlive it. */
enum err message_setup(struct message_part **out, const struct config *config, struct channels *c,
                       struct feeds *feeds, struct error *e) MUST_CHECK;

#endif
