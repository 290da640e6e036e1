/* Shared by the files of payments by a transaction (paytx.h). */
#ifndef NODE_PAYTX_INTERNAL_H
#define NODE_PAYTX_INTERNAL_H

#include "node/paychan_wallet.h"
#include "node/paytx.h"

/* A command that waits until its request is on disk. */
struct pay_asker {
    struct channels_request r; /* first */
    struct paytx *pt;
    const struct payment_asking *in;
    struct pay_row *out;
};

/* One that waits for a payee. */
struct pay_waiter {
    struct paytx *pt;
    char *contact, *memo;
    uint64_t satoshis;
    bool has_request;
    uint8_t request[PAY_ID_SIZE];
    int64_t until_ms;
    payment_done_fn done;
    void *ctx;
};

/* A request that is open, or a payment that is under way. */
struct pay_item {
    struct paytx *pt;
    struct pay_row row;
    struct pay_asker *asker;
    struct pay_waiter *waiter;
    bool busy;        /* a job or a write has it */
    bool unwritten;   /* the last write failed */
    bool over;        /* to be dropped when it is not busy */
    bool sent;        /* in this session */
    bool unsure;      /* whether it was made shows when the wallet is read anew: after a restart */
    int64_t sent_ms, retry_ms; /* the last try, and how long until the next */
    struct error why; /* it was not made */
    uint64_t heir;    /* the contact that it goes to (paytx_heirs.c); 0: none */
    int64_t again_ms; /* that after the last answer that asked for a proof */
};

/* What a contact has used up; contact 0: all strangers. */
struct pay_account {
    uint64_t contact;
    int64_t since_ms;
    unsigned failures, requests;
    struct ratelimit messages;
};

/* The disk may have rows of this contact at this key of it (paytx_heirs.c). */
struct pay_party {
    uint64_t contact;
    uint8_t theirs[IDENTITY_KEY_SIZE];
    bool moved;                 /* they have been made those of another contact */
};

/* Contact to is who was contact from (paytx_heirs.c). */
struct pay_heir {
    uint64_t from, to;
};

struct paytx {
    struct channels *channels;
    const struct rpc_env *env;
    struct feeds *feeds;
    struct paytx_limits limits;
    char *dir;
    struct paychan_wallet *jobs;
    struct rpc_payment_service service;

    struct pay_item **all;
    size_t n, cap;
    struct pay_account *accounts;
    size_t n_accounts;
    struct pay_party *parties;   /* by contact and key */
    size_t n_parties, cap_parties;
    struct pay_heir *heirs;
    size_t n_heirs;
    uint64_t looked_at;          /* the last contact that rows of removed ones were looked for */
    struct pay_check *checks;    /* waiting, in their order */
    struct pay_check *checking;  /* its result is not on disk yet */
    bool stopping;
};

/* --- paytx.c --- */

struct pay_item *paytx_add(struct paytx *pt, const struct pay_row *row);
void paytx_drop(struct pay_item *it); /* at once, or when it is not busy any more */
struct pay_item *paytx_find(struct paytx *pt, enum pay_row_kind kind,
                            const uint8_t id[PAY_ID_SIZE]);
struct pay_item *paytx_find_of(struct paytx *pt, enum pay_row_kind kind, uint64_t contact,
                               const uint8_t id[PAY_ID_SIZE]);
/* Whose session it belongs to, when that is up: its keys are those of the row, or follow them (spec
 * channels 2.7); else NULL. */
struct chan_peer *paytx_peer(const struct paytx *pt, const struct pay_row *row);
void paytx_put_row(struct dchan_write *w, const struct pay_row *r);
/* The request as paid by it. */
void paytx_put_paid(struct dchan_write *w, const struct pay_row *request,
                    const struct pay_row *payment);
/* Writes the row, and with a payment that was accepted its request as paid. done, when the item is
 * no longer busy: rc of it. */
typedef void (*paytx_written_fn)(struct pay_item *it, enum err rc);
void paytx_write(struct pay_item *it, paytx_written_fn done);
/* The command gets what the row says, or the error. */
void paytx_answer(struct pay_item *it, enum err rc, const struct error *e);
struct pay_account *paytx_account(struct paytx *pt, uint64_t contact);
void paytx_tell(struct paytx *pt, enum logged_event type, const struct pay_row *row,
                const char *text);

extern const struct dchan_handler paytx_handlers[1];

/* --- paytx_heirs.c --- */

/* There is, or will be, a row like this on disk. */
void paytx_note_party(struct paytx *pt, const struct pay_row *row);
/* Before a contact's rows are looked at: those of its key from before it was removed and added
 * again become its own; the disk is read only when there are some. An error: it is not known, and
 * said in the log. */
