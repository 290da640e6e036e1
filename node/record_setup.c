#include <config.h>

#include "node/record_setup.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "p2p/bca_own.h"

struct record_setup {
    struct channels *channels;
    struct bca_records *records;
    struct record_part *part;
};

static bool own(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE], struct buf *raw)
{
    const struct record_setup *rs = ctx;
    struct bca_record r;
    return bca_own_record(bca_records_store(rs->records), key, raw) &&
           bca_record_read(&r, buf_span(raw)) == BCA_RECORD_GOOD &&
           clock_now() < (int64_t)r.expires;
}

static enum record_status status_of(const struct bca_answer *a)
{
    switch (a->outcome) {
    case BCA_TAKEN:
    case BCA_WAITS:
    case BCA_PARKED:
        return RECORD_STORED;
    case BCA_KNOWN:
        return RECORD_STALE;
    case BCA_REFUSED:
        return RECORD_INVALID;
    case BCA_BUSY:
        break;
    }
    return RECORD_FULL;
}

/* On the thread of the records. */
static void judged(struct bca_job *job, const struct bca_answer *a)
{
    const struct record_setup *rs = job->offer.ctx;
    struct record_offer o = { .req = job->offer.req };
    memcpy(o.key, job->offer.key, sizeof o.key);
    record_part_answer(rs->channels, &o, status_of(a));
}

static bool offer(void *ctx, const struct record_offer *o, struct span raw)
{
    struct record_setup *rs = ctx;
    struct bca_job *job = bca_job_new(0);
    job->kind = BCA_JOB_OFFER;
    job->offer.judged = judged;
    job->offer.ctx = rs;
    job->offer.req = o->req;
    memcpy(job->offer.key, o->key, sizeof job->offer.key);
    buf_put(&job->data, raw.data, raw.len);
    return bca_records_submit(rs->records, job);
}

/* What is lost when there is too much to do is noted with the next session. */
static void reached(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE])
{
    const struct record_setup *rs = ctx;
    struct bca_job *job = bca_job_new(0);
    job->kind = BCA_JOB_REACHED;
    memcpy(job->offer.key, key, sizeof job->offer.key);
    (void)bca_records_submit(rs->records, job);
}

struct record_setup *record_setup_new(struct channels *c, struct bca_records *records)
{
    struct record_setup *rs = xcalloc(1, sizeof *rs);
    const struct record_part_ops ops = { .own = own, .offer = offer, .reached = reached,
                                         .ctx = rs };
    rs->channels = c;
    rs->records = records;
    rs->part = record_part_new(c, &ops);
    return rs;
}

void record_setup_free(struct record_setup *rs)
{
    if (!rs)
        return;
    record_part_free(rs->part);
    free(rs);
}
