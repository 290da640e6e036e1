/* Files between two nodes of one process, over sockets. */
#include <config.h>

#include "p2p/transfers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "base/rand.h"
#include "p2p/channels_internal.h"
#include "tests/p2p/channels_pair.h"
#include "tests/test.h"

#define CHUNK 16384

struct node {
    char *dir;
    struct transfers *files;
    atomic_uint offered, received;
};

struct duo {
    struct channels_pair pair;
    struct node nodes[2]; /* 0 sends */
    char *dir;            /* of both, and of the files of a test */
};

static bool on_news(void *ctx, const struct transfer_news *news)
{
    struct node *n = ctx;
    assert_int_equal(news->entry, n->offered + n->received + 1);
    atomic_fetch_add(news->kind == TRANSFER_OFFERED ? &n->offered : &n->received, 1);
    return true;
}

static uint64_t told(void *ctx)
{
    (void)ctx;
    return 0;
}

static void open_node(struct duo *d, int i)
{
    struct node *n = &d->nodes[i];
    const struct transfers_ops ops = { on_news, told, n };
    n->dir = path_join(d->dir, i == 0 ? "sender" : "receiver");
    const struct transfers_config config = { .directory = n->dir, .offers_max = 100,
                                             .reserve_percent = 0,
                                             .serve_budget = 64 << 20 };
    assert_int_equal(transfers_new(&n->files, d->pair.sides[i].channels, &config, &ops, NULL), OK);
}

static int set_up(void **state)
{
    struct duo *d = xcalloc(1, sizeof *d);
    d->dir = test_dir_make();
    channels_pair_init(&d->pair);
    channels_pair_open(&d->pair);
    open_node(d, 0);
    open_node(d, 1);
    channels_pair_start(&d->pair);
    channels_pair_connect(&d->pair);
    *state = d;
    return 0;
}

static int tear_down(void **state)
{
    struct duo *d = *state;
    for (int i = 0; i < 2; i++) {
        struct channels_side *s = &d->pair.sides[i];
        channels_stop(s->channels);
        transfers_stop(d->nodes[i].files);
        dchan_store_free(s->store);
        transfers_free(d->nodes[i].files);
        channels_free(s->channels);
        contacts_free(s->contacts);
        free(d->nodes[i].dir);
    }
    test_dir_remove(d->dir);
    free(d);
    return 0;
}

/* --- files --- */

static char *make_file(struct duo *d, const char *name, size_t size)
{
    char *path = path_join(d->dir, name);
    uint8_t *data = xmalloc(size + 1);
    rand_bytes(data, size);
    assert_int_equal(file_replace(path, data, size, NULL), OK);
    free(data);
    return path;
}

static void assert_same_content(const char *a, const char *b)
{
    struct buf x, y;
    buf_init(&x);
    buf_init(&y);
    assert_int_equal(file_read_all(a, 1 << 30, &x, NULL), OK);
    assert_int_equal(file_read_all(b, 1 << 30, &y, NULL), OK);
    assert_int_equal(x.len, y.len);
    assert_true(mem_equal_var(x.data, y.data, x.len));
    buf_clear(&x);
    buf_clear(&y);
}

static void send_file(struct duo *d, const char *path, uint8_t id[32])
{
    struct error e = { .text = "" };
    char key[2 * IDENTITY_KEY_SIZE + 1];
    hex_encode(key, d->pair.sides[1].key.key.pub, IDENTITY_KEY_SIZE);
    if (transfers_send(d->nodes[0].files, key, path, 0, id, &e))
        fail_msg("%s", e.text);
}

struct wanted {
    struct node *node;
    const uint8_t *id;
    enum transfer_state state;
    uint64_t done;
};

static bool get_info(struct node *n, const uint8_t id[32], struct transfer_info *out)
{
    struct transfer_list l;
    bool found = false;
    assert_int_equal(transfers_list(n->files, &l), OK);
    for (size_t i = 0; i < l.n; i++)
        if (memcmp(l.v[i].id, id, 32) == 0) {
            *out = l.v[i];
            out->path = l.v[i].path ? xstrdup(l.v[i].path) : NULL;
            out->sources = NULL;
            found = true;
        }
    transfer_list_clear(&l);
    return found;
}

static bool has_state(void *ctx)
{
    const struct wanted *w = ctx;
    struct transfer_info info;
    if (!get_info(w->node, w->id, &info))
        return false;
    /* one that was to be seen running may be over by now */
    const bool over = w->state == TRANSFER_RUNNING && info.state == TRANSFER_DONE;
    const bool ok = over || (info.state == w->state && info.done >= w->done);
    free(info.path);
    return ok;
}

static void await(struct node *n, const uint8_t id[32], enum transfer_state state, uint64_t done)
{
    channels_pair_wait(has_state, &(struct wanted){ n, id, state, done });
}

static void accept_file(struct node *n, const uint8_t id[32], const char *directory)
{
    struct error e = { .text = "" };
    if (transfers_accept(n->files, id, directory, 0, &e))
        fail_msg("%s", e.text);
}

