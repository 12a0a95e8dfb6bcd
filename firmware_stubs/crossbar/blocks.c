/* The blocks of an image: sizes, then arrays, then what is in them. */
#include "bind.h"

static void sizes_of(struct crossbar_block *b, const uint32_t *size)
{
    int32_t low, high;
    memcpy(&low, &size[CODE_LOW], sizeof low);
    memcpy(&high, &size[CODE_HIGH], sizeof high);
    b->rows = size[ROWS];
    b->columns = size[COLUMNS];
    b->channels = size[CHANNELS];
    b->uses = size[USES];
    b->entries = size[ENTRIES];
    b->segments = size[SEGMENTS];
    b->target = size[TARGET];
    b->macro = size[MACRO];
    b->native = size[NATIVE];
    b->phases = size[PHASES];
    b->code_low = low;
    b->code_high = high;
    b->written = size[WRITTEN];
}

static bool arrays_of(struct crossbar_block *b, struct crossbar_cut *cut, bool ladders, const uint32_t **phase)
{
    uint64_t rows = b->rows, cells = rows * b->columns;
    b->segment = crossbar_next(cut, S_SEGMENTS, b->segments);
    b->source = crossbar_next(cut, S_SOURCES, b->uses * rows);
    b->row_at = crossbar_next(cut, S_ROW_AT, rows);
    b->column_at = crossbar_next(cut, S_COLUMN_AT, b->columns);
    b->weight = ladders ? NULL : crossbar_next(cut, S_WEIGHTS, rows * b->channels);
    b->channel = crossbar_next(cut, S_CHANNELS, b->channels);
    *phase = crossbar_next(cut, S_PHASES, b->channels);
    b->column = crossbar_next(cut, S_COLUMNS, b->columns);
    b->coef = crossbar_next(cut, S_COEFS, b->entries);
    b->entry_channel = crossbar_next(cut, S_ENTRY_CHANNEL, b->entries);
    b->entry_out = crossbar_next(cut, S_ENTRY_OUT, (uint64_t)b->uses * b->entries);
    b->order = crossbar_next(cut, S_ORDER, b->written);
    b->aim = crossbar_next(cut, S_TARGETS, b->native ? 0 : b->written);
    b->made = crossbar_next(cut, S_MADE, cells);
    b->source_ohm = ladders ? crossbar_next(cut, S_LADDERS, rows) : NULL;
    b->bit_ohm = ladders ? crossbar_next(cut, S_LADDERS, rows) : NULL;
    b->rank = ladders ? crossbar_next(cut, S_RANKS, rows) : NULL;
    return !cut->lacks;
}

/* Segments: whole, of senders that there are, as far back as their rings go; and the sources of their rows. */
static bool segments_fit(const struct crossbar *c, const struct crossbar_block *b)
{
    uint32_t row = 0;
    for (uint32_t q = 0; q < b->segments; q++) {
        const struct crossbar_segment *s = &b->segment[q];
        if (s->sender >= c->senders || !s->rows || s->rows > b->rows - row || s->delay >= c->sender[s->sender].depth)
            return false;
        if (s->sender >= c->inputs && !s->delay)
            return false;
        for (uint32_t use = 0; use < b->uses; use++)
            if (!crossbar_below_or_none(b->source + (size_t)use * b->rows + row, s->rows, c->sender[s->sender].n))
                return false;
        row += s->rows;
    }
    return row == b->rows;
}

static bool columns_fit(const struct crossbar_block *b)
{
    for (uint32_t k = 0; k < b->columns; k++)
        if (b->column[k].channel >= b->channels || (b->column[k].sign != 1 && b->column[k].sign != -1))
            return false;
    return true;
}

/* Is every rank below the number of rows there once? mark: room for as many, 0. */
static bool ranks_fit(const struct crossbar_block *b, uint32_t *mark)
{
    for (uint32_t r = 0; r < b->rows; r++)
        if (b->rank[r] >= b->rows || mark[b->rank[r]]++)
            return false;
    return true;
}

static const char *wrong(const struct crossbar *c, const struct crossbar_block *b, const uint32_t *phase)
{
    uint64_t cells = (uint64_t)b->rows * b->columns, outs = (uint64_t)b->uses * b->entries;
    if (!segments_fit(c, b))
        return "a row of a block has no such sender, element or delay";
    if (!crossbar_below(b->row_at, b->rows, c->rows_of_macro)
        || !crossbar_below(b->column_at, b->columns, c->columns_of_macro))
        return "a row or column lies outside its macro";
    if (!columns_fit(b) || !crossbar_below(b->entry_channel, b->entries, b->channels))
        return "there is no such channel";
    if (!crossbar_below(phase, b->channels, b->phases))
        return "there is no such phase";
    if (!crossbar_below_or_none(b->entry_out, outs, c->sender[c->inputs + b->target].n))
        return "there is no such neuron";
    if (!crossbar_below(b->order, b->written, b->rows * b->columns))
        return "there is no such cell";
    if ((b->weight && !crossbar_finite(b->weight, (uint64_t)b->rows * b->channels)) || !crossbar_finite(b->made, cells)
        || !crossbar_finite((const double *)b->channel, 3 * (uint64_t)b->channels)
        || !crossbar_finite(b->coef, b->entries))
        return "what should be a number is none";
    return NULL;
}

