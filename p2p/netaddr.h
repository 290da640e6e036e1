/*
 * Network addresses and subnets: values, text form, wire form, classes (spec p2p 7.5).
 *
 * IPv4 is kept as ::ffff:a.b.c.d, as on the wire. The scope id names an interface for link-local
 * addresses: it is used to connect and to print, never compared, hashed or sent.
 * Nothing here resolves names. Pure functions, any thread.
 */
#ifndef P2P_NETADDR_H
#define P2P_NETADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf;
struct reader;
struct sockaddr;
struct sockaddr_storage;

struct netaddr {
    uint8_t ip[16];    /* network order, IPv4 mapped */
    uint16_t port;     /* host order */
    uint32_t scope_id; /* interface index of a link-local address, else 0 */
};

/* One entry of an addr message (spec p2p 7.3, 7.4). */
struct peer_addr {
    struct netaddr addr;
    uint64_t services;
    int64_t time; /* seconds since 1970; 32 bits on the wire */
};

/* Networks by which `-onlynet` chooses; also bits of a mask. */
enum network { NETWORK_NONE = 0, NETWORK_IPV4 = 1, NETWORK_IPV6 = 2 };
#define NETWORK_ALL 3u

/* What an address is, from the table of spec p2p 7.5 and attacks D6. */
enum netaddr_class {
    NETADDR_GLOBAL,        /* may be dialled and gossiped */
    NETADDR_UNSPECIFIED,   /* ::, 0/8 */
    NETADDR_LOOPBACK,      /* ::1, 127/8 */
    NETADDR_LINK_LOCAL,    /* fe80::/10, 169.254/16: usable when the user names it */
    NETADDR_PRIVATE,       /* fc00::/7 fec0::/10 10/8 172.16/12 192.168/16 100.64/10 198.18/15 */
    NETADDR_DOCUMENTATION, /* 2001:db8::/32, 192.0.2/24, 198.51.100/24, 203.0.113/24 */
    NETADDR_MULTICAST,     /* ff00::/8, 224/4 */
    NETADDR_RESERVED,      /* 240/4, 2001:10::/28, 2001:20::/28, 100::/64, 192.0.0/24 */
};

/* "[" + 45 + "%" + interface + "]:65535" + NUL, rounded up. */
#define NETADDR_TEXT_MAX 96

enum netaddr_print { NETADDR_WITH_PORT, NETADDR_IP_ONLY };

void netaddr_from_ipv4(struct netaddr *a, const uint8_t ip[4], uint16_t port);
void netaddr_from_ipv6(struct netaddr *a, const uint8_t ip[16], uint16_t port);

bool netaddr_is_ipv4(const struct netaddr *a);
/* The network it is reached by (IPv4-mapped addresses: IPv4); NETWORK_NONE if unroutable. */
enum network netaddr_network(const struct netaddr *a);
/* Tunnelled addresses (6to4, Teredo, NAT64, SIIT) have the class of the IPv4 address inside. */
enum netaddr_class netaddr_class(const struct netaddr *a);
static inline bool netaddr_is_routable(const struct netaddr *a)
{
    return netaddr_class(a) == NETADDR_GLOBAL;
}
/* 127/8, 0/8, ::1: disconnected but never banned by score (spec p2p 6). */
bool netaddr_is_local(const struct netaddr *a);
/* Can be dialled at all: not ::, 0.0.0.0, 255.255.255.255, 2001:db8::/32, multicast; port not 0. */
bool netaddr_is_dialable(const struct netaddr *a);
/* 6to4, Teredo, 64:ff9b::/96, ::ffff:0:0:0/96; gives the IPv4 inside when out is not NULL. */
bool netaddr_tunnel_ipv4(const struct netaddr *a, uint8_t out[4]);

bool netaddr_equal(const struct netaddr *a, const struct netaddr *b);      /* IP and port */
bool netaddr_same_ip(const struct netaddr *a, const struct netaddr *b);

/*
 * Text: "1.2.3.4", "1.2.3.4:8333", "::1", "[::1]:8333", "[fe80::1%eth0]:8333". A bare text with
 * more than one colon is an address without port and gets default_port. ERR_PARSE otherwise
 * (names too: see netaddr_split_host_port).
 */
enum err netaddr_parse(struct netaddr *out, const char *text, uint16_t default_port,
                       struct error *e) MUST_CHECK;
/* Address without port; out->port is 0. */
enum err netaddr_parse_ip(struct netaddr *out, const char *text, struct error *e) MUST_CHECK;
/* "host:port", "host", "[v6]:port": copies the host without brackets; without port *port stays. */
enum err netaddr_split_host_port(const char *text, char *host, size_t host_cap, uint16_t *port,
                                 struct error *e) MUST_CHECK;
/* "[v6]:port" and "v4:port", or without port "v6" and "v4". Returns out. */
char *netaddr_print(char out[NETADDR_TEXT_MAX], const struct netaddr *a, enum netaddr_print how);

/* 16 bytes IP and big-endian port: the 18 bytes that end every wire form. */
void netaddr_read(struct reader *r, struct netaddr *a);
void netaddr_write(struct buf *b, const struct netaddr *a);
/* Wire forms of version (26 bytes: services, IP, port) and of addr (30: u32 time first). */
enum peer_addr_form { PEER_ADDR_26, PEER_ADDR_30 };
void peer_addr_read(struct reader *r, struct peer_addr *pa, enum peer_addr_form form);
void peer_addr_write(struct buf *b, const struct peer_addr *pa, enum peer_addr_form form);

/* False when the family is neither IPv4 nor IPv6. */
bool netaddr_from_sockaddr(struct netaddr *a, const struct sockaddr *sa);
/* Mapped addresses give AF_INET. Returns the length to pass to connect or bind. */
unsigned netaddr_to_sockaddr(const struct netaddr *a, struct sockaddr_storage *ss);

/* A prefix. An IPv4 prefix of n bits has 96 + n bits here. Host bits are zero. */
struct subnet {
    uint8_t ip[16];
    uint8_t bits; /* 0..128 */
};

/* "ip", "ip/len", "ip/netmask" (contiguous masks only). */
enum err subnet_parse(struct subnet *out, const char *text, struct error *e) MUST_CHECK;
/* The prefix of that many bits (of 128) around an address. */
void subnet_of(struct subnet *out, const struct netaddr *a, unsigned bits);
bool subnet_contains(const struct subnet *s, const struct netaddr *a);
bool subnet_equal(const struct subnet *a, const struct subnet *b);
/* "ip/len", always with the length. Returns out. */
char *subnet_print(char out[NETADDR_TEXT_MAX], const struct subnet *s);

#endif