/* --- tests --- */

static const size_t sizes[] = { 0, 1, CHUNK, CHUNK + 1, 40000, 3000000 };

static bool has_all_news(void *ctx)
{
    return ((struct node *)ctx)->received == COUNT_OF(sizes);
}

static void files_arrive_whole(void **state)
{
    struct duo *d = *state;
    char *target = path_join(d->dir, "saved");
    assert_int_equal(path_make_dirs(target, NULL), OK);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char name[16];
        uint8_t id[32];
        snprintf(name, sizeof name, "file%zu", i);
        char *path = make_file(d, name, sizes[i]), *saved = path_join(target, name);
        send_file(d, path, id);
        await(&d->nodes[1], id, TRANSFER_WAITING, 0);
        accept_file(&d->nodes[1], id, target);
        await(&d->nodes[1], id, TRANSFER_DONE, sizes[i]);
        await(&d->nodes[0], id, TRANSFER_DONE, sizes[i]);
        assert_same_content(path, saved);
        free(path);
        free(saved);
    }
    channels_pair_wait(has_all_news, &d->nodes[1]);
    assert_int_equal(d->nodes[1].offered, COUNT_OF(sizes));
    free(target);
}

/* --- ends that are no success --- */

static void a_refused_offer_ends_for_both(void **state)
{
    struct duo *d = *state;
    uint8_t id[32];
    struct transfer_info info;
    char *path = make_file(d, "file", 100);
    send_file(d, path, id);
    await(&d->nodes[1], id, TRANSFER_WAITING, 0);
    assert_int_equal(transfers_cancel(d->nodes[1].files, id, NULL), OK);
    await(&d->nodes[0], id, TRANSFER_REFUSED, 0);
    assert_false(get_info(&d->nodes[1], id, &info));
    send_file(d, path, id); /* once more */
    await(&d->nodes[1], id, TRANSFER_WAITING, 0);
    assert_int_equal(transfers_cancel(d->nodes[0].files, id, NULL), OK);
    assert_false(get_info(&d->nodes[0], id, &info));
    assert_int_equal(transfers_cancel(d->nodes[0].files, id, NULL), ERR_NOTFOUND);
    free(path);
}

