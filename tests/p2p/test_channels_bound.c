/*
 * How a peer stands to its address decides about its session (spec channels 2.5), on a network
 * where that counts; and what later blocks say of the proof.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/ids.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/channels_internal.h"
#include "tests/bca/proof.h"
#include "tests/p2p/channel_guest.h"
#include "tests/test.h"

#define ELSEWHERE "2001:470:1::1"
#define PORT 9955

struct house {
    struct channels_side host;
    struct guest guests[4];
    size_t n;
    struct proof proof;
    struct buf params;
    struct guest_proof shown;
    char address[NETADDR_TEXT_MAX];
    char blocked[HASH_HEX_SIZE + 2];
    const char *blocked_at;
    atomic_int place; /* of the block */
    struct bca_chain_view chain;
};

static enum bca_place find_block(void *ctx, const uint8_t header[80],
                                 const struct block_hash *hash, uint64_t *confirmations)
{
    struct house *h = ctx;
    (void)header;
    (void)hash;
    *confirmations = 1;
    return (enum bca_place)atomic_load(&h->place);
}

/* Where the host's records say that the guest is. */
static struct guest_port moved_to;

static size_t give_endpoint(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE],
                            struct bca_endpoint out[BCA_RECORD_ENDPOINTS_MAX])
{
    (void)ctx;
    (void)key;
    out[0] = (struct bca_endpoint){ .type = BCA_RECORD_TCP6, .port = moved_to.number };
    out[0].address[BCA_ADDRESS_SIZE - 1] = 1;
    return moved_to.number != 0;
}

static struct house *house_make_blocking(bool strangers_unbound, bool regtest,
                                         void (*block)(struct house *h))
{
    static const uint8_t owner[16] = "owner"; /* what proof.c makes its key of */
    struct house *h = xcalloc(1, sizeof *h);
    struct netaddr a;
    proof_make(&h->proof, &proof_shape_usual);
    h->params = proof_bytes(&h->proof);
    sha256(h->shown.secret, owner, sizeof owner);
    memcpy(h->shown.address, h->proof.address, sizeof h->shown.address);
    h->shown.params = buf_span(&h->params);
    h->shown.port = PORT;
    netaddr_from_ipv6(&a, h->proof.address, 0);
    netaddr_print(h->address, &a, NETADDR_IP_ONLY);
    channels_side_init(&h->host);
    h->host.config.regtest = regtest;
    h->host.ops.endpoints = give_endpoint;
    moved_to.number = 0;
    h->host.config.strangers_unbound = strangers_unbound;
    if (block) {
        block(h);
        h->blocked_at = h->blocked;
        h->host.config.blocked = (struct net_strings){ &h->blocked_at, 1 };
    }
    channels_side_open(&h->host, 0x21);
    atomic_store(&h->place, BCA_PLACE_ACTIVE);
    h->chain = (struct bca_chain_view){ find_block, h };
    h->host.proof.chain = &h->chain;
    channels_side_freeze(&h->host);
    channels_side_start(&h->host);
    guests_welcome(&h->host);
    return h;
}

static struct house *house_make(bool strangers_unbound, bool regtest)
{
    return house_make_blocking(strangers_unbound, regtest, NULL);
}

static struct house *house_new(bool strangers_unbound)
{
    return house_make(strangers_unbound, false);
}

static void house_free(struct house *h)
{
    for (size_t i = 0; i < h->n; i++)
        guest_leave(&h->guests[i]);
    channels_side_close(&h->host);
    proof_clear(&h->proof);
    buf_clear(&h->params);
    free(h);
}

static struct guest *come(struct house *h, const char *from)
{
    struct guest *g = &h->guests[h->n++];
    guest_connect(g, &h->host, from);
    guest_begin_proved(g, &h->host, &h->shown);
    return g;
}

struct visit {
    struct house *h;
    struct guest *guest;
    struct chan_peer_info *info;
};

/* Up at the host too; and its ping was answered, else a skip of time would end it. */
static bool is_there(void *ctx)
{
    struct visit *v = ctx;
    guest_move(v->guest);
    return channels_side_info(&v->h->host, &(struct channels_side){ .key = v->guest->key },
                              v->info) &&
           v->info->stats.pongs;
}