/* Channels by phase: counted, then put in their places. */
static bool sort_channels(struct crossbar_block *b, const uint32_t *phase, struct hw_arena *arena)
{
    b->by_phase = hw_take(arena, b->channels, 4);
    b->phase_end = hw_take(arena, b->phases, 4);
    if (!b->by_phase || !b->phase_end)
        return false;
    for (uint32_t k = 0; k < b->channels; k++)
        b->phase_end[phase[k]]++;
    for (uint32_t p = 0, begin = 0; p < b->phases; p++) {
        uint32_t n = b->phase_end[p];
        b->phase_end[p] = begin; /* grows to the end while channels are put in */
        begin += n;
    }
    for (uint32_t k = 0; k < b->channels; k++)
        b->by_phase[b->phase_end[phase[k]]++] = k;
    return true;
}

static bool find_rest(struct crossbar_block *b, struct hw_arena *arena)
{
    b->rest = hw_take(arena, b->channels, 8);
    for (uint32_t k = 0; b->rest && k < b->channels; k++) {
        b->rest[k] = b->channel[k].step > 0 ? crossbar_convert(b, k, 0.0) : 0.0;
        b->rests |= b->rest[k] != 0;
    }
    return b->rest != NULL;
}

static void find_outs(struct crossbar_block *b)
{
    b->out_first = UINT32_MAX;
    for (uint64_t i = 0; i < (uint64_t)b->uses * b->entries; i++) {
        uint32_t out = (uint32_t)b->entry_out[i];
        if (b->entry_out[i] < 0)
            continue;
        b->out_first = out < b->out_first ? out : b->out_first;
        b->out_end = out >= b->out_end ? out + 1 : b->out_end;
    }
    b->out_first = b->out_first < b->out_end ? b->out_first : b->out_end;
}

static uint8_t bind_block(struct crossbar *c, struct crossbar_block *b, struct crossbar_cut *cut, uint64_t *cells,
                          struct hw_arena *arena, struct hw_why *why)
{
    const uint32_t *phase, number = (uint32_t)(b - c->block);
    bool ladders = c->flags & GATED;
    if (!b->rows || !b->columns || !b->channels || !b->uses || !b->segments || !b->phases || b->phases > b->channels
        || b->target >= c->populations)
        return hw_refuse(why, HW_E_IMAGE, "a block without rows, columns, channels, uses, phases or target", number,
                         c->blocks);
    if (!arrays_of(b, cut, ladders, &phase))
        return hw_refuse(why, HW_E_IMAGE, "a section has less than its blocks need", cut->which, number);
    b->first_cell = (uint32_t)*cells; /* fewer than there are bytes in the image */
    *cells += (uint64_t)b->rows * b->columns;
    const char *problem = wrong(c, b, phase);
    if (problem)
        return hw_refuse(why, HW_E_IMAGE, problem, number, c->blocks);
    if (!sort_channels(b, phase, arena) || !find_rest(b, arena))
        return HW_E_NOMEM;
    find_outs(b);
    uint32_t *mark = ladders ? hw_take(arena, b->rows, 4) : NULL;
    if (!ladders)
        return HW_OK;
    if (!mark)
        return HW_E_NOMEM;
    return ranks_fit(b, mark) ? HW_OK : hw_refuse(why, HW_E_IMAGE, "rows of one rank", number, c->blocks);
}

uint8_t crossbar_bind_blocks(struct crossbar *c, struct crossbar_cut *cut, struct hw_arena *arena, struct hw_why *why)
{
    const uint32_t *size = crossbar_next(cut, S_BLOCKS, c->blocks);
    uint64_t cells = 0;
    if (cut->lacks)
        return hw_refuse(why, HW_E_IMAGE, "blocks are not there", cut->which, S_COUNT);
    c->block = hw_take(arena, c->blocks, sizeof *c->block);
    if (!c->block)
        return HW_E_NOMEM;
    for (uint32_t i = 0; i < c->blocks; i++) {
        sizes_of(&c->block[i], size + (size_t)SIZES * i);
        uint8_t status = bind_block(c, &c->block[i], cut, &cells, arena, why);
        if (status != HW_OK)
            return status;
    }
    c->cells = (uint32_t)cells;
    return HW_OK;
}
