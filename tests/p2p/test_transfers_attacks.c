/* A peer that offers, answers and asks for what it should not. One stands for many: the far side of
 * fake_channels.h, whose messages and bytes the tests make. */
#include <config.h>

#include "p2p/transfers.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/transfers_internal.h"
#include "tests/kv_tools.h"
#include "tests/p2p/fake_channels.h"
#include "tests/test.h"

#define CHUNK 16384
#define MESSAGES 64

/* --- what fake_channels.h leaves out --- */

struct post {
    void (*fn)(struct channels *c, void *ctx);
    void *ctx;
    struct post *next;
};

static struct {
    struct fake *fake;
    struct transfers *files;
    char *dir;
    struct dchan_msg sent[MESSAGES];
    size_t n_sent;
    unsigned score;
    pthread_mutex_t lock;
    struct post *posts;
    enum err answered;
    bool has_answer;
    bool logs;          /* there is an event log */
    uint64_t last_told; /* the last that it has */
    size_t n_told;
} at = { .lock = PTHREAD_MUTEX_INITIALIZER };

void *channels_part(const struct channels *c, const struct dchan_handler *handlers)
{
    (void)handlers;
    return c->parts[0].ctx;
}

enum err chan_peer_send(struct chan_peer *p, const struct dchan_msg *m)
{
    (void)p;
    assert_true(at.n_sent < MESSAGES);
    at.sent[at.n_sent++] = *m;
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
    at.score += score;
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
    pthread_mutex_lock(&at.lock);
    p->next = at.posts;
    at.posts = p;
    pthread_mutex_unlock(&at.lock);
}

static void run_posts(struct channels *c)
{
    pthread_mutex_lock(&at.lock);
    struct post *p = at.posts;
    at.posts = NULL;
    pthread_mutex_unlock(&at.lock);
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
    run_posts(&at.fake->channels);
    return ((const struct channels_request *)ctx)->done;
}

enum err channels_ask(struct channels *c, void (*begin)(struct channels *c,
                                                        struct channels_request *r),
                      struct channels_request *r, struct error *e)
{
    begin(c, r);
    fake_until(at.fake, is_answered, r);
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
    assert_true(news->entry > at.last_told);
    at.last_told = news->entry;
    at.n_told++;
    return true;
}

static uint64_t told(void *ctx)
{
    (void)ctx;
    return at.last_told;
}

static void open_files(void)
{
    const struct transfers_config c = { .directory = at.dir, .offers_max = 3,
                                        .serve_budget = 1 << 20 };
    const struct transfers_ops log = { tell, told, NULL }, none = { .ctx = NULL };
    const struct transfers_ops ops = at.logs ? log : none;
    struct error e = { .text = "" };
    if (transfers_new(&at.files, &at.fake->channels, &c, &ops, &e))
        fail_msg("%s", e.text);
}

static int set_up(void **state)
{
    (void)state;
    at.fake = fake_new();
    at.fake->accepts = true;
    at.fake->peer.contact->policy.files = true;
    at.fake->peer.contact->has_key = true;
    at.dir = test_dir_make();
    at.n_sent = at.score = 0;
    open_files();
    at.fake->channels.parts[0].up(at.files, &at.fake->peer);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (at.fake->near)
        fake_down(at.fake);
    struct transfers *files = at.files;
    transfers_stop(files);
    fake_free(at.fake); /* the store first */
    transfers_free(files);
    run_posts(NULL);
    test_dir_remove(at.dir);
    return 0;
}

/* The process ends and comes again; nobody is there. */
static void restart(void)
{
    if (at.fake->near)
        fake_down(at.fake);
    transfers_stop(at.files);
    dchan_store_settle(at.fake->channels.store);
    kv_mem_fail_writes(at.fake->channels.kv, 0);
    transfers_free(at.files);
    run_posts(NULL);
    at.fake->channels.n_parts = 0;
    at.n_sent = 0;
    open_files();
}

static void take(const struct dchan_msg *m)
{
    const struct channel_part *part = &at.fake->channels.parts[0];
    for (size_t i = 0; i < part->n_handlers; i++)
        if (part->handlers[i].first <= m->type && m->type <= part->handlers[i].last)
            part->handlers[i].take(&at.fake->peer, m);
}

static void take_id(uint16_t type, const uint8_t id[32], unsigned code)
{
    struct dchan_msg m = { .type = type, .f_id = { .code = (uint16_t)code } };
    memcpy(m.f_id.file_id, id, 32);
    take(&m);
}

/* The last message is this one; forgets all. */
static void assert_said(uint16_t type, unsigned code)
{
    assert_true(at.n_sent > 0);
    assert_int_equal(at.sent[at.n_sent - 1].type, type);
    assert_int_equal(at.sent[at.n_sent - 1].f_id.code, code);
    at.n_sent = 0;
}

static struct transfer_list listed(void)
{
    struct transfer_list l;
    assert_int_equal(transfers_list(at.files, &l), OK);
    return l;
}

static size_t count(void)
{
    struct transfer_list l = listed();
    const size_t n = l.n;
    transfer_list_clear(&l);
    return n;
}

/* --- a file --- */

struct content {
    uint8_t data[3 * CHUNK], leaves[3][32], id[32];
};

static void keep_leaf(void *ctx, uint32_t index, const uint8_t leaf[32])
{
    memcpy(((struct content *)ctx)->leaves[index], leaf, 32);
}

static void make_content(struct content *c)
{
    struct dchan_file_hash h;
    for (size_t i = 0; i < sizeof c->data; i++)
        c->data[i] = (uint8_t)(i * 31 + i / 256);
    assert_int_equal(dchan_file_hash_init(&h, sizeof c->data, keep_leaf, c), OK);
    assert_int_equal(dchan_file_hash_update(&h, c->data, sizeof c->data), OK);
    assert_int_equal(dchan_file_hash_final(&h, NULL, c->id), OK);
}

