/*
 * What the options mean: directories, network parameters, limits. Made once at start from the
 * config (options.h), then read-only.
 */
#ifndef NODE_SETTINGS_H
#define NODE_SETTINGS_H

#include "base/config.h"
#include "chain/chain.h"
#include "node/relay_tx.h"
#include "node/sync.h"
#include "p2p/net.h"

struct settings {
    struct config *config;       /* owned */
    struct chain_params params;  /* overrides applied */
    char *base_dir, *net_dir;    /* -datadir, and the network's directory in it */
    char *log_path, *pid_path, *cookie_path, *lock_path, *blocks_dir;
    char *user_agent;
    uint64_t memory_bytes, dbcache_bytes, mempool_bytes, nonfinal_bytes;
    uint16_t rpc_port;
    struct buf warnings;         /* lines to log once the log is open */
};

/*
 * Reads argv, then the configuration file, applies the rules between options, and makes the
 * directories. Errors are one line that names the option. settings_clear in every case.
 */
enum err settings_load(struct settings *s, int argc, char *const *argv, struct error *e) MUST_CHECK;
void settings_clear(struct settings *s);

/* Views for the parts; what they point to lives as long as s. */
enum err settings_chain(const struct settings *s, struct chain_options *o,
                        struct error *e) MUST_CHECK;
/* The part of the one above that is about transactions. */
enum err settings_mempool(const struct settings *s, struct chain_options *o,
                          struct error *e) MUST_CHECK;
void settings_net(const struct settings *s, struct net_config *c);
void settings_sync(const struct settings *s, struct sync_options *o);
void settings_relay(const struct settings *s, struct relay_options *o);

#endif
