/*
 * The answers come from the kernel, and are read as if they came from anybody: lengths are held
 * against what is there, and nothing is read in place.
 */
#include "p2p/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#define ANSWER_MAX 65536 /* of one datagram; the kernel makes them of 32 KiB at most */
#define ANSWER_WAIT_S 5
#define TRIES 5 /* of a dump that was interrupted by changes */

static size_t aligned(size_t len) { return (len + 3) & ~(size_t)3; }

static void advance(struct span *s, size_t n)
{
    n = n < s->len ? n : s->len; /* the last one may lack its padding */
    *s = span_of(s->data + n, s->len - n);
}

bool netlink_next(struct span *rest, struct netlink_message *out)
{
    struct nlmsghdr h;
    if (rest->len < sizeof h)
        return false;
    memcpy(&h, rest->data, sizeof h);
    if (h.nlmsg_len < sizeof h || h.nlmsg_len > rest->len)
        return false;
    *out = (struct netlink_message){ h.nlmsg_type, h.nlmsg_flags, h.nlmsg_seq,
                                     span_of(rest->data + sizeof h, h.nlmsg_len - sizeof h) };
    advance(rest, aligned(h.nlmsg_len));
    return true;
}

/* False: nothing is left, or what is left is no whole attribute. */
static bool next_attribute(struct span *rest, uint16_t *type, struct span *value)
{
    struct rtattr a;
    if (rest->len < sizeof a)
        return false;
    memcpy(&a, rest->data, sizeof a);
    if (a.rta_len < sizeof a || a.rta_len > rest->len)
        return false;
    *type = a.rta_type & NLA_TYPE_MASK;
    *value = span_of(rest->data + sizeof a, a.rta_len - sizeof a);
    advance(rest, aligned(a.rta_len));
    return true;
}

/* False: it does not have this length. */
static bool take(void *out, size_t len, struct span value)
{
    if (value.len != len)
        return false;
    memcpy(out, value.data, len);
    return true;
}

/* The fixed part that a body begins with. */
static bool take_head(void *out, size_t len, struct span *body)
{
    if (body->len < len)
        return false;
    memcpy(out, body->data, len);
    advance(body, aligned(len));
    return true;
}

bool netlink_read_address(struct span body, struct netlink_address *out)
{
    struct ifaddrmsg head;
    struct ifa_cacheinfo times;
    struct span value;
    uint16_t type;
    bool good = take_head(&head, sizeof head, &body) && head.ifa_family == AF_INET6;
    bool local = false, any = false;
    if (!good)
        return false;
    *out = (struct netlink_address){ .prefix_len = head.ifa_prefixlen,
                                     .scope = head.ifa_scope,
                                     .index = head.ifa_index,
                                     .flags = head.ifa_flags,
                                     .preferred_s = UINT32_MAX,
                                     .valid_s = UINT32_MAX };
    while (good && next_attribute(&body, &type, &value)) {
        if (type == IFA_LOCAL) { /* of a point-to-point link: there IFA_ADDRESS is the other end */
            good = take(out->address, sizeof out->address, value);
            local = any = true;
        } else if (type == IFA_ADDRESS && !local) {
            good = take(out->address, sizeof out->address, value);
            any = true;
        } else if (type == IFA_FLAGS) {
            good = take(&out->flags, sizeof out->flags, value);
        } else if (type == IFA_CACHEINFO) {
            good = take(&times, sizeof times, value);
            if (good) {
                out->preferred_s = times.ifa_prefered;
                out->valid_s = times.ifa_valid;
            }
        }
    }
    return good && any && body.len == 0;
}

/* Of several ways the first. */
static bool take_nexthop(struct span value, uint32_t *index)
{
    struct rtnexthop hop;
    if (value.len < sizeof hop)
        return false;
    memcpy(&hop, value.data, sizeof hop);
    *index = (uint32_t)hop.rtnh_ifindex;
    return true;
}

bool netlink_read_default_route(struct span body, struct netlink_route *out)
{
    struct rtmsg head;
    struct span value;
    uint16_t type;
    bool good = take_head(&head, sizeof head, &body);
    if (!good || head.rtm_family != AF_INET6 || head.rtm_dst_len || head.rtm_src_len ||
        head.rtm_type != RTN_UNICAST || (head.rtm_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)))
        return false;
    uint32_t table = head.rtm_table;
    *out = (struct netlink_route){ .index = 0 };
    while (good && next_attribute(&body, &type, &value)) {
        if (type == RTA_OIF)
            good = take(&out->index, sizeof out->index, value);
        else if (type == RTA_PRIORITY)
            good = take(&out->metric, sizeof out->metric, value);
        else if (type == RTA_TABLE)
            good = take(&table, sizeof table, value);
        else if (type == RTA_MULTIPATH)
            good = take_nexthop(value, &out->index);
    }
    return good && body.len == 0 && out->index && table == RT_TABLE_MAIN;
}

static int error_number(struct span body)
{
    int number;
    if (body.len < sizeof number)
        return EPROTO;
    memcpy(&number, body.data, sizeof number);
    return number <= 0 ? -number : EPROTO;
}

enum err netlink_read_end(struct span body, struct error *e)
{
    const int errnum = body.len ? error_number(body) : 0;
    return errnum ? error_set_errno(e, errnum, "the kernel does not list all (rtnetlink)") : OK;
}

/* --- requests ------------------------------------------------------------------------------- */