static void be_let_in(struct house *h, const char *from, struct chan_peer_info *info)
{
    struct visit v = { h, come(h, from), info };
    channels_pair_wait(is_there, &v);
    assert_int_equal(info->state, CHAN_PEER_UP);
}

static void be_refused(struct house *h, const char *from)
{
    struct guest *g = come(h, from);
    channels_pair_wait(guest_has_closed, g);
    assert_int_equal(g->closing.why, DCHAN_CLOSED_BY_THEM);
    assert_int_equal(g->closing.code, DCHAN_ERROR_IDENTITY);
}

static void befriend_call(struct channels *c, void *ctx)
{
    struct house *h = ctx;
    struct contact contact = { .has_key = true }, *made;
    memcpy(contact.key, h->proof.public_key, sizeof contact.key);
    assert_int_equal(contacts_add(channels_contacts(c), &contact, NULL, NULL, &made, NULL), OK);
    channels_contact_changed(c, contact.key);
}

static void befriend(struct house *h)
{
    assert_true(channels_call(h->host.channels, befriend_call, h));
}

static void who_comes_from_its_address_is_bound(void **state)
{
    (void)state;
    struct chan_peer_info info;
    struct house *h = house_new(false);
    be_let_in(h, h->address, &info);
    assert_int_equal(info.binding, DCHAN_BOUND);
    assert_false(info.provisional);
    house_free(h);
}

static void strangers_may_come_from_elsewhere_where_that_is_wanted(void **state)
{
    (void)state;
    struct chan_peer_info info;
    struct house *h = house_new(false);
    be_refused(h, ELSEWHERE);
    house_free(h);
    h = house_new(true);
    be_let_in(h, ELSEWHERE, &info);
    assert_int_equal(info.binding, DCHAN_UNBOUND);
    house_free(h);
}

static void look_call(struct channels *c, void *ctx)
{
    struct house *h = ctx;
    const struct contact *contact =
        contacts_by_key(channels_contacts(c), h->proof.public_key, NULL);
    assert_int_equal(contact->n_addresses, 1);
    assert_memory_equal(contact->addresses[0].address, h->proof.address, BCA_ADDRESS_SIZE);
    assert_int_equal(contact->addresses[0].port, PORT);
    assert_true(contact->seen_ms > 0);
    assert_int_equal(c->gate.known.n, 1);
}

static void contacts_may_and_are_remembered_by_their_address(void **state)
{
    (void)state;
    struct chan_peer_info info;
    struct house *h = house_new(false);
    befriend(h);
    be_let_in(h, ELSEWHERE, &info);
    assert_int_equal(info.binding, DCHAN_UNBOUND);
    assert_true(info.contact);
    assert_true(channels_call(h->host.channels, look_call, h));
    house_free(h);
}

static void block_anchor(struct house *h)
{
    struct bca_params params;
    uint8_t hash[32];
    assert_int_equal(bca_params_read(h->shown.params, &params, NULL), OK);
    sha256d(hash, params.header, 80);
    hash_to_hex(h->blocked, hash);
}

static void block_key(struct house *h)
{
    hex_encode(h->blocked, h->proof.public_key, IDENTITY_KEY_SIZE);
}

static void block_another_anchor(struct house *h)
{
    block_anchor(h);
    h->blocked[0] = h->blocked[0] == '0' ? '1' : '0';
}

/* attacks H1: who needs many identities registers them together. */
static void strangers_of_a_blocked_anchor_or_key_are_refused(void **state)
{
    (void)state;
    struct chan_peer_info info;
    void (*const blocks[])(struct house *h) = { block_anchor, block_key };
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        struct house *h = house_make_blocking(false, false, blocks[i]);
        be_refused(h, h->address);
        befriend(h); /* a contact is none of them */
        be_let_in(h, h->address, &info);
        house_free(h);
    }
    struct house *h = house_make_blocking(false, false, block_another_anchor);
    be_let_in(h, h->address, &info);
    house_free(h);
}

