/* Forwards that a restart sets up again: what is written, and what of it is believed. */
#include "p2p/kept_forwards.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/p2p/local_program.h"
#include "tests/test.h"

struct world {
    struct fake *f;
    struct local_streams streams;
    struct forwards *forwards;
    struct kept_forwards *kept;
    unsigned done;
    enum err rc;
};

static void world_begin(struct world *w)
{
    local_streams_init(&w->streams, &w->f->channels, 8, 0);
    w->forwards = forwards_new(&w->streams);
}

static enum err world_load(struct world *w)
{
    struct error e;
    return kept_forwards_new(&w->kept, &w->streams, w->forwards, &e);
}

static void world_end(struct world *w)
{
    kept_forwards_free(w->kept);
    forwards_free(w->forwards);
    w->kept = NULL;
    w->f->channels.n_parts = 0;
}

static void world_init(struct world *w)
{
    *w = (struct world){ .f = fake_new() };
    world_begin(w);
    assert_int_equal(world_load(w), OK);
}

static void world_clear(struct world *w)
{
    world_end(w);
    fake_free(w->f);
}

static void on_done(void *ctx, enum err rc, const struct error *e)
{
    struct world *w = ctx;
    (void)e;
    w->done++;
    w->rc = rc;
}

static bool is_done(void *ctx) { return ((struct world *)ctx)->done > 0; }

static enum err await(struct world *w)
{
    fake_until(w->f, is_done, w);
    w->done = 0;
    return w->rc;
}

static uint16_t add(struct world *w, uint16_t port)
{
    const struct forward_wish wish = { .contact = &w->f->contacts[0], .service = "web",
                                       .port = port, .priority = 3 };
    struct error e;
    assert_int_equal(kept_forwards_add(w->kept, &wish, on_done, w, &port, &e), OK);
    return port;
}

struct seen { uint16_t port; unsigned n, priority; };

static void see(const struct forward *f, void *ctx)
{
    struct seen *seen = ctx;
    seen->n++;
    seen->port = f->port;
    seen->priority = f->priority;
}

static void see_waiting(const struct kept_forward *f, void *ctx)
{
    struct seen *seen = ctx;
    seen->n++;
    seen->port = f->port;
}

static struct seen look(const struct world *w)
{
    struct seen seen = { .n = 0 };
    forwards_each(w->forwards, see, &seen);
    return seen;
}

static struct seen waiting(const struct world *w)
{
    struct seen seen = { .n = 0 };
    kept_forwards_each_waiting(w->kept, see_waiting, &seen);
    return seen;
}

static void again(struct world *w)
{
    world_end(w);
    world_begin(w);
    assert_int_equal(world_load(w), OK);
}

static void what_is_written_is_set_up_again(void **state)
{
    struct world w;
    struct error e;
    int held[2]; /* nobody else gets the port while no forward listens */
    (void)state;
    world_init(&w);
    const uint16_t port = add(&w, program_reserve(held));
    assert_int_equal(await(&w), OK);
    again(&w);
    assert_int_equal(look(&w).port, port);
    assert_int_equal(look(&w).priority, 3);
    const struct forward_wish wish = { .contact = &w.f->contacts[0], .service = "web",
                                       .port = port };
    uint16_t out;
    assert_int_equal(kept_forwards_add(w.kept, &wish, on_done, &w, &out, &e), ERR_EXISTS);
    assert_int_equal(kept_forwards_remove(w.kept, port, on_done, &w, &e), OK);
    assert_int_equal(await(&w), OK);
    assert_int_equal(kept_forwards_remove(w.kept, port, on_done, &w, &e), ERR_NOTFOUND);
    again(&w);
    assert_int_equal(look(&w).n, 0);
    world_clear(&w);
    close(held[0]);
    close(held[1]);
}

static void what_the_disk_refuses_is_taken_away(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    kv_mem_fail_writes(w.f->channels.kv, 1);
    (void)add(&w, 0);
    assert_int_equal(look(&w).n, 1);
    assert_int_equal(await(&w), ERR_IO);
    assert_int_equal(look(&w).n, 0);
    kv_mem_fail_writes(w.f->channels.kv, 0);
    world_clear(&w);
}

static void a_busy_port_is_tried_again(void **state)
{
    struct world w;
    int held[2], one = 1;
    (void)state;
    world_init(&w);
    const uint16_t port = add(&w, program_reserve(held));
    assert_int_equal(await(&w), OK);
    world_end(&w);
    const int holder = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                               .sin6_port = htons(port) };
    assert_int_equal(setsockopt(holder, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
    assert_int_equal(bind(holder, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(holder, 1), 0);
    world_begin(&w);
    assert_int_equal(world_load(&w), OK);
    assert_int_equal(waiting(&w).port, port);
    assert_int_equal(look(&w).n, 0);
    close(holder);
    const struct channel_part *part = &w.f->channels.parts[w.f->channels.n_parts - 1];
    const uint64_t now = channels_now(&w.f->channels);
    part->tick(part->ctx, now + KEPT_FORWARDS_RETRY_MS - 1000);
    assert_int_equal(waiting(&w).n, 1);
    part->tick(part->ctx, now + KEPT_FORWARDS_RETRY_MS + 1000);
    assert_int_equal(waiting(&w).n, 0);
    assert_int_equal(look(&w).port, port);
    world_clear(&w);
    close(held[0]);
    close(held[1]);
}

static void put_raw(struct world *w, const void *value, size_t len)
{
    struct dchan_store *store = channels_store(&w->f->channels);
    struct dchan_write *write = dchan_write_new(store);
    dchan_write_put(write, "w\x12\x34", 3, value, len);
    dchan_store_commit(store, write, on_done, w);
    assert_int_equal(await(w), OK);
}

static void damaged_rows_and_newer_ones_are_told_apart(void **state)
{
    static const uint8_t newer[] = { 2 }, cut[] = { 1, 0, 0 };
    static const uint8_t bad_name[] = { 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 3, 1, 'A' };
    struct world w;
    (void)state;
    world_init(&w);
    world_end(&w);
    world_begin(&w);
    put_raw(&w, newer, sizeof newer);
    assert_int_equal(world_load(&w), ERR_RANGE);
    put_raw(&w, cut, sizeof cut);
    assert_int_equal(world_load(&w), ERR_CORRUPT);
    put_raw(&w, bad_name, sizeof bad_name);
    assert_int_equal(world_load(&w), ERR_CORRUPT);
    world_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_set_up_again),
        cmocka_unit_test(what_the_disk_refuses_is_taken_away),
        cmocka_unit_test(a_busy_port_is_tried_again),
        cmocka_unit_test(damaged_rows_and_newer_ones_are_told_apart),
    };
    return cmocka_run_group_tests_name("kept_forwards", tests, NULL, NULL);
}
