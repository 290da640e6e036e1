#include "node/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/log.h"

#define LOG_EVERY_MS 10000
#define LINE_MAX_CHARS 200

struct progress {
    struct chain *chain;
    struct net *net;
    struct event *timer;
    bool live;
    int64_t logged_at;    /* monotonic ms */
    int32_t logged_height;
};

static const char *limit_text(enum chain_limit limit)
{
    static const char *const texts[] = {
        [LIMIT_NONE] = "nothing",
        [LIMIT_PEERS] = "peers",
        [LIMIT_DISK] = "disk",
        [LIMIT_CPU] = "CPU",
    };
    return texts[limit];
}

void progress_eta_text(char *out, size_t cap, int64_t seconds)
{
    if (seconds < 0)
        snprintf(out, cap, "?");
    else if (seconds < 3600)
        snprintf(out, cap, "%" PRId64 "m%02" PRId64 "s", seconds / 60, seconds % 60);
    else
        snprintf(out, cap, "%" PRId64 "h%02" PRId64 "m", seconds / 3600, seconds / 60 % 60);
}

static void make_line(struct progress *p, const struct chain_tip *tip, char *line, size_t cap)
{
    struct chain_progress now;
    char eta[32];
    chain_get_progress(p->chain, &now);
    progress_eta_text(eta, sizeof(eta), now.eta_s);
    snprintf(line, cap,
             "height %d of %d (%.2f %%), %.1f blocks/s, %.0f tx/s, cache %zu MiB, %zu peers, ETA "
             "%s, limited by %s",
             tip->height, header_index_best(chain_headers(p->chain))->height,
             100 * now.verification, now.blocks_per_s, now.tx_per_s, now.coins.cache_bytes >> 20,
             net_ready_count(p->net), eta, limit_text(now.limited_by));
}

static void tell(struct progress *p)
{
    char line[LINE_MAX_CHARS];
    struct chain_tip tip;
    const int64_t now = clock_mono_ms();
    const bool syncing = chain_is_initial_download(p->chain) || chain_is_importing(p->chain);
    chain_get_tip(p->chain, &tip);
    make_line(p, &tip, line, sizeof(line));
    if (p->live) {
        printf("\r\033[K%s", line);
        fflush(stdout);
    }
    const bool moved = tip.height != p->logged_height;
    if (now - p->logged_at < LOG_EVERY_MS || !syncing || !moved)
        return;
    p->logged_at = now;
    p->logged_height = tip.height;
    log_info("sync: %s", line);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    tell(arg);
}

struct progress *progress_new(struct chain *chain, struct net *net, struct event_base *base,
                              enum progress_terminal terminal)
{
    const struct timeval second = { .tv_sec = 1 };
    struct progress *p = xcalloc(1, sizeof(*p));
    p->chain = chain;
    p->net = net;
    p->live = terminal == PROGRESS_LIVE_LINE;
    p->logged_at = clock_mono_ms();
    p->logged_height = -1;
    p->timer = event_new(base, -1, EV_PERSIST, on_timer, p);
    event_add(p->timer, &second);
    return p;
}

void progress_free(struct progress *p)
{
    if (!p)
        return;
    if (p->live)
        printf("\n");
    event_free(p->timer);
    free(p);
}
