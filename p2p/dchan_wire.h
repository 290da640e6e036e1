/*
 * The messages of direct channels (spec channels 4.2), types 1 to 292: one row a type with its
 * name, codec, feature and rules. A new message is a row in dchan_wire.c, a struct here, and its
 * codec in dchan_wire_control.c, dchan_wire_data.c or dchan_wire_pay.c.
 *
 * What the rows say is decided once, in dchan_msg_read: an unknown odd type is ignored, an unknown
 * even one ends the session with error 2, short or malformed bytes with error 3; behind the last
 * field a TLV stream may stand. A type whose feature we did not offer counts as unknown. Limits of
 * a single field (lengths, kinds) are checked here; what needs state (windows, identifiers, rates)
 * by whoever has it.
 *
 * Structs borrow the message they were read from. Constant data and pure functions: any thread;
 * ec_init must have been called.
 */
#ifndef P2P_DCHAN_WIRE_H
#define P2P_DCHAN_WIRE_H

#include "p2p/dchan_codec.h"
#include "p2p/dchan_hello.h"
#include "p2p/dchan_successor.h"

enum dchan_type {
    DCHAN_WARNING = 1, DCHAN_HELLO = 16, DCHAN_ERROR = 17, DCHAN_PING = 18, DCHAN_PONG = 19,
    DCHAN_GOAWAY = 20, DCHAN_RV = 21, DCHAN_REKEY = 22, DCHAN_BYE = 24, DCHAN_SUCCESSOR = 25,
    DCHAN_BOUND_MSG = 26, DCHAN_PAD = 27, DCHAN_DH_OFFER = 28, DCHAN_DH_ANSWER = 30,
    DCHAN_DHT_FIND = 32, DCHAN_DHT_FOUND = 34, DCHAN_DHT_PUT = 36, DCHAN_DHT_PUT_OK = 38,
    DCHAN_S_OPEN = 64, DCHAN_S_ACCEPT = 66, DCHAN_S_DATA = 68, DCHAN_S_WINDOW = 70,
    DCHAN_S_FIN = 72, DCHAN_S_RESET = 74, DCHAN_DGRAM_MSG = 75,
    DCHAN_M_SEND = 96, DCHAN_M_ACK = 98, DCHAN_M_NACK = 100, DCHAN_M_READ = 101,
    DCHAN_F_OFFER = 128, DCHAN_F_ACCEPT = 130, DCHAN_F_CANCEL = 132, DCHAN_F_DONE = 134,
    DCHAN_CHAN_OPEN = 256, DCHAN_CHAN_ACCEPT = 258, DCHAN_CHAN_FUNDED = 260,
    DCHAN_CHAN_READY = 262, DCHAN_CHAN_PAY = 264, DCHAN_CHAN_ACK = 266, DCHAN_CHAN_CLOSE = 268,
    DCHAN_CHAN_CLOSED = 270, DCHAN_CHAN_SYNC = 272, DCHAN_CHAN_FAIL = 274,
    DCHAN_P_REQUEST = 288, DCHAN_P_TX = 290, DCHAN_P_RESULT = 292,
};

enum {
    DCHAN_TYPE_SIZE = 2,
    DCHAN_TEXT_MAX = 256,
    DCHAN_RECORD_MAX = 4096,
    DCHAN_DHT_RECORDS_MAX = 8,
    DCHAN_META_MAX = 1024,
    DCHAN_DATA_MAX = 16384,
    DCHAN_DGRAM_MAX = 1200,
    DCHAN_PING_REPLY_MAX = 4096, /* a ping that asks for more is not answered */
    DCHAN_PRIORITY_MAX = 7,
    DCHAN_CONTENT_TYPE_MAX = 64,
    DCHAN_BODY_MAX = 60000,
    DCHAN_NAME_MAX = 200,
    DCHAN_NOTE_MAX = 512,
    DCHAN_DERIVATION_MAX = 32, /* prefix and suffix of a payment */
    DCHAN_OUTPUTS_MAX = 16,
    DCHAN_CHAN_ID_SIZE = 32,
    DCHAN_PKH_SIZE = 20,
    DCHAN_PAY_REF_MAX = 64,
    DCHAN_CLOSED_TX_MAX = 1000,
    DCHAN_COPY_SIZE = 224, /* what the payee knows of a channel (8.8) */
};

