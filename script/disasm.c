#include "script/disasm.h"

#include <inttypes.h>

#include "script/encoding.h"
#include "script/iter.h"
#include "script/num.h"
#include "script/sighash.h"
#include "script/template.h"

#define DECIMAL_MAX_BYTES 4

static void put_hash_type(struct buf *out, uint8_t type)
{
    static const char *const base[] = { "", "ALL", "NONE", "SINGLE" };

    buf_printf(out, "[%s%s%s%s]", base[type & 3], type & SIGHASH_FORKID ? "|FORKID" : "",
               type & SIGHASH_CHRONICLE ? "|CHRONICLE" : "",
               type & SIGHASH_ANYONECANPAY ? "|ANYONECANPAY" : "");
}

static bool looks_like_signature(struct span data)
{
    return script_sig_is_strict_der(data) &&
           script_hash_type_is_defined(data.data[data.len - 1]);
}

static void put_push(struct buf *out, struct span data, enum script_disasm mode)
{
    int64_t v;

    if (data.len <= DECIMAL_MAX_BYTES && !num_read_i64(&v, data, DECIMAL_MAX_BYTES, NUM_ANY)) {
        buf_printf(out, "%" PRId64, v);
    } else if (mode == SCRIPT_DISASM_SIGNATURES && looks_like_signature(data)) {
        buf_put_hex(out, data.data, data.len - 1);
        put_hash_type(out, data.data[data.len - 1]);
    } else {
        buf_put_hex(out, data.data, data.len);
    }
}

void script_disassemble(struct buf *out, struct span script, enum script_disasm mode)
{
    struct script_iter it = script_iter_of(script);
    struct script_op op;

    /* data behind a RETURN is never a signature */
    if (script_is_unspendable(script, SCRIPT_ERA_ORIGINAL))
        mode = SCRIPT_DISASM_PLAIN;
    while (it.p < it.end) {
        if (it.p != script.data)
            buf_put_str(out, " ");
        if (!script_iter_next(&it, &op)) {
            buf_put_str(out, "[error]");
            return;
        }
        if (op.code <= OP_PUSHDATA4)
            put_push(out, op.data, mode);
        else
            buf_put_str(out, opcode_name(op.code));
    }
}
