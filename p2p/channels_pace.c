#include "p2p/channels_pace.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/intmath.h"

#define NEEDED (offsetof(struct tcp_info, tcpi_delivery_rate) + sizeof(uint64_t))

/* A rate that was measured in a burst is too high: then the queue that grows tells. */
static uint64_t window_us(const struct tcp_info *info)
{
    const uint64_t delay = 1000u * PACE_DELAY_MS;
    const bool is_late = info->tcpi_rtt > info->tcpi_min_rtt + 2 * delay;
    return info->tcpi_min_rtt + (is_late ? 0 : delay);
}

bool pace_is_full(int fd)
{
    struct tcp_info info = { .tcpi_state = 0 };
    socklen_t len = sizeof info;
    int on_its_way = 0;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 || len < NEEDED ||
        ioctl(fd, SIOCOUTQ, &on_its_way) != 0)
        return false;
    uint64_t may;
    if (__builtin_mul_overflow(info.tcpi_delivery_rate, window_us(&info), &may))
        return false;
    return (uint64_t)on_its_way >= MAX_OF(may / 1000000, (uint64_t)PACE_LEAST);
}
