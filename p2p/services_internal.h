/* What services.c (the set, its streams) and services_store.c (one service, on disk) share. */
#ifndef P2P_SERVICES_INTERNAL_H
#define P2P_SERVICES_INTERNAL_H

#include "base/buf.h"
#include "p2p/services.h"

#define SERVICE_KEY_PREFIX 'v'
#define SERVICE_KEY_MAX (1 + DCHAN_SERVICE_MAX)

/* Name and target of one that is zeroed. */
enum err service_init(struct service *v, const char *name, const char *target,
                      struct error *e) MUST_CHECK;
void service_free(struct service *v); /* NULL is fine */

size_t service_key(uint8_t key[SERVICE_KEY_MAX], const char *name); /* its length */
void service_put(struct buf *b, const struct service *v);
enum err service_read(struct service *v, struct span key, struct span value,
                      struct error *e) MUST_CHECK;

#endif
