/* How many streams and what windows a session may have: its part of what all may have. */
#include "p2p/dchan_mux_internal.h"

#include "base/intmath.h"

size_t mux_streams_max(const struct dchan_mux *mux)
{
    const struct dchan_shares *shares = mux->config.shares;
    return mux->config.stranger ? mux_chosen(shares->streams_stranger, DCHAN_STREAMS_STRANGER)
                                : mux_chosen(shares->streams_contact, DCHAN_STREAMS_CONTACT);
}

size_t mux_opens_max(const struct dchan_mux *mux)
{
    return (size_t)mux_chosen(mux->config.shares->opens_waiting, DCHAN_OPENS_MAX);
}

uint64_t mux_windows_left(const struct dchan_mux *mux)
{
    const struct dchan_shares *shares = mux->config.shares;
    const uint64_t sum = mux->config.stranger
                             ? mux_chosen(shares->windows_stranger, DCHAN_WINDOWS_STRANGER)
                             : mux_chosen(shares->windows_contact, DCHAN_WINDOWS_CONTACT);
    uint64_t left = sum - mux->stats.windows, node;
    if (!sub_u64(shares->granted_max, shares->granted, &node))
        return 0;
    left = MIN_OF(left, node);
    if (!mux->config.stranger)
        return left;
    return sub_u64(shares->to_strangers_max, shares->to_strangers, &node) ? MIN_OF(left, node) : 0;
}

void mux_grant(struct dchan_mux *mux, struct mux_stream *s, uint32_t n)
{
    s->window += n;
    mux->stats.windows += n;
    mux->config.shares->granted += n;
    if (mux->config.stranger)
        mux->config.shares->to_strangers += n;
}

void mux_give_back(struct dchan_mux *mux, struct mux_stream *s, uint32_t n)
{
    s->window -= n;
    mux->stats.windows -= n;
    mux->config.shares->granted -= n;
    if (mux->config.stranger)
        mux->config.shares->to_strangers -= n;
}

bool mux_grant_first(struct dchan_mux *mux, struct mux_stream *s, uint64_t now_ms)
{
    const uint64_t left = mux_windows_left(mux);
    if (left < DCHAN_WINDOW_MIN)
        return false;
    mux_grant(mux, s, (uint32_t)MIN_OF(left, (uint64_t)DCHAN_WINDOW_START));
    s->left = s->window;
    s->credited_ms = now_ms;
    return true;
}
