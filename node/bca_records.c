#include "node/bca_records.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/intmath.h"
#include "base/kv_mend.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/bca_view.h"
#include "rpc/own_record.h"

#define MIB (UINT64_C(1) << 20)
#define CACHE_BYTES (8 * MIB)
#define WRITE_BUFFER_BYTES (4 * MIB)
#define JOBS_MAX 1024
#define JOBS_BYTES (8 * MIB)
#define LETTERS_MAX 4096     /* scores and news beyond are lost; answers are bounded by jobs */
#define ROUND_MS 60000       /* between two looks at what waits, is parked or has expired */
#define OWN_MS 5000          /* between two looks at own records */
#define REGTEST_MS 200       /* both, where tests wait for them */
#define BUSY_MS 20           /* when too many signatures were checked */

struct bca_records {
    struct chain *chain;
    struct bca_store *store;
    struct bca_intake *intake;
    struct queue *jobs;
    bool regtest;
    pthread_t thread;
    bool started;
    struct cancel cancel;
    struct rpc_env env;
    struct own_keeper own;
    int64_t round_at, own_at; /* clock_mono_ms */
    char said[ERROR_TEXT_MAX]; /* the last trouble that was logged */

    pthread_mutex_t lock;     /* of what follows */
    struct net *net;          /* NULL: not attached, or stopped */
    struct bca_letter *first, *last;
    size_t n_letters;
    bool woken;               /* the loop will come for them */
    void (*take)(void *ctx, struct bca_letter *l);
    void *take_ctx;
};

/* --- letters --- */

static void free_letter(struct bca_letter *l)
{
    buf_clear(&l->payload);
    free(l);
}

static struct bca_letter *take_all(struct bca_records *r)
{
    pthread_mutex_lock(&r->lock);
    struct bca_letter *first = r->first;
    r->first = r->last = NULL;
    r->n_letters = 0;
    r->woken = false;
    pthread_mutex_unlock(&r->lock);
    return first;
}

static void on_loop(struct net *net, void *ctx)
{
    struct bca_records *r = ctx;
    (void)net;
    for (struct bca_letter *l = take_all(r), *next; l; l = next) {
        next = l->next;
        r->take(r->take_ctx, l);
        free_letter(l);
    }
}

/* Takes the letter. Those that set something free are never lost. */
static void send_letter(struct bca_records *r, struct bca_letter *l)
{
    const bool needed = l->kind == BCA_LETTER_DONE || l->kind == BCA_LETTER_ANSWER;
    pthread_mutex_lock(&r->lock);
    const bool keep = r->net && (needed || r->n_letters < LETTERS_MAX);
    if (keep) {
        l->next = NULL;
        *(r->last ? &r->last->next : &r->first) = l;
        r->last = l;
        r->n_letters++;
        if (!r->woken)
            r->woken = net_post(r->net, on_loop, r);
    }
    pthread_mutex_unlock(&r->lock);
    if (!keep)
        free_letter(l);
}

static struct bca_letter *new_letter(uint64_t peer)
{
    struct bca_letter *l = xcalloc(1, sizeof *l);
    l->peer = peer;
    buf_init(&l->payload);
    return l;
}

void bca_records_attach(struct bca_records *r, struct net *net,
                        void (*take)(void *ctx, struct bca_letter *l), void *ctx)
{
    pthread_mutex_lock(&r->lock);
    r->net = net;
    r->take = take;
    r->take_ctx = ctx;
    pthread_mutex_unlock(&r->lock);
}

static void on_news(void *ctx, const struct bca_news *news)
{
    if (!news->relay)
        return;
    struct bca_letter *l = new_letter(news->source);
    l->kind = BCA_LETTER_NEWS;
    memcpy(l->item.record_key, news->record_key, sizeof l->item.record_key);
    l->item.seq = news->seq;
    send_letter(ctx, l);
}

static void on_misbehaved(void *ctx, uint64_t peer, int score, const char *why)
{
    struct bca_letter *l = new_letter(peer);
    l->kind = BCA_LETTER_SCORE;
    l->score = score;
    l->why = why;
    send_letter(ctx, l);
}

