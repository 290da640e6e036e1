/*
 * Bitcoin-Certified Addresses: verify, form, decode. The library needs libcrypto and libsecp256k1:
 *
 *     cc program.c -lbsvpeerbca -lsecp256k1 -lcrypto
 *
 * It has no state that calls could disturb, opens no file and no socket, and any thread may call
 * it. Pointers in results borrow the bytes the caller passed in, as said at each. Functions that
 * can be called wrongly return one of enum bsvpeer_bca_error; whether an address is good is another
 * question, answered by enum bsvpeer_bca_result. Hashes are in internal byte order (display
 * reverses them).
 *
 * The method is the subject of patent applications (GB2624705A, WO2024115335A1).
 */
#ifndef BSVPEER_BCA_H
#define BSVPEER_BCA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

#define BSVPEER_BCA_MODIFIER_SIZE 16
#define BSVPEER_BCA_MODIFIERS_MAX 32
#define BSVPEER_BCA_PUBLIC_KEY_SIZE 33
#define BSVPEER_BCA_HEADER_SIZE 80
#define BSVPEER_BCA_SCRIPT_SIZE 72
#define BSVPEER_BCA_TX_MAX 65535
#define BSVPEER_BCA_TX_DEPTH_MAX 28
/* No parameters are longer; who expects small transactions refuses more than 2048 bytes at once. */
#define BSVPEER_BCA_PARAMS_MAX 66740

enum bsvpeer_bca_network {
    BSVPEER_BCA_MAIN,
    BSVPEER_BCA_TEST,
    BSVPEER_BCA_STN,
    BSVPEER_BCA_REGTEST
};

enum bsvpeer_bca_result {
    BSVPEER_BCA_VALID,
    BSVPEER_BCA_INVALID,
    BSVPEER_BCA_UNDETERMINED /* the headers do not tell whether the block is on their chain */
};

enum bsvpeer_bca_error {
    BSVPEER_BCA_OK,
    BSVPEER_BCA_ERROR_ARGUMENT, /* a value outside what the function's comment allows */
    BSVPEER_BCA_ERROR_FORMAT,   /* the bytes do not follow their format */
    BSVPEER_BCA_ERROR_MEMORY,
    BSVPEER_BCA_ERROR_PREFIX,   /* no address is formed in this prefix */
    BSVPEER_BCA_ERROR_COLLISION /* three collisions: take another modifier */
};

/* --- verification --------------------------------------------------------------------------- */

/* A chain of headers that was checked once, for any number of verifications. */
struct bsvpeer_bca_headers;

/*
 * len / 80 headers of 80 bytes, oldest first, the last one the tip of the active chain. They must
 * link and have proof of work for the network; the caller vouches for the rest. The bytes are
 * borrowed until bsvpeer_bca_headers_free. ERROR_FORMAT, ERROR_MEMORY; text (may be NULL, text_size
 * bytes) then says why.
 */
enum bsvpeer_bca_error bsvpeer_bca_headers_new(enum bsvpeer_bca_network network,
                                               const uint8_t *bytes, size_t len,
                                               struct bsvpeer_bca_headers **out, char *text,
                                               size_t text_size);
void bsvpeer_bca_headers_free(struct bsvpeer_bca_headers *headers); /* NULL is fine */

/* What the network asks for: main sec 2, else 0; 6 confirmations, regtest 1. */
#define BSVPEER_BCA_DEFAULT (-1)

struct bsvpeer_bca_policy {
    enum bsvpeer_bca_network network;
    int min_sec;      /* 0..7 or BSVPEER_BCA_DEFAULT */
    int64_t min_conf; /* with headers: 1 is the tip; or BSVPEER_BCA_DEFAULT */
    const struct bsvpeer_bca_headers *headers; /* NULL: nothing is said of the chain */
};

struct bsvpeer_bca_report {
    enum bsvpeer_bca_result result;
    /* Where it ended, by the names of the specification ("decode", "tx_proof" ...); NULL: valid. */
    const char *failed_step;
    unsigned sec;
    unsigned security_bits; /* base 2 logarithm of the hashes a forgery takes */
    int64_t confirmations;  /* -1: not known */
    int chain_checked;      /* 1: the block is deep enough in the headers */
    int can_be_revoked;     /* 1: by the spend of output marker_output of txid, not looked up */
    uint32_t marker_output;
    /* The rest is zero when the parameters cannot be decoded. */
    uint8_t public_key[BSVPEER_BCA_PUBLIC_KEY_SIZE];
    uint8_t block_hash[32];
    uint8_t txid[32];
};

/*
 * Judges an address (16 bytes) by its parameters. Never says that the sender holds the key, or that
 * packets reach him, or that the registration is not revoked. ERROR_ARGUMENT.
 */
enum bsvpeer_bca_error bsvpeer_bca_verify(const uint8_t address[16], const uint8_t *params,
                                          size_t params_len,
                                          const struct bsvpeer_bca_policy *policy,
                                          struct bsvpeer_bca_report *out);
