#include <config.h>

#include "tests/p2p/transfers_rig.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "tests/test.h"

/* --- what fake_channels.h leaves out --- */

struct post {
    void (*fn)(struct channels *c, void *ctx);
    void *ctx;
    struct post *next;
};

struct transfers_rig rig;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct post *posts;

void *channels_part(const struct channels *c, const struct dchan_handler *handlers)
{
    (void)handlers;
    return c->parts[0].ctx;
}

enum err chan_peer_send(struct chan_peer *p, const struct dchan_msg *m)
{
    (void)p;
    assert_true(rig.n_sent < MESSAGES);
    rig.sent[rig.n_sent++] = *m;
    return OK;
}

bool chan_peer_has(const struct chan_peer *p, unsigned feature)
{
    (void)p;
    (void)feature;
    return true;
}

void chan_peer_score(struct chan_peer *p, unsigned score, const char *why)
{
    (void)p;
    (void)why;
    rig.score += score;
}

void **chan_peer_slot(struct chan_peer *p, const void *part_ctx)
{
    (void)part_ctx;
    return &p->slot;
}

void channels_post(struct channels *c, void (*fn)(struct channels *c, void *ctx), void *ctx)
{
    struct post *p = xcalloc(1, sizeof *p);
    (void)c;
    *p = (struct post){ fn, ctx, NULL };
    pthread_mutex_lock(&lock);
    p->next = posts;
    posts = p;
    pthread_mutex_unlock(&lock);
}

void rig_run_posts(struct channels *c)
{
    pthread_mutex_lock(&lock);
    struct post *p = posts;
    posts = NULL;
    pthread_mutex_unlock(&lock);
    for (struct post *next; p; p = next) {
        next = p->next;
        p->fn(c, p->ctx);
        free(p);
    }
}

bool channels_is_waiting(const struct channels *c, const struct channels_request *r)
{
    (void)c;
    return r && !r->done;
}

void channels_answer(struct channels *c, struct channels_request *r, enum err rc,
                     const struct error *e)
{
    (void)c;
    r->done = true;
    r->rc = rc;
    if (rc && e)
        r->error = *e;
}

static bool is_answered(void *ctx)
{
    rig_run_posts(&rig.fake->channels);
    return ((const struct channels_request *)ctx)->done;
}

enum err channels_ask(struct channels *c, void (*begin)(struct channels *c,
                                                        struct channels_request *r),
                      struct channels_request *r, struct error *e)
{
    begin(c, r);
    fake_until(rig.fake, is_answered, r);
    if (r->rc && e)
        *e = r->error;
    return r->rc;
}

bool channels_call(struct channels *c, void (*fn)(struct channels *c, void *ctx), void *ctx)
{
    fn(c, ctx);
    return true;
}

/* --- one node --- */

static bool tell(void *ctx, const struct transfer_news *news)
{
    (void)ctx;
    assert_true(news->entry > rig.last_told);
    rig.last_told = news->entry;
    rig.n_told++;
    return true;
}

static uint64_t told(void *ctx)
{
    (void)ctx;
    return rig.last_told;
}

static void open_files(void)
{
    const struct transfers_config c = { .directory = rig.dir, .offers_max = 3,
                                        .serve_budget = 1 << 20 };
    const struct transfers_ops log = { tell, told, NULL }, none = { .ctx = NULL };
    const struct transfers_ops ops = rig.logs ? log : none;
    struct error e = { .text = "" };
    if (transfers_new(&rig.files, &rig.fake->channels, &c, &ops, &e))
        fail_msg("%s", e.text);
}

int rig_set_up(void **state)
{
    (void)state;
    rig.fake = fake_new();
    rig.fake->accepts = true;
    rig.fake->peer.contact->policy.files = true;
    rig.fake->peer.contact->has_key = true;
    rig.dir = test_dir_make();
    rig.n_sent = rig.score = 0;
    open_files();
    rig.fake->channels.parts[0].up(rig.files, &rig.fake->peer);
    return 0;
}

int rig_tear_down(void **state)
{
    (void)state;
    if (rig.fake->near)
        fake_down(rig.fake);
    struct transfers *files = rig.files;
    transfers_stop(files);
    fake_free(rig.fake); /* the store first */
    transfers_free(files);
    rig_run_posts(NULL);
    test_dir_remove(rig.dir);
    return 0;
}

void rig_restart(void)
{
    if (rig.fake->near)
        fake_down(rig.fake);
    transfers_stop(rig.files);
    dchan_store_settle(rig.fake->channels.store);
    kv_mem_fail_writes(rig.fake->channels.kv, 0);
    transfers_free(rig.files);
    rig_run_posts(NULL);
    rig.fake->channels.n_parts = 0;
    rig.n_sent = 0;
    open_files();
}

void rig_take(const struct dchan_msg *m)
{
    const struct channel_part *part = &rig.fake->channels.parts[0];
    for (size_t i = 0; i < part->n_handlers; i++)
        if (part->handlers[i].first <= m->type && m->type <= part->handlers[i].last)
            part->handlers[i].take(&rig.fake->peer, m);
}

