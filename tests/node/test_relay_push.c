/* Who is told of a transaction that money depends on, and whose word counts for it. Peers and the
 * network are those below, which note what they are given. */
#include "node/relay_push.h"

#include <stdlib.h>

#include "node/relay_tx_internal.h"
#include "tests/node/made_tx.h"
#include "tests/test.h"

#define PEERS_MAX 16

struct peer {
    uint8_t network;
    bool inbound;
    unsigned told, asked;
};

struct scene {
    struct relay relay;
    struct peer peer[PEERS_MAX];
    struct relay_peer rp[PEERS_MAX];
    size_t n;
    unsigned shown, raced;
    uint64_t number;
};

static unsigned more_wanted;

/* --- what the module asks of others --- */

struct netgroup peer_group(const struct peer *p) { return (struct netgroup){ { p->network } }; }
enum peer_state peer_state(const struct peer *p) { (void)p; return PEER_READY; }
bool peer_relays_tx(const struct peer *p) { (void)p; return true; }
bool peer_is_inbound(const struct peer *p) { return p->inbound; }
bool peer_is_whitelisted(const struct peer *p) { (void)p; return false; }
void peer_send(struct peer *p, enum msg_id id, const void *payload, size_t len)
{
    (void)payload;
    (void)len;
    p->told += id == MSG_TX;
}
void peer_send_inv(struct peer *p, enum msg_id id, const struct inv_item *items, size_t n)
{
    (void)items;
    p->asked += id == MSG_GETDATA && n == 1;
}
void net_request_extra_outbound(struct net *net) { (void)net; more_wanted++; }
bool netgroup_equal(const struct netgroup *a, const struct netgroup *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}
struct relay_peer *relay_find_peer(struct relay *r, uint64_t id)
{
    for (struct relay_peer *rp = relay_first_peer(r); rp; rp = relay_next_peer(rp))
        if (rp->id == id)
            return rp;
    return NULL;
}

/* --- the scene --- */

static void on_shown(void *ctx, uint64_t number)
{
    struct scene *s = ctx;
    s->shown++;
    s->number = number;
}

static void on_raced(void *ctx, uint64_t number)
{
    struct scene *s = ctx;
    s->raced++;
    s->number = number;
}

static struct scene *scene_new(void)
{
    struct scene *s = xcalloc(1, sizeof *s);
    list_init(&s->relay.peers);
    list_init(&s->relay.pushes);
    map_init(&s->relay.push_ids);
    s->relay.net = (struct net *)&more_wanted; /* never looked into */
    more_wanted = 0;
    relay_push_listen(&s->relay, &(struct relay_push_handlers){ on_shown, on_raced, s });
    return s;
}

static size_t add_peer(struct scene *s, uint8_t network, bool inbound)
{
    const size_t i = s->n++;
    s->peer[i] = (struct peer){ .network = network, .inbound = inbound };
    s->rp[i].id = i + 1;
    s->rp[i].peer = &s->peer[i];
    s->rp[i].relay = &s->relay;
    recent_set_init(&s->rp[i].known, 16);
    list_append(&s->relay.peers, &s->rp[i].link);
    return i;
}

static void scene_free(struct scene *s)
{
    push_clear(&s->relay);
    for (size_t i = 0; i < s->n; i++)
        recent_set_clear(&s->rp[i].known);
    free(s);
}

static struct tx *push(struct scene *s, uint32_t tx_number, bool everybody)
{
    struct tx *tx = made_tx(tx_number, 0);
    relay_push(&s->relay, &(struct relay_push_order){ 5, tx, 4, everybody });
    return tx;
}

static unsigned told(const struct scene *s)
{
    unsigned n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += s->peer[i].told;
    return n;
}

/* --- --- */

static void peers_we_chose_in_four_networks_suffice(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    for (uint8_t i = 0; i < 4; i++)
        add_peer(s, 10 + i, false);
    const size_t theirs = add_peer(s, 99, true);
    tx_unref(push(s, 1, false));
    assert_int_equal(told(s), 4);
    assert_int_equal(s->peer[theirs].told, 0);
    assert_int_equal(more_wanted, 0);
    tx_unref(push(s, 2, true)); /* it has waited too long */
    assert_int_equal(s->peer[theirs].told, 1);
    scene_free(s);
}

/* Eight peers of one network may be one party. */
static void many_peers_of_one_network_count_as_one(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    for (size_t i = 0; i < 8; i++)
        add_peer(s, 10, false);
    for (uint8_t i = 0; i < 5; i++)
        add_peer(s, 20 + i, true);
    tx_unref(push(s, 1, false));
    assert_int_equal(told(s), 8 + 3); /* those that chose us, until there are four */
    assert_int_equal(more_wanted, 0);
    scene_free(s);
}

