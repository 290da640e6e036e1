/*
 * The header index and a naive model of it, fed with the same steps and compared: the model keeps
 * a plain array and answers every question by walking it. Steps come from bytes, so that a unit
 * test drives it with random numbers and a fuzz target with its input.
 */
#ifndef TESTS_CHAIN_HEADER_MODEL_H
#define TESTS_CHAIN_HEADER_MODEL_H

#include <stddef.h>
#include <stdint.h>

#define MODEL_STEP_BYTES 4

struct header_model;

struct header_model *header_model_new(void);
void header_model_free(struct header_model *m);
/* One step, named by four bytes: kind, node, node or number, number. */
void header_model_step(struct header_model *m, const uint8_t step[MODEL_STEP_BYTES]);
/* Compares everything that can be asked; aborts with a message on a difference. */
void header_model_compare(struct header_model *m);
size_t header_model_size(const struct header_model *m);

#endif
