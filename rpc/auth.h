/*
 * Who may call: addresses (-rpcallowip) and HTTP Basic credentials (spec rpc 1.1, 1.4). Comparisons
 * take the same time for right and wrong secrets. Filled before the server starts, then read by
 * the HTTP thread alone.
 */
#ifndef RPC_AUTH_H
#define RPC_AUTH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct rpc_auth;
struct sockaddr;

struct rpc_auth *rpc_auth_new(void);
void rpc_auth_free(struct rpc_auth *a); /* wipes; NULL is fine */

/* Further credentials; each is accepted beside the others. */
void rpc_auth_add_password(struct rpc_auth *a, const char *user, const char *password);
/* "user:salt$hash", hash = hex HMAC-SHA256(key salt, message password). ERR_PARSE. */
enum err rpc_auth_add_hashed(struct rpc_auth *a, const char *rpcauth, struct error *e) MUST_CHECK;
/* Makes a random password for user __cookie__ and writes "user:password" to path, mode 0600. */
enum err rpc_auth_write_cookie(struct rpc_auth *a, const char *path, struct error *e) MUST_CHECK;

/* Loopback is always allowed; others by "ip", "ip/len" or "ip/mask". */
enum err rpc_auth_allow(struct rpc_auth *a, const char *subnet, struct error *e) MUST_CHECK;
bool rpc_auth_allows(const struct rpc_auth *a, const struct sockaddr *peer);

enum auth_answer { AUTH_OK, AUTH_MISSING, AUTH_WRONG };
/* field: value of Authorization, NULL when the request has none. */
enum auth_answer rpc_auth_check(const struct rpc_auth *a, const char *field);

/* Value of an Authorization field for "user:password" (client side); heap. */
char *rpc_auth_field(const char *user_password);

#endif