void bca_records_look_for(struct bca_records *r, const uint8_t key[IDENTITY_KEY_SIZE])
{
    struct bca_facts known = { .seq = 0 };
    struct bca_letter *l = new_letter(0);
    l->kind = BCA_LETTER_LOOK;
    bca_record_key(l->item.record_key, key);
    (void)bca_store_look(r->store, l->item.record_key, &known);
    l->item.seq = known.seq + 1;
    send_letter(r, l);
}

/* --- opening --- */

static enum err check_bca(void *ctx, const struct bca_record *record, enum bca_record_fault *fault,
                          struct error *e)
{
    struct bca_records *r = ctx;
    struct bca_view view;
    bca_view_init(&view, r->chain);
    *fault = bca_record_check_bca(record, &view.policy);
    return view.rc ? error_set(e, view.rc, "%s", view.e.text) : OK;
}

static enum err open_store(struct bca_records *r, const struct settings *s, struct error *e)
{
    const struct kv_options o = { .cache_bytes = CACHE_BYTES,
                                  .write_buffer_bytes = WRITE_BUFFER_BYTES };
    const struct config *c = s->config;
    const struct bca_limits limits = {
        .records = (size_t)config_int(c, "recordsmax"),
        .bytes = config_size(c, "recordsmaxsize"),
        .per_48 = (unsigned)config_int(c, "recordsper48"),
        .per_64 = (unsigned)config_int(c, "recordsper64"),
        .per_anchor = (unsigned)config_int(c, "recordsperblock"),
        .remembered = (size_t)config_int(c, "recordsremembered"),
    };
    struct kv *kv;
    char *path = path_join(s->net_dir, "records");
    enum err rc = kv_open_leveldb_mending(&kv, path, &o, e);
    if (!rc)
        rc = bca_store_open(&r->store, kv, &limits, e);
    if (rc)
        rc = error_prefix(e, rc, "announced records (they come again when %s is moved away; "
                          "setpublication must then be called again)", path);
    free(path);
    return rc;
}

enum err bca_records_open(struct bca_records **out, const struct settings *s, struct chain *chain,
                          struct error *e)
{
    struct bca_records *r = xcalloc(1, sizeof *r);
    *out = r;
    r->chain = chain;
    r->regtest = s->params.network == NETWORK_REGTEST;
    cancel_init(&r->cancel);
    pthread_mutex_init(&r->lock, NULL);
    r->jobs = queue_new(JOBS_MAX, JOBS_BYTES, NULL, NULL);
    const enum err rc = open_store(r, s, e);
    if (rc)
        return rc;
    const struct bca_intake_config c = {
        .check_bca = check_bca,
        .misbehaved = on_misbehaved,
        .ctx = r,
        .any_address = r->regtest,
        .pause_s = config_int(s->config, "recordpause"),
        .signatures = (unsigned)config_int(s->config, "recordsignatures"),
        .waiting = (size_t)config_int(s->config, "recordswaiting"),
        .parked = (size_t)config_int(s->config, "recordsparked"),
        .park_s = config_int(s->config, "recordparktime"),
        .failure_s = config_int(s->config, "recordfailuretime"),
    };
    r->intake = bca_intake_new(r->store, &c);
    bca_store_listen(r->store, on_news, r);
    return OK;
}

struct bca_store *bca_records_store(struct bca_records *r) { return r->store; }
struct bca_intake *bca_records_intake(struct bca_records *r) { return r->intake; }

/* --- jobs --- */

struct bca_job *bca_job_new(uint64_t peer)
{
    struct bca_job *job = xcalloc(1, sizeof *job);
    job->peer = peer;
    buf_init(&job->data);
    return job;
}

void bca_job_free(struct bca_job *job)
{
    buf_clear(&job->data);
    free(job->items);
    free(job);
}

