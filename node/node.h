/*
 * The composition root: opens the parts in order, connects them, runs the loop, and closes them in
 * reverse (architecture 5). The thread that calls node_run becomes the loop thread.
 */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "base/err.h"
#include "node/settings.h"

/*
 * Runs until a signal, the stop command or a fatal error. ready (may be NULL) is called once when
 * everything answers. OK after a clean stop.
 */
enum err node_run(const struct settings *s, void (*ready)(void *ctx), void *ctx,
                  struct error *e) MUST_CHECK;

#endif
