/*
 * Services of this machine that contacts may use (spec channels 7): names with a target each and
 * the list of who is allowed. Nothing is exposed unless the user does, by -channelservice or by
 * exposeservice; the latter are kept on disk. Unknown and forbidden are answered alike.
 *
 * A service of the options names contacts as people do and looks them up at each use; one of
 * exposeservice has their ids, so that another key or alias of a contact changes nothing.
 *
 * A service may have a price: then a contact has an account with it (service_bills.h), and gets it
 * only with a payment channel to us that is open.
 *
 * Channel thread, but for services_new and services_free, which run before and after it.
 */
#ifndef P2P_SERVICES_H
#define P2P_SERVICES_H

#include "p2p/local_streams.h"
#include "p2p/service_bills.h"
#include "p2p/service_target.h"

enum {
    SERVICES_MAX = 256,
    SERVICE_ALLOW_MAX = 256,
    SERVICE_COMMANDS_MAX = 64, /* of exec targets, running; half for one contact, as streams */
};

struct service {
    char name[DCHAN_SERVICE_MAX + 1];
    struct service_target target;
    bool of_option;
    bool everybody;          /* every contact */
    size_t n_allowed;
    uint64_t *allowed;       /* ids of contacts */
    size_t n_texts;
    char **texts;            /* of_option: as given */
    struct bill_price price; /* zeros: it is free */
    uint64_t credit;         /* satoshis that may be owed */
};

struct services;

/* Makes the part and reads what is kept. specs: values of -channelservice, each
 * name,target[,contact...]. ERR_PARSE, ERR_RANGE: one of them is wrong; ERR_CORRUPT. */
enum err services_new(struct services **out, struct local_streams *streams,
                      const struct net_strings *specs, struct error *e) MUST_CHECK;
void services_free(struct services *s); /* ends what commands still run; NULL is fine */

/* What exposeservice asks for. */
struct service_wish {
    const char *name, *target;
    bool everybody;
    const uint64_t *allowed;
    size_t n_allowed;
    struct bill_price price;
    uint64_t credit;
};

/*
 * Exposes it in the place of one of the same name, whose streams end for whom it is not allowed any
 * more; those that began when it was free stay so. done is called when it is on disk, or could not
 * be: then it is as before. ERR_EXISTS: the name is one of the options; ERR_PARSE, ERR_RANGE: name,
 * target, price, too many.
 */
enum err services_expose(struct services *s, const struct service_wish *w, dchan_store_fn done,
                         void *ctx, struct error *e) MUST_CHECK;
/* Its streams end. ERR_NOTFOUND; ERR_EXISTS: it is one of the options. */
enum err services_unexpose(struct services *s, const char *name, dchan_store_fn done, void *ctx,
                           struct error *e) MUST_CHECK;
/* In the order of names. */
void services_each(const struct services *s, void (*fn)(const struct service *service, void *ctx),
                   void *ctx);

const struct local_streams *services_streams(const struct services *s);

/* --- payments: local_streams.payments must be there --- */

/* A payment of the contact that names the service is on disk. False: it has no such account. */
bool services_paid(struct services *s, uint64_t contact, struct span service, uint64_t amount);
/* As service_bills_settle. */
uint64_t services_settle(struct services *s, uint64_t contact, uint64_t amount);
/* None is taken any more: what costs money ends at once. */
void services_payments_failed(struct services *s);
const struct service_bills *services_bills(const struct services *s);

#endif