void netlink_put(struct buf *body, uint16_t type, const void *data, size_t len)
{
    static const uint8_t zeros[3];
    const struct rtattr a = { .rta_len = (unsigned short)(sizeof a + len), .rta_type = type };
    buf_put(body, zeros, aligned(body->len) - body->len);
    buf_put(body, &a, sizeof a);
    buf_put(body, data, len);
}

static enum err open_socket(int *fd, struct error *e)
{
    const struct timeval wait = { .tv_sec = ANSWER_WAIT_S };
    *fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (*fd < 0)
        return error_set_errno(e, errno, "cannot ask the kernel for addresses (rtnetlink)");
    if (setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0)
        return OK;
    close(*fd);
    return error_set_errno(e, errno, "cannot ask the kernel for addresses (rtnetlink)");
}

static enum err send_request(int fd, uint16_t type, uint16_t flags, struct span body,
                             struct error *e)
{
    const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    const struct nlmsghdr h = { .nlmsg_len = (uint32_t)(sizeof h + body.len),
                                .nlmsg_type = type,
                                .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
                                .nlmsg_seq = 1 };
    struct buf raw;
    buf_init(&raw);
    buf_put(&raw, &h, sizeof h);
    buf_put(&raw, body.data, body.len);
    const ssize_t n = sendto(fd, raw.data, raw.len, 0, (const struct sockaddr *)&kernel,
                             sizeof kernel);
    const int errnum = errno;
    buf_clear(&raw);
    return n < 0 ? error_set_errno(e, errnum, "cannot ask the kernel (rtnetlink)") : OK;
}

/* One datagram of the kernel. */
static enum err receive(int fd, uint8_t *room, struct span *out, struct error *e)
{
    for (;;) {
        struct sockaddr_nl from = { .nl_family = AF_NETLINK };
        struct iovec part = { .iov_base = room, .iov_len = ANSWER_MAX };
        struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof from,
                            .msg_iov = &part, .msg_iovlen = 1 };
        const ssize_t n = recvmsg(fd, &m, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(e, errno, "no answer of the kernel (rtnetlink)");
        if (from.nl_pid)
            continue; /* of another process */
        if (n == 0 || (m.msg_flags & MSG_TRUNC))
            return error_set(e, ERR_PROTO, "an answer of the kernel was cut (rtnetlink)");
        *out = span_of(room, (size_t)n);
        return OK;
    }
}

enum dump_state { DUMP_MORE, DUMP_DONE, DUMP_INTERRUPTED };

static enum err take_dump(struct span rest, netlink_fn fn, void *ctx, enum dump_state *state,
                          bool *interrupted, struct error *e)
{
    struct netlink_message m;
    enum err rc = OK;
    while (!rc && *state == DUMP_MORE && netlink_next(&rest, &m)) {
        *interrupted = *interrupted || (m.flags & NLM_F_DUMP_INTR);
        if (m.type == NLMSG_DONE) {
            *state = *interrupted ? DUMP_INTERRUPTED : DUMP_DONE;
            rc = netlink_read_end(m.body, e);
        } else if (m.type == NLMSG_ERROR)
            rc = error_set_errno(e, error_number(m.body), "the kernel refuses to list (rtnetlink)");
        else
            rc = fn(ctx, &m, e);
    }
    if (!rc && *state == DUMP_MORE && rest.len)
        rc = error_set(e, ERR_PROTO, "an answer of the kernel is malformed (rtnetlink)");
    return rc;
}

static enum err dump_once(uint16_t type, netlink_fn fn, void *ctx, uint8_t *room,
                          enum dump_state *state, struct error *e)
{
    /* The kernel looks for the family in the first byte; the longer head serves both requests. */
    const struct rtmsg head = { .rtm_family = AF_INET6 };
    struct span part;
    bool interrupted = false;
    int fd;
    enum err rc = open_socket(&fd, e);
    if (rc)
        return rc;
    *state = DUMP_MORE;
    rc = send_request(fd, type, NLM_F_DUMP, span_of(&head, sizeof head), e);
    while (!rc && *state == DUMP_MORE) {
        rc = receive(fd, room, &part, e);
        if (!rc)
            rc = take_dump(part, fn, ctx, state, &interrupted, e);
    }
    close(fd);
    return rc;
}

enum err netlink_dump(uint16_t type, void (*begin)(void *ctx), netlink_fn fn, void *ctx,
                      struct error *e)
{
    uint8_t *room = xmalloc(ANSWER_MAX);
    enum dump_state state = DUMP_INTERRUPTED;
    enum err rc = OK;
    for (unsigned i = 0; !rc && state == DUMP_INTERRUPTED && i < TRIES; i++) {
        begin(ctx);
        rc = dump_once(type, fn, ctx, room, &state, e);
    }
    free(room);
    if (!rc && state == DUMP_INTERRUPTED)
        rc = error_set(e, ERR_BUSY, "the addresses of this machine change all the time");
    return rc;
}

enum err netlink_change(uint16_t type, uint16_t flags, const struct buf *body, int *errnum,
                        struct error *e)
{
    uint8_t *room = xmalloc(ANSWER_MAX);
    struct netlink_message m;
    struct span part;
    int fd;
    enum err rc = open_socket(&fd, e);
    if (!rc) {
        rc = send_request(fd, type, (uint16_t)(NLM_F_ACK | flags), buf_span(body), e);
        if (!rc)
            rc = receive(fd, room, &part, e);
        close(fd);
    }
    if (!rc && (!netlink_next(&part, &m) || m.type != NLMSG_ERROR))
        rc = error_set(e, ERR_PROTO, "an answer of the kernel is malformed (rtnetlink)");
    if (!rc)
        *errnum = error_number(m.body);
    free(room);
    return rc;
}
