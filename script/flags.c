#include "script/flags.h"

enum script_era script_era_of(const struct script_heights *h, int32_t height)
{
    if (height >= h->chronicle)
        return SCRIPT_ERA_CHRONICLE;
    return height >= h->genesis ? SCRIPT_ERA_GENESIS : SCRIPT_ERA_ORIGINAL;
}

uint32_t script_flags_for_block(const struct script_heights *h, int32_t height)
{
    /* spec consensus 4.3: three heights name the last block under the old rule */
    const struct {
        int64_t first;
        uint32_t flags;
    } rows[] = {
        { (int64_t)h->p2sh + 1, SCRIPT_P2SH },
        { h->bip66, SCRIPT_DERSIG },
        { h->bip65, SCRIPT_CLTV },
        { h->csv, SCRIPT_CSV },
        { (int64_t)h->uahf + 1, SCRIPT_STRICTENC | SCRIPT_SIGHASH_FORKID },
        { (int64_t)h->daa + 1, SCRIPT_LOW_S | SCRIPT_NULLFAIL },
        { h->genesis, SCRIPT_GENESIS | SCRIPT_SIGPUSHONLY },
        { h->chronicle, SCRIPT_CHRONICLE },
    };
    uint32_t flags = 0;

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (height >= rows[i].first)
            flags |= rows[i].flags;
    return flags;
}

uint32_t script_flags_mandatory(const struct script_heights *h, int32_t next_height)
{
    uint32_t flags = SCRIPT_P2SH | SCRIPT_STRICTENC | SCRIPT_SIGHASH_FORKID | SCRIPT_NULLFAIL |
                     SCRIPT_LOW_S;

    if (script_era_of(h, next_height) == SCRIPT_ERA_CHRONICLE)
        flags |= SCRIPT_CHRONICLE;
    return flags;
}

uint32_t script_flags_for_policy(const struct script_heights *h, int32_t next_height)
{
    uint32_t flags = script_flags_mandatory(h, next_height) | SCRIPT_DERSIG | SCRIPT_NULLDUMMY |
                     SCRIPT_DISCOURAGE_UPGRADABLE_NOPS | SCRIPT_CLTV | SCRIPT_CSV |
                     SCRIPT_CLEANSTACK | SCRIPT_MINIMALDATA;

    if (script_era_of(h, next_height) != SCRIPT_ERA_ORIGINAL)
        flags |= SCRIPT_GENESIS | SCRIPT_SIGPUSHONLY;
    return flags;
}

uint32_t script_flags_for_coin(const struct script_heights *h, uint32_t flags, int32_t coin_height)
{
    if (coin_height >= h->genesis)
        flags |= SCRIPT_UTXO_AFTER_GENESIS;
    if (coin_height >= h->chronicle)
        flags |= SCRIPT_UTXO_AFTER_CHRONICLE;
    return flags;
}