static void offer(const uint8_t id[32], uint64_t size, unsigned log2)
{
    struct dchan_msg m = { .type = DCHAN_F_OFFER,
                           .f_offer = { .size = size, .chunk_log2 = (uint8_t)log2,
                                        .name = span_of("x", 1) } };
    memcpy(m.f_offer.file_id, id, 32);
    take(&m);
}

static bool has_stream(void *ctx)
{
    run_posts(&at.fake->channels);
    const size_t n = *(const size_t *)ctx;
    return at.fake->n_streams >= n && at.fake->streams[n - 1].in.len == FILE_REQUEST_SIZE;
}

/* The n-th stream that was opened to the peer, with its request. */
static struct far *stream(size_t n, enum file_what what, uint32_t first, uint32_t n_chunks)
{
    fake_until(at.fake, has_stream, &n);
    struct far *s = &at.fake->streams[n - 1];
    assert_string_equal(s->service, "file");
    assert_int_equal(s->in.data[32], what);
    assert_int_equal(be32_get(s->in.data + 33), first);
    assert_int_equal(be32_get(s->in.data + 37), n_chunks);
    return s;
}

static void reply(struct far *s, uint8_t status, const void *data, size_t len)
{
    far_send(s, &status, 1);
    if (len)
        far_send(s, data, len);
    far_end(s);
}

static bool is_over(void *ctx)
{
    run_posts(&at.fake->channels);
    return ((const struct far *)ctx)->closed;
}

static void await_over(struct far *s, unsigned code)
{
    fake_until(at.fake, is_over, s);
    assert_int_equal(s->code, code);
}

static struct incoming *only(void)
{
    assert_int_equal(at.files->incoming.n, 1);
    return LIST_ITEM(list_first(&at.files->incoming), struct incoming, link);
}

/* Accepted, and the leaves are asked for. */
static struct far *accepted(struct content *c)
{
    make_content(c);
    offer(c->id, sizeof c->data, 14);
    assert_int_equal(transfers_accept(at.files, c->id, NULL, 0, NULL), OK);
    assert_said(DCHAN_F_ACCEPT, 0);
    return stream(1, FILE_LEAVES, 0, 3);
}

static struct far *with_leaves(struct content *c)
{
    reply(accepted(c), FILE_OK, c->leaves, sizeof c->leaves);
    return stream(2, FILE_CHUNKS, 0, 3);
}

static bool is_done(void *ctx)
{
    (void)ctx;
    run_posts(&at.fake->channels);
    return only()->state == TRANSFER_DONE && at.n_sent;
}

/* --- offers --- */

