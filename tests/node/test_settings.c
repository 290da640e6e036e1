#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "node/settings.h"
#include "tests/test.h"

struct fixture {
    char *dir;
    char *datadir_arg;
};

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    f->dir = test_dir_make();
    f->datadir_arg = xasprintf("-datadir=%s", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    free(f->datadir_arg);
    test_dir_remove(f->dir);
    free(f);
    return 0;
}

static void write_conf(const struct fixture *f, const char *name, const char *text)
{
    char *path = path_join(f->dir, name);
    assert_int_equal(file_replace(path, text, strlen(text), NULL), OK);
    free(path);
}

#define ARGS_MAX 8

/* Loads with -datadir and the arguments, which end with NULL. */
static enum err load(const struct fixture *f, struct settings *s, struct error *e,
                     const char *first, ...)
{
    char *argv[ARGS_MAX] = { "bsvpeerd", f->datadir_arg };
    int argc = 2;
    va_list args;
    va_start(args, first);
    for (const char *arg = first; arg; arg = va_arg(args, const char *))
        argv[argc++] = (char *)arg;
    va_end(args);
    return settings_load(s, argc, argv, e);
}

static void assert_refused(const struct fixture *f, const char *arg, const char *word)
{
    struct settings s;
    struct error e = { .text = "" };
    assert_int_not_equal(load(f, &s, &e, arg, NULL), OK);
    assert_non_null(strstr(e.text, word));
    assert_null(strchr(e.text, '\n'));
    settings_clear(&s);
}

static void nothing_is_mandatory(void **state)
{
    struct settings s;
    struct error e = { .text = "" };
    assert_int_equal(load(*state, &s, &e, NULL), OK);
    assert_int_equal(s.params.network, NETWORK_MAIN);
    assert_int_equal(config_size(s.config, "excessiveblocksize"), 10000000000);
    assert_int_equal(config_size(s.config, "maxstackmemoryusageconsensus"), 200000000);
    assert_int_equal(config_amount(s.config, "minminingtxfee"), 100);
    assert_true(s.dbcache_bytes > 0 && s.dbcache_bytes <= UINT64_C(8) << 30);
    assert_non_null(strstr(s.user_agent, "BSV"));
    settings_clear(&s);
}