enum dchan_goaway_reason { DCHAN_SHUTDOWN, DCHAN_DUPLICATE, DCHAN_RENEW, DCHAN_BUSY };
enum dchan_rekey_kind { DCHAN_REKEY_HASH, DCHAN_REKEY_DH };
enum dchan_reset {
    DCHAN_RESET_REFUSED = 1, DCHAN_RESET_FLOW = 2, DCHAN_RESET_SERVICE = 3, DCHAN_RESET_LIMIT = 4,
    DCHAN_RESET_LOCAL = 5, DCHAN_RESET_CANCELLED = 6, DCHAN_RESET_IDLE = 8,
    DCHAN_RESET_TRUNCATED = 9, /* never sent */
};

/* warning, error */
struct dchan_notice {
    uint16_t code;
    struct span text; /* not sanitised */
};
struct dchan_ping {
    uint16_t reply_len; /* pong: not on the wire */
    struct span pad;
};
struct dchan_goaway {
    uint16_t reason;
    uint32_t last_stream;
};
struct dchan_rv {
    uint8_t key[IDENTITY_KEY_SIZE], address[BCA_ADDRESS_SIZE];
    uint16_t port;
    uint64_t time_ms;
};
struct dchan_dht_find {
    uint32_t req;
    uint8_t kind; /* 0 nodes, 1 record */
    uint8_t target[32];
};
struct dchan_dht_found {
    uint32_t req;
    size_t n;
    struct span records[DCHAN_DHT_RECORDS_MAX];
};
/* Kind 1 and its answer need no feature; who does not offer the DHT answers kind 0 by status 4. */
struct dchan_dht_put {
    uint32_t req;
    uint8_t kind; /* 0 store, 1 direct */
    struct span record;
};
struct dchan_dht_put_ok {
    uint32_t req;
    uint8_t status;
};
struct dchan_s_open {
    uint32_t sid; /* not 0 */
    struct span service;
    uint8_t priority;
    uint32_t window;
    struct span meta; /* a TLV stream without unknown even types */
};
/* accept: value is the window; window: the increment, not 0; fin: none */
struct dchan_stream {
    uint32_t sid, value;
};
struct dchan_s_data {
    uint32_t sid;
    struct span data;
};
struct dchan_s_reset {
    uint32_t sid;
    uint16_t code;
};
struct dchan_dgram {
    uint32_t sid;
    uint16_t seq;
    struct span data;
};
struct dchan_m_send {
    uint8_t id[16];
    uint64_t created_ms;
    uint32_t ttl;
    struct span content_type, body;
    bool has_reply_to, has_thread, has_seq;
    uint8_t reply_to[16], thread[16];
    uint64_t seq;
};
/* ack: id alone; nack: code; read: time */
struct dchan_m_receipt {
    uint8_t id[16];
    uint16_t code;
    uint64_t time_ms;
};
/* chunk_log2 may be wrong for the size: that is answered by f_cancel (dchan_file_id.h). */
struct dchan_f_offer {
    uint8_t file_id[32];
    uint64_t size;
    uint8_t chunk_log2;
    struct span name, content_type, note;
    uint64_t price; /* satoshis for a MiB, TLV 32769 (not in the spec, private); 0: none is there */
};
/* accept, done: file_id alone; cancel: code */
struct dchan_f_id {
    uint8_t file_id[32];
    uint16_t code;
};
/* Payment channels (8.5): all but chan_open begin with the id of the channel. */
struct dchan_chan_open {
    uint8_t nonce[32];
    uint16_t type;
    uint64_t capacity;
    uint32_t expiry, close_fee;
    uint8_t key[IDENTITY_KEY_SIZE], pkh[DCHAN_PKH_SIZE];
    struct span memo;
};
struct dchan_chan_accept {
    uint8_t id[DCHAN_CHAN_ID_SIZE], nonce[32];
    uint8_t key[IDENTITY_KEY_SIZE], pkh[DCHAN_PKH_SIZE];
    uint8_t min_depth;
    uint16_t close_margin;
};
struct dchan_chan_funded {
    uint8_t id[DCHAN_CHAN_ID_SIZE], txid[32];
    uint32_t vout;
    struct span beef;
};
struct dchan_chan_ready {
    uint8_t id[DCHAN_CHAN_ID_SIZE];
    uint32_t height;
    bool has_limit;
    uint64_t limit;
};
/* chan_pay; chan_ack without sig and ref; chan_close: paid, close_fee, sig */
struct dchan_chan_pay {
    uint8_t id[DCHAN_CHAN_ID_SIZE];
    uint64_t n, paid;
    uint32_t close_fee;
    uint8_t sig[IDENTITY_SIG_SIZE];
    struct span ref;
};
struct dchan_chan_closed {
    uint8_t id[DCHAN_CHAN_ID_SIZE];
    struct span tx;
};
struct dchan_chan_sync {
    uint8_t id[DCHAN_CHAN_ID_SIZE];
    uint8_t role, state;
    uint64_t n, paid;
    uint32_t close_fee;
    uint8_t sig[IDENTITY_SIG_SIZE];
    uint32_t tip;
    bool has_copy;
    uint8_t copy[DCHAN_COPY_SIZE];
};
struct dchan_chan_fail {
    uint8_t id[DCHAN_CHAN_ID_SIZE]; /* refusing chan_open: its nonce */
    uint16_t code;
    struct span text; /* not sanitised */
};
struct dchan_p_request {
    uint8_t id[16];
    uint64_t satoshis;
    uint32_t expires;
    struct span prefix, memo;
};
struct dchan_p_output {
    uint32_t vout;
    struct span suffix;
};
struct dchan_p_tx {
    uint8_t id[16];
    struct span prefix;
    size_t n;
    struct dchan_p_output outputs[DCHAN_OUTPUTS_MAX];
    struct span beef;    /* empty: it is the content of the file */
    uint8_t file_id[32]; /* with an empty beef */
};
struct dchan_p_result {
    uint8_t id[16];
    uint16_t status;
    uint8_t txid[32];
};