static void a_wrong_size_of_chunks_is_refused_before_anything_is_kept(void **state)
{
    static const struct { uint64_t size; unsigned log2; } bad[] = {
        { 100, 13 }, { 100, 15 }, { 100, 0 }, { 100, 255 }, { (UINT64_C(1) << 30) + 1, 14 },
        { UINT64_C(1) << 30, 15 }, { DCHAN_FILE_MAX + 1, 22 }, { UINT64_MAX, 22 },
        { UINT64_MAX, 14 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        const uint8_t id[32] = { (uint8_t)i };
        offer(id, bad[i].size, bad[i].log2);
        assert_said(DCHAN_F_CANCEL, CANCEL_BAD);
        assert_int_equal(count(), 0);
    }
}

static void offers_that_wait_are_limited_and_may_come_again(void **state)
{
    (void)state;
    for (uint8_t i = 1; i <= 4; i++) {
        const uint8_t id[32] = { i };
        offer(id, 100, 14);
        offer(id, 100, 14);
    }
    assert_int_equal(count(), 3);
    assert_said(DCHAN_F_CANCEL, CANCEL_REFUSED);
    const uint8_t first[32] = { 1 }, fifth[32] = { 5 };
    offer(first, 101, 14); /* the id says another size */
    assert_said(DCHAN_F_CANCEL, CANCEL_BAD);
    take_id(DCHAN_F_CANCEL, first, CANCEL_USER);
    assert_int_equal(count(), 2);
    offer(fifth, 100, 14);
    assert_int_equal(count(), 3);
    assert_int_equal(at.n_sent, 0);
}

/* Its offer comes later than our request, which it refuses while it waits for an answer. */
static void what_was_accepted_while_the_peer_was_away_is_said_before_it_is_asked_for(void **state)
{
    struct content c;
    (void)state;
    make_content(&c);
    offer(c.id, sizeof c.data, 14);
    fake_down(at.fake);
    assert_int_equal(transfers_accept(at.files, c.id, NULL, 0, NULL), OK);
    assert_int_equal(at.n_sent, 0);
    fake_up(at.fake);
    assert_int_equal(at.fake->n_streams, 0);
    assert_said(DCHAN_F_ACCEPT, 0);
    (void)stream(1, FILE_LEAVES, 0, 3);
}

static size_t rows(const char *prefix)
{
    dchan_store_settle(at.fake->channels.store);
    return kv_rows(at.fake->channels.kv, prefix);
}

/* Who offered a file, without the file: what a process left that ended between two writes. */
static void a_source_without_its_file_is_forgotten(void **state)
{
    const uint8_t id[32] = { 1 };
    (void)state;
    offer(id, 100, 14);
    assert_int_equal(rows("fs"), 1);
    struct dchan_write *w = dchan_write_new(at.fake->channels.store);
    uint8_t key[34] = "fi";
    memcpy(key + 2, id, sizeof id);
    dchan_write_delete(w, key, sizeof key);
    dchan_store_commit(at.fake->channels.store, w, NULL, NULL);
    restart();
    fake_up(at.fake);
    assert_int_equal(count(), 0);
    assert_int_equal(rows("fs"), 0);
    offer(id, 100, 14);
    restart();
    assert_int_equal(count(), 1);
}

/* Keys cost nothing: one file has no more of those who come with one than are of any use. */
static void strangers_that_offer_one_file_are_limited(void **state)
{
    const uint8_t id[32] = { 1 };
    (void)state;
    at.fake->peer.contact = NULL;
    for (uint32_t i = 0; i < 200; i++) {
        be32_put(at.fake->peer.key + 1, i);
        at.n_sent = 0;
        offer(id, 100, 14);
    }
    assert_int_equal(only()->sources.n, 16);
    assert_int_equal(rows("fs"), 16);
    assert_said(DCHAN_F_CANCEL, CANCEL_REFUSED);
    at.fake->peer.contact = &at.fake->contacts[0]; /* there is always a place for one */
    offer(id, 100, 14);
    assert_int_equal(only()->sources.n, 17);
    assert_int_equal(at.n_sent, 0);
}

/* Nobody can check it before the leaves are there. */
static void what_a_stranger_says_of_a_file_gives_way_to_a_contact(void **state)
{
    struct content c;
    (void)state;
    make_content(&c);
    at.fake->peer.contact = NULL;
    at.fake->peer.key[1] ^= 1;
    offer(c.id, 100, 14);
    assert_int_equal(only()->size, 100);
    at.fake->peer.key[1] ^= 1;
    at.fake->peer.contact = &at.fake->contacts[0];
    offer(c.id, sizeof c.data, 14);
    assert_int_equal(at.n_sent, 0);
    assert_int_equal(only()->size, sizeof c.data);
    assert_int_equal(only()->sources.n, 1);
    struct contact *other = fake_add_contact(at.fake, "eve");
    at.fake->peer.contact = other; /* of two contacts the first one counts */
    offer(c.id, 100, 14);
    assert_said(DCHAN_F_CANCEL, CANCEL_BAD);
    assert_int_equal(only()->size, sizeof c.data);
}

/* The store was lost and the event log was not: its numbers go on. */
static void what_comes_after_a_loss_of_the_store_is_told(void **state)
{
    const uint8_t id[32] = { 1 };
    (void)state;
    at.logs = true;
    at.last_told = 500;
    restart();
    fake_up(at.fake);
    offer(id, 100, 14);
    dchan_store_settle(at.fake->channels.store);
    at.logs = false;
    assert_int_equal(at.n_told, 1);
    assert_int_equal(at.last_told, 501);
}

static void who_may_not_offer_is_refused(void **state)
{
    const uint8_t id[32] = { 1 };
    (void)state;
    at.fake->peer.contact->policy.files = false;
    offer(id, 100, 14);
    assert_said(DCHAN_F_CANCEL, CANCEL_REFUSED);
    assert_int_equal(count(), 0);
}

static void files_within_the_quota_are_taken_unasked(void **state)
{
    const uint8_t ids[3][32] = { { 1 }, { 2 }, { 3 } };
    (void)state;
    at.fake->peer.contact->policy.accept_files = true;
    at.fake->peer.contact->policy.file_quota = 250;
    offer(ids[0], 100, 14);
    assert_said(DCHAN_F_ACCEPT, 0);
    offer(ids[1], 151, 14);
    assert_int_equal(at.n_sent, 0);
    offer(ids[2], 150, 14);
    assert_said(DCHAN_F_ACCEPT, 0);
}

static void a_flood_of_offers_costs_no_more_than_its_share(void **state)
{
    uint8_t id[32] = { 0 };
    (void)state;
    for (uint32_t i = 0; i < 2000; i++) {
        be32_put(id, i + 1);
        offer(id, 100, 14);
        take_id(DCHAN_F_CANCEL, id, CANCEL_USER);
        at.n_sent = 0;
    }
    offer(id, 100, 14); /* more than it may in a row: not looked at */
    assert_int_equal(count(), 0);
    assert_int_equal(at.n_sent, 0);
    fake_tick(at.fake, 1000);
    offer(id, 100, 14);
    assert_int_equal(count(), 1);
}

static void what_is_said_of_unknown_files_does_nothing(void **state)
{
    const uint8_t id[32] = { 9 };
    (void)state;
    take_id(DCHAN_F_ACCEPT, id, 0);
    take_id(DCHAN_F_DONE, id, 0);
    take_id(DCHAN_F_CANCEL, id, 2);
    assert_int_equal(count(), 0);
    assert_int_equal(at.n_sent, 0);
}

/* --- answers --- */

/* Offered to bob and taken by him. */
static char *offered(struct content *c)
{
    uint8_t id[32];
    struct error e = { .text = "" };
    char *path = path_join(at.dir, "source");
    make_content(c);
    assert_int_equal(file_replace(path, c->data, sizeof c->data, NULL), OK);
    if (transfers_send(at.files, "bob", path, 0, id, &e))
        fail_msg("%s", e.text);
    assert_memory_equal(id, c->id, 32);
    assert_int_equal(at.sent[at.n_sent - 1].type, DCHAN_F_OFFER);
    assert_int_equal(at.sent[at.n_sent - 1].f_offer.size, sizeof c->data);
    return path;
}

static void good_answers_make_the_file(void **state)
{
    struct content c;
    (void)state;
    struct far *s = with_leaves(&c);
    reply(s, FILE_OK, c.data, sizeof c.data);
    await_over(s, 0);
    fake_until(at.fake, is_done, NULL);
    assert_said(DCHAN_F_DONE, 0);
    assert_int_equal(at.score, 0);
}

static size_t files_in(const char *directory)
{
    DIR *d = opendir(directory);
    size_t n = 0;
    assert_non_null(d);
    for (const struct dirent *x; (x = readdir(d));)
        n += x->d_name[0] != '.';
    closedir(d);
    return n;
}

static bool has_saved(void *ctx)
{
    (void)ctx;
    run_posts(&at.fake->channels);
    return only()->saved != NULL;
}

static bool is_removed(void *ctx)
{
    run_posts(&at.fake->channels);
    return !path_exists(ctx);
}

/* The process ends when the file is there, and before the store knows: it is not fetched again, and
 * lies where it was wanted once. */
static void a_file_is_saved_once_whenever_the_process_ends(void **state)
{
    struct content c;
    (void)state;
    char *target = path_join(at.dir, "target"), *name = path_join(target, "x");
    assert_int_equal(path_make_dirs(target, NULL), OK);
    make_content(&c);
    offer(c.id, sizeof c.data, 14);
    assert_int_equal(transfers_accept(at.files, c.id, target, 0, NULL), OK);
    reply(stream(1, FILE_LEAVES, 0, 3), FILE_OK, c.leaves, sizeof c.leaves);
    struct far *s = stream(2, FILE_CHUNKS, 0, 3);
    char *whole = disk_path(at.files, c.id, false);
    dchan_store_settle(at.fake->channels.store);
    for (int i = 0; i < 3; i++) {
        kv_mem_fail_writes(at.fake->channels.kv, 1);
        if (i == 0)
            reply(s, FILE_OK, c.data, sizeof c.data);
        do {
            fake_tick(at.fake, 1000);
            run_posts(&at.fake->channels);
            fake_settle(at.fake);
        } while (!only()->saved);
        assert_true(path_exists(whole));
        assert_string_equal(only()->saved, name);
        restart();
        assert_int_equal(only()->state, TRANSFER_RUNNING);
    }
    at.files->running = TRANSFERS_RUNNING_MAX; /* others have all places */
    fake_tick(at.fake, 1000);
    assert_int_equal(only()->pause, TRANSFER_QUEUED);
    at.files->running = 0;
    do {
        fake_tick(at.fake, 1000);
    } while (!has_saved(NULL));
    fake_until(at.fake, is_removed, whole);
    assert_string_equal(only()->saved, name);
    assert_int_equal(files_in(target), 1);
    assert_int_equal(at.fake->n_streams, 2);
    restart();
    assert_int_equal(only()->state, TRANSFER_DONE);
    assert_string_equal(only()->saved, name);
    free(whole);
    free(name);
    free(target);
}

static bool is_finishing(void *ctx)
{
    (void)ctx;
    run_posts(&at.fake->channels);
    return only()->finishing;
}

static bool has_finished(void *ctx) { return !is_finishing(ctx); }

/* While the last step is at work. */
static void one_that_is_cancelled_at_the_end_is_not_there(void **state)
{
    struct content c;
    (void)state;
    struct far *s = with_leaves(&c);
    char *whole = disk_path(at.files, c.id, false);
    reply(s, FILE_OK, c.data, sizeof c.data);
    fake_until(at.fake, is_finishing, NULL);
    at.fake->channels.parts[0].down(at.files, &at.fake->peer, NULL);
    assert_int_equal(transfers_cancel(at.files, c.id, NULL), OK);
    fake_until(at.fake, has_finished, NULL);
    assert_int_equal(only()->state, TRANSFER_CANCELLED);
    fake_until(at.fake, is_removed, whole);
    free(whole);
}

/* Between the two writes the process ended. */
static void what_a_contact_left_goes_with_it_after_a_start(void **state)
{
    struct content c;
    (void)state;
    free(offered(&c));
    c.id[0] ^= 1;
    offer(c.id, 100, 14);
    assert_int_equal(transfers_accept(at.files, c.id, NULL, 0, NULL), OK);
    assert_int_equal(count(), 2);
    at.fake->contacts[0].id = 99;
    restart();
    fake_tick(at.fake, 1000);
    assert_int_equal(count(), 1);
    assert_int_equal(only()->state, TRANSFER_CANCELLED);
}

/* Eight that bring a byte now and then, and one more: it does not wait for as long as they like. */
static void who_brings_little_holds_no_place_that_others_wait_for(void **state)
{
    uint8_t id[32] = { 0 };
    struct incoming *last;
    unsigned seconds = 0;
    (void)state;
    for (uint8_t i = 1; i <= TRANSFERS_RUNNING_MAX + 1; i++) {
        id[0] = i;
        offer(id, 100, 14);
        assert_int_equal(transfers_accept(at.files, id, NULL, 0, NULL), OK);
    }
    last = incoming_find(at.files, id);
    for (int i = 0; i < 10000 && at.fake->n_streams < TRANSFERS_RUNNING_MAX; i++) {
        run_posts(&at.fake->channels);
        fake_settle(at.fake);
        usleep(1000); /* workers open files */
    }
    assert_int_equal(at.fake->n_streams, TRANSFERS_RUNNING_MAX);
    do {
        run_posts(&at.fake->channels);
        fake_settle(at.fake);
        fake_tick(at.fake, 1000);
        for (size_t i = 0; seconds % 20 == 0 && i < TRANSFERS_RUNNING_MAX; i++)
            far_send(&at.fake->streams[i], "", 1);
        if (++seconds == 30) {
            assert_int_equal(last->pause, TRANSFER_QUEUED);
            assert_int_equal(at.files->running, TRANSFERS_RUNNING_MAX);
        }
        usleep(1000); /* workers open files */
    } while (!last->open && seconds < 120);
    assert_in_range(seconds, 60, 90);
    assert_true(at.files->running <= TRANSFERS_RUNNING_MAX);
}

static void wrong_leaves_are_blamed(void **state)
{
    struct content c;
    (void)state;
    struct far *s = accepted(&c);
    c.leaves[1][7] ^= 1;
    reply(s, FILE_OK, c.leaves, sizeof c.leaves);
    stream(2, FILE_LEAVES, 0, 3);
    assert_int_equal(at.score, 50);
    assert_false(only()->has_leaves);
}

static void the_third_wrong_chunk_is_the_last(void **state)
{
    struct content c;
    (void)state;
    struct far *s = with_leaves(&c);
    c.data[2 * CHUNK] ^= 1;
    for (size_t i = 2; i <= 4; i++) {
        far_send(s, "\0", 1);
        far_send(s, c.data + (i == 2 ? 0 : 2 * CHUNK), i == 2 ? sizeof c.data : CHUNK);
        if (i < 4)
            s = stream(i + 1, FILE_CHUNKS, 2, 1);
    }
    await_over(s, DCHAN_RESET_CANCELLED);
    fake_tick(at.fake, 100000);
    fake_settle(at.fake);
    assert_int_equal(at.fake->n_streams, 4);
    assert_int_equal(at.score, 150);
    const struct source *source = LIST_ITEM(list_first(&only()->sources), struct source, link);
    assert_true(source->banned);
    assert_int_equal(only()->n_have, 2);
    assert_int_equal(only()->pause, TRANSFER_NO_SOURCE);
}

static void more_than_was_asked_is_blamed(void **state)
{
    struct content c;
    (void)state;
    struct far *s = with_leaves(&c);
    far_send(s, "\0", 1);
    far_send(s, c.data, sizeof c.data);
    far_send(s, c.data, 1);
    await_over(s, DCHAN_RESET_CANCELLED);
    assert_int_equal(at.score, 50);
}

static void more_leaves_than_there_are_are_blamed(void **state)
{
    struct content c;
    (void)state;
    struct far *s = accepted(&c);
    far_send(s, "\0", 1);
    far_send(s, c.leaves, sizeof c.leaves);
    far_send(s, c.leaves, 1);
    await_over(s, DCHAN_RESET_CANCELLED);
    assert_int_equal(at.score, 50);
}

static void what_ends_early_is_asked_for_again_later(void **state)
{
    struct content c;
    (void)state;
    struct far *s = with_leaves(&c);
    reply(s, FILE_OK, c.data, 2 * CHUNK + 5);
    await_over(s, 0); /* both halves had ended */
    assert_int_equal(at.score, 0);
    fake_tick(at.fake, 1000);
    fake_settle(at.fake);
    assert_int_equal(at.fake->n_streams, 2);
    fake_tick(at.fake, 2000);
    reply(stream(3, FILE_CHUNKS, 2, 1), FILE_OK, c.data + 2 * CHUNK, CHUNK);
    fake_until(at.fake, is_done, NULL);
}

static void a_busy_source_has_two_seconds_and_one_that_refuses_a_minute(void **state)
{
    struct content c;
    (void)state;
    reply(accepted(&c), FILE_BUSY, NULL, 0);
    fake_settle(at.fake);
    fake_tick(at.fake, 2000);
    reply(stream(2, FILE_LEAVES, 0, 3), FILE_UNKNOWN, NULL, 0);
    fake_settle(at.fake);
    fake_tick(at.fake, 59000);
    fake_settle(at.fake);
    assert_int_equal(at.fake->n_streams, 2);
    fake_tick(at.fake, 1000);
    reply(stream(3, FILE_LEAVES, 0, 3), FILE_CHANGED, NULL, 0);
    fake_settle(at.fake);
    assert_int_equal(only()->state, TRANSFER_CHANGED);
    fake_tick(at.fake, 100000);
    fake_settle(at.fake);
    assert_int_equal(at.fake->n_streams, 3);
}

static size_t dials_in(unsigned seconds)
{
    const size_t before = at.fake->peer.dials;
    for (unsigned i = 0; i < seconds; i++)
        fake_tick(at.fake, 1000);
    return at.fake->peer.dials - before;
}

/* How often it is really tried is for the dials to know. */
static void a_source_that_is_away_is_wanted_at_once_and_one_that_was_sent_away_seldom(void **state)
{
    struct content c;
    (void)state;
    accepted(&c);
    fake_down(at.fake);
    assert_int_equal(dials_in(10), 10);
    at.fake->peer.quiet = true;
    assert_int_equal(dials_in(60), 2);
}

static void a_silent_source_is_reset_after_a_minute(void **state)
{
    struct content c;
    (void)state;
    struct far *s = with_leaves(&c);
    far_send(s, "\0ab", 3);
    fake_settle(at.fake);
    fake_tick(at.fake, 59000);
    assert_false(s->closed);
    fake_tick(at.fake, 1000);
    await_over(s, DCHAN_RESET_IDLE);
}

static void a_source_that_withdraws_ends_what_nobody_else_has(void **state)
{
    struct content c;
    (void)state;
    struct far *s = with_leaves(&c);
    take_id(DCHAN_F_CANCEL, c.id, CANCEL_USER);
    await_over(s, DCHAN_RESET_CANCELLED);
    assert_int_equal(only()->state, TRANSFER_CANCELLED);
    offer(c.id, sizeof c.data, 14); /* anew: the user is asked again */
    assert_int_equal(only()->state, TRANSFER_WAITING);
}

/* The directory takes no new file: nothing is asked for, and a minute later it is tried again. */
static void a_disk_that_fails_pauses(void **state)
{
    struct content c;
    char name[80];
    (void)state;
    make_content(&c);
    hex_encode(name, c.id, 32);
    memcpy(name + 64, ".part", 6);
    char *path = path_join(at.dir, name);
    assert_int_equal(path_make_dirs(path, NULL), OK);
    offer(c.id, sizeof c.data, 14);
    assert_int_equal(transfers_accept(at.files, c.id, NULL, 0, NULL), OK);
    for (int i = 0; i < 20000 && only()->pause != TRANSFER_DISK_ERROR; i++) {
        run_posts(&at.fake->channels);
        fake_settle(at.fake);
    }
    assert_int_equal(only()->pause, TRANSFER_DISK_ERROR);
    assert_int_not_equal(only()->error[0], 0);
    assert_int_equal(at.fake->n_streams, 0);
    assert_int_equal(rmdir(path), 0);
    fake_tick(at.fake, 59000);
    fake_settle(at.fake);
    assert_int_equal(at.fake->n_streams, 0);
    fake_tick(at.fake, 1000);
    stream(1, FILE_LEAVES, 0, 3);
    free(path);
}

/* --- questions --- */

static void ask_for(struct far *s, const uint8_t id[32], uint8_t what, uint32_t first, uint32_t n)
{
    uint8_t request[FILE_REQUEST_SIZE];
    memcpy(request, id, 32);
    request[32] = what;
    be32_put(request + 33, first);
    be32_put(request + 37, n);
    far_send(s, request, sizeof request);
    far_end(s);
}

static bool has_ended(void *ctx)
{
    run_posts(&at.fake->channels);
    return ((const struct far *)ctx)->fin || ((const struct far *)ctx)->closed;
}

static void assert_status(const uint8_t id[32], uint8_t what, uint32_t first, uint32_t n,
                          uint8_t status)
{
    struct far *s = far_open(at.fake, "file");
    ask_for(s, id, what, first, n);
    fake_until(at.fake, has_ended, s);
    assert_true(s->in.len >= 1);
    assert_int_equal(s->in.data[0], status);
    if (status)
        assert_int_equal(s->in.len, 1);
}

/* A worker that does not come back until `held` is unlocked. */
struct stuck { struct disk_job job; pthread_mutex_t *held; };

static void run_stuck(struct disk_job *j)
{
    struct stuck *s = (struct stuck *)(void *)j;
    pthread_mutex_lock(s->held);
    pthread_mutex_unlock(s->held);
}

static void free_job(struct disk_job *j)
{
    free(j);
}

static void stop_the_disk(pthread_mutex_t *held)
{
    pthread_mutex_lock(held);
    for (unsigned i = 0; i < pool_workers(at.files->pool); i++) {
        struct stuck *s = xcalloc(1, sizeof *s);
        s->held = held;
        s->job = (struct disk_job){ .run = run_stuck, .done = free_job, .drop = free_job };
        disk_submit(at.files, &s->job, JOB_BLOCK);
    }
}

#define LARGE_CHUNKS 512 /* 8 MiB */

static void what_waits_for_a_slow_disk_is_bounded(void **state)
{
    static uint8_t data[LARGE_CHUNKS * CHUNK], leaves[LARGE_CHUNKS][32];
    pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
    struct dchan_tree tree;
    uint8_t root[32], id[32];
    (void)state;
    dchan_tree_init(&tree);
    for (size_t i = 0; i < LARGE_CHUNKS; i++) {
        be32_put(data + i * CHUNK, (uint32_t)i);
        dchan_leaf_hash(leaves[i], span_of(data + i * CHUNK, CHUNK));
        dchan_tree_add(&tree, leaves[i]);
    }
    dchan_tree_root(&tree, root);
    dchan_file_id(id, sizeof data, root);
    offer(id, sizeof data, 14);
    assert_int_equal(transfers_accept(at.files, id, NULL, 0, NULL), OK);
    at.n_sent = 0;
    reply(stream(1, FILE_LEAVES, 0, LARGE_CHUNKS), FILE_OK, leaves, sizeof leaves);
    struct far *s = stream(2, FILE_CHUNKS, 0, LARGE_CHUNKS);
    stop_the_disk(&held);
    reply(s, FILE_OK, data, sizeof data);
    fake_settle(at.fake);
    const struct incoming *in = only();
    const uint64_t meanwhile = in->transferred;
    pthread_mutex_unlock(&held);
    assert_in_range(meanwhile, DCHAN_WINDOW_START, 3 * FILE_BLOCK + 2 * DCHAN_WINDOW_START);
    fake_until(at.fake, is_done, NULL);
    assert_int_equal(in->transferred, sizeof data);
    pthread_mutex_destroy(&held);
}

static void only_what_was_offered_and_accepted_is_served(void **state)
{
    const uint8_t unknown[32] = { 7 };
    struct content c;
    (void)state;
    free(offered(&c));
    assert_status(unknown, FILE_CHUNKS, 0, 1, FILE_UNKNOWN);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_UNKNOWN);
    take_id(DCHAN_F_ACCEPT, c.id, 0);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_OK);
    struct contact *other = fake_add_contact(at.fake, "eve");
    at.fake->peer.contact = other;
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_UNKNOWN);
    at.fake->peer.contact = NULL;
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_UNKNOWN);
    at.fake->peer.contact = &at.fake->contacts[0];
    take_id(DCHAN_F_DONE, c.id, 0);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_UNKNOWN);
}

