/*
 * The filter is a program of classic BPF, which needs no privilege. It runs in the interrupt that
 * brings the packet, with the TCP header at 0 and the IPv6 header at SKF_NET_OFF.
 *
 * The share goes down by SHARPER in the middle of a second when far too many come, else each second
 * to what would have let pass as many as are welcome, and up to the double at most, so that a flood
 * in bursts finds it where the last one left it.
 */
#include "p2p/channels_sieve.h"

#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/intmath.h"
#include "base/log.h"

#define FAR_TOO_MANY 4 /* times the target */
#define SHARPER 8
#define SHARE_LEAST 4096 /* one in a million */

#define SOURCE_AT ((uint32_t)SKF_NET_OFF + 8)
#define FLAGS_AT 13
#define FLAG_SYN 0x02
#define FLAG_ACK 0x10
#define PASS UINT32_MAX
#define PER_SOURCE 5
#define AROUND 9 /* steps besides the sources */
#define STEPS_MAX (AROUND + PER_SOURCE * SIEVE_SOURCES_MAX)
_Static_assert(STEPS_MAX <= BPF_MAXINSNS, "the kernel takes no longer programs");

/* --- how many --- */

void sieve_init(struct sieve *s, uint64_t target, uint64_t now_ms)
{
    *s = (struct sieve){ .target = target, .share = SIEVE_ALL, .since_ms = now_ms };
}

static bool set_share(struct sieve *s, uint64_t share, uint64_t now_ms)
{
    const uint32_t before = s->share;
    s->share = (uint32_t)MIN_OF(MAX_OF(share, (uint64_t)SHARE_LEAST), (uint64_t)SIEVE_ALL);
    s->passed = 0;
    s->since_ms = now_ms;
    return s->share != before;
}

bool sieve_count(struct sieve *s, uint64_t now_ms)
{
    if (++s->passed <= FAR_TOO_MANY * s->target)
        return false;
    return set_share(s, s->share / SHARPER, now_ms);
}

bool sieve_tick(struct sieve *s, uint64_t now_ms)
{
    const uint64_t ms = MAX_OF(now_ms - s->since_ms, (uint64_t)1);
    const uint64_t rate = s->passed * 1000 / ms, most = 2 * (uint64_t)s->share;
    if (s->share == SIEVE_ALL) {
        s->passed = 0;
        s->since_ms = now_ms;
        return false;
    }
    return set_share(s, rate ? MIN_OF(s->share * s->target / rate, most) : most, now_ms);
}

/* --- the filter --- */

static struct sock_filter load(uint32_t at)
{
    return (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at);
}

static struct sock_filter verdict(uint32_t pass)
{
    return (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, pass);
}

/* Goes on with the next step, or jumps over so many. */
static struct sock_filter unless_equal(uint32_t value, uint8_t over)
{
    return (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, over);
}

static size_t make_program(struct sock_filter *p, const uint8_t (*sources)[8], size_t n,
                           uint32_t share)
{
    size_t k = 0;
    p[k++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS_AT);
    p[k++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, FLAG_SYN | FLAG_ACK);
    p[k++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FLAG_SYN, 1, 0);
    p[k++] = verdict(PASS);
    p[k++] = load(SOURCE_AT);
    for (size_t i = 0; i < n; i++) {
        p[k++] = unless_equal(be32_get(sources[i]), PER_SOURCE - 1);
        p[k++] = load(SOURCE_AT + 4);
        p[k++] = unless_equal(be32_get(sources[i] + 4), 1);
        p[k++] = verdict(PASS);
        p[k++] = load(SOURCE_AT);
    }
    p[k++] = load((uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM));
    p[k++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, share, 1, 0);
    p[k++] = verdict(PASS);
    p[k++] = verdict(0);
    return k;
}

enum err sieve_put_on(int fd, const uint8_t (*sources)[8], size_t n, uint32_t share)
{
    struct sock_filter steps[STEPS_MAX];
    n = MIN_OF(n, (size_t)SIEVE_SOURCES_MAX);
    const size_t wanted = n;
    bool beside = true; /* an older one, which counts against the room until it is replaced */
    for (;;) {
        const struct sock_fprog program = {
            .len = (unsigned short)make_program(steps, sources, n, share), .filter = steps
        };
        if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0)
            break;
        if (errno != ENOMEM || (!beside && n == 0))
            return ERR_IO;
        if (beside)
            sieve_take_off(fd);
        else
            n /= 2;
        beside = false;
    }
    if (n < wanted)
        LOG_LIMITED(LOG_WARN, "direct channels: the kernel has room for %zu of %zu /64s of "
                    "contacts in its filter (net.core.optmem_max)", n, wanted);
    return OK;
}

void sieve_take_off(int fd)
{
    const int unused = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused);
}
