#include "script/build.h"

#include "base/bytes.h"
#include "script/num.h"
#include "script/opcode.h"

size_t script_push_head(uint8_t out[SCRIPT_PUSH_HEAD_MAX], size_t len)
{
    if (len < OP_PUSHDATA1) {
        out[0] = (uint8_t)len;
        return 1;
    }
    if (len <= 0xff) {
        out[0] = OP_PUSHDATA1;
        out[1] = (uint8_t)len;
        return 2;
    }
    if (len <= 0xffff) {
        out[0] = OP_PUSHDATA2;
        le16_put(out + 1, (uint16_t)len);
        return 3;
    }
    out[0] = OP_PUSHDATA4;
    le32_put(out + 1, (uint32_t)len);
    return 5;
}

void script_put_op(struct buf *b, uint8_t code)
{
    buf_put_u8(b, code);
}

void script_put_data(struct buf *b, const void *data, size_t len)
{
    uint8_t head[SCRIPT_PUSH_HEAD_MAX];

    buf_put(b, head, script_push_head(head, len));
    buf_put(b, data, len);
}

void script_put_minimal(struct buf *b, const void *data, size_t len)
{
    const uint8_t *bytes = (const uint8_t *)data;

    if (len == 1 && bytes[0] >= 1 && bytes[0] <= 16)
        script_put_op(b, (uint8_t)(OP_1 - 1 + bytes[0]));
    else if (len == 1 && bytes[0] == 0x81)
        script_put_op(b, OP_1NEGATE);
    else
        script_put_data(b, data, len);
}

void script_put_num(struct buf *b, int64_t v)
{
    uint8_t bytes[9];

    script_put_minimal(b, bytes, num_encode_i64(bytes, v));
}