static bool has_hashed(void *ctx)
{
    (void)ctx;
    run_posts(&at.fake->channels);
    return at.files->hashing == 0;
}

/* That a file cannot be opened now says nothing about what is in it. */
static void a_file_that_cannot_be_read_is_not_taken_for_changed(void **state)
{
    struct content c;
    struct rlimit few, limit;
    (void)state;
    char *path = offered(&c);
    take_id(DCHAN_F_ACCEPT, c.id, 0);
    const struct outgoing *o =
        LIST_ITEM(list_first(&at.files->outgoing), struct outgoing, link);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    few = limit;
    few.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_BUSY);
    fake_until(at.fake, has_hashed, NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(o->state, TRANSFER_RUNNING);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_OK);
    assert_int_equal(unlink(path), 0); /* that it is gone does */
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_BUSY);
    fake_until(at.fake, has_hashed, NULL);
    assert_int_equal(o->state, TRANSFER_CHANGED);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_CHANGED);
    free(path);
}

static void ranges_outside_the_file_are_refused(void **state)
{
    struct content c;
    (void)state;
    free(offered(&c));
    take_id(DCHAN_F_ACCEPT, c.id, 0);
    for (uint8_t what = FILE_LEAVES; what <= FILE_CHUNKS; what++) {
        assert_status(c.id, what, 0, 0, FILE_RANGE);
        assert_status(c.id, what, 0, 4, FILE_RANGE);
        assert_status(c.id, what, 3, 1, FILE_RANGE);
        assert_status(c.id, what, 1, UINT32_MAX, FILE_RANGE);
        assert_status(c.id, what, UINT32_MAX, 1, FILE_RANGE);
        assert_status(c.id, what, UINT32_MAX, UINT32_MAX, FILE_RANGE);
        assert_status(c.id, what, 2, 1, FILE_OK);
    }
    assert_status(c.id, 0, 0, 1, FILE_RANGE);
    assert_status(c.id, 3, 0, 1, FILE_RANGE);
    assert_status(c.id, 255, 0, 1, FILE_RANGE);
    assert_int_equal(at.files->serve_bytes, 0);
}

