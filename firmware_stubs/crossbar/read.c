/* Reads of all blocks in one step: rows, slices, phases, codes, and their sums for the neurons. */
#include "array.h"

/* To the nearest whole number, ties to even. */
static double nearest(double x)
{
    const double whole = 4503599627370496.0; /* 2^52: there is nothing between two neighbours from here on */
    if (x >= 0)
        return x < whole ? x + whole - whole : x;
    return x > -whole ? x - whole + whole : x;
}

/* A that the converter of a channel gives for a current. */
double crossbar_convert(const struct crossbar_block *b, uint32_t channel, double amperes)
{
    const struct crossbar_channel *c = &b->channel[channel];
    if (!(c->step > 0))
        return amperes;
    double scaled = amperes / c->step;
    double code = nearest(scaled + c->offset);
    code = code < b->code_low ? b->code_low : code > b->code_high ? b->code_high : code;
    return code * c->step;
}

static void clear(double *values, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        values[i] = 0.0;
}

/* The rows of a use whose inputs are not 0. */
static void gather(struct crossbar *c, const struct crossbar_block *b, uint32_t use, uint32_t t)
{
    struct crossbar_rows *found = &c->driven;
    const int32_t *source = b->source + (size_t)use * b->rows;
    uint32_t row = 0;
    found->n = 0;
    found->ones = true;
    for (uint32_t q = 0; q < b->segments; q++) {
        const struct crossbar_segment *segment = &b->segment[q];
        const struct crossbar_sender *sender = &c->sender[segment->sender];
        uint32_t slot = crossbar_slot(sender, t, segment->delay), end = row + segment->rows;
        const uint32_t *words = sender->ring + (size_t)slot * sender->width;
        for (; row < end && sender->active[slot]; row++) {
            int32_t x = source[row] < 0 ? 0 : crossbar_sent(words, segment->sender >= c->inputs, (uint32_t)source[row]);
            if (x) {
                found->row[found->n] = row;
                found->x[found->n++] = x;
                found->ones = found->ones && x == 1;
            }
        }
        row = end;
        found->end[q] = found->n;
    }
}

/* The magnitude of an input if it has the sign, else 0. */
static uint32_t magnitude(int32_t x, bool negative)
{
    return (x < 0) != negative ? 0 : negative ? 0u - (uint32_t)x : (uint32_t)x;
}

static uint32_t largest(const struct crossbar_rows *rows, bool negative)
{
    uint32_t top = 0;
    for (uint32_t i = 0; i < rows->n; i++) {
        uint32_t x = magnitude(rows->x[i], negative);
        top = x > top ? x : top;
    }
    return top;
}

/* The rows whose inputs of one sign have something in the slice that begins at bit `shift`. */
static void pick(struct crossbar *c, const struct crossbar_block *b, bool negative, uint32_t shift)
{
    const struct crossbar_rows *all = &c->driven;
    struct crossbar_rows *found = &c->slice;
    uint32_t mask = (1u << c->dac_bits) - 1, i = 0;
    found->n = 0;
    found->ones = true;
    for (uint32_t q = 0; q < b->segments; q++) {
        for (; i < all->end[q]; i++) {
            uint32_t digit = magnitude(all->x[i], negative) >> shift & mask;
            if (digit) {
                found->row[found->n] = all->row[i];
                found->x[found->n++] = (int32_t)digit;
                found->ones = found->ones && digit == 1;
            }
        }
        found->end[q] = found->n;
    }
}

/* Drives rows, converts phase by phase, and adds factor x what comes out to the total. */
static void read_slice(struct crossbar *c, uint32_t number, const struct crossbar_rows *rows, double factor)
{
    const struct crossbar_block *b = &c->block[number];
    array_drive(number, rows);
    for (uint32_t phase = 0, i = 0; phase < b->phases; phase++) {
        array_sense(number, phase, c->amperes);
        for (; i < b->phase_end[phase]; i++) {
            uint32_t k = b->by_phase[i];
            double converted = factor * crossbar_convert(b, k, c->amperes[k]);
            c->total[k] += converted;
        }
    }
}

/* All slices of the inputs of one sign. */
static void read_sign(struct crossbar *c, uint32_t number, bool negative)
{
    const struct crossbar_block *b = &c->block[number];
    uint32_t top = largest(&c->driven, negative);
    for (uint32_t shift = 0; shift < INPUT_BITS && top >> shift; shift += c->dac_bits) {
        double factor = (double)(1u << shift);
        factor = negative ? -factor : factor;
        pick(c, b, negative, shift);
        if (c->slice.n) {
            read_slice(c, number, &c->slice, factor);
        } else {
            for (uint32_t k = 0; k < b->channels; k++) {
                double given = factor * b->rest[k];
                c->total[k] += given;
            }
        }
    }
}

/* Adds what was converted in a use to the sums of the neurons, entry by entry. */
static void distribute(struct crossbar *c, const struct crossbar_block *b, uint32_t use)
{
    size_t first = (size_t)use * b->entries;
    for (uint32_t e = 0; e < b->entries; e++) {
        int32_t out = b->entry_out[first + e];
        if (out >= 0) {
            double product = b->coef[e] * c->total[b->entry_channel[e]];
            c->own[out] += product;
        }
    }
}

/* One use; false if it was skipped and nothing is to be added. */
static bool read_use(struct crossbar *c, uint32_t number, uint32_t use, uint32_t t)
{
    const struct crossbar_block *b = &c->block[number];
    gather(c, b, use, t);
    if (!c->driven.n && !b->rests)
        return false;
    clear(c->total, b->channels);
    if (!c->driven.n) {
        for (uint32_t k = 0; k < b->channels; k++)
            c->total[k] = b->rest[k];
    } else if (c->driven.ones || !c->dac_bits) {
        read_slice(c, number, &c->driven, 1.0);
    } else {
        read_sign(c, number, false);
        read_sign(c, number, true);
    }
    distribute(c, b, use);
    return true;
}

/* Reads all blocks; c->input are the sums of the neurons then. */
void crossbar_read_step(struct crossbar *c, uint32_t t)
{
    clear(c->input, c->neurons);
    for (uint32_t number = 0; number < c->blocks; number++) {
        const struct crossbar_block *b = &c->block[number];
        uint32_t first = c->sender[c->inputs + b->target].first;
        bool gives = false;
        clear(c->own + b->out_first, b->out_end - b->out_first);
        for (uint32_t use = 0; use < b->uses; use++)
            gives |= read_use(c, number, use, t);
        for (uint32_t o = b->out_first; gives && o < b->out_end; o++)
            c->input[first + o] += c->own[o];
    }
}
