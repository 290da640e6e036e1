/* Shared by the codecs of messages. Pure functions. */
#ifndef P2P_MSG_INTERNAL_H
#define P2P_MSG_INTERNAL_H

#include "base/err.h"
#include "base/reader.h"

/* What a decoder returns after its last read (spec p2p 1.6). */
static inline enum err msg_reader_result(const struct reader *r)
{
    if (!r->failed)
        return OK;
    return r->too_large ? ERR_RANGE : ERR_PARSE;
}

#endif