static void questions_of_another_length_are_reset(void **state)
{
    uint8_t bytes[FILE_REQUEST_SIZE + 1] = { 0 };
    (void)state;
    struct far *s = far_open(at.fake, "file");
    far_send(s, bytes, sizeof bytes);
    await_over(s, DCHAN_RESET_REFUSED);
    s = far_open(at.fake, "file");
    far_send(s, bytes, FILE_REQUEST_SIZE - 1);
    far_end(s);
    await_over(s, DCHAN_RESET_REFUSED);
    s = far_open(at.fake, "file");
    far_end(s);
    await_over(s, DCHAN_RESET_REFUSED);
}

/* They never read: what waits for them is bounded, others get their turn, and they are reset. */
static void who_does_not_read_has_four_streams_and_a_minute(void **state)
{
    struct content c;
    struct far *lazy[TRANSFERS_STREAMS_MAX];
    (void)state;
    free(offered(&c));
    take_id(DCHAN_F_ACCEPT, c.id, 0);
    for (size_t i = 0; i < COUNT_OF(lazy); i++) {
        lazy[i] = far_open(at.fake, "file");
        lazy[i]->lazy = true;
        uint8_t request[FILE_REQUEST_SIZE];
        memcpy(request, c.id, 32);
        request[32] = FILE_CHUNKS;
        be32_put(request + 33, 0);
        be32_put(request + 37, 3);
        far_send(lazy[i], request, sizeof request); /* and keeps its half open */
    }
    fake_settle(at.fake);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_BUSY);
    assert_true(at.files->serve_bytes <= at.files->config.serve_budget);
    for (size_t i = 0; i < COUNT_OF(lazy); i++)
        fake_until(at.fake, has_ended, lazy[i]);
    fake_tick(at.fake, 60000);
    for (size_t i = 0; i < COUNT_OF(lazy); i++)
        await_over(lazy[i], DCHAN_RESET_IDLE);
    assert_int_equal(at.files->serve_bytes, 0);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_OK);
}

