#include "p2p/netgroup.h"

#include <string.h>

#include "base/hash.h"
#include "p2p/netaddr.h"

/* First byte of a key: keeps prefixes of different meaning apart. */
enum group_kind { GROUP_UNROUTABLE, GROUP_IPV4, GROUP_IPV6, GROUP_HOST_IPV4, GROUP_HOST_IPV6 };

static struct netgroup make(enum group_kind kind, const uint8_t *prefix, unsigned bits)
{
    struct netgroup g = { .b = { (uint8_t)kind } };
    unsigned whole = bits / 8, rest = bits % 8;
    memcpy(g.b + 1, prefix, whole);
    if (rest)
        g.b[1 + whole] = (uint8_t)(prefix[whole] & (0xff00 >> rest));
    return g;
}

/* spec p2p 7.5 */
static struct netgroup diversity_group(const struct netaddr *a)
{
    static const uint8_t he_net[] = { 0x20, 0x01, 0x04, 0x70 };
    uint8_t ipv4[4];
    if (!netaddr_is_routable(a))
        return make(GROUP_UNROUTABLE, a->ip, 0);
    if (netaddr_is_ipv4(a))
        return make(GROUP_IPV4, a->ip + 12, 16);
    if (netaddr_tunnel_ipv4(a, ipv4))
        return make(GROUP_IPV4, ipv4, 16);
    return make(GROUP_IPV6, a->ip, memcmp(a->ip, he_net, sizeof he_net) == 0 ? 36 : 32);
}

struct netgroup netgroup_of(const struct netaddr *a, enum netgroup_use use)
{
    if (use == NETGROUP_DIVERSITY)
        return diversity_group(a);
    if (netaddr_is_ipv4(a))
        return make(GROUP_HOST_IPV4, a->ip + 12, 32);
    /* D4: whoever rents one host holds a /64, often a /48 */
    return make(GROUP_HOST_IPV6, a->ip, use == NETGROUP_LIMIT ? 48 : 64);
}

bool netgroup_equal(const struct netgroup *a, const struct netgroup *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

uint64_t netgroup_hash(const struct netgroup *g, const struct siphash_key *key)
{
    return siphash(key, g->b, sizeof g->b);
}

void netgroup_ban_subnet(struct subnet *out, const struct netaddr *a)
{
    subnet_of(out, a, netaddr_is_ipv4(a) ? 128 : 64);
}