void rig_take_id(uint16_t type, const uint8_t id[32], unsigned code)
{
    struct dchan_msg m = { .type = type, .f_id = { .code = (uint16_t)code } };
    memcpy(m.f_id.file_id, id, 32);
    rig_take(&m);
}

void rig_assert_said(uint16_t type, unsigned code)
{
    assert_true(rig.n_sent > 0);
    assert_int_equal(rig.sent[rig.n_sent - 1].type, type);
    assert_int_equal(rig.sent[rig.n_sent - 1].f_id.code, code);
    rig.n_sent = 0;
}

static struct transfer_list listed(void)
{
    struct transfer_list l;
    assert_int_equal(transfers_list(rig.files, &l), OK);
    return l;
}

size_t rig_count(void)
{
    struct transfer_list l = listed();
    const size_t n = l.n;
    transfer_list_clear(&l);
    return n;
}

/* --- a file --- */

static void keep_leaf(void *ctx, uint32_t index, const uint8_t leaf[32])
{
    memcpy(((struct content *)ctx)->leaves[index], leaf, 32);
}

void content_make(struct content *c)
{
    struct dchan_file_hash h;
    for (size_t i = 0; i < sizeof c->data; i++)
        c->data[i] = (uint8_t)(i * 31 + i / 256);
    assert_int_equal(dchan_file_hash_init(&h, sizeof c->data, keep_leaf, c), OK);
    assert_int_equal(dchan_file_hash_update(&h, c->data, sizeof c->data), OK);
    assert_int_equal(dchan_file_hash_final(&h, NULL, c->id), OK);
}

void rig_offer(const uint8_t id[32], uint64_t size, unsigned log2)
{
    struct dchan_msg m = { .type = DCHAN_F_OFFER,
                           .f_offer = { .size = size, .chunk_log2 = (uint8_t)log2,
                                        .name = span_of("x", 1) } };
    memcpy(m.f_offer.file_id, id, 32);
    rig_take(&m);
}

static bool has_stream(void *ctx)
{
    rig_run_posts(&rig.fake->channels);
    const size_t n = *(const size_t *)ctx;
    return rig.fake->n_streams >= n && rig.fake->streams[n - 1].in.len == FILE_REQUEST_SIZE;
}

struct far *rig_stream(size_t n, enum file_what what, uint32_t first, uint32_t n_chunks)
{
    fake_until(rig.fake, has_stream, &n);
    struct far *s = &rig.fake->streams[n - 1];
    assert_string_equal(s->service, "file");
    assert_int_equal(s->in.data[32], what);
    assert_int_equal(be32_get(s->in.data + 33), first);
    assert_int_equal(be32_get(s->in.data + 37), n_chunks);
    return s;
}

void rig_reply(struct far *s, uint8_t status, const void *data, size_t len)
{
    far_send(s, &status, 1);
    if (len)
        far_send(s, data, len);
    far_end(s);
}

static bool is_over(void *ctx)
{
    rig_run_posts(&rig.fake->channels);
    return ((const struct far *)ctx)->closed;
}

void rig_await_over(struct far *s, unsigned code)
{
    fake_until(rig.fake, is_over, s);
    assert_int_equal(s->code, code);
}

struct incoming *rig_incoming(void)
{
    assert_int_equal(rig.files->incoming.n, 1);
    return LIST_ITEM(list_first(&rig.files->incoming), struct incoming, link);
}

struct far *rig_accepted(struct content *c)
{
    content_make(c);
    rig_offer(c->id, sizeof c->data, 14);
    assert_int_equal(transfers_accept(rig.files, c->id, NULL, 0, NULL), OK);
    rig_assert_said(DCHAN_F_ACCEPT, 0);
    return rig_stream(1, FILE_LEAVES, 0, 3);
}

struct far *rig_with_leaves(struct content *c)
{
    rig_reply(rig_accepted(c), FILE_OK, c->leaves, sizeof c->leaves);
    return rig_stream(2, FILE_CHUNKS, 0, 3);
}

bool rig_is_done(void *ctx)
{
    (void)ctx;
    rig_run_posts(&rig.fake->channels);
    return rig_incoming()->state == TRANSFER_DONE && rig.n_sent;
}

char *rig_offered(struct content *c)
{
    uint8_t id[32];
    struct error e = { .text = "" };
    char *path = path_join(rig.dir, "source");
    content_make(c);
    assert_int_equal(file_replace(path, c->data, sizeof c->data, NULL), OK);
    if (transfers_send(rig.files, "bob", path, 0, id, &e))
        fail_msg("%s", e.text);
    assert_memory_equal(id, c->id, 32);
    assert_int_equal(rig.sent[rig.n_sent - 1].type, DCHAN_F_OFFER);
    assert_int_equal(rig.sent[rig.n_sent - 1].f_offer.size, sizeof c->data);
    return path;
}