static void with_too_few_networks_more_are_looked_for_and_told_when_they_come(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    add_peer(s, 10, false);
    tx_unref(push(s, 1, false));
    assert_int_equal(more_wanted, 1);
    for (uint8_t i = 0; i < 5; i++) {
        const size_t at = add_peer(s, 20 + i, true);
        push_peer_came(&s->relay, &s->rp[at], 1000);
        assert_int_equal(s->peer[at].told, i < 3);
    }
    const size_t ours = add_peer(s, 30, false);
    push_peer_came(&s->relay, &s->rp[ours], 1000);
    assert_int_equal(s->peer[ours].told, 1); /* one that we chose always is */
    scene_free(s);
}

static void a_newer_form_is_sent_to_all_again_and_any_of_the_last_ones_is_evidence(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    const size_t ours = add_peer(s, 10, false);
    struct tx *first = push(s, 1, false);
    tx_unref(push(s, 2, false));
    assert_int_equal(s->peer[ours].told, 2);
    assert_true(push_note_shown(&s->relay, &s->rp[ours], &first->id));
    assert_int_equal(s->shown, 1);
    assert_int_equal(s->number, 5);
    assert_true(push_note_shown(&s->relay, &s->rp[ours], &first->id));
    assert_int_equal(s->shown, 1); /* it is said once for each form */
    for (uint32_t i = 3; i < 20; i++)
        tx_unref(push(s, i, false));
    assert_false(push_note_shown(&s->relay, &s->rp[ours], &first->id)); /* long ago */
    tx_unref(first);
    scene_free(s);
}

static void who_chose_us_is_not_believed_while_there_is_another(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    const size_t theirs = add_peer(s, 20, true);
    struct tx *tx = push(s, 1, false);
    const size_t ours = add_peer(s, 10, false);
    assert_true(push_note_shown(&s->relay, &s->rp[theirs], &tx->id));
    assert_int_equal(s->shown, 0);
    list_remove(&s->relay.peers, &s->rp[ours].link);
    assert_true(push_note_shown(&s->relay, &s->rp[theirs], &tx->id));
    assert_int_equal(s->shown, 1);
    list_append(&s->relay.peers, &s->rp[ours].link);
    tx_unref(tx);
    scene_free(s);
}

static void only_a_race_that_the_newest_lost_at_a_peer_that_was_told_counts(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    const size_t ours = add_peer(s, 10, false);
    struct tx *old = push(s, 1, false), *tx = push(s, 2, false);
    const size_t late = add_peer(s, 20, false);
    push_note_reject(&s->relay, &s->rp[ours], &tx->id, REJECT_CODE_INVALID);
    push_note_reject(&s->relay, &s->rp[ours], &old->id, REJECT_CODE_DUPLICATE);
    push_note_reject(&s->relay, &s->rp[late], &tx->id, REJECT_CODE_DUPLICATE);
    assert_int_equal(s->raced, 0);
    push_note_reject(&s->relay, &s->rp[ours], &tx->id, REJECT_CODE_DUPLICATE);
    push_note_reject(&s->relay, &s->rp[ours], &tx->id, REJECT_CODE_DUPLICATE);
    assert_int_equal(s->raced, 1);
    tx_unref(old);
    tx_unref(tx);
    scene_free(s);
}

static void peers_that_were_told_are_asked_once_whether_they_have_it(void **state)
{
    (void)state;
    struct scene *s = scene_new();
    const size_t ours = add_peer(s, 10, false);
    tx_unref(push(s, 1, false));
    push_tick(&s->relay, 0);
    assert_int_equal(s->peer[ours].asked, 0);
    push_tick(&s->relay, INT64_MAX);
    push_tick(&s->relay, INT64_MAX);
    assert_int_equal(s->peer[ours].asked, 1);
    relay_push_end(&s->relay, 5);
    assert_int_equal(s->relay.pushes.n, 0);
    assert_int_equal(s->relay.push_ids.n, 0);
    scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peers_we_chose_in_four_networks_suffice),
        cmocka_unit_test(many_peers_of_one_network_count_as_one),
        cmocka_unit_test(with_too_few_networks_more_are_looked_for_and_told_when_they_come),
        cmocka_unit_test(a_newer_form_is_sent_to_all_again_and_any_of_the_last_ones_is_evidence),
        cmocka_unit_test(who_chose_us_is_not_believed_while_there_is_another),
        cmocka_unit_test(only_a_race_that_the_newest_lost_at_a_peer_that_was_told_counts),
        cmocka_unit_test(peers_that_were_told_are_asked_once_whether_they_have_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
