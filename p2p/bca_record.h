/*
 * Records by which an identity announces where it can be reached (spec channels 1.1), and their
 * rules that need no store: format, signature, times, order, the proof of the address.
 * Little-endian:
 *
 *   version 1 | flags 1 | key 33 | seq 8 | issued 4 | expires 4 | cs + features |
 *   n 1 | n * (type 1, priority 1, address 16, port 2 big-endian) | cs + alias | cs + bca |
 *   cs + ext | sig 64
 *
 * cs is a compact size. Whoever receives a record checks in this order, cheap things first: read,
 * times, its store, signature, address. Structs borrow the bytes they were read from. Any thread;
 * ec_init must have been called.
 */
#ifndef P2P_BCA_RECORD_H
#define P2P_BCA_RECORD_H

#include "bca/verify.h"
#include "p2p/dchan_successor.h"

enum {
    BCA_RECORD_VERSION = 1,
    BCA_RECORD_MAX = 4096,
    BCA_RECORD_ENDPOINTS_MAX = 4,
    BCA_RECORD_FEATURES_MAX = 32,
    BCA_RECORD_ALIAS_MAX = 32,
    BCA_RECORD_PARAMS_MAX = 2048,
    BCA_RECORD_EXT_MAX = 512,
    BCA_RECORD_LIFETIME_MAX = 1209600, /* seconds, also that of a tombstone */
    BCA_RECORD_LIFETIME = 86400,       /* by default */
    BCA_RECORD_CLOCK_TOLERANCE = 7200, /* seconds */
    BCA_RECORD_TCP6 = 1,               /* endpoint type; others are not dialled */
    BCA_RECORD_PORT_MIN = 1024,        /* to be dialled */
    BCA_RECORD_PORT = 9944,            /* by default */
};

struct bca_endpoint {
    uint8_t type, priority; /* low first */
    uint8_t address[BCA_ADDRESS_SIZE];
    uint16_t port;
};

struct bca_record {
    bool tombstone; /* the identity leaves: no endpoints */
    uint8_t key[IDENTITY_KEY_SIZE];
    uint64_t seq;
    uint32_t issued, expires; /* unix time */
    struct span features;     /* dchan_features_read */
    size_t n_endpoints;
    struct bca_endpoint endpoints[BCA_RECORD_ENDPOINTS_MAX];
    struct span alias; /* UTF-8, not sanitised */
    struct span params;
    struct span ext; /* a TLV stream */
    bool has_successor;
    struct dchan_successor successor; /* of ext, not verified */
    uint8_t sig[IDENTITY_SIG_SIZE];
    struct span body; /* what is signed */
};

/* Why a record is dropped. */
enum bca_record_fault {
    BCA_RECORD_GOOD,
    BCA_RECORD_MALFORMED,
    BCA_RECORD_OTHER_VERSION, /* or flags; not relayed either */
    BCA_RECORD_BAD_TIMES,     /* lifetime, or issued in the future */
    BCA_RECORD_SEQ_TOO_HIGH,  /* would take the key's last numbers */
    BCA_RECORD_EXPIRED,
    BCA_RECORD_BAD_ENDPOINT,
    BCA_RECORD_BAD_SIGNATURE, /* this and the next one: score 20 */
    BCA_RECORD_BAD_BCA,
    BCA_RECORD_NOT_ACCEPTED,  /* our chain or security level says no; the next one: spent marker */
    BCA_RECORD_REVOKED,       /* no score for these, the sender may not be able to see it */
    BCA_RECORD_UNDETERMINED,  /* or too few confirmations: park it */
};

const char *bca_record_fault_name(enum bca_record_fault fault);

/* MALFORMED or OTHER_VERSION, else good. Nothing may stand behind the record. */
enum bca_record_fault bca_record_read(struct bca_record *r, struct span raw);
/* BAD_TIMES, SEQ_TOO_HIGH, EXPIRED. now: unix time. */
enum bca_record_fault bca_record_check_times(const struct bca_record *r, uint64_t now);
/* BAD_ENDPOINT unless all addresses are of 2000::/3; only regtest is not asked. */
enum bca_record_fault bca_record_check_endpoints(const struct bca_record *r);
/* BAD_SIGNATURE. Costs a verification. */
enum bca_record_fault bca_record_check_signature(const struct bca_record *r);
/*
 * BAD_BCA and what follows it above: the parameters are of the record's key and prove endpoint 0. A
 * tombstone may be without parameters; those it has are of its key.
 */
enum bca_record_fault bca_record_check_bca(const struct bca_record *r,
                                           const struct bca_policy *policy);

/* By what records are asked for. */
void bca_record_key(uint8_t out[32], const uint8_t key[IDENTITY_KEY_SIZE]);

/* A record against the one that is stored for its key. */
enum bca_record_order {
    BCA_RECORD_REPLACES,
    BCA_RECORD_SAME,
    BCA_RECORD_OLD,
    BCA_RECORD_BACKWARDS,     /* higher seq but issued before: drop */
    BCA_RECORD_EQUIVOCATION,  /* same seq, other bytes: keep the first seen, relay neither */
};
enum bca_record_order bca_record_compare(const struct bca_record *r, struct span raw,
                                         const struct bca_record *stored, struct span stored_raw);

/* Whether endpoint i may be dialled: strangers' ones only where the BCA proves them. */
bool bca_record_may_dial(const struct bca_record *r, size_t i, bool is_contact, bool any_address);

/* max(last + 1, time in milliseconds): to be stored before it is used. */
uint64_t bca_record_next_seq(uint64_t last, uint64_t now_ms);
/* Appends a statement to what becomes ext. */
void bca_record_put_successor(struct buf *ext, const struct dchan_successor *s);
/*
 * Writes the record with the key of `key` and its signature; of r everything is read but key, sig,
 * body and has_successor (ext has it). ERR_RANGE: a rule of the format is broken; ERR_AUTH: the key
 * refused. Nothing is written then.
 */
enum err bca_record_write(struct buf *b, const struct bca_record *r,
                          const struct identity_key *key) MUST_CHECK;

#endif
