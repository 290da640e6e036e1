/* Codecs that the table of dchan_wire.c names. Not for others. */
#ifndef P2P_DCHAN_WIRE_INTERNAL_H
#define P2P_DCHAN_WIRE_INTERNAL_H

#include "p2p/dchan_wire.h"

#define DCHAN_CODEC(name)                                                   \
    bool dchan_##name##_get(struct dchan_msg *m, struct reader *r);         \
    void dchan_##name##_put(struct buf *b, const struct dchan_msg *m)

DCHAN_CODEC(notice);
DCHAN_CODEC(hello);
DCHAN_CODEC(ping);
DCHAN_CODEC(pong);
DCHAN_CODEC(goaway);
DCHAN_CODEC(rv);
DCHAN_CODEC(rekey);
DCHAN_CODEC(nothing);
DCHAN_CODEC(successor);
DCHAN_CODEC(bound);
DCHAN_CODEC(pad);
DCHAN_CODEC(ephemeral);
DCHAN_CODEC(dht_find);
DCHAN_CODEC(dht_found);
DCHAN_CODEC(dht_put);
DCHAN_CODEC(dht_put_ok);
DCHAN_CODEC(s_open);
DCHAN_CODEC(s_accept);
DCHAN_CODEC(s_data);
DCHAN_CODEC(s_window);
DCHAN_CODEC(s_fin);
DCHAN_CODEC(s_reset);
DCHAN_CODEC(dgram);
DCHAN_CODEC(m_send);
DCHAN_CODEC(m_ack);
DCHAN_CODEC(m_nack);
DCHAN_CODEC(m_read);
DCHAN_CODEC(f_offer);
DCHAN_CODEC(f_id);
DCHAN_CODEC(f_cancel);
DCHAN_CODEC(chan_open);
DCHAN_CODEC(chan_accept);
DCHAN_CODEC(chan_funded);
DCHAN_CODEC(chan_ready);
DCHAN_CODEC(chan_pay);
DCHAN_CODEC(chan_ack);
DCHAN_CODEC(chan_close);
DCHAN_CODEC(chan_closed);
DCHAN_CODEC(chan_sync);
DCHAN_CODEC(chan_fail);
DCHAN_CODEC(p_request);
DCHAN_CODEC(p_tx);
DCHAN_CODEC(p_result);

enum dchan_tlv dchan_f_offer_tlv(struct dchan_msg *m, const struct tlv *t);
enum dchan_tlv dchan_m_send_tlv(struct dchan_msg *m, const struct tlv *t);
enum dchan_tlv dchan_chan_ready_tlv(struct dchan_msg *m, const struct tlv *t);
enum dchan_tlv dchan_chan_sync_tlv(struct dchan_msg *m, const struct tlv *t);
enum dchan_tlv dchan_p_tx_tlv(struct dchan_msg *m, const struct tlv *t);
bool dchan_p_tx_end(const struct dchan_msg *m, uint32_t tlvs);

#endif