static void judge_again(struct house *h, enum bca_place place)
{
    atomic_store(&h->place, place);
    channels_recheck(h->host.channels);
    channels_side_skip(&h->host, 1000);
}

static void a_proof_that_nobody_can_judge_yet_is_for_contacts_and_for_an_hour(void **state)
{
    (void)state;
    struct chan_peer_info info;
    struct house *h = house_new(true);
    atomic_store(&h->place, BCA_PLACE_UNKNOWN);
    be_refused(h, h->address);
    befriend(h);
    be_let_in(h, h->address, &info);
    assert_true(info.provisional);
    judge_again(h, BCA_PLACE_UNKNOWN);
    judge_again(h, BCA_PLACE_ACTIVE);
    assert_true(channels_side_info(&h->host, &(struct channels_side){
        .key = h->guests[1].key }, &info));
    assert_int_equal(info.state, CHAN_PEER_UP);
    assert_false(info.provisional);
    house_free(h);
    h = house_new(true);
    atomic_store(&h->place, BCA_PLACE_UNKNOWN);
    befriend(h);
    be_let_in(h, h->address, &info);
    channels_side_skip(&h->host, DCHAN_PROVISIONAL_MS);
    channels_pair_wait(guest_has_closed, &h->guests[0]);
    assert_int_equal(h->guests[0].closing.code, DCHAN_ERROR_IDENTITY);
    house_free(h);
}

static void a_block_that_leaves_the_chain_takes_the_session_along(void **state)
{
    (void)state;
    struct chan_peer_info info;
    struct house *h = house_new(true);
    be_let_in(h, h->address, &info);
    judge_again(h, BCA_PLACE_NOT_ACTIVE);
    channels_pair_wait(guest_has_closed, &h->guests[0]);
    assert_int_equal(h->guests[0].closing.why, DCHAN_CLOSED_BY_THEM);
    assert_int_equal(h->guests[0].closing.code, DCHAN_ERROR_IDENTITY);
    house_free(h);
}

struct news {
    struct house *h;
    struct guest_port port;
};

static void tell_news(struct channels *c, void *ctx)
{
    const struct news *n = ctx;
    moved_to = n->port;
    channels_endpoints_changed(c, n->h->proof.public_key);
}

static void count_conns(struct channels *c, void *ctx) { *(size_t *)ctx = c->conns.n; }

/* Any address may be dialled here, and both sides be unbound. */
static void a_contact_that_has_moved_is_dialled_if_it_does_not_come(void **state)
{
    (void)state;
    struct chan_peer_info info;
    struct house *h = house_make(true, true);
    struct news news = { h, guest_port_open(true) };
    size_t conns;
    befriend(h);
    be_let_in(h, h->address, &info);
    struct guest *old = &h->guests[0], *new = &h->guests[h->n++];
    assert_true(channels_call(h->host.channels, tell_news, &news));
    channels_side_skip(&h->host, 9900);
    assert_true(channels_call(h->host.channels, count_conns, &conns));
    assert_int_equal(conns, 1);
    channels_side_skip(&h->host, 200);
    new->proof = &h->shown;
    guest_answer(new, &h->host, news.port, 0);
    channels_pair_wait(guest_has_come_up, new);
    assert_true(new->is_renewal);
    assert_memory_equal(new->renews, dchan_session_peer(old->session)->session_id, 32);
    channels_pair_wait(guest_has_closed, old);
    assert_int_equal(old->going, DCHAN_RENEW);
    assert_int_equal(h->host.downs, 0);
    house_free(h);
    close(news.port.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_from_its_address_is_bound),
        cmocka_unit_test(strangers_may_come_from_elsewhere_where_that_is_wanted),
        cmocka_unit_test(contacts_may_and_are_remembered_by_their_address),
        cmocka_unit_test(strangers_of_a_blocked_anchor_or_key_are_refused),
        cmocka_unit_test(a_proof_that_nobody_can_judge_yet_is_for_contacts_and_for_an_hour),
        cmocka_unit_test(a_block_that_leaves_the_chain_takes_the_session_along),
        cmocka_unit_test(a_contact_that_has_moved_is_dialled_if_it_does_not_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