/* "valid", "invalid", "undetermined"; of another number NULL, as of networks. */
const char *bsvpeer_bca_result_name(enum bsvpeer_bca_result result);
/* "main", "test", "stn", "regtest" and back; 0 when there is no such network. */
const char *bsvpeer_bca_network_name(enum bsvpeer_bca_network network);
int bsvpeer_bca_network_find(const char *name, enum bsvpeer_bca_network *out);

/* --- decoding ------------------------------------------------------------------------------- */

struct bsvpeer_bca_decoded {
    const uint8_t *modifier;   /* 16 bytes; this and the next ones borrow the parameters */
    const uint8_t *public_key; /* 33 */
    const uint8_t *transaction;
    size_t transaction_len;
    const uint8_t *header;        /* 80 */
    const uint8_t *subnet_prefix; /* 8 */
    uint8_t collision_count;
    uint32_t tx_index;
    unsigned tx_depth;
    const uint8_t *tx_siblings; /* 32 * tx_depth, leaf level first */
    unsigned modifier_index;
    unsigned modifier_depth;
    const uint8_t *modifier_siblings;
    uint8_t txid[32];
    uint8_t block_hash[32];
    unsigned hash_zero_bits;      /* of the block */
    const uint8_t *key_hash;      /* 32; NULL: the transaction registers nothing */
    const uint8_t *modifier_root; /* 32, likewise */
    uint32_t registration_output;
    int can_be_revoked; /* by the spend of output marker_output */
    uint32_t marker_output;
};

/* Follows the format and judges nothing. ERROR_FORMAT; text as above. */
enum bsvpeer_bca_error bsvpeer_bca_decode(const uint8_t *params, size_t params_len,
                                          struct bsvpeer_bca_decoded *out, char *text,
                                          size_t text_size);

/* --- forming -------------------------------------------------------------------------------- */

/*
 * The n modifiers of a secret seed of 32 bytes, 16 bytes each. n is 1, 2, 4, 8, 16 or 32, here and
 * below. ERROR_ARGUMENT.
 */
enum bsvpeer_bca_error bsvpeer_bca_modifiers(const uint8_t seed[32], size_t n, uint8_t *out);

/* Script of the one output that registers a key with its modifiers. ERROR_ARGUMENT (n, the key). */
enum bsvpeer_bca_error
bsvpeer_bca_registration_script(const uint8_t public_key[BSVPEER_BCA_PUBLIC_KEY_SIZE],
                                const uint8_t *modifiers, size_t n,
                                uint8_t out[BSVPEER_BCA_SCRIPT_SIZE]);

struct bsvpeer_bca_input {
    enum bsvpeer_bca_network network;
    const uint8_t *public_key; /* 33 bytes */
    const uint8_t *modifiers;  /* all n of the registration */
    size_t n_modifiers;
    unsigned modifier_index;    /* which one */
    const uint8_t *transaction; /* raw, as mined */
    size_t transaction_len;
    const uint8_t *header;        /* 80 bytes, of the block that holds it */
    uint32_t tx_index;            /* its position there */
    unsigned tx_depth;            /* levels of the block's tree */
    const uint8_t *tx_siblings;   /* 32 * tx_depth, leaf level first; a copy where a row ends */
    const uint8_t *subnet_prefix; /* 8 bytes */
    int sec;                      /* 0..7, or BSVPEER_BCA_DEFAULT: as the block's target says */
    uint8_t collision_count;      /* 0..2: one more after each duplicate seen on the link */
};

/*
 * Writes the address and its parameters: at most *params_len bytes (BSVPEER_BCA_PARAMS_MAX always
 * suffice), *params_len becomes their length. What was formed has passed verification, but for the
 * chain; *report says where it failed when it did not (result, failed_step), and nothing is written
 * then. ERROR_ARGUMENT, ERROR_PREFIX, ERROR_COLLISION, ERROR_MEMORY.
 */
enum bsvpeer_bca_error bsvpeer_bca_form(const struct bsvpeer_bca_input *in, uint8_t address[16],
                                        uint8_t *params, size_t *params_len,
                                        struct bsvpeer_bca_report *report);

/* --- handshake ------------------------------------------------------------------------------ */

/*
 * Keys for a session that binds the addresses of both sides, for programs whose handshake has no
 * key schedule of its own. Each side also verifies the other's address, as it sees it, and takes
 * the static key from the parameters; the other side has shown that it holds that key once its
 * first message under these keys decrypts.
 */
struct bsvpeer_bca_side {
    const uint8_t *ephemeral_key; /* 33 bytes */
    const uint8_t *address; /* 16 bytes; NULL: a side without BCA, the next ones are not read */
    const uint8_t *params;
    size_t params_len;
    const uint8_t *static_key; /* 33 bytes, of these parameters */
};

/*
 * Secrets are 32 bytes, static_secret NULL for a side without BCA. we_initiate: 1 when `us` began.
 * Writes the keys of what we send and what we receive, which the caller wipes; zeros after
 * ERROR_ARGUMENT (a key or secret that is none).
 */
enum bsvpeer_bca_error bsvpeer_bca_session_keys(const struct bsvpeer_bca_side *us,
                                                const struct bsvpeer_bca_side *them,
                                                const uint8_t *ephemeral_secret,
                                                const uint8_t *static_secret, int we_initiate,
                                                uint8_t send_key[32], uint8_t receive_key[32]);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
