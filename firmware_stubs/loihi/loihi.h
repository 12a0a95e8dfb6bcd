/* What the parts of the Loihi runner share; runner.c says how an image is laid out. */
#ifndef HW_LOIHI_H
#define HW_LOIHI_H

#include "../common/runner.h"

#define V_MAX 8388607  /* v, re and im saturate at +-V_MAX */
#define U_WRAP 8388608 /* u wraps once into (-U_WRAP, U_WRAP] */
#define FAST_BOUND (1 << 29) /* |u| and |v| stay below this where the image promises 32-bit arithmetic */

enum model { LIF, ATRLIF, RF, RF_IZ, SIGMA_DELTA, DELTA, GRADED, GRADED_RELU, MODELS };
enum block_form { RESTS = 1 << 8, READ_OUT = 1 << 9 };
enum row_form { RUN8, RUN16, LIST, LATE, WIDE, ROW_FORMS };
enum flag { LOUD = 1, FAILED = 2 }; /* of the first word of the state */
#define EACH 0xFFFFFFFFu /* class of a block whose neurons have one each */

/* Parameters by model. Decays are what is kept, (4096 - decay) << 18, so that x * keep >> 30 is what is left of x. */
enum { KEEP_U, KEEP_V, THETA, RESET_BY, SUBTRACTS, REFRACTORY, INTERVAL, OFFSET }; /* LIF */
enum { KEEP_THETA = 3, KEEP_R, STEP };                                            /* ATRLIF, behind THETA */
enum { SIN, COS, RF_THETA, DECAY_BITS, RF_EXP };                                  /* RF, RF_IZ */
enum { SD_THETA, SHIFT_IN, SHIFT_OUT, RELU, CUM_ERROR };                          /* SIGMA_DELTA, DELTA */
enum { GRADED_THETA };                                                            /* GRADED, GRADED_RELU */

struct neuron_class {
    int32_t p[8];
};

/* Consecutive neurons of one model. accumulator, second: of its first neuron; class: of all, or EACH. */
struct block {
    uint32_t form, n, accumulator, second, class;
};

/* Synapses that are stored once, however many segments use them. form: row_form | delay << 8; span: accumulators from
   the segment's base on that it touches. */
struct row {
    uint32_t at, words;
    int32_t scale;
    uint32_t span, form;
};

struct segment {
    uint32_t row, base;
};

/* The image that is bound, and its state: flags, then block by block the states of its neurons, each in a row (those of
   STATES in hwsdk.programs.loihi, and the steps left of rest), then the ring: `slots` rows of `stride` accumulators. */
struct machine {
    uint32_t n_in, n_out, accumulators, stride, slots, limit, n_blocks, n_init, state_words;
    const struct block *blocks;
    const struct neuron_class *classes;
    const uint16_t *index;
    const int32_t *bias, *init;
    const uint32_t *element, *ptr, *data;
    const struct segment *segments;
    const struct row *rows;
    int32_t *state, *ring;
};

/* A block in a step. index: of the classes of its neurons, or NULL where it has one class, which is then `classes`. */
struct group {
    uint32_t model, n, t;
    bool rests, reads, fast;
    const struct neuron_class *classes;
    const uint16_t *index;
    const int32_t *bias;
    const uint32_t *element;
    int32_t *state, *in, *second;
    struct hw_outputs *out;
};

/* Words of state of a neuron. */
uint32_t loihi_states(uint32_t form);

/* One step of the neurons of a block; takes what came in. False if a number needs more than 32 bits. */
bool loihi_update(const struct group *g);

/* Brings a spike of value `value` to the accumulators of later steps; now: slot of this step. Without `fast` every sum
   is checked; false if one needs more than 32 bits. */
bool loihi_deliver(const struct machine *m, uint32_t now, uint32_t sender, int32_t value, bool fast);

/* Whether the rows, segments and senders of an image stay inside it. */
uint8_t loihi_check_synapses(const struct machine *m, uint32_t n_rows, uint32_t n_segments, uint32_t n_data,
                             struct hw_why *why);

/* Whether the blocks, classes and elements of an image fit together; counts the words of its state. */
uint8_t loihi_check_neurons(struct machine *m, uint32_t n_classes, uint32_t n_index, bool values, struct hw_why *why);

#endif
