/*
 * How the two sides of a direct channel come to know each other (spec channels 2.4, 2.5): `hello`
 * with version, features and proof of the address, `bound` with the addresses as each side sees
 * them, and the rules that need no clock, store or socket. Structs borrow the message they were
 * read from. Any thread; ec_init must have been called.
 */
#ifndef P2P_DCHAN_HELLO_H
#define P2P_DCHAN_HELLO_H

#include "bca/verify.h"
#include "p2p/dchan_codec.h"
#include "p2p/dchan_hs.h"

#define DCHAN_VERSION 1
#define DCHAN_HELLO_MAX 4096 /* with its type */
#define DCHAN_PARAMS_MAX 2048
#define DCHAN_AGENT_MAX 64

/* Codes of `warning` and `error` (4.2). */
enum dchan_error {
    DCHAN_NO_ERROR = 0,
    DCHAN_ERROR_IDENTITY = 1,
    DCHAN_ERROR_UNKNOWN_TYPE = 2,
    DCHAN_ERROR_MALFORMED = 3,
    DCHAN_ERROR_LIMIT = 4,
    DCHAN_ERROR_INTERNAL = 5,
    DCHAN_ERROR_VERSION = 6,
    DCHAN_ERROR_FEATURE = 7,
};

struct dchan_hello {
    uint16_t version;
    struct span features; /* dchan_features_read */
    struct span agent;    /* ASCII, may be empty; not sanitised */
    bool has_bca;         /* false: a bare key */
    struct span params;   /* of an address, with the next two */
    uint8_t address[BCA_ADDRESS_SIZE];
    uint16_t port;
    bool has_seq, has_time, has_height, has_renews;
    uint64_t seq;         /* of the sender's record */
    uint64_t time_ms;
    uint32_t height;
    uint8_t renews[32];   /* session_id of the session which this one replaces */
};

/* The payload. False: malformed. */
bool dchan_hello_read(struct dchan_hello *h, struct reader *r);
/* Fields absent (agent empty) are not written. At most DCHAN_HELLO_MAX: the parts have limits. */
void dchan_hello_write(struct buf *b, const struct dchan_hello *h);

/* How a peer stands to its address. */
enum dchan_binding {
    DCHAN_BARE,    /* shows no address */
    DCHAN_UNBOUND, /* its address is proved, its packets come from another */
    DCHAN_BOUND
};

struct dchan_policy {
    enum dchan_role role;     /* ours: who dialled wants the other bound */
    uint32_t offered;         /* ours, as in dchan_features: the other may require no more */
    bool contact;             /* the key is a contact's */
    bool bare;                /* no address will do: this contact is marked so; regtest */
    bool strangers_unbound;   /* configuration, for those who dial us */
    bool any_unbound;         /* what we dialled on regtest, or through a relay */
};

/* The other side as the connection shows it. */
struct dchan_seen {
    const uint8_t *static_key; /* 33 bytes, proved by the handshake */
    const uint8_t *address;    /* 16 bytes of the socket; NULL inside a relay */
};

struct dchan_standing {
    enum dchan_error error; /* close with it */
    enum dchan_binding binding;
    bool provisional; /* undetermined proof of a contact: look again at the next header, 1 h */
    uint16_t version; /* both sides use it */
    struct dchan_features features;
    enum bca_result result; /* with has_bca */
    enum bca_step step;     /* where verification ended */
};

/*
 * Judges a hello: version, required features, the key of the parameters against the static key in
 * constant time, the proof with the caller's views, the address, what the policy allows.
 */
void dchan_hello_judge(const struct dchan_hello *h, const struct dchan_seen *seen,
                       const struct bca_policy *proof, const struct dchan_policy *policy,
                       struct dchan_standing *out);

/* Also for a binding that `bound` made worse. */
bool dchan_binding_allowed(enum dchan_binding binding, const struct dchan_policy *policy);

/* --- bound --- */

struct dchan_bound {
    uint8_t initiator[BCA_ADDRESS_SIZE], responder[BCA_ADDRESS_SIZE];
    uint8_t bind[32];
};

void dchan_bound_read(struct reader *r, struct dchan_bound *m);
void dchan_bound_write(struct buf *b, const struct dchan_bound *m);

/* One side as this one knows it. */
struct dchan_end {
    const uint8_t *address; /* 16 bytes of its socket; NULL: it has no BCA, or inside a relay */
    struct span params;     /* empty without BCA */
};

void dchan_bound_make(struct dchan_bound *out, const uint8_t session_id[32],
                      const struct dchan_end *initiator, const struct dchan_end *responder);

enum dchan_bound_result {
    DCHAN_BOUND_SAME,
    DCHAN_BOUND_TRANSLATED, /* other addresses than we see: counts as unbound on both sides */
    DCHAN_BOUND_WRONG       /* error 1 */
};
/* The ends as this side sees them; bind is recomputed over the addresses that were sent. */
enum dchan_bound_result dchan_bound_check(const struct dchan_bound *theirs,
                                          const uint8_t session_id[32],
                                          const struct dchan_end *initiator,
                                          const struct dchan_end *responder);

#endif
