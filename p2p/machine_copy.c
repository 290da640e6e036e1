/* Events come from the kernel alone; what programs send one another under that family is passed
 * over. When too many came at a time some are lost, which recv tells once by an error: what was
 * lost may have been what we wait for. */
#include "p2p/machine_copy.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OF_THE_KERNEL 1 /* the group; 2 is that of udev */
#define EVENT_MAX 4096  /* the kernel makes them of 2048 and a head */
#define READS_MAX 1000

static const char key[] = "NEW_VMGENID=1";

int machine_copy_open(void)
{
    const struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = OF_THE_KERNEL };
    const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                          NETLINK_KOBJECT_UEVENT);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof a) == 0)
        return fd;
    close(fd);
    return -1;
}

bool machine_copy_says(struct span event)
{
    while (event.len) {
        const uint8_t *end = memchr(event.data, 0, event.len);
        const size_t len = end ? (size_t)(end - event.data) : event.len;
        if (len == sizeof key - 1 && mem_equal_var(event.data, key, len))
            return true;
        event = end ? span_of(end + 1, event.len - len - 1) : span_of(event.data, 0);
    }
    return false;
}

bool machine_copy_heard(int fd)
{
    uint8_t event[EVENT_MAX];
    bool heard = false;
    for (int i = 0; i < READS_MAX; i++) {
        struct sockaddr_nl from = { .nl_pid = 0 };
        socklen_t len = sizeof from;
        const ssize_t n = recvfrom(fd, event, sizeof event, 0, (struct sockaddr *)&from, &len);
        if (n < 0 && errno == ENOBUFS)
            heard = true;
        else if (n < 0 && errno != EINTR)
            break;
        if (n > 0 && len >= sizeof from && from.nl_pid == 0)
            heard |= machine_copy_says(span_of(event, (size_t)n));
    }
    return heard;
}
