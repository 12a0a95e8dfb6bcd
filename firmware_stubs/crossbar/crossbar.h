/* What the parts of the crossbar runner share: the program as bind has found it, and room for one read.

   Sections of an image (layout 1), elements behind each other, u32 unless said otherwise:
    0 settings    inputs, populations, blocks, bits of an input that a row takes at once (0: any value), rows and
                  columns of a macro, flags (1: readings of the cells are part of the state; 2: columns are ladders)
    1 amounts     f64: volts of a row whose input is 1; S by which a reading may miss its target
    2 senders     inputs, then populations: elements, steps held
    3 populations reset by subtraction?, does a spike need v >= threshold (or v >)?, does it fire?, 0
    4 neurons     f64, all of each in turn: decay_u, decay_v, bias, v_threshold, reset_by, u and v before the first step
    5 refractory  steps of each neuron; absent if none has any
    6 blocks      see enum crossbar_size
    7 segments    of all blocks: sender, steps of delay, rows
    8 sources     i32, block by block and use by use: the element of the segment's sender that drives a row, or -1
    9 row_at, 10 column_at: physical places
   11 weights     f64 (rows, channels): A per unit of input, with the converter's gain; none of blocks with ladders
   12 channels    f64: A of a step (0: no converter), offset in steps, gain
   13 phases      of each channel
   14 columns     channel, i32 sign
   15 coefs       f64, of each entry; 16 entry_channel; 17 entry_out: i32, use by use, -1: nothing
   18 order       flat cells of a block in the order in which they are written; 19 targets: f32 S, in this order
   20 made        f64 (rows, columns): S that the emulated array's cells have once they are written
   21 ladders     f64, by physical rank of a row: ohm of the source line above it, then of the bit line below it
   22 ranks       of the rows of blocks with ladders */
#ifndef HW_CROSSBAR_H
#define HW_CROSSBAR_H

#include "../common/runner.h"

enum crossbar_section {
    S_SETTINGS, S_AMOUNTS, S_SENDERS, S_POPULATIONS, S_NEURONS, S_REFRACTORY, S_BLOCKS, S_SEGMENTS, S_SOURCES, S_ROW_AT,
    S_COLUMN_AT, S_WEIGHTS, S_CHANNELS, S_PHASES, S_COLUMNS, S_COEFS, S_ENTRY_CHANNEL, S_ENTRY_OUT, S_ORDER, S_TARGETS,
    S_MADE, S_LADDERS, S_RANKS, S_COUNT
};

enum crossbar_setting { INPUTS, POPULATIONS, BLOCKS, DAC_BITS, ROWS_OF_MACRO, COLUMNS_OF_MACRO, FLAGS, SETTINGS };
enum crossbar_flag { READINGS = 1, GATED = 2 };

enum { INPUT_BITS = 32 }; /* of an input's magnitude: slices beyond them are empty */

struct crossbar_sender {
    uint32_t first; /* its first element among those of all inputs, or of all populations */
    uint32_t n, depth, width; /* width: words of a step: one for each input, one bit for each neuron */
    uint32_t *ring, *active; /* (depth, width): what it has sent; (depth): how many of a step are not 0 */
};

struct crossbar_population {
    uint32_t subtract, at_threshold, fires, none;
};

struct crossbar_segment {
    uint32_t sender, delay, rows;
};

struct crossbar_channel {
    double step, offset, gain;
};

struct crossbar_column {
    uint32_t channel;
    int32_t sign;
};

enum crossbar_size {
    ROWS, COLUMNS, CHANNELS, USES, ENTRIES, SEGMENTS, TARGET, MACRO, NATIVE, PHASES, CODE_LOW, CODE_HIGH, WRITTEN, SIZES
};

struct crossbar_block {
    uint32_t rows, columns, channels, uses, entries, segments, target, macro, native, phases, written;
    double code_low, code_high;
    const struct crossbar_segment *segment;
    const int32_t *source; /* (uses, rows) */
    const uint32_t *row_at, *column_at;
    const double *weight; /* (rows, channels), NULL with a ladder */
    const struct crossbar_channel *channel;
    const struct crossbar_column *column;
    uint32_t *by_phase, *phase_end; /* channels, those of the first phase first; (phases): where those of each end */
    const double *coef;
    const uint32_t *entry_channel;
    const int32_t *entry_out; /* (uses, entries) */
    uint32_t out_first, out_end; /* neurons of the target that get something */
    double *rest; /* (channels) A that a converter gives for no current */
    bool rests; /* is one of them not 0? */
    const uint32_t *order;
    const float *aim; /* (written) */
    const double *made; /* (rows, columns) */
    const double *source_ohm, *bit_ohm; /* (rows), NULL without a ladder */
    const uint32_t *rank; /* (rows), NULL without a ladder */
    uint32_t first_cell; /* among those of all blocks */
};

/* Rows that are driven, in order, and what drives them; end: of each segment, how many of them there are up to it. */
struct crossbar_rows {
    uint32_t n, *row, *end;
    int32_t *x;
    bool ones; /* is every x 1? */
};

/* All that changes; in this order in one piece, and the senders' rings behind it. */
struct crossbar_state {
    uint32_t *report; /* cells written, of which a reading missed its target */
    double *u, *v, *reading; /* reading: of each cell after it was written, NULL unless asked for */
    uint32_t *left; /* steps for which v still rests */
    uint8_t *base;
    uint32_t bytes;
};

struct crossbar {
    uint32_t inputs, populations, senders, blocks, neurons, cells, rows_of_macro, columns_of_macro, dac_bits, flags;
    double volts, tolerance;
    struct crossbar_sender *sender;
    const struct crossbar_population *population;
    const double *decay_u, *decay_v, *bias, *threshold, *reset_by, *u_first, *v_first;
    const uint32_t *refractory; /* NULL if nothing rests */
    struct crossbar_block *block;
    struct crossbar_state state;
    /* room for one step */
    struct crossbar_rows driven, slice;
    double *amperes, *total; /* (most channels) */
    double *own, *input; /* (neurons): sums of one block, of all */
};

/* runner.c holds the program that is loaded; bind.c and blocks.c fill it in, write.c writes the cells, read.c reads. */
uint8_t crossbar_bind(struct crossbar *c, const struct hw_image *image, struct hw_arena *arena, struct hw_why *why);
uint8_t crossbar_write_cells(struct crossbar *c, struct hw_why *why);
void crossbar_read_step(struct crossbar *c, uint32_t t);
double crossbar_convert(const struct crossbar_block *b, uint32_t channel, double amperes);

/* The slot of a ring that holds what was sent `delay` steps before step t; delay < depth. */
static inline uint32_t crossbar_slot(const struct crossbar_sender *s, uint32_t t, uint32_t delay)
{
    uint32_t now = t % s->depth;
    return now >= delay ? now - delay : now + (s->depth - delay);
}

/* What an element of a sender has sent, in the words of one step: the value of an input, 1 or 0 of a neuron. */
static inline int32_t crossbar_sent(const uint32_t *words, bool bits, uint32_t element)
{
    if (bits)
        return (int32_t)(words[element / 32] >> (element % 32) & 1);
    int32_t value;
    memcpy(&value, &words[element], sizeof value);
    return value;
}

#endif