static void silent_streams_are_limited(void **state)
{
    struct far *s = NULL;
    (void)state;
    for (int i = 0; i < 17; i++)
        s = far_open(at.fake, "file");
    await_over(s, DCHAN_RESET_LIMIT);
    fake_tick(at.fake, 60000);
    fake_settle(at.fake);
    assert_int_equal(at.files->serves.n, 0);
}

/* --- files that cost something --- */

static struct {
    uint64_t paid;
    char ref[64];
    bool refuses;
} purse;

static const char *no_trouble(void *ctx)
{
    (void)ctx;
    return NULL;
}

static bool no_channel(void *ctx, uint64_t contact)
{
    (void)ctx;
    (void)contact;
    return false;
}

static enum err pay(void *ctx, uint64_t contact, uint64_t amount, const char *ref, uint64_t *paid,
                    struct error *e)
{
    (void)ctx;
    assert_int_equal(contact, 1);
    *paid = 0;
    if (purse.refuses)
        return error_set(e, ERR_NOTFOUND, "no channel");
    *paid = amount;
    purse.paid += amount;
    snprintf(purse.ref, sizeof purse.ref, "%s", ref);
    return OK;
}

#define CHUNK_PRICE 10

/* Chunks are asked for, each of which costs that much; `more` is what may be spent beside it. */
static struct far *bought(struct content *c, uint64_t more)
{
    static const struct stream_payments payments = { no_trouble, no_channel, pay, NULL };
    struct dchan_msg m = { .type = DCHAN_F_OFFER };
    struct error e;
    memset(&purse, 0, sizeof purse);
    transfers_set_payments(at.files, &payments);
    make_content(c);
    m.f_offer = (struct dchan_f_offer){ .size = sizeof c->data, .chunk_log2 = 14,
                                        .name = span_of("x", 1), .price = 64 * CHUNK_PRICE };
    memcpy(m.f_offer.file_id, c->id, 32);
    take(&m);
    assert_int_equal(transfers_accept(at.files, c->id, NULL, 3 * CHUNK_PRICE - 1, &e), ERR_RANGE);
    assert_int_equal(at.n_sent, 0);
    assert_int_equal(transfers_accept(at.files, c->id, NULL, 3 * CHUNK_PRICE + more, NULL), OK);
    assert_said(DCHAN_F_ACCEPT, 0);
    reply(stream(1, FILE_LEAVES, 0, 3), FILE_OK, c->leaves, sizeof c->leaves);
    return stream(2, FILE_CHUNKS, 0, 3);
}

