/* Shared by the files of the state machine (paychan.h). */
#ifndef WALLET_PAYCHAN_INTERNAL_H
#define WALLET_PAYCHAN_INTERNAL_H

#include "wallet/paychan.h"

/* A step in the making. */
struct step {
    struct paychan *c;
    const struct paychan_event *ev;
    struct paychan_result *out;
};

void step_payer(struct step *s);
void step_payee(struct step *s);

/* An action more; the caller fills the rest of it in. */
struct paychan_action *step_do(struct step *s, enum paychan_do what);
void step_record(struct step *s, enum paychan_record_kind kind);
void step_move(struct step *s, uint8_t state); /* and the whole is to be written */
void step_refuse(struct step *s, enum err code, const char *text);
void step_fail(struct step *s, enum paychan_fail code, const char *text); /* to the other side */
void step_alarm(struct step *s, const char *text);
void step_forget(struct step *s);
void step_send_sync(struct step *s); /* of our own accord */
/* One should have been answered by now; also when the clock was set back since. */
bool step_sync_is_late(const struct step *s);
/* With a copy of the channel, once in a session: the other side seems to have lost it. False: it
 * was sent before. */
bool step_send_copy(struct step *s);
/* One arrived: the answer to ours, or it gets one. */
void step_answer_sync(struct step *s);

/* Confirmations of what is in a block of this height; 0: none. */
uint32_t paychan_depth(uint32_t height, const struct paychan_view *v);
/* Of the spend: where it stands is written into the channel. False: nothing has changed. */
bool step_take_spend(struct step *s);
/* The same of the funding transaction. */
bool step_take_funding(struct step *s);
bool paychan_tip_is_fresh(const struct paychan_view *v);
/* This tip was not seen before. */
bool step_new_tip(struct step *s);

#endif