static void each_network_has_its_directory_and_ports(void **state)
{
    const struct fixture *f = *state;
    static const struct { const char *arg, *subdir; uint16_t rpc_port; } rows[] = {
        { "-testnet", "testnet3", 18332 }, { "-stn", "stn", 9332 },
        { "-regtest", "regtest", 18332 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct settings s;
        struct error e;
        assert_int_equal(load(f, &s, &e, rows[i].arg, NULL), OK);
        assert_non_null(strstr(s.net_dir, rows[i].subdir));
        assert_true(path_exists(s.net_dir));
        assert_int_equal(s.rpc_port, rows[i].rpc_port);
        settings_clear(&s);
    }
}

static void two_networks_at_once_are_refused(void **state)
{
    struct settings s;
    struct error e;
    assert_int_equal(load(*state, &s, &e, "-testnet", "-regtest", NULL), ERR_RANGE);
    settings_clear(&s);
}

static void a_bad_value_is_one_line_that_names_the_option(void **state)
{
    const struct fixture *f = *state;
    assert_refused(f, "-excessiveblocksize=1000000", "excessiveblocksize");
    assert_refused(f, "-blockmaxsize=11GB", "excessiveblocksize");
    assert_refused(f, "-port=70000", "port");
    assert_refused(f, "-mocktime=5", "mocktime");
    assert_refused(f, "-genesisactivationheight=7", "genesisactivationheight");
    assert_refused(f, "-minimumchainwork=xyz", "minimumchainwork");
    assert_refused(f, "-assumevalid=12", "assumevalid");
    assert_refused(f, "-uacomment=a/b", "uacomment");
    assert_refused(f, "-onlynet=onion", "onlynet");
    assert_refused(f, "-nosuchoption=1", "nosuchoption");
    assert_refused(f, "-conf=missing.conf", "missing.conf");
    assert_refused(f, "-magicbytes=e3e1f3e8", "magicbytes");
    assert_refused(f, "stray", "stray");
}

static struct chain_options chain_options_of(struct settings *s)
{
    struct chain_options o;
    struct error e = { .text = "" };
    assert_int_equal(settings_chain(s, &o, &e), OK);
    return o;
}

static void limits_of_the_mempool_are_the_references(void **state)
{
    struct settings s;
    struct error e = { .text = "" };
    assert_int_equal(load(*state, &s, &e, "-memory=16GB", NULL), OK);
    const struct chain_options o = chain_options_of(&s);
    const struct tx_policy p = tx_policy_default();
    assert_int_equal(o.mempool.max_bytes, 1000000000);
    assert_int_equal(o.mempool.max_secondary_bytes, 100000000);
    assert_int_equal(o.mempool.expiry_s, 336 * 3600);
    assert_int_equal(o.mempool.mining_fee_per_kb, 100);
    assert_int_equal(o.mempool.max_ancestors, 10000);
    assert_int_equal(o.mempool.max_group_members, 25);
    assert_int_equal(o.nonfinal_max_bytes, 50 << 20);
    assert_true(o.persist_mempool);
    assert_int_equal(o.policy.mining_fee_per_kb, 100);
    assert_int_equal(o.policy.max_fee, p.max_fee);
    assert_int_equal(o.policy.max_tx_size, p.max_tx_size);
    assert_int_equal(o.policy.max_sigops, UINT32_MAX);
    assert_false(o.policy.accept_nonstandard_txs);
    assert_true(o.policy.accept_nonstandard_outputs && o.policy.data_carrier);
    assert_true(o.policy.bare_multisig);
    assert_int_equal(o.policy.data_carrier_size, p.data_carrier_size);
    assert_int_equal(o.policy.consolidation_factor, p.consolidation_factor);
    assert_int_equal(o.policy.consolidation_max_script, p.consolidation_max_script);
    assert_int_equal(o.policy.consolidation_min_conf, p.consolidation_min_conf);
    assert_false(o.policy.consolidation_nonstandard);
    assert_memory_equal(&o.policy.scripts, &p.scripts, sizeof(p.scripts));
    assert_int_equal(o.policy.standard_time_ms, p.standard_time_ms);
    assert_int_equal(o.policy.nonstandard_time_ms, p.nonstandard_time_ms);
    assert_int_equal(o.policy.chain_time_ms, p.chain_time_ms);
    settings_clear(&s);
}

static void blocks_never_wait_for_the_only_worker(void **state)
{
    const struct fixture *f = *state;
    const struct { const char *par; unsigned workers; } cases[] = {
        { "-par=1", 2 }, { "-par=2", 2 }, { "-par=6", 5 }, { "-par=-64", 2 },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct settings s;
        struct error e;
        assert_int_equal(load(f, &s, &e, cases[i].par, NULL), OK);
        assert_int_equal(chain_options_of(&s).workers, cases[i].workers);
        settings_clear(&s);
    }
}

static void memory_is_a_ceiling_for_the_mempool_too(void **state)
{
    const struct fixture *f = *state;
    struct settings s;
    struct error e;
    assert_int_equal(load(f, &s, &e, "-memory=64MiB", NULL), OK);
    assert_int_equal(chain_options_of(&s).mempool.max_bytes, 8 << 20);
    assert_int_equal(chain_options_of(&s).nonfinal_max_bytes, 4 << 20);
    assert_int_equal(config_size(s.config, "maxmempool"), 8 << 20);
    settings_clear(&s);
    assert_int_equal(load(f, &s, &e, "-memory=64MiB", "-maxmempool=20", NULL), OK);
    assert_int_equal(chain_options_of(&s).mempool.max_bytes, 20000000);
    settings_clear(&s);
    assert_int_equal(load(f, &s, &e, "-memory=64MiB", "-maxmempool=2GB", NULL), OK);
    assert_int_equal(chain_options_of(&s).mempool.max_bytes, 32 << 20);
    buf_put_u8(&s.warnings, 0);
    assert_non_null(strstr((char *)s.warnings.data, "-maxmempool"));
    settings_clear(&s);
}

static void limits_that_contradict_are_refused(void **state)
{
    static const char *const pairs[][2] = {
        { "-maxtxsizepolicy=99998", "maxtxsizepolicy" },
        { "-maxstdtxvalidationduration=1000", "maxstdtxvalidationduration" },
        { "-maxnonstdtxvalidationduration=3", "maxnonstdtxvalidationduration" },
    };
    for (size_t i = 0; i < 3; i++) {
        struct settings s;
        struct error e = { .text = "" };
        struct chain_options o;
        assert_int_equal(load(*state, &s, &e, pairs[i][0], NULL), OK);
        assert_int_equal(settings_chain(&s, &o, &e), ERR_RANGE);
        assert_non_null(strstr(e.text, pairs[i][1]));
        settings_clear(&s);
    }
}

static void a_missing_data_directory_is_refused(void **state)
{
    (void)state;
    struct settings s;
    struct error e;
    char *argv[] = { "bsvpeerd", "-datadir=/nonexistent/dir" };
    assert_int_equal(settings_load(&s, 2, argv, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "/nonexistent/dir"));
    settings_clear(&s);
}

static void bitcoin_conf_is_read_when_there_is_no_other(void **state)
{
    const struct fixture *f = *state;
    struct settings s;
    struct error e;
    write_conf(f, "bitcoin.conf", "regtest=1\nminrelaytxfee=0.00001\nstandalone=1\nnonsense=1\n");
    assert_int_equal(load(f, &s, &e, NULL), OK);
    assert_int_equal(s.params.network, NETWORK_REGTEST);
    buf_put_u8(&s.warnings, 0);
    assert_non_null(strstr((char *)s.warnings.data, "bitcoin.conf"));
    assert_non_null(strstr((char *)s.warnings.data, "minrelaytxfee"));
    assert_non_null(strstr((char *)s.warnings.data, "nonsense"));
    settings_clear(&s);

    write_conf(f, "bsvpeer.conf", "testnet=1\n");
    assert_int_equal(load(f, &s, &e, NULL), OK);
    assert_int_equal(s.params.network, NETWORK_TEST);
    settings_clear(&s);
}

static void options_follow_from_others_unless_given(void **state)
{
    const struct fixture *f = *state;
    struct settings s;
    struct error e;
    struct net_config n;
    assert_int_equal(load(f, &s, &e, "-connect=[::1]:1", NULL), OK);
    settings_net(&s, &n);
    assert_false(n.listen);
    assert_false(n.dnsseed);
    settings_clear(&s);
    assert_int_equal(load(f, &s, &e, "-connect=[::1]:1", "-listen=1", NULL), OK);
    settings_net(&s, &n);
    assert_true(n.listen);
    settings_clear(&s);
}

static void a_pruned_node_does_not_offer_the_chain(void **state)
{
    struct settings s;
    struct error e;
    struct net_config n;
    struct chain_options o;
    assert_int_equal(load(*state, &s, &e, "-prune=550", NULL), OK);
    settings_net(&s, &n);
    assert_int_equal(n.services & SERVICE_NETWORK, 0);
    assert_int_equal(settings_chain(&s, &o, &e), OK);
    assert_int_equal(o.prune_target_bytes, UINT64_C(550) << 20);
    settings_clear(&s);
    assert_int_equal(load(*state, &s, &e, "-prune=100", NULL), OK);
    assert_int_equal(settings_chain(&s, &o, &e), ERR_RANGE);
    settings_clear(&s);
}

static void what_is_done_with_frozen_outputs_can_be_chosen(void **state)
{
    struct settings s;
    struct error e;
    struct chain_options o;
    assert_int_equal(load(*state, &s, &e, NULL, NULL), OK);
    assert_int_equal(settings_chain(&s, &o, &e), OK);
    assert_int_equal(o.soft_freeze_blocks, 3);
    assert_false(o.assume_whitelisted);
    assert_int_equal(o.assume_whitelisted_depth, 6);
    settings_clear(&s);
    assert_int_equal(load(*state, &s, &e, "-softconsensusfreezeduration=0",
                          "-enableassumewhitelistedblockdepth", NULL), OK);
    assert_int_equal(settings_chain(&s, &o, &e), OK);
    assert_int_equal(o.soft_freeze_blocks, 0);
    assert_true(o.assume_whitelisted);
    settings_clear(&s);
    assert_refused(*state, "-softconsensusfreezeduration=-1", "softconsensusfreezeduration");
}

static void activation_heights_and_work_can_be_chosen_on_regtest(void **state)
{
    struct settings s;
    struct error e;
    assert_int_equal(load(*state, &s, &e, "-regtest", "-genesisactivationheight=7",
                          "-chronicleactivationheight=9", "-minimumchainwork=00ff", NULL), OK);
    assert_int_equal(s.params.heights.genesis, 7);
    assert_int_equal(s.params.heights.chronicle, 9);
    const struct u256 work = u256_from_u64(255);
    assert_int_equal(u256_cmp(&s.params.minimum_work, &work), 0);
    settings_clear(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_mandatory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_of_the_mempool_are_the_references, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(blocks_never_wait_for_the_only_worker, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_a_ceiling_for_the_mempool_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_that_contradict_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_network_has_its_directory_and_ports, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(two_networks_at_once_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_bad_value_is_one_line_that_names_the_option, set_up,
                                        tear_down),
        cmocka_unit_test(a_missing_data_directory_is_refused),
        cmocka_unit_test_setup_teardown(bitcoin_conf_is_read_when_there_is_no_other, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(options_follow_from_others_unless_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pruned_node_does_not_offer_the_chain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_done_with_frozen_outputs_can_be_chosen, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(activation_heights_and_work_can_be_chosen_on_regtest,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