static bool has_chunks(void *ctx)
{
    run_posts(&at.fake->channels);
    return only()->n_have == *(const uint32_t *)ctx;
}

static void await_chunks(uint32_t n) { fake_until(at.fake, has_chunks, &n); }

static void a_chunk_is_paid_when_its_hash_is_right(void **state)
{
    struct content c;
    char ref[64] = "file:";
    (void)state;
    struct far *s = bought(&c, 0);
    const uint8_t ok = FILE_OK;
    far_send(s, &ok, 1);
    far_send(s, c.data, CHUNK - 1);
    fake_settle(at.fake);
    assert_int_equal(purse.paid, 0);
    far_send(s, c.data + CHUNK - 1, 1);
    await_chunks(1);
    assert_int_equal(purse.paid, CHUNK_PRICE);
    hex_encode(ref + 5, c.id, 16);
    assert_string_equal(purse.ref, ref);
    c.data[CHUNK + 77] ^= 1;
    far_send(s, c.data + CHUNK, CHUNK);
    await_over(s, DCHAN_RESET_CANCELLED);
    assert_int_equal(at.score, 50);
    assert_int_equal(purse.paid, CHUNK_PRICE);
}

/* It is paid one chunk ahead, once. */
static void a_seller_that_takes_money_and_stops_gets_one_chunk(void **state)
{
    struct content c;
    (void)state;
    struct far *s = bought(&c, 5 * CHUNK_PRICE);
    const uint8_t ok = FILE_OK;
    far_send(s, &ok, 1);
    far_send(s, c.data, CHUNK);
    await_chunks(1);
    fake_tick(at.fake, 1000);
    assert_int_equal(purse.paid, CHUNK_PRICE);
    for (int i = 0; i < 30; i++)
        fake_tick(at.fake, 1000);
    assert_int_equal(purse.paid, 2 * CHUNK_PRICE);
    far_send(s, c.data + CHUNK, CHUNK); /* was paid */
    await_chunks(2);
    assert_int_equal(purse.paid, 3 * CHUNK_PRICE);
}

