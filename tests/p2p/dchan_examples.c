#include "tests/p2p/dchan_examples.h"

#include "base/intmath.h"
#include "tests/test.h"

const struct dchan_example dchan_examples[] = {
    { 1, "warning",
      "00040009736c6f7720646f776e" },
    { 16, "hello",
      "000100010a01052f783a312f0220000102030405060708090a0b0c0d0e0f101112131415161718191a"
      "1b1c1d1e1f03080000000000000007041220010db800000000000000000000000126d80508000001a0"
      "c4506c000704000dbba00920ababababababababababababababababababababababababababababab"
      "ababab" },
    { 17, "error",
      "00030000" },
    { 18, "ping",
      "000500020000" },
    { 19, "pong",
      "00050000000000" },
    { 20, "goaway",
      "00020000004d" },
    { 21, "rv",
      "034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa20010db800000000"
      "000000000000000126d8000001a0c4506c00" },
    { 22, "rekey",
      "01" },
    { 24, "bye",
      "" },
    { 25, "successor",
      "034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa031d16453b3ab313"
      "2acb0a5bc16cc49690d819a585267a15cd5a064e2a0ad4059900000000000000016ab13b80f6918ac8"
      "62525e74a4595dd92a9366dedbfac77e8c7b79a12550b86f619501187597c949a2ab487fb4cdf98446"
      "a457e1a5e5490d7609ccf3789fa1d92ee48ccd339b1606cd5c26cc49696f96a31456100185c0897395"
      "e4302342476f5e4dff532699f436fcba3543170b2f00a84e19eabca01e2fadbc58ef950e4e8349eb40"
      "ba" },
    { 26, "bound",
      "20010db800000000000000000000000120010db8000000000000000000000002ababababababababab"
      "ababababababababababababababababababababababab" },
    { 27, "pad",
      "000000000000000000" },
    { 28, "dh_offer",
      "034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa" },
    { 30, "dh_answer",
      "031d16453b3ab3132acb0a5bc16cc49690d819a585267a15cd5a064e2a0ad40599" },
    { 32, "dht_find",
      "0000000101abababababababababababababababababababababababababababababababab" },
    { 34, "dht_found",
      "000000010200036f6e6500056f74686572" },
    { 36, "dht_put",
      "000000020100067265636f7264" },
    { 38, "dht_put_ok",
      "0000000204" },
    { 64, "s_open",
      "00000001046563686f030004000001056c6162656c" },
    { 66, "s_accept",
      "0000000100004000" },
    { 68, "s_data",
      "0000000164617461" },
    { 70, "s_window",
      "0000000100020000" },
    { 72, "s_fin",
      "00000001" },
    { 74, "s_reset",
      "000000010006" },
    { 75, "dgram",
      "00000001ffff766f696365" },
    { 96, "m_send",
      "000102030405060708090a0b0c0d0e0f000001a0c4506c0000093a8010746578742f706c61696e3b75"
      "74662d38000368c3a90110000102030405060708090a0b0c0d0e0f0310000102030405060708090a0b"
      "0c0d0e0f05080000000000000009" },
    { 98, "m_ack",
      "000102030405060708090a0b0c0d0e0f" },
    { 100, "m_nack",
      "000102030405060708090a0b0c0d0e0f0005" },
    { 101, "m_read",
      "000102030405060708090a0b0c0d0e0f000001a0c4506c01" },
    { 128, "f_offer",
      "abababababababababababababababababababababababababababababababab0000000000009c400e"
      "05612e7478740a746578742f706c61696e00046e6f7465" },
    { 130, "f_accept",
      "abababababababababababababababababababababababababababababababab" },
    { 132, "f_cancel",
      "abababababababababababababababababababababababababababababababab0003" },
    { 134, "f_done",
      "abababababababababababababababababababababababababababababababab" },
    { 256, "chan_open",
      "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f000100000000000f42"
      "40000ea6000000009602eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f2836866"
      "19331eb609f3aacffe680f86309d6b7470e7215b0c000464617461" },
    { 258, "chan_accept",
      "abababababababababababababababababababababababababababababababab000102030405060708"
      "090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f02eec7245d6b7d2ccb30380bfbe2a3648cd7"
      "a942653f5aa340edcea1f283686619331eb609f3aacffe680f86309d6b7470e7215b0c010090" },
    { 260, "chan_funded",
      "abababababababababababababababababababababababababababababababab000102030405060708"
      "090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f000000010003beef00" },
    { 262, "chan_ready",
      "abababababababababababababababababababababababababababababababab000e9e310108000000"
      "00000186a0" },
    { 264, "chan_pay",
      "abababababababababababababababababababababababababababababababab000000000000000200"
      "0000000003d0905bc49d22030cf32c4dded862f323089b31d2ff28675c719e69298fa3e63ea8125e46"
      "1b030a6fe3b4644631b73c8315c6a944893f3a3ebac20e916a432bbb3c2803726566" },
    { 266, "chan_ack",
      "abababababababababababababababababababababababababababababababab000000000000000200"
      "0000000003d090" },
    { 268, "chan_close",
      "abababababababababababababababababababababababababababababababab000000000003d09000"
      "0000c85bc49d22030cf32c4dded862f323089b31d2ff28675c719e69298fa3e63ea8125e461b030a6f"
      "e3b4644631b73c8315c6a944893f3a3ebac20e916a432bbb3c28" },
    { 270, "chan_closed",
      "abababababababababababababababababababababababababababababababab000401000000" },
    { 272, "chan_sync",
      "abababababababababababababababababababababababababababababababab020300000000000000"
      "02000000000003d090000000965bc49d22030cf32c4dded862f323089b31d2ff28675c719e69298fa3"
      "e63ea8125e461b030a6fe3b4644631b73c8315c6a944893f3a3ebac20e916a432bbb3c28000e9e3101"
      "e05c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c"
      "5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c"
      "5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c"
      "5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c"
      "5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c"
      "5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c" },
    { 274, "chan_fail",
      "abababababababababababababababababababababababababababababababab00040006616d6f756e"
      "74" },
    { 288, "p_request",
      "000102030405060708090a0b0c0d0e0f00000000000003e86ab13b800863484a6c5a6d6c340007666f"
      "7220746561" },
    { 290, "p_tx",
      "000102030405060708090a0b0c0d0e0f0863484a6c5a6d6c340200000000086333566d5a6d6c340000"
      "00030441513d3d00000220abababababababababababababababababababababababababababababab"
      "abab" },
    { 292, "p_result",
      "000102030405060708090a0b0c0d0e0f0000ababababababababababababababababababababababab"
      "ababababababababab" },
};

const size_t n_dchan_examples = COUNT_OF(dchan_examples);

struct buf dchan_example_message(uint16_t type, const char *hex)
{
    struct buf fields = unhex(hex), b;
    buf_init(&b);
    buf_put_be16(&b, type);
    buf_put(&b, fields.data, fields.len);
    buf_clear(&fields);
    return b;
}

const struct dchan_example *dchan_example_of(uint16_t type)
{
    for (size_t i = 0; i < n_dchan_examples; i++)
        if (dchan_examples[i].type == type)
            return &dchan_examples[i];
    return NULL;
}
