/* The payment to oneself that comes before one which many small coins would make too large. */
#include <config.h>

#include "script/template.h"
#include "wallet/select.h"
#include "wallet/txbuild.h"
#include "wallet/wallet_internal.h"

/* A coin of this value pays for it alone, without change. */
static int64_t cost_with_one_coin(const struct wallet_send *s, struct span own)
{
    size_t size = select_frame_size(1, s->n) + txbuild_input_size(own, true);
    int64_t value = 0;
    for (size_t i = 0; i < s->n; i++) {
        size += txbuild_output_size(s->to[i].script.len);
        value += s->to[i].value;
    }
    return value + select_fee((uint64_t)s->fee_per_kb, size);
}

enum err wallet_gather(struct wallet *w, const struct wallet_send *s, struct tx **out,
                       struct error *e)
{
    uint8_t script[SCRIPT_P2PKH_SIZE];
    struct wallet_key key;
    int64_t fee;
    enum err rc = keystore_state(w->ks, NULL) == KEYSTORE_LOCKED
                      ? error_set(e, ERR_AUTH, "the wallet is locked: its passphrase is needed")
                      : OK;
    if (!rc)
        rc = wallet_new_key(w, KEYSTORE_CHANGE, span_of(NULL, 0), &key, e);
    if (rc)
        return rc;
    script_make_for_key(script, span_of(key.key, key.key_len));
    const struct span own = span_of(script, sizeof script);
    const struct wallet_recipient to = { .script = own, .value = cost_with_one_coin(s, own) };
    struct wallet_send gather = *s;
    gather.to = &to;
    gather.n = 1;
    gather.max_size = 0;
    gather.too_large = NULL;
    gather.change_last = false;
    return wallet_send(w, &gather, out, &fee, e);
}