static void nothing_above_the_limit_is_paid_for_a_file(void **state)
{
    struct content c;
    (void)state;
    struct far *s = bought(&c, 0);
    const uint8_t ok = FILE_OK;
    far_send(s, &ok, 1);
    far_send(s, c.data, CHUNK);
    await_chunks(1);
    for (int i = 0; i < 10; i++)
        fake_tick(at.fake, 1000);
    assert_int_equal(purse.paid, 2 * CHUNK_PRICE);
    far_send(s, c.data + CHUNK, CHUNK);
    await_chunks(2);
    assert_int_equal(purse.paid, 3 * CHUNK_PRICE); /* one was paid ahead */
    for (int i = 0; i < 10; i++)
        fake_tick(at.fake, 1000);
    assert_int_equal(purse.paid, 3 * CHUNK_PRICE);
    assert_int_equal(only()->spent, only()->max);
    restart();
    assert_int_equal(only()->max, 3 * CHUNK_PRICE);
    assert_true(only()->spent >= 2 * CHUNK_PRICE);
}

/* Tried again, and said. */
static void what_could_not_be_paid_is_paid_later(void **state)
{
    struct content c;
    (void)state;
    struct far *s = bought(&c, 0);
    purse.refuses = true;
    reply(s, FILE_OK, c.data, 2 * CHUNK);
    await_chunks(2);
    assert_int_equal(purse.paid, 0);
    assert_string_equal(only()->error, "payment: no channel");
    purse.refuses = false;
    fake_tick(at.fake, 1000);
    assert_int_equal(purse.paid, 2 * CHUNK_PRICE);
    assert_string_equal(only()->error, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_wrong_size_of_chunks_is_refused_before_anything_is_kept),
        TEST(offers_that_wait_are_limited_and_may_come_again),
        TEST(what_was_accepted_while_the_peer_was_away_is_said_before_it_is_asked_for),
        TEST(a_source_without_its_file_is_forgotten),
        TEST(strangers_that_offer_one_file_are_limited),
        TEST(what_a_stranger_says_of_a_file_gives_way_to_a_contact),
        TEST(what_comes_after_a_loss_of_the_store_is_told),
        TEST(who_may_not_offer_is_refused),
        TEST(files_within_the_quota_are_taken_unasked),
        TEST(a_flood_of_offers_costs_no_more_than_its_share),
        TEST(what_is_said_of_unknown_files_does_nothing),
        TEST(good_answers_make_the_file),
        TEST(a_file_is_saved_once_whenever_the_process_ends),
        TEST(one_that_is_cancelled_at_the_end_is_not_there),
        TEST(what_a_contact_left_goes_with_it_after_a_start),
        TEST(who_brings_little_holds_no_place_that_others_wait_for),
        TEST(wrong_leaves_are_blamed),
        TEST(the_third_wrong_chunk_is_the_last),
        TEST(more_than_was_asked_is_blamed),
        TEST(more_leaves_than_there_are_are_blamed),
        TEST(what_ends_early_is_asked_for_again_later),
        TEST(a_busy_source_has_two_seconds_and_one_that_refuses_a_minute),
        TEST(a_source_that_is_away_is_wanted_at_once_and_one_that_was_sent_away_seldom),
        TEST(a_silent_source_is_reset_after_a_minute),
        TEST(a_source_that_withdraws_ends_what_nobody_else_has),
        TEST(a_disk_that_fails_pauses),
        TEST(what_waits_for_a_slow_disk_is_bounded),
        TEST(only_what_was_offered_and_accepted_is_served),
        TEST(a_file_that_cannot_be_read_is_not_taken_for_changed),
        TEST(ranges_outside_the_file_are_refused),
        TEST(questions_of_another_length_are_reset),
        TEST(who_does_not_read_has_four_streams_and_a_minute),
        TEST(silent_streams_are_limited),
        TEST(a_chunk_is_paid_when_its_hash_is_right),
        TEST(a_seller_that_takes_money_and_stops_gets_one_chunk),
        TEST(nothing_above_the_limit_is_paid_for_a_file),
        TEST(what_could_not_be_paid_is_paid_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
