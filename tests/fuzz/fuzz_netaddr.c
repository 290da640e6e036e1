/* Text of addresses and subnets: what is accepted prints to a form that reads back as the same. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/reader.h"
#include "p2p/netaddr.h"
#include "p2p/netgroup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(const struct netaddr *a)
{
    char text[NETADDR_TEXT_MAX];
    struct netaddr again;
    netaddr_print(text, a, NETADDR_WITH_PORT);
    if (netaddr_parse(&again, text, 0, NULL) != OK || !netaddr_equal(a, &again))
        abort();
    netaddr_print(text, a, NETADDR_IP_ONLY);
    if (netaddr_parse(&again, text, a->port, NULL) != OK || !netaddr_equal(a, &again))
        abort();
    if (netaddr_is_routable(a) != (netaddr_network(a) != NETWORK_NONE))
        abort();
    for (unsigned bits = 0; bits <= 128; bits++) {
        struct subnet s;
        subnet_of(&s, a, bits);
        if (!subnet_contains(&s, a))
            abort();
    }
}

static void check_groups(const struct netaddr *a)
{
    static const enum netgroup_use uses[] = { NETGROUP_DIVERSITY, NETGROUP_LIMIT, NETGROUP_BAN };
    for (int i = 0; i < 3; i++) {
        struct netgroup g = netgroup_of(a, uses[i]), again = netgroup_of(a, uses[i]);
        if (!netgroup_equal(&g, &again))
            abort();
    }
}

static void check_text(const char *text)
{
    struct netaddr a;
    struct subnet s, again;
    char host[256], out[NETADDR_TEXT_MAX];
    uint16_t port = 1;
    if (netaddr_parse(&a, text, 8333, NULL) == OK)
        check_address(&a);
    if (netaddr_split_host_port(text, host, sizeof host, &port, NULL) == OK && host[0] == '\0')
        abort();
    if (subnet_parse(&s, text, NULL) != OK)
        return;
    subnet_print(out, &s);
    if (subnet_parse(&again, out, NULL) != OK || !subnet_equal(&s, &again))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct reader r;
    struct peer_addr pa;
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    check_text(text);
    free(text);
    reader_init(&r, data, size);
    peer_addr_read(&r, &pa, PEER_ADDR_30);
    if (!r.failed) {
        check_address(&pa.addr);
        check_groups(&pa.addr);
    }
    return 0;
}
