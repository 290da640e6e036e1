/*
 * The result of duplicate address detection is polled for: a notice could be lost when the socket
 * is full, and a few lists of addresses cost nothing beside the second that the kernel waits.
 *
 * An address is added for a /64 without the route that usually comes with it (IFA_F_NOPREFIXROUTE):
 * the prefix is there already, and taking the address off must leave its route alone.
 */
#include "p2p/netif.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "p2p/netlink.h"

#define DETECTION_WAIT_MS 10000
#define POLL_MS 50
#define NOTICES_MAX 1000 /* that are read at a time */
#define UNFIT (IFA_F_TEMPORARY | IFA_F_DEPRECATED | IFA_F_TENTATIVE | IFA_F_DADFAILED)

enum err netif_index(const char *name, uint32_t *index, struct error *e)
{
    *index = strlen(name) < IF_NAMESIZE ? if_nametoindex(name) : 0;
    return *index ? OK : error_set(e, ERR_NOTFOUND, "there is no network interface %.100s", name);
}

/* --- what is there -------------------------------------------------------------------------- */

struct prefix_search {
    uint32_t index;
    enum netif_scope scope;
    const struct netif_own *own;
    const uint8_t *preferred;
    unsigned rank; /* of what was found; 0: nothing */
    uint8_t prefix[NETIF_PREFIX_SIZE];
};

static void begin_prefix(void *ctx) { ((struct prefix_search *)ctx)->rank = 0; }

/* 0: unfit. */
static unsigned rank_of(const struct prefix_search *s, const struct netlink_address *a)
{
    const bool global = (a->address[0] & 0xe0) == 0x20;
    if (a->index != s->index || a->prefix_len != 64 || a->scope != RT_SCOPE_UNIVERSE ||
        (a->flags & UNFIT) || a->preferred_s == 0 || (!global && s->scope == NETIF_GLOBAL) ||
        (s->own->is && s->own->is(s->own->ctx, a->address)))
        return 0;
    if (s->preferred && mem_equal_var(s->preferred, a->address, NETIF_PREFIX_SIZE))
        return 3;
    return global ? 2 : 1;
}

static enum err see_prefix(void *ctx, const struct netlink_message *m, struct error *e)
{
    struct prefix_search *s = ctx;
    struct netlink_address a;
    (void)e;
    if (m->type != RTM_NEWADDR || !netlink_read_address(m->body, &a))
        return OK;
    const unsigned rank = rank_of(s, &a);
    if (rank > s->rank) {
        s->rank = rank;
        memcpy(s->prefix, a.address, sizeof s->prefix);
    }
    return OK;
}

enum err netif_prefix(uint32_t index, enum netif_scope scope, const struct netif_own *own,
                      const uint8_t *preferred, uint8_t prefix[NETIF_PREFIX_SIZE], struct error *e)
{
    struct prefix_search s = { .index = index, .scope = scope, .own = own,
                               .preferred = preferred };
    char name[IF_NAMESIZE];
    const enum err rc = netlink_dump(RTM_GETADDR, begin_prefix, see_prefix, &s, e);
    if (rc)
        return rc;
    if (!s.rank)
        return error_set(e, ERR_NOTFOUND, "the interface %s has no %saddress with a /64 that lasts",
                         if_indextoname(index, name) ? name : "(gone)",
                         scope == NETIF_GLOBAL ? "global IPv6 " : "IPv6 ");
    memcpy(prefix, s.prefix, sizeof s.prefix);
    return OK;
}

static void begin_route(void *ctx) { ((struct netlink_route *)ctx)->index = 0; }

static enum err see_route(void *ctx, const struct netlink_message *m, struct error *e)
{
    struct netlink_route *best = ctx, r;
    (void)e;
    if (m->type == RTM_NEWROUTE && netlink_read_default_route(m->body, &r) &&
        (!best->index || r.metric < best->metric))
        *best = r;
    return OK;
}

enum err netif_of_default_route(uint32_t *index, char name[IF_NAMESIZE], struct error *e)
{
    struct netlink_route best;
    const enum err rc = netlink_dump(RTM_GETROUTE, begin_route, see_route, &best, e);
    if (rc)
        return rc;
    if (!best.index || !if_indextoname(best.index, name))
        return error_set(e, ERR_NOTFOUND, "this machine has no default route for IPv6");
    *index = best.index;
    return OK;
}

struct address_search {
    uint32_t index;
    const uint8_t *address;
    bool found;
    uint32_t flags;
};

static void begin_address(void *ctx) { ((struct address_search *)ctx)->found = false; }

