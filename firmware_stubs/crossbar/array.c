/* An emulated die behind the driver interface. Its cells are, once written, what the image says that writing makes of
   them. Currents of driven rows, and of ideal wires, are a matrix times the inputs, wires included. Where rows switch
   transistors and lines have resistance, columns are ladders, each solved exactly for the rows that are on. */
#include "array.h"

static const struct crossbar *chip;
static uint32_t *written; /* a bit for each cell */
static double *current, *part; /* (most channels): what goes into the converters; that of one segment */
static double *into, *share, *ohms; /* (most columns): see walk */
static uint32_t *on, *row_on; /* (most rows): physical ranks of the rows that are on, ascending, and their numbers */
static uint32_t *mark; /* (most rows), by rank: number of a row that is on, plus 1; 0 between reads */

uint8_t array_attach(const struct crossbar *c, struct hw_arena *arena)
{
    uint32_t rows = 0, columns = 0, channels = 0;
    for (uint32_t i = 0; i < c->blocks; i++) {
        const struct crossbar_block *b = &c->block[i];
        rows = b->rows > rows ? b->rows : rows;
        columns = b->columns > columns ? b->columns : columns;
        channels = b->channels > channels ? b->channels : channels;
    }
    if (!(c->flags & GATED))
        rows = columns = 0;
    chip = c;
    written = hw_take(arena, (uint64_t)c->cells / 32 + 1, 4);
    current = hw_take(arena, channels, 8);
    part = hw_take(arena, channels, 8);
    into = hw_take(arena, columns, 8);
    share = hw_take(arena, columns, 8);
    ohms = hw_take(arena, columns, 8);
    on = hw_take(arena, rows, 4);
    row_on = hw_take(arena, rows, 4);
    mark = hw_take(arena, rows, 4);
    return written && current && part && into && share && ohms && on && row_on && mark ? HW_OK : HW_E_NOMEM;
}

/* A cell that was written keeps what it got: a second write would be a mistake of the order. */
static bool take_write(uint32_t block, uint32_t cell)
{
    uint32_t at = chip->block[block].first_cell + cell, bit = 1u << (at % 32);
    if (written[at / 32] & bit)
        return false;
    written[at / 32] |= bit;
    return true;
}

bool array_write(uint32_t block, uint32_t cell, float siemens)
{
    (void)siemens; /* what this die makes of it is in the image */
    return take_write(block, cell);
}

bool array_form(uint32_t block, uint32_t cell)
{
    return take_write(block, cell);
}

double array_measure(uint32_t block, uint32_t cell)
{
    return chip->block[block].made[cell];
}

/* Adds a row of weights, times its input, to currents. */
static void add_row(double *restrict to, const double *restrict weight, uint32_t n, int32_t x)
{
    if (x == 1) {
        for (uint32_t k = 0; k < n; k++)
            to[k] += weight[k];
        return;
    }
    double factor = x;
    for (uint32_t k = 0; k < n; k++) {
        double product = weight[k] * factor;
        to[k] += product;
    }
}

/* Currents of rows in order, segment by segment; the sums of segments are added one after another. */
static void multiply(const struct crossbar_block *b, const struct crossbar_rows *rows)
{
    uint32_t i = 0;
    memset(current, 0, 8 * (size_t)b->channels);
    for (uint32_t q = 0; q < b->segments; q++) {
        if (rows->end[q] == i)
            continue;
        double *to = b->segments == 1 ? current : part;
        memset(to, 0, 8 * (size_t)b->channels);
        for (; i < rows->end[q]; i++)
            add_row(to, b->weight + (size_t)rows->row[i] * b->channels, b->channels, rows->x[i]);
        for (uint32_t k = 0; to == part && k < b->channels; k++)
            current[k] += part[k];
    }
}

/* Sorts the rows that are on; returns how many there are. */
static uint32_t by_rank(const struct crossbar_block *b, const struct crossbar_rows *rows)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < rows->n; i++)
        mark[b->rank[rows->row[i]]] = rows->row[i] + 1;
    for (uint32_t j = 0; j < b->rows; j++) {
        if (mark[j]) {
            row_on[n] = mark[j] - 1;
            on[n++] = j;
        }
        mark[j] = 0;
    }
    return n;
}

/* One step up the ladders, over s ohm of source line and d ohm of bit line, to a row with conductances g. */
static void climb(double *restrict y, double *restrict u, double *restrict f, const double *g, uint32_t columns,
                  double s, double d)
{
    for (uint32_t k = 0; k < columns; k++) {
        double passed = 1.0 / (1.0 + (s + d) * y[k]), rest = 1.0 - u[k];
        double more = s * d * y[k] + s * rest * rest + d * u[k] * u[k];
        f[k] += more * passed;
        u[k] = (s * y[k] + u[k]) * passed;
        y[k] = g[k] + y[k] * passed;
    }
}

/* Currents of all columns, left in `into`, for the rows that are on.

   From the sense end up: what lies below a row is a two-port between its source and bit nodes. y (into): A into the
   cells per V between the nodes; u (share): share of the column's current that runs in the bit line there already;
   f (ohms): ohm that this current meets below. */
static void walk(const struct crossbar_block *b, uint32_t n)
{
    double down = 0.0, up = 0.0;
    const double *last = b->made + (size_t)row_on[n - 1] * b->columns;
    for (uint32_t j = on[n - 1]; j < b->rows; j++)
        down += b->bit_ohm[j];
    for (uint32_t k = 0; k < b->columns; k++) {
        into[k] = last[k];
        share[k] = 1.0;
        ohms[k] = down;
    }
    for (uint32_t i = n - 1; i-- > 0;) {
        double s = 0.0, d = 0.0;
        for (uint32_t j = on[i]; j < on[i + 1]; j++) {
            s += b->source_ohm[j + 1];
            d += b->bit_ohm[j];
        }
        climb(into, share, ohms, b->made + (size_t)row_on[i] * b->columns, b->columns, s, d);
    }
    for (uint32_t j = 0; j <= on[0]; j++)
        up += b->source_ohm[j];
    for (uint32_t k = 0; k < b->columns; k++)
        into[k] = chip->volts * into[k] / ((up + ohms[k]) * into[k] + share[k] * share[k]);
}

/* The same, added to and taken from the channels, and times the converters' gain. */
static void through_ladders(const struct crossbar_block *b, const struct crossbar_rows *rows)
{
    memset(current, 0, 8 * (size_t)b->channels);
    walk(b, by_rank(b, rows));
    for (uint32_t k = 0; k < b->columns; k++) {
        double signed_current = b->column[k].sign * into[k];
        current[b->column[k].channel] += signed_current;
    }
    for (uint32_t k = 0; k < b->channels; k++)
        current[k] *= b->channel[k].gain;
}

void array_drive(uint32_t block, const struct crossbar_rows *rows)
{
    const struct crossbar_block *b = &chip->block[block];
    if (b->rank)
        through_ladders(b, rows);
    else
        multiply(b, rows);
}

void array_sense(uint32_t block, uint32_t phase, double *amperes)
{
    const struct crossbar_block *b = &chip->block[block];
    for (uint32_t i = phase ? b->phase_end[phase - 1] : 0; i < b->phase_end[phase]; i++)
        amperes[b->by_phase[i]] = current[b->by_phase[i]];
}