enum err paytx_find_heirs(struct paytx *pt, struct error *e) MUST_CHECK;
/* What the disk has of kind, contact, key and id of a row, for a contact that is an heir also where
 * the write that makes it its own is not done. */
enum err paytx_load(struct paytx *pt, const struct pay_row *of, struct pay_row *r, bool *found,
                    struct error *e) MUST_CHECK;

/* --- paytx_out.c: what we ask for and pay --- */

void paytx_begin_request(struct channels *c, struct channels_request *r);
void paytx_begin_pay(struct channels *c, void *waiter);
void paytx_end_waiter(struct pay_waiter *w, enum err rc, const struct pay_row *row,
                      const struct error *e); /* frees it */
void paytx_send(struct pay_item *it);    /* in the session that is up, unless it was */
void paytx_ended(struct pay_item *it, enum err rc); /* its last state is written */
void paytx_resume(struct pay_item *it);  /* one of which it is not known whether it was made */
void paytx_take_result(struct paytx *pt, struct chan_peer *p, const struct dchan_p_result *m);

/* --- paytx_in.c: what others ask for and pay --- */

void paytx_take_request(struct paytx *pt, struct chan_peer *p, const struct dchan_p_request *m);
void paytx_take_tx(struct paytx *pt, struct chan_peer *p, const struct dchan_p_tx *m);
/* One of that id waits to be looked at, or is, or is being written down. */
bool paytx_is_checked(const struct paytx *pt, const uint8_t id[PAY_ID_SIZE]);
void paytx_free_checks(struct paytx *pt);
uint64_t paytx_checks_bytes(const struct paytx *pt);
void paytx_look_after(struct pay_item *it); /* one that was accepted, until it is settled */

/* --- paytx_jobs.c: what waits for wallet and chain; the thread of the jobs --- */

struct rpc_call paytx_call_of(const struct rpc_env *env);
/* The caller's reference; NULL: it is not loaded. */
struct wallet *paytx_wallet_of(const struct rpc_env *env, const char *name, struct error *e);
/* Of an identity. ERR_AUTH: the wallet is locked; ERR_NOTFOUND. The caller wipes. */
enum err paytx_secret_of(struct wallet *w, const uint8_t key[IDENTITY_KEY_SIZE],
                         uint8_t secret[32], struct error *e) MUST_CHECK;

struct pay_making {
    const struct pay_row *row;   /* txid: of an earlier one, which it takes the place of */
    bool resumed;        /* it may have been made before */
    bool none;           /* after a failure: there is none for certain */
    bool prefix_used;    /* that is why: another payment to them has the prefix of this one */
    struct txid txid;    /* results */
    uint32_t index;
    uint64_t fee;
};
enum err paytx_make(const struct rpc_env *env, struct pay_making *m, struct error *e) MUST_CHECK;
/* Appends the Atomic BEEF. */
enum err paytx_make_beef(const struct rpc_env *env, const struct pay_row *row, struct buf *out,
                         struct error *e) MUST_CHECK;
/* The payee took it: it goes to our mempool, or we know soon why not. */
void paytx_submit(const struct rpc_env *env, const struct pay_row *row);
/* True: the wallet has its coins again. */
bool paytx_take_back(const struct rpc_env *env, const struct pay_row *row);

/* Codes of p_result. */
enum pay_status { PAY_OK, PAY_INVALID, PAY_WRONG_AMOUNT, PAY_PROOF_MISSING, PAY_NO };

enum pay_fate { PAY_FATE_OPEN, PAY_FATE_SETTLED, PAY_FATE_LOST };
/* What has become of one that was accepted. beef: it goes to the mempool again when it is not
 * there, as after a crash. */
enum pay_fate paytx_follow(const struct rpc_env *env, const struct pay_row *row,
                           struct span beef);

/* --- paytx_judge.c; the same thread --- */

/* The keys that a payment may have been made for: those of the session, and behind them those that
 * they follow. */
struct pay_parties {
    uint8_t theirs[1 + CONTACT_FORMER_MAX][IDENTITY_KEY_SIZE];
    uint8_t ours[1 + CONTACT_FORMER_MAX][IDENTITY_KEY_SIZE];
    size_t n_theirs, n_ours;
};

struct pay_judging {
    struct pay_row *row;   /* wallet, prefix, outputs; gets satoshis and txid, keys and wallet */
    const struct pay_parties *parties;
    struct span beef;
    uint64_t wanted;       /* by the request; 0: any */
    struct kv *credited;   /* the store, for what was credited before */
    enum pay_status status;
    bool silent;           /* trouble of our own: no answer is given */
    bool counts;           /* silent, but it may be theirs: among its failures */
    char why[160];
};
void paytx_judge(const struct rpc_env *env, struct pay_judging *j);

#endif
