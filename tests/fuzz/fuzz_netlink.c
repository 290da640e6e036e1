/* Answers of the kernel: every message and its body lie within what was given, each step gets
 * on. */
#include <config.h>

#include <stdlib.h>

#include "p2p/netlink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_of(data, size);
    struct netlink_message m;
    struct netlink_address a;
    struct netlink_route r;
    for (size_t left = size; netlink_next(&rest, &m); left = rest.len) {
        if (rest.len >= left || m.body.data < data || m.body.len > left ||
            m.body.data + m.body.len > data + size)
            abort();
        (void)netlink_read_address(m.body, &a);
        if (netlink_read_default_route(m.body, &r) && !r.index)
            abort();
    }
    return 0;
}
