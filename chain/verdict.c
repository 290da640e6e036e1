#include "chain/verdict.h"

#include <stdarg.h>
#include <stdio.h>

bool verdict_set(struct verdict *v, enum verdict_code code, unsigned ban_score, const char *reason)
{
    *v = (struct verdict){ .code = code, .ban_score = ban_score };
    snprintf(v->reason, sizeof(v->reason), "%s", reason);
    return false;
}

bool verdict_set_corrupt(struct verdict *v, unsigned ban_score, const char *reason)
{
    verdict_set(v, REJECT_INVALID, ban_score, reason);
    v->corruption = true;
    return false;
}

void verdict_detail(struct verdict *v, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(v->detail, sizeof(v->detail), fmt, args);
    va_end(args);
}
