/* Tables and state of the pulse engine. */
#ifndef HW_SFQ_ENGINE_H
#define HW_SFQ_ENGINE_H

#include "circuit.h"

#define SFQ_MOST_INPUTS 255u
#define SFQ_MOST_OUTPUTS 8u
#define SFQ_MOST_STATES 127u
#define SFQ_MOST_FS 0x7FFFFFFFu /* of a cell's times */
#define SFQ_MOST_BITS 62u       /* of a counter */
#define SFQ_NO_NET 0xFFFFFFFFu
#define SFQ_STATE_BITS 7u /* of a pin's last pulse: (time + 1) << 7 | state of the cell before it; 0: there was none */

enum sfq_kind { SFQ_NOTHING = 0, SFQ_COUNTER = 1, SFQ_LOOP = 2 };

/* SFQ_TYPES. table: where its states * inputs entries of SFQ_TABLE begin. critical: states * inputs * inputs fs of
   SFQ_CRITICAL, by the state in which a pulse at `prev` came, prev, and the pin of the next one. absorb: inputs * inputs
   of SFQ_ABSORB. window: the largest of these. soma: 1 for a soma, which has no tables. */
struct sfq_type {
    uint32_t inputs, outputs, states, table, critical, absorb, window, soma;
};

/* SFQ_TABLE: the state after a pulse, and the outputs that pulse, as bits. */
struct sfq_entry {
    uint8_t next, fires;
};

/* SFQ_CELLS. pin, out: its first input and output when those of all cells are numbered through. delay: fs from the input
   that fires to the outputs; -1: dead; of a soma 0 or -1. */
struct sfq_cell {
    uint32_t type, pin, out, soma;
    int32_t delay;
};

/* SFQ_NETS: the input pin to which it leads, by its place at the cell; neuron: 1 + the neuron whose pulses are captured
   here, or 0. SFQ_OUTS: of each output, the net that it drives, or SFQ_NO_NET. */
struct sfq_net {
    uint32_t cell, pin, neuron;
};

/* SFQ_SOMAS. theta: A; fold: fs, the soma's own time; its branches and the points of its latency in their sections. */
struct sfq_soma {
    double theta, fold;
    uint32_t branch, branches, late, lates;
};

/* SFQ_BRANCHES: what a pulse adds, A; how it decays, fs; what is lost when the soma fires, A. */
struct sfq_branch {
    double weight, tau, loss;
};

/* SFQ_LATE: overdrive in A and latency in fs, ascending by overdrive. */
struct sfq_late {
    double over, fs;
};

/* SFQ_HELD: one of sfq_kind. Of a counter: its cells from the lowest bit are n entries of SFQ_BITS from `first` on, zero
   is its count at v = 0. Of a loop: its soma is `first`. */
struct sfq_held {
    int64_t zero;
    uint32_t kind, first, n, unused;
};

struct sfq_tables {
    const struct sfq_type *types;
    const struct sfq_entry *table;
    const uint32_t *critical, *absorb, *outs, *bits;
    const struct sfq_cell *cells;
    const struct sfq_net *nets;
    const struct sfq_soma *somas;
    const struct sfq_branch *branches;
    const struct sfq_late *lates;
    const struct sfq_held *helds;
    uint32_t n_types, n_table, n_critical, n_absorb, n_outs, n_bits, n_cells, n_nets, n_somas, n_branches, n_lates,
        n_helds, n_neurons;
    uint32_t n_pins, net_bits, queue;
};

/* tally.most and queued come first, then, in this order: last (pins), moment (somas), current (branches), queue, state. */
struct sfq_running {
    struct sfq_tally *tally;
    uint64_t *queued, *last, *moment, *queue;
    double *current;
    uint8_t *state;
};

/* Fills in the tables of an image after a check of everything in them. */
uint8_t sfq_read_tables(const struct hw_image *image, struct sfq_tables *tables, struct hw_why *why);

/* A pulse at a branch of a soma: whether it fires; then *delay, fs, is the time until the output pulse. */
bool sfq_soma_pulse(const struct sfq_tables *w, const struct sfq_running *r, uint32_t soma, uint32_t pin, uint64_t time,
                    uint64_t *delay);
/* A: the sum of its branches' currents at a time after its last pulse. */
double sfq_soma_current(const struct sfq_tables *w, const struct sfq_running *r, uint32_t soma, uint64_t time);

#endif
