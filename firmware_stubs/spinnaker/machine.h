/* The PEs of SpiNNaker 2 chips as this runner holds them. What an image says of a PE stays where it lies, in the words
   of hwsdk/programs/spinnaker_image.py. */
#ifndef HW_SPINNAKER_MACHINE_H
#define HW_SPINNAKER_MACHINE_H

#include "../common/runner.h"

enum spin_model { SPIN_SOURCE = 0, SPIN_LIF, SPIN_LIF_CURRENT, SPIN_EGRU };
enum spin_kind { SPIN_NARROW = 0, SPIN_BYTE, SPIN_WIDE, SPIN_PLASTIC, SPIN_CONV, SPIN_CSR, SPIN_KINDS };
enum { SPIN_PORTS = 6, SPIN_MAX_PHASES = 16, SPIN_MAX_SLOTS = 64, SPIN_MAX_ATOMS = 1024, SPIN_MAX_HISTORY = 1 << 14,
       SPIN_MAX_BOX = 1 << 20, SPIN_ROUTE_WORDS = 5, SPIN_MAX_STEP = 0x7fff0000 };
enum { SPIN_SENDS = 1 << 8 };                                      /* of a slice in its PE's image */
enum { SPIN_FIRES = 1, SPIN_CONSECUTIVE = 2, SPIN_SENDING = 4, SPIN_ASCENDING = 8 }; /* of a slice here */

/* As the image has them. */
struct spin_header {
    uint32_t magic, layout, application, model, neurons, slices, entries, shapes, rows, learners, decays, word_bytes,
        slots, phases, high_from, history, stored, needed, at_slices, at_table, at_shapes, at_rows, at_learners,
        at_decays, at_words, at_neurons;
};

struct spin_entry {
    uint32_t key, mask, rest; /* kind, 4 bits phase, 4 bits delay or learner, 20 bits index */
};

struct spin_conv {
    int32_t in_channel, in_channels, in_y, in_height, in_x, in_width, first, out_channel, out_channels, out_y,
        out_height, out_x, out_width, kernel_y, kernel_x, stride_y, stride_x, pad_y, pad_x, dilation_y, dilation_x,
        group_in, group_out, weight_bytes;
    uint32_t at_kernel;
};

struct spin_learner {
    float a_plus, a_minus, w_min, w_max;
    uint32_t plus, n_plus, minus, n_minus;
};

struct spin_lif {
    float decay_v, bias, threshold, reset_by, v;
    uint32_t control;
};

struct spin_lif_current {
    float decay_u, u;
    struct spin_lif rest;
};

struct spin_egru {
    float h, theta, bias_z, bias_r, bias_x, bias_h;
};

struct spin_weight { /* a csr word */
    float weight;
    uint32_t target;
};

/* Of the runner. */
struct spin_spike { /* the last of a row, or one of a history */
    uint32_t step;
    float trace;
};

struct spin_plastic { /* where the weights and the rows of a plastic entry begin in those of the PE */
    uint32_t weight, row;
};

struct spin_pe {
    uint32_t model, n, mask, entries, history, n_learners, n_rows, n_weights, chip, core; /* mask: of slots */
    uint32_t row_words, word_bytes, n_decays, n_shapes;
    const struct spin_entry *table;
    const struct spin_conv *shapes;
    const struct spin_learner *learners;
    const uint32_t *rows;
    const float *decays;
    const uint8_t *words;
    const void *neurons; /* of the model */
    struct spin_plastic *plastic; /* of each entry; NULL if none learns */
    /* State. */
    float *u, *v, *sums;
    uint16_t *left, *weights;
    uint32_t *ring, *posts; /* accumulators; post spikes of each learner's neurons so far */
    struct spin_spike *post, *pre;
};

struct spin_slice {
    uint32_t key, n, pe, atom, first; /* atom: of all; first: among the neurons of its PE */
    uint32_t element;                 /* of atom 0, or where the elements of its atoms are listed */
    uint32_t link, links;             /* what its packets do */
    uint32_t bits;                    /* first word of its spikes */
    uint8_t phase, flags;
};

struct spin_link { /* an entry of a PE's table to which the packets of a slice come */
    uint16_t pe, entry;
};

