/*
 * Files over direct channels with a peer that does what it should not: the far side of
 * fake_channels.h, whose messages and bytes the tests make. It defines what fake_channels.h leaves
 * out of channels.h.
 */
#ifndef TESTS_P2P_TRANSFERS_RIG_H
#define TESTS_P2P_TRANSFERS_RIG_H

#include "p2p/transfers_internal.h"
#include "tests/p2p/fake_channels.h"

#define CHUNK 16384
#define MESSAGES 64

struct transfers_rig {
    struct fake *fake;
    struct transfers *files;
    char *dir;
    struct dchan_msg sent[MESSAGES]; /* to the peer */
    size_t n_sent;
    unsigned score;
    bool logs;          /* there is an event log */
    uint64_t last_told; /* the last that it has */
    size_t n_told;
};
extern struct transfers_rig rig;

int rig_set_up(void **state);
int rig_tear_down(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

/* The process ends and comes again; nobody is there. */
void rig_restart(void);
/* What workers have done is taken. */
void rig_run_posts(struct channels *c);

/* The peer says something. */
void rig_take(const struct dchan_msg *m);
void rig_take_id(uint16_t type, const uint8_t id[32], unsigned code);
void rig_offer(const uint8_t id[32], uint64_t size, unsigned log2);
/* The last message to it is this one; forgets all. */
void rig_assert_said(uint16_t type, unsigned code);
size_t rig_count(void); /* of transfers */

struct content {
    uint8_t data[3 * CHUNK], leaves[3][32], id[32];
};
void content_make(struct content *c);
/* Offered by us to bob, and taken by him: its path (heap). */
char *rig_offered(struct content *c);

/* The n-th stream that was opened to the peer, with its request. */
struct far *rig_stream(size_t n, enum file_what what, uint32_t first, uint32_t n_chunks);
void rig_reply(struct far *s, uint8_t status, const void *data, size_t len);
void rig_await_over(struct far *s, unsigned code);
/* The only file that comes. */
struct incoming *rig_incoming(void);
/* Offered by the peer and accepted; the leaves are asked for. */
struct far *rig_accepted(struct content *c);
/* Then the chunks are. */
struct far *rig_with_leaves(struct content *c);
bool rig_is_done(void *unused);

#endif
