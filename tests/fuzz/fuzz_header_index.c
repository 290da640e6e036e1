/* Input: steps of four bytes for the header index and its naive model. */
#include "tests/chain/header_model.h"

#define STEPS_MAX 400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct header_model *m = header_model_new();
    for (size_t i = 0; i < STEPS_MAX && size >= MODEL_STEP_BYTES; i++) {
        header_model_step(m, data);
        data += MODEL_STEP_BYTES;
        size -= MODEL_STEP_BYTES;
        if (i % 16 == 0)
            header_model_compare(m);
    }
    header_model_compare(m);
    header_model_free(m);
    return 0;
}