/* The same size and time: nothing tells the sender. */
static void change_behind_its_back(const char *path, off_t at)
{
    struct stat st;
    struct file f;
    uint8_t byte;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(file_open(&f, path, FILE_WRITE, NULL), OK);
    assert_int_equal(pread(f.fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(f.fd, &byte, 1, at), 1);
    const struct timespec times[2] = { st.st_atim, st.st_mtim };
    assert_int_equal(futimens(f.fd, times), 0);
    file_close(&f);
}

static void a_file_that_was_edited_is_not_sent(void **state)
{
    struct duo *d = *state;
    uint8_t id[32];
    char *path = make_file(d, "file", 3 * CHUNK);
    send_file(d, path, id);
    await(&d->nodes[1], id, TRANSFER_WAITING, 0);
    free(make_file(d, "file", 3 * CHUNK));
    accept_file(&d->nodes[1], id, NULL);
    await(&d->nodes[0], id, TRANSFER_CHANGED, 0);
    await(&d->nodes[1], id, TRANSFER_CHANGED, 0);
    free(path);
}

static void a_file_that_was_moved_back_is_sent(void **state)
{
    struct duo *d = *state;
    uint8_t id[32];
    char *path = make_file(d, "file", 3 * CHUNK), *other = path_join(d->dir, "other");
    send_file(d, path, id);
    await(&d->nodes[1], id, TRANSFER_WAITING, 0);
    struct buf content;
    buf_init(&content);
    assert_int_equal(file_read_all(path, 1 << 20, &content, NULL), OK);
    assert_int_equal(file_replace(path, content.data, content.len, NULL), OK); /* another inode */
    buf_clear(&content);
    accept_file(&d->nodes[1], id, NULL);
    await(&d->nodes[1], id, TRANSFER_DONE, 3 * CHUNK);
    free(other);
    free(path);
}

/* Nobody else dials in these tests. */
static void dial_if_down(struct duo *d)
{
    struct chan_peer_info info;
    if (!channels_side_info(&d->pair.sides[1], &d->pair.sides[0], &info) ||
        info.state == CHAN_PEER_IDLE)
        channels_side_dial(&d->pair.sides[1], &d->pair.sides[0]);
}

static bool is_banned_in_the_end(void *ctx)
{
    struct duo *d = ctx;
    struct transfer_list list;
    dial_if_down(d);
    assert_int_equal(transfers_list(d->nodes[1].files, &list), OK);
    assert_int_equal(list.n, 1);
    const bool banned = list.v[0].sources[0].banned;
    assert_true(banned == (list.v[0].sources[0].bad >= TRANSFERS_BAD_CHUNKS));
    transfer_list_clear(&list);
    return banned;
}

/* What was good of it is kept. The session ends at 100 points, and the source is asked again. */
static void a_source_of_wrong_chunks_is_banned_for_the_file(void **state)
{
    struct duo *d = *state;
    uint8_t id[32];
    struct transfer_info info;
    char *path = make_file(d, "file", 40 * CHUNK);
    send_file(d, path, id);
    await(&d->nodes[1], id, TRANSFER_WAITING, 0);
    change_behind_its_back(path, 20 * CHUNK);
    accept_file(&d->nodes[1], id, NULL);
    channels_pair_wait(is_banned_in_the_end, d);
    assert_true(get_info(&d->nodes[1], id, &info));
    assert_int_equal(info.state, TRANSFER_RUNNING);
    assert_in_range(info.done, 20 * CHUNK, 39 * CHUNK); /* all but the wrong one */
    free(info.path);
    free(path);
}

/* --- interruptions --- */

static void cut_socket(struct channels *c, void *ctx)
{
    const struct channels_side *other = ctx;
    struct chan_peer *p = channels_find(c, other->key.key.pub);
    if (p && p->newest)
        conn_abort(p->newest, DCHAN_NO_ERROR);
}

static bool is_down(void *ctx)
{
    struct duo *d = ctx;
    return !channels_side_is_up(&d->pair.sides[1], &d->pair.sides[0]);
}

static bool is_up_again(void *ctx)
{
    struct duo *d = ctx;
    dial_if_down(d);
    return channels_side_is_up(&d->pair.sides[1], &d->pair.sides[0]);
}

static void cut(struct duo *d)
{
    assert_true(channels_call(d->pair.sides[1].channels, cut_socket, &d->pair.sides[0]));
    channels_pair_wait(is_down, d);
    channels_pair_wait(is_up_again, d);
}

static void an_interruption_costs_less_than_a_chunk(void **state)
{
    enum { TIMES = 6, SIZE = 24 << 20 };
    struct duo *d = *state;
    uint8_t id[32];
    struct transfer_info info;
    char *path = make_file(d, "file", SIZE);
    send_file(d, path, id);
    await(&d->nodes[1], id, TRANSFER_WAITING, 0);
    accept_file(&d->nodes[1], id, NULL);
    for (uint64_t i = 1; i <= TIMES; i++) {
        await(&d->nodes[1], id, TRANSFER_RUNNING, i * SIZE / 8);
        cut(d);
    }
    await(&d->nodes[1], id, TRANSFER_DONE, SIZE);
    await(&d->nodes[0], id, TRANSFER_DONE, SIZE);
    assert_true(get_info(&d->nodes[1], id, &info));
    assert_true(info.transferred <= SIZE + TIMES * 2 * CHUNK);
    assert_same_content(path, info.path);
    free(info.path);
    free(path);
}

/* --- another session takes the place --- */

struct newest { const struct channels_side *other; const struct chan_conn *conn; };

static void renew_call(struct channels *c, void *ctx)
{
    struct newest *n = ctx;
    struct chan_peer *p = channels_find(c, n->other->key.key.pub);
    n->conn = p->newest;
    p->renew = true;
}

static void look_call(struct channels *c, void *ctx)
{
    struct newest *n = ctx;
    n->conn = channels_find(c, n->other->key.key.pub)->newest;
}

struct renewal { struct duo *d; const struct chan_conn *old; };

static bool has_another(void *ctx)
{
    struct renewal *r = ctx;
    struct newest n = { .other = &r->d->pair.sides[0] };
    assert_true(channels_call(r->d->pair.sides[1].channels, look_call, &n));
    return n.conn && n.conn != r->old;
}

/* Streams finish on the old one, the next ranges come over the new one. */
static void a_renewed_session_costs_nothing(void **state)
{
    enum { SIZE = 40 << 20 };
    struct duo *d = *state;
    uint8_t id[32];
    struct transfer_info info;
    char *path = make_file(d, "file", SIZE);
    send_file(d, path, id);
    await(&d->nodes[1], id, TRANSFER_WAITING, 0);
    accept_file(&d->nodes[1], id, NULL);
    await(&d->nodes[1], id, TRANSFER_RUNNING, CHUNK);
    struct newest n = { .other = &d->pair.sides[0] };
    assert_true(channels_call(d->pair.sides[1].channels, renew_call, &n));
    channels_side_skip(&d->pair.sides[1], 1000);
    channels_pair_wait(has_another, &(struct renewal){ d, n.conn });
    await(&d->nodes[1], id, TRANSFER_DONE, SIZE);
    await(&d->nodes[0], id, TRANSFER_DONE, SIZE);
    assert_true(get_info(&d->nodes[1], id, &info));
    assert_int_equal(info.transferred, SIZE);
    assert_same_content(path, info.path);
    free(info.path);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_arrive_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refused_offer_ends_for_both, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_was_edited_is_not_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_was_moved_back_is_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_source_of_wrong_chunks_is_banned_for_the_file, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_interruption_costs_less_than_a_chunk, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_renewed_session_costs_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