static enum err see_address(void *ctx, const struct netlink_message *m, struct error *e)
{
    struct address_search *s = ctx;
    struct netlink_address a;
    (void)e;
    if (m->type == RTM_NEWADDR && netlink_read_address(m->body, &a) && a.index == s->index &&
        mem_equal_var(a.address, s->address, sizeof a.address)) {
        s->found = true;
        s->flags = a.flags;
    }
    return OK;
}

static enum err look(struct address_search *s, struct error *e)
{
    return netlink_dump(RTM_GETADDR, begin_address, see_address, s, e);
}

enum err netif_has(uint32_t index, const uint8_t address[NETIF_ADDRESS_SIZE], bool *has,
                   bool *deprecated, struct error *e)
{
    struct address_search s = { .index = index, .address = address };
    const enum err rc = look(&s, e);
    *has = s.found && !(s.flags & IFA_F_DADFAILED);
    if (deprecated)
        *deprecated = *has && (s.flags & IFA_F_DEPRECATED);
    return rc;
}

/* --- changes -------------------------------------------------------------------------------- */

static enum err explain(int errnum, const char *what, struct error *e)
{
    if (errnum == EPERM || errnum == EACCES)
        return error_set(e, ERR_AUTH, "to %s takes CAP_NET_ADMIN: `setcap cap_net_admin+ep` on "
                         "bsvpeerd, or AmbientCapabilities=CAP_NET_ADMIN in its unit of systemd",
                         what);
    if (errnum == ENODEV)
        return error_set(e, ERR_NOTFOUND, "cannot %s: the interface is gone", what);
    return error_set_errno(e, errnum, "cannot %s", what);
}

static enum err change(uint16_t type, uint16_t flags, uint32_t index, const uint8_t *address,
                       const struct ifa_cacheinfo *times, int *errnum, struct error *e)
{
    const struct ifaddrmsg head = { .ifa_family = AF_INET6, .ifa_prefixlen = 64,
                                    .ifa_index = index };
    const uint32_t more = IFA_F_NOPREFIXROUTE;
    struct buf body;
    buf_init(&body);
    buf_put(&body, &head, sizeof head);
    netlink_put(&body, IFA_LOCAL, address, NETIF_ADDRESS_SIZE);
    netlink_put(&body, IFA_FLAGS, &more, sizeof more);
    if (times)
        netlink_put(&body, IFA_CACHEINFO, times, sizeof *times);
    const enum err rc = netlink_change(type, flags, &body, errnum, e);
    buf_clear(&body);
    return rc;
}

static enum err take_off(uint32_t index, const uint8_t *address, struct error *e)
{
    int errnum;
    const enum err rc = change(RTM_DELADDR, 0, index, address, NULL, &errnum, e);
    if (rc || !errnum || errnum == EADDRNOTAVAIL || errnum == ENODEV)
        return rc;
    return explain(errnum, "take an address off an interface", e);
}

enum err netif_permitted(uint32_t index, struct error *e)
{
    static const uint8_t nobody[NETIF_ADDRESS_SIZE]; /* the kernel looks at the privilege first */
    return take_off(index, nobody, e);
}

enum err netif_release(uint32_t index, const uint8_t address[NETIF_ADDRESS_SIZE], struct error *e)
{
    struct address_search s = { .index = index, .address = address };
    const enum err rc = take_off(index, address, e);
    /* What is not there takes no privilege. */
    return rc == ERR_AUTH && look(&s, NULL) == OK && !s.found ? OK : rc;
}

enum err netif_deprecate(uint32_t index, const uint8_t address[NETIF_ADDRESS_SIZE],
                         uint32_t seconds, struct error *e)
{
    const struct ifa_cacheinfo times = { .ifa_prefered = 0, .ifa_valid = seconds };
    int errnum;
    const enum err rc = change(RTM_NEWADDR, NLM_F_REPLACE, index, address, &times, &errnum, e);
    return rc || !errnum ? rc : explain(errnum, "retire an address of an interface", e);
}

/* For ever, also one that was retired. */
static enum err add(uint32_t index, const uint8_t *address, struct error *e)
{
    const struct ifa_cacheinfo times = { .ifa_prefered = NETIF_FOR_EVER,
                                         .ifa_valid = NETIF_FOR_EVER };
    int errnum;
    const enum err rc = change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, index, address, &times,
                               &errnum, e);
    return rc || !errnum ? rc : explain(errnum, "put an address on an interface", e);
}

static enum err explain_absence(uint32_t index, struct error *e)
{
    char name[IF_NAMESIZE];
    if (!if_indextoname(index, name))
        return error_set(e, ERR_NOTFOUND, "the interface is gone");
    return error_set(e, ERR_IO, "another program took the address off %s again, or brought the "
                     "interface down", name);
}

