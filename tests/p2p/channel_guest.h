/*
 * Somebody who connects to a node's direct channels by a socket, and does only what a test has him
 * do: half a handshake, a session that is silent, one that looks like another's. He comes from
 * whatever address the test says. One thread; the node runs on its own.
 */
#ifndef TESTS_P2P_CHANNEL_GUEST_H
#define TESTS_P2P_CHANNEL_GUEST_H

#include "p2p/netaddr.h"
#include "tests/p2p/channels_pair.h"

/* A port of [::1]; guests that are dialled answer there. */
struct guest_port {
    int fd;
    uint16_t number;
};
struct guest_port guest_port_open(bool listens);

/* From now on guests come from the addresses that guest_connect gives. */
void guests_welcome(struct channels_side *host);

struct guest {
    int fd;
    struct open_key key;
    struct dchan_shares shares;
    struct dchan_session *session;
    bool greeted, up, closed, cut;           /* cut: the node has closed the connection */
    struct dchan_closing closing;   /* without text */
    bool is_renewal;                /* what their hello says */
    uint8_t renews[32];
    int going;                      /* reason of their goaway, -1: none */
    struct netaddr home;
    const struct guest_proof *proof;
    bool deaf;                      /* reads nothing, so answers nothing */
    bool holds;                     /* does not send `bound` */
    bool narrow;                    /* little fits into what he has not read; before he connects */
};

/* TCP only. The address as text. What was set in g before stays. */
void guest_connect(struct guest *g, const struct channels_side *host, const char *from);
/* A session begins over it, with the key of this secret; renews may be NULL. */
void guest_begin(struct guest *g, const struct channels_side *host, uint8_t secret,
                 const uint8_t *renews);
/* The same, with another's key. */
void guest_begin_as(struct guest *g, const struct channels_side *host,
                    const struct identity_key *key);
/* The same, with the key of this secret and the address that is proved. He sees himself at the
 * address from which he came. */
struct guest_proof {
    uint8_t secret[32], address[BCA_ADDRESS_SIZE];
    struct span params;
    uint16_t port;
};
void guest_begin_proved(struct guest *g, const struct channels_side *host,
                        const struct guest_proof *proof);
/* Waits for the host to dial this port; with g.proof that key and not the secret counts. */
void guest_answer(struct guest *g, const struct channels_side *host, struct guest_port at,
                  uint8_t secret);
/* Moves what is there, without waiting. */
void guest_move(struct guest *g);
void guest_send_raw(struct guest *g, const void *data, size_t len);
/* Waits for so many bytes. */
void guest_receive_raw(struct guest *g, void *out, size_t len);
/* The node has closed the connection; false: it has not so far. */
bool guest_is_cut(struct guest *g);
/* His half of the connection ends without a word. */
void guest_hang_up(struct guest *g);
/* The same, and he is no more. */
void guest_leave(struct guest *g);

/* For channels_pair_wait; they move bytes. */
bool guest_was_cut(void *ctx);
bool guest_has_come_up(void *ctx);
bool guest_has_closed(void *ctx);

/* How many handshakes and sessions the node has. */
size_t host_handshakes(struct channels_side *host);
size_t host_sessions(struct channels_side *host);

#endif
