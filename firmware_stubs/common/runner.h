/* A runner executes the images of one kind, step by step. There is one image at a time. */
#ifndef HW_RUNNER_H
#define HW_RUNNER_H

#include "image.h"

/* What comes in, in one step. */
struct hw_inputs {
    uint32_t n;
    const uint32_t *index; /* strictly ascending, less than image.n_in */
    const void *value;     /* n values of type image.value_in, or NULL where all are 1 */
    bool drain;            /* nothing of the device's own goes out in this step; see STEP in docs/wire.md */
};

/* What goes out in one step: one bit and one place for a value for each element of the populations. The places hold 1
   before a step. */
struct hw_outputs {
    uint32_t n_out;
    uint32_t *bits; /* (n_out + 31) / 32, cleared before a step */
    void *value;    /* n_out values of type image.value_out; NULL for HW_ONES */
};

static inline void hw_mark(struct hw_outputs *out, uint32_t element)
{
    out->bits[element / 32] |= 1u << (element % 32);
}

/* These are for images whose value_out is of the type. A value of 0 is nothing. */
static inline void hw_send_i32(struct hw_outputs *out, uint32_t element, int32_t value)
{
    if (value) {
        hw_mark(out, element);
        ((int32_t *)out->value)[element] = value;
    }
}

static inline void hw_send_f32(struct hw_outputs *out, uint32_t element, float value)
{
    if (value != 0) {
        hw_mark(out, element);
        ((float *)out->value)[element] = value;
    }
}

static inline void hw_send_f64(struct hw_outputs *out, uint32_t element, double value)
{
    if (value != 0) {
        hw_mark(out, element);
        ((double *)out->value)[element] = value;
    }
}

struct hw_runner {
    uint8_t kind, layout;
    const char *name;
    /* Checks every index, pointer and size of the image, so that nothing that comes later can reach outside it, and takes
       the state from the arena. HW_OK, HW_E_IMAGE, HW_E_UNSUPPORTED, or HW_E_NOMEM (the caller fills in the numbers). */
    uint8_t (*bind)(const struct hw_image *image, struct hw_arena *arena, struct hw_why *why);
    void (*reset)(void); /* to the initial state */
    uint8_t (*step)(uint32_t t, const struct hw_inputs *in, struct hw_outputs *out, struct hw_why *why);
    void (*state)(uint8_t **base, uint32_t *bytes); /* all that changes, in one piece */
    uint8_t (*check_state)(struct hw_why *why);     /* after the state was written from outside: HW_OK or HW_E_RANGE */
};

extern const struct hw_runner hw_loihi, hw_spinnaker, hw_sfq, hw_crossbar;

#endif
