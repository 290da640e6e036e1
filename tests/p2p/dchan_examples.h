/* One message of each row of the table of direct channels. */
#ifndef TESTS_P2P_DCHAN_EXAMPLES_H
#define TESTS_P2P_DCHAN_EXAMPLES_H

#include "base/buf.h"

struct dchan_example {
    uint16_t type;
    const char *name, *hex; /* without the type */
};

extern const struct dchan_example dchan_examples[];
extern const size_t n_dchan_examples;

/* NULL: there is none. */
const struct dchan_example *dchan_example_of(uint16_t type);
/* With its type; caller clears. */
struct buf dchan_example_message(uint16_t type, const char *hex);

#endif