bool bca_records_submit(struct bca_records *r, struct bca_job *job)
{
    job->node.bytes = sizeof *job + job->data.len +
                      (job->items ? (job->n + job->n_refused) * sizeof *job->items : 0);
    if (queue_push(r->jobs, &job->node))
        return true;
    bca_job_free(job);
    return false;
}

static void say(struct bca_records *r, const struct error *e)
{
    if (cancelled(&r->cancel) || strcmp(r->said, e->text) == 0)
        return;
    memcpy(r->said, e->text, sizeof r->said);
    log_warn("records of identities: %s", e->text);
}

/* Waits while too many signatures were checked. Busy: it could not be judged. */
static struct bca_answer judge_one(struct bca_records *r, const struct bca_offer *o)
{
    struct error e = { .code = OK };
    struct bca_answer a = { .outcome = BCA_BUSY };
    const struct timespec pause = { .tv_nsec = BUSY_MS * 1000000L };
    while (!cancelled(&r->cancel)) {
        if (bca_intake_offer(r->intake, o, &a, &e)) {
            say(r, &e);
            return (struct bca_answer){ .outcome = BCA_BUSY };
        }
        if (a.outcome != BCA_BUSY)
            break;
        nanosleep(&pause, NULL);
    }
    log_debug(LOGC_NET, "peer %llu: record %s", (unsigned long long)o->peer,
              a.outcome == BCA_REFUSED ? bca_record_fault_name(a.fault)
                                       : bca_outcome_name(a.outcome));
    return a;
}

static void judge(struct bca_records *r, const struct bca_job *job)
{
    size_t at = 0;
    for (size_t i = 0; i < job->n; at += job->sizes[i++]) {
        const struct bca_offer o = { span_of(job->data.data + at, job->sizes[i]), BCA_BY_GOSSIP,
                                     job->peer };
        (void)judge_one(r, &o);
    }
}

static void judge_offer(struct bca_records *r, struct bca_job *job)
{
    const struct bca_offer o = { buf_span(&job->data), BCA_BY_SESSION, 0 };
    const struct bca_answer a = judge_one(r, &o);
    job->offer.judged(job, &a);
}

/* An answer that is being put together. */
struct serving {
    struct bca_records *r;
    const struct bca_job *job;
    struct msg_bcarec m;
    struct buf records[MSG_BCAREC_MAX], missing;
};

static void send_answer(struct serving *g)
{
    struct bca_letter *l = new_letter(g->job->peer);
    l->kind = BCA_LETTER_ANSWER;
    g->m.missing = g->missing.data;
    msg_bcarec_write(&l->payload, &g->m);
    send_letter(g->r, l);
    for (size_t i = 0; i < g->m.n; i++)
        buf_reset(&g->records[i]);
    buf_reset(&g->missing);
    g->m.n = g->m.n_missing = 0;
}

/* As many as go into the payload with the longest one to come, and all that may be missing. */
static bool is_full(const struct serving *g)
{
    size_t bytes = 0;
    for (size_t i = 0; i < g->m.n; i++)
        bytes += g->records[i].len + 3;
    return g->m.n == MSG_BCAREC_MAX ||
           bytes + BCA_RECORD_MAX + 3 + 2 + 32 * MSG_BCAREC_MISSING_MAX > MSG_BCAREC_PAYLOAD_MAX;
}

static void serve_one(struct serving *g, const struct msg_bca_item *item, bool look)
{
    struct error e = { .code = OK };
    struct bca_facts f;
    bool found = false;
    struct buf *out = &g->records[g->m.n];
    if (look && bca_store_find_public(g->r->store, item->record_key, out, &f, &found, &e)) {
        say(g->r, &e);
        return; /* neither there nor missing */
    }
    if (found && f.seq >= item->seq) {
        g->m.records[g->m.n++] = buf_span(out);
    } else {
        buf_reset(out);
        buf_put(&g->missing, item->record_key, sizeof item->record_key);
        g->m.n_missing++;
    }
    if (is_full(g))
        send_answer(g);
}