/* The kernel keeps a duplicate that was put on for ever, and marks it. */
static enum err await_detection(struct address_search *s, const struct cancel *cancel,
                                enum netif_result *out, struct error *e)
{
    const int64_t end = clock_mono_ms() + DETECTION_WAIT_MS;
    for (;;) {
        const enum err rc = look(s, e);
        if (rc)
            return rc;
        if (!s->found)
            return explain_absence(s->index, e);
        *out = s->flags & IFA_F_DADFAILED ? NETIF_DUPLICATE : NETIF_ASSIGNED;
        if (*out == NETIF_DUPLICATE || !(s->flags & IFA_F_TENTATIVE))
            return OK;
        if (cancelled(cancel))
            return error_set(e, ERR_CANCELLED, "stopped while other hosts were asked for the "
                             "address");
        if (clock_mono_ms() > end)
            return error_set(e, ERR_TIMEOUT, "duplicate address detection has not ended within %d "
                             "seconds: is the interface up?", DETECTION_WAIT_MS / 1000);
        (void)poll(NULL, 0, POLL_MS);
    }
}

enum err netif_assign(uint32_t index, const uint8_t address[NETIF_ADDRESS_SIZE],
                      const struct cancel *cancel, enum netif_result *out, struct error *e)
{
    struct address_search s = { .index = index, .address = address };
    enum err rc = look(&s, e);
    if (!rc && s.found && (s.flags & IFA_F_DADFAILED)) /* of an earlier try: ask anew */
        rc = netif_release(index, address, e);
    if (!rc)
        rc = add(index, address, e);
    if (rc)
        return rc;
    rc = await_detection(&s, cancel, out, e);
    if (!rc && *out == NETIF_ASSIGNED)
        return OK;
    struct error off = { .code = OK };
    if (netif_release(index, address, &off))
        log_warn("an address that is not to be used stays on an interface: %s", off.text);
    return rc;
}

/* --- sessions ------------------------------------------------------------------------------- */

/* As the tables of the kernel write it: words of the machine's byte order. */
static void address_text(const uint8_t *address, char text[33])
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t word;
        memcpy(&word, address + 4 * (size_t)i, sizeof word);
        (void)snprintf(text + 8 * (size_t)i, 9, "%08X", word);
    }
}

static bool is_session(const char *line, const char *address)
{
    static const char nobody[] = "00000000000000000000000000000000";
    char local[33], remote[33];
    unsigned state;
    enum { TIME_WAIT = 6, CLOSED = 7, LISTENING = 10 };
    return sscanf(line, " %*u: %32[0-9A-F]:%*x %32[0-9A-F]:%*x %x", local, remote, &state) == 3 &&
           strcmp(local, address) == 0 && strcmp(remote, nobody) != 0 && state != TIME_WAIT &&
           state != CLOSED && state != LISTENING;
}

static enum err count_sessions(const char *table, const char *address, size_t *n, struct error *e)
{
    char line[512];
    FILE *f = fopen(table, "re");
    if (!f)
        return error_set_errno(e, errno, "cannot read %s", table);
    while (fgets(line, sizeof line, f))
        *n += is_session(line, address);
    const bool failed = ferror(f) != 0;
    (void)fclose(f);
    return failed ? error_set(e, ERR_IO, "cannot read %s", table) : OK;
}

enum err netif_sessions(const uint8_t address[NETIF_ADDRESS_SIZE], size_t *n, struct error *e)
{
    char text[33];
    address_text(address, text);
    *n = 0;
    const enum err rc = count_sessions("/proc/net/tcp6", text, n, e);
    return rc ? rc : count_sessions("/proc/net/udp6", text, n, e);
}

/* --- notices -------------------------------------------------------------------------------- */

enum err netif_watch(int *fd, struct error *e)
{
    const struct sockaddr_nl groups = { .nl_family = AF_NETLINK,
                                        .nl_groups = RTMGRP_LINK | RTMGRP_IPV6_IFADDR |
                                                     RTMGRP_IPV6_ROUTE };
    *fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (*fd < 0 || bind(*fd, (const struct sockaddr *)&groups, sizeof groups) == 0)
        return *fd < 0 ? error_set_errno(e, errno, "cannot watch addresses (rtnetlink)") : OK;
    const int errnum = errno;
    close(*fd);
    *fd = -1;
    return error_set_errno(e, errnum, "cannot watch addresses (rtnetlink)");
}

bool netif_watch_take(int fd)
{
    uint8_t room[8192];
    bool changed = false;
    for (unsigned i = 0; i < NOTICES_MAX; i++) { /* they may come as fast as they are read */
        const ssize_t n = recv(fd, room, sizeof room, 0);
        if (n > 0 || (n < 0 && errno == ENOBUFS)) /* notices were lost: something changed */
            changed = true;
        else if (n == 0 || errno != EINTR)
            return changed;
    }
    return changed;
}
