#include "wallet/identity.h"

#include <string.h>

enum err identity_collided(const struct identity_address *old, struct identity_address *out,
                           struct error *e)
{
    struct bca_params p;
    const enum err rc = bca_params_read(buf_span(&old->params), &p, e);
    if (rc)
        return error_prefix(e, rc, "parameters of an address");
    const struct bca_address_input in = { p.modifier, p.header, p.subnet_prefix, p.transaction };
    if (p.collision_count++ >= BCA_COLLISIONS_MAX ||
        !bca_address_form(&in, bca_address_sec(old->address), &p.collision_count, out->address))
        return error_set(e, ERR_RANGE, "all three addresses of this modifier are in use on the "
                         "link: that is no chance, look for who answers for them");
    out->modifier = old->modifier;
    memcpy(out->header, old->header, sizeof out->header);
    memcpy(out->name, old->name, sizeof out->name);
    buf_reset(&out->params);
    bca_params_write(&out->params, &p);
    return OK;
}

enum err identity_address_collisions(const struct identity_address *a, unsigned *count,
                                     struct error *e)
{
    struct bca_params p;
    const enum err rc = bca_params_read(buf_span(&a->params), &p, e);
    if (rc)
        return error_prefix(e, rc, "parameters of an address");
    *count = p.collision_count;
    return OK;
}