static void serve(struct bca_records *r, const struct bca_job *job)
{
    struct serving *g = xcalloc(1, sizeof *g);
    *g = (struct serving){ .r = r, .job = job };
    buf_init(&g->missing);
    for (size_t i = 0; i < MSG_BCAREC_MAX; i++)
        buf_init(&g->records[i]);
    for (size_t i = 0; i < job->n + job->n_refused; i++)
        serve_one(g, &job->items[i], i < job->n);
    if (g->m.n || g->m.n_missing)
        send_answer(g);
    buf_clear(&g->missing);
    for (size_t i = 0; i < MSG_BCAREC_MAX; i++)
        buf_clear(&g->records[i]);
    free(g);
}

static void note_reached(struct bca_records *r, const struct bca_job *job)
{
    struct error e = { .code = OK };
    if (bca_store_set_reached(r->store, job->offer.key, &e))
        say(r, &e);
}

static void run_job(struct bca_records *r, struct bca_job *job)
{
    struct bca_letter *done;
    switch (job->kind) {
    case BCA_JOB_JUDGE:
        judge(r, job);
        break;
    case BCA_JOB_SERVE:
        serve(r, job);
        break;
    case BCA_JOB_OFFER:
        judge_offer(r, job);
        bca_job_free(job);
        return;
    case BCA_JOB_REACHED:
        note_reached(r, job);
        bca_job_free(job);
        return;
    }
    done = new_letter(job->peer);
    done->kind = BCA_LETTER_DONE;
    send_letter(r, done);
    bca_job_free(job);
}

/* --- the thread --- */

static int64_t pause_ms(const struct bca_records *r, int64_t usual)
{
    return r->regtest ? REGTEST_MS : usual;
}

static void look_around(struct bca_records *r)
{
    struct error e = { .code = OK };
    if (clock_mono_ms() >= r->own_at) {
        own_records_keep(&r->env, &r->own);
        r->own_at = clock_mono_ms() + pause_ms(r, OWN_MS);
    }
    if (clock_mono_ms() < r->round_at)
        return;
    if (bca_store_expire(r->store, &e))
        say(r, &e);
    if (bca_intake_retry(r->intake, &e))
        say(r, &e);
    r->round_at = clock_mono_ms() + pause_ms(r, ROUND_MS);
}

static void *work(void *arg)
{
    struct bca_records *r = arg;
    while (!cancelled(&r->cancel)) {
        const int64_t wait = MAX_OF(MIN_OF(r->round_at, r->own_at) - clock_mono_ms(), (int64_t)0);
        struct queue_node *node = queue_pop_wait(r->jobs, wait);
        if (node)
            run_job(r, (struct bca_job *)node);
        if (!cancelled(&r->cancel))
            look_around(r);
    }
    return NULL;
}

enum err bca_records_start(struct bca_records *r, const struct rpc_env *env, struct error *e)
{
    r->env = *env;
    r->env.cancel = &r->cancel;
    own_records_begin(&r->env);
    const int failure = pthread_create(&r->thread, NULL, work, r);
    r->started = failure == 0;
    return failure ? error_set_errno(e, failure, "cannot start a thread") : OK;
}

void bca_records_cancel(struct bca_records *r)
{
    if (!r)
        return;
    cancel_set(&r->cancel);
    queue_close(r->jobs);
}

void bca_records_stop(struct bca_records *r)
{
    if (!r)
        return;
    bca_records_cancel(r);
    if (r->started)
        pthread_join(r->thread, NULL);
    r->started = false;
    bca_records_attach(r, NULL, NULL, NULL);
}

void bca_records_free(struct bca_records *r)
{
    struct queue_node *node;
    if (!r)
        return;
    while ((node = queue_pop(r->jobs)))
        bca_job_free((struct bca_job *)node);
    for (struct bca_letter *l = take_all(r), *next; l; l = next) {
        next = l->next;
        free_letter(l);
    }
    queue_free(r->jobs);
    bca_intake_free(r->intake);
    bca_store_close(r->store);
    pthread_mutex_destroy(&r->lock);
    free(r);
}