struct dchan_msg {
    uint16_t type;
    union {
        struct dchan_notice notice;
        struct dchan_hello hello;
        struct dchan_ping ping;
        struct dchan_goaway goaway;
        struct dchan_rv rv;
        uint8_t rekey_kind;
        struct dchan_successor successor;
        struct dchan_bound bound;
        struct span pad;
        uint8_t ephemeral[IDENTITY_KEY_SIZE]; /* dh_offer, dh_answer */
        struct dchan_dht_find dht_find;
        struct dchan_dht_found dht_found;
        struct dchan_dht_put dht_put;
        struct dchan_dht_put_ok dht_put_ok;
        struct dchan_s_open s_open;
        struct dchan_stream stream; /* s_accept, s_window, s_fin */
        struct dchan_s_data s_data;
        struct dchan_s_reset s_reset;
        struct dchan_dgram dgram;
        struct dchan_m_send m_send;
        struct dchan_m_receipt m_receipt;
        struct dchan_f_offer f_offer;
        struct dchan_f_id f_id;
        struct dchan_chan_open chan_open;
        struct dchan_chan_accept chan_accept;
        struct dchan_chan_funded chan_funded;
        struct dchan_chan_ready chan_ready;
        struct dchan_chan_pay chan_pay; /* chan_ack, chan_close */
        struct dchan_chan_closed chan_closed;
        struct dchan_chan_sync chan_sync;
        struct dchan_chan_fail chan_fail;
        struct dchan_p_request p_request;
        struct dchan_p_tx p_tx;
        struct dchan_p_result p_result;
    };
};

enum dchan_rule {
    DCHAN_BEFORE_UP = 1,    /* may come before the session is up; everything else closes it */
    DCHAN_RUNS_TO_END = 2,  /* the last field has the rest, no TLV stream follows */
};

enum dchan_tlv { DCHAN_TLV_UNKNOWN, DCHAN_TLV_TAKEN, DCHAN_TLV_BAD };

struct dchan_row {
    uint16_t type;
    const char *name;
    /* The fields; false or a failed reader: malformed. */
    bool (*read)(struct dchan_msg *m, struct reader *r);
    void (*write)(struct buf *b, const struct dchan_msg *m);
    /* NULL: knows no TLV. */
    enum dchan_tlv (*tlv)(struct dchan_msg *m, const struct tlv *t);
    /* NULL: nothing to say about the whole. Sees `tlvs`, bit i: type i below 32 was there. */
    bool (*end)(const struct dchan_msg *m, uint32_t tlvs);
    enum dchan_feature feature;
    unsigned rules; /* of enum dchan_rule */
};

/* NULL: no such type. */
const struct dchan_row *dchan_row_find(uint16_t type);
/* In the order of types. */
const struct dchan_row *dchan_rows(size_t *n);

enum dchan_read {
    DCHAN_READ_OK,
    DCHAN_READ_IGNORE,   /* unknown odd type */
    DCHAN_READ_UNKNOWN,  /* error 2 */
    DCHAN_READ_MALFORMED /* error 3 */
};

/* raw begins with the type, which m->type is in any case when there are two bytes. */
enum dchan_read dchan_msg_read(struct dchan_msg *m, struct span raw,
                               const struct dchan_features *ours);
/* With its type. The parts keep their limits, else what is written cannot be read. */
void dchan_msg_write(struct buf *b, const struct dchan_msg *m);
/* Whether the other side offered what the type belongs to. */
bool dchan_msg_may_send(uint16_t type, const struct dchan_features *theirs);

#endif