struct spin_machine {
    uint32_t phases, n_pes, n_slices, n_chips, n_atoms, n_links, n_entries, n_listed, n_in, n_out, n_words, most;
    bool graded, values, learns; /* packets carry payloads; values are sent; some PE learns */
    const int32_t *chips;       /* x and y of each */
    const uint32_t *router_ptr; /* entries of each chip */
    const uint32_t *router;     /* key, mask, SPIN_ROUTE_WORDS words of PEs, links */
    const uint32_t *listed;     /* elements of atoms */
    const uint32_t *slice_records;
    struct spin_pe *pes;
    struct spin_slice *slices;
    struct spin_link *links;
    uint32_t *bits;  /* which atoms have sent in this tick */
    uint32_t *fired; /* those of one slice, ascending */
    float *payload;  /* of each atom; NULL where packets carry none */
    uint8_t *state;
    uint32_t state_bytes;
};

#define SPIN_ROUTER_WORDS (2u + SPIN_ROUTE_WORDS + 1u)
#define SPIN_PHASE(rest) ((rest) >> 4 & 15)
#define SPIN_DELAY(rest) ((rest) >> 8 & 15)
#define SPIN_INDEX(rest) ((rest) >> 12)

/* The rows of an explicit entry: n, where its words begin, n + 1 counts of 16 bits. */
static inline const uint16_t *spin_rows(const struct spin_pe *pe, uint32_t rest)
{
    return (const uint16_t *)(pe->rows + SPIN_INDEX(rest) + 2);
}

static inline const uint8_t *spin_words(const struct spin_pe *pe, uint32_t rest)
{
    return pe->words + pe->rows[SPIN_INDEX(rest) + 1];
}

/* Which element an atom of a slice is. */
static inline uint32_t spin_element(const struct spin_machine *m, const struct spin_slice *s, uint32_t atom)
{
    return s->flags & SPIN_CONSECUTIVE ? s->element + atom : m->listed[s->element + atom];
}

static inline uint32_t spin_ports(uint32_t model)
{
    return model == SPIN_EGRU ? SPIN_PORTS : model == SPIN_SOURCE ? 0 : 1;
}

/* Checks all of an image and takes what it needs from the arena. */
uint8_t spin_bind(struct spin_machine *m, const struct hw_image *image, struct hw_arena *arena, struct hw_why *why);
/* A PE's image; how many words and rows learn is counted on the way. */
uint8_t spin_check_pe(struct spin_pe *pe, const uint8_t *image, uint32_t bytes, uint32_t phases, struct hw_why *why);
uint8_t spin_check_entries(struct spin_pe *pe, struct hw_why *why);
uint8_t spin_check_conv(const struct spin_pe *pe, uint32_t index, uint32_t *senders, struct hw_why *why);
/* Follows the packets of all slices and fills in their links. */
uint8_t spin_route(struct spin_machine *m, struct hw_arena *arena, struct hw_why *why);
/* Gives every PE its part of the state; the bytes of all. */
uint64_t spin_lay_out(struct spin_machine *m, uint8_t *state);
void spin_reset(struct spin_machine *m);
uint8_t spin_check_state(const struct spin_machine *m, struct hw_why *why);

/* One step of the neurons of a slice; marks what fires in its bits. */
void spin_step_slice(struct spin_machine *m, struct spin_slice *s, uint32_t t, struct hw_outputs *out);
/* Adds what n packets, by atom, do through one entry of a PE's table; t: their step. */
void spin_deliver(struct spin_pe *pe, uint32_t entry, uint32_t key, const uint32_t *atoms, uint32_t n, uint32_t t);
/* One packet with a payload. */
void spin_deliver_csr(struct spin_pe *pe, uint32_t entry, uint32_t row, float payload, uint32_t t);
void spin_convolve(struct spin_pe *pe, uint32_t rest, uint32_t atom, uint32_t *slot);
/* Learning: a pre spike of a row at step t, then its words are delivered; a post spike of a neuron. */
void spin_learn_row(struct spin_pe *pe, uint32_t entry, uint32_t row, uint32_t t);
void spin_learn_post(struct spin_pe *pe, uint32_t neuron, uint32_t t);

#endif
