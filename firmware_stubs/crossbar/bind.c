/* An image as a program: every size, index and number is checked here, once. */
#include "bind.h"

static const uint32_t element_bytes[S_COUNT] = {
    [S_SETTINGS] = 4, [S_AMOUNTS] = 8, [S_SENDERS] = 8, [S_POPULATIONS] = 16, [S_NEURONS] = 8, [S_REFRACTORY] = 4,
    [S_BLOCKS] = 4 * SIZES, [S_SEGMENTS] = 12, [S_SOURCES] = 4, [S_ROW_AT] = 4, [S_COLUMN_AT] = 4, [S_WEIGHTS] = 8,
    [S_CHANNELS] = 24, [S_PHASES] = 4, [S_COLUMNS] = 8, [S_COEFS] = 8, [S_ENTRY_CHANNEL] = 4, [S_ENTRY_OUT] = 4,
    [S_ORDER] = 4, [S_TARGETS] = 4, [S_MADE] = 8, [S_LADDERS] = 8, [S_RANKS] = 4,
};
enum {
    MOST_DEPTH = (1 << 20) + 1, /* no delay of a program is longer than a million steps */
    MOST_BITS = 24, /* of an input that a row takes at once, as the program's form has it */
};

const void *crossbar_next(struct crossbar_cut *cut, enum crossbar_section section, uint64_t n)
{
    uint32_t used = cut->section[section].used;
    if (n > cut->section[section].count - used) {
        cut->which = cut->lacks ? cut->which : (uint32_t)section;
        cut->lacks = true;
        return NULL;
    }
    if (!n)
        return NULL;
    cut->section[section].used = used + (uint32_t)n;
    return cut->section[section].at + (size_t)used * cut->section[section].size;
}

bool crossbar_below(const uint32_t *value, uint64_t n, uint32_t limit)
{
    for (uint64_t i = 0; i < n; i++)
        if (value[i] >= limit)
            return false;
    return true;
}

bool crossbar_below_or_none(const int32_t *value, uint64_t n, uint32_t limit)
{
    for (uint64_t i = 0; i < n; i++)
        if (value[i] != -1 && (value[i] < 0 || (uint32_t)value[i] >= limit))
            return false;
    return true;
}

bool crossbar_finite(const double *value, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (!(value[i] - value[i] == 0)) /* infinity and what is no number give no number */
            return false;
    return true;
}

static void open_sections(struct crossbar_cut *cut, const struct hw_image *image)
{
    memset(cut, 0, sizeof *cut);
    for (uint32_t s = 0; s < S_COUNT; s++) {
        cut->section[s].size = element_bytes[s];
        cut->section[s].at = hw_section(image, s, element_bytes[s], &cut->section[s].count);
    }
}

static uint8_t bind_settings(struct crossbar *c, struct crossbar_cut *cut, const struct hw_image *image,
                             struct hw_why *why)
{
    const uint32_t *setting = crossbar_next(cut, S_SETTINGS, SETTINGS);
    const double *amount = crossbar_next(cut, S_AMOUNTS, 2);
    if (cut->lacks)
        return hw_refuse(why, HW_E_IMAGE, "the settings are not there", cut->which, S_COUNT);
    c->inputs = setting[INPUTS];
    c->populations = setting[POPULATIONS];
    c->blocks = setting[BLOCKS];
    c->dac_bits = setting[DAC_BITS];
    c->rows_of_macro = setting[ROWS_OF_MACRO];
    c->columns_of_macro = setting[COLUMNS_OF_MACRO];
    c->flags = setting[FLAGS];
    c->volts = amount[0];
    c->tolerance = amount[1];
    if (c->dac_bits > MOST_BITS || c->flags > (READINGS | GATED) || ((c->flags & GATED) && c->dac_bits != 1))
        return hw_refuse(why, HW_E_IMAGE, "an unknown flag, or rows that take too many bits", c->flags, c->dac_bits);
    if (image->value_in != HW_I32)
        return hw_refuse(why, HW_E_IMAGE, "inputs are whole numbers", image->value_in, HW_I32);
    return HW_OK;
}

/* One sender; *first: elements of those of its kind that came before. */
static bool bind_sender(struct crossbar_sender *s, const uint32_t *sizes, bool bits, uint64_t *first)
{
    s->n = sizes[0];
    s->depth = sizes[1];
    s->width = bits ? s->n / 32 + (s->n % 32 != 0) : s->n;
    s->first = (uint32_t)*first;
    *first += s->n;
    return s->depth >= 1 && s->depth <= MOST_DEPTH && *first <= UINT32_MAX;
}

static uint8_t bind_senders(struct crossbar *c, struct crossbar_cut *cut, const struct hw_image *image,
                            struct hw_arena *arena, struct hw_why *why)
{
    uint64_t n = (uint64_t)c->inputs + c->populations, elements = 0, neurons = 0;
    const uint32_t *sizes = crossbar_next(cut, S_SENDERS, n);
    if (cut->lacks)
        return hw_refuse(why, HW_E_IMAGE, "inputs and populations are not there", cut->which, S_COUNT);
    c->senders = (uint32_t)n;
    c->sender = hw_take(arena, n, sizeof *c->sender);
    if (!c->sender)
        return HW_E_NOMEM;
    for (uint32_t s = 0; s < c->senders; s++) {
        bool bits = s >= c->inputs;
        if (!bind_sender(&c->sender[s], sizes + 2 * (size_t)s, bits, bits ? &neurons : &elements))
            return hw_refuse(why, HW_E_IMAGE, "an input or population so large, or held for so long", s, MOST_DEPTH);
    }
    c->neurons = (uint32_t)neurons;
    if (elements != image->n_in || neurons != image->n_out)
        return hw_refuse(why, HW_E_IMAGE, "elements in all are not those of the header", c->neurons, image->n_out);
    return HW_OK;
}

static uint8_t bind_neurons(struct crossbar *c, struct crossbar_cut *cut, const struct hw_image *image,
                            struct hw_why *why)
{
    const double **part[] = {&c->decay_u, &c->decay_v, &c->bias, &c->threshold, &c->reset_by, &c->u_first, &c->v_first};
    bool all_fire = true;
    c->population = crossbar_next(cut, S_POPULATIONS, c->populations);
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++)
        *part[i] = crossbar_next(cut, S_NEURONS, c->neurons);
    c->refractory = cut->section[S_REFRACTORY].count ? crossbar_next(cut, S_REFRACTORY, c->neurons) : NULL;
    if (cut->lacks)
        return hw_refuse(why, HW_E_IMAGE, "parameters of neurons are not there", cut->which, S_COUNT);
    for (uint32_t k = 0; k < c->populations; k++)
        all_fire &= c->population[k].fires != 0;
    if (image->value_out != (all_fire ? HW_ONES : HW_F64))
        return hw_refuse(why, HW_E_IMAGE, "values go out of populations that do not fire, and only then",
                         image->value_out, all_fire ? HW_ONES : HW_F64);
    return HW_OK;
}

/* The next `bytes` of the state, at a multiple of 8; beyond its end nothing. */
static void *room(uint8_t *base, uint64_t *at, uint64_t count, uint32_t size)
{
    uint8_t *found = base ? base + *at : NULL;
    *at += (count * size + 7) & ~(uint64_t)7;
    if (*at > UINT32_MAX) /* more than there can be, and stays so */
        *at = (uint64_t)UINT32_MAX + 1;
    return found;
}

/* Lays the state out; with base NULL only to see how large it is. Its order is known to the host. */
static uint64_t lay_out(struct crossbar *c, uint8_t *base)
{
    struct crossbar_state *s = &c->state;
    uint64_t at = 0;
    s->report = room(base, &at, 2, 4);
    s->u = room(base, &at, c->neurons, 8);
    s->v = room(base, &at, c->neurons, 8);
    s->reading = c->flags & READINGS ? room(base, &at, c->cells, 8) : NULL;
    s->left = room(base, &at, c->neurons, 4);
    for (uint32_t k = 0; k < c->senders; k++) {
        struct crossbar_sender *sender = &c->sender[k];
        sender->active = room(base, &at, sender->depth, 4);
        sender->ring = room(base, &at, (uint64_t)sender->depth * sender->width, 4);
    }
    return at;
}

static uint8_t take_state(struct crossbar *c, struct hw_arena *arena)
{
    uint64_t bytes = lay_out(c, NULL);
    c->state.base = hw_take(arena, bytes, 1);
    c->state.bytes = (uint32_t)bytes;
    if (!c->state.base)
        return HW_E_NOMEM;
    lay_out(c, c->state.base);
    return HW_OK;
}

static bool take_rows(struct crossbar_rows *rows, uint32_t most, uint32_t segments, struct hw_arena *arena)
{
    rows->row = hw_take(arena, most, 4);
    rows->x = hw_take(arena, most, 4);
    rows->end = hw_take(arena, segments, 4);
    return rows->row && rows->x && rows->end;
}

static uint8_t take_room(struct crossbar *c, struct hw_arena *arena)
{
    uint32_t rows = 0, segments = 0, channels = 0;
    for (uint32_t i = 0; i < c->blocks; i++) {
        const struct crossbar_block *b = &c->block[i];
        rows = b->rows > rows ? b->rows : rows;
        segments = b->segments > segments ? b->segments : segments;
        channels = b->channels > channels ? b->channels : channels;
    }
    bool fits = take_rows(&c->driven, rows, segments, arena);
    fits &= take_rows(&c->slice, rows, segments, arena);
    c->amperes = hw_take(arena, channels, 8);
    c->total = hw_take(arena, channels, 8);
    c->own = hw_take(arena, c->neurons, 8);
    c->input = hw_take(arena, c->neurons, 8);
    return fits && c->amperes && c->total && c->own && c->input ? HW_OK : HW_E_NOMEM;
}

static uint8_t nothing_left(const struct crossbar_cut *cut, struct hw_why *why)
{
    for (uint32_t s = 0; s < S_COUNT; s++)
        if (cut->section[s].used != cut->section[s].count)
            return hw_refuse(why, HW_E_IMAGE, "a section has more than it should", s, cut->section[s].used);
    return HW_OK;
}

uint8_t crossbar_bind(struct crossbar *c, const struct hw_image *image, struct hw_arena *arena, struct hw_why *why)
{
    struct crossbar_cut cut;
    memset(c, 0, sizeof *c);
    open_sections(&cut, image);
    uint8_t status = bind_settings(c, &cut, image, why);
    if (status == HW_OK)
        status = bind_senders(c, &cut, image, arena, why);
    if (status == HW_OK)
        status = bind_neurons(c, &cut, image, why);
    if (status == HW_OK)
        status = crossbar_bind_blocks(c, &cut, arena, why);
    if (status == HW_OK)
        status = nothing_left(&cut, why);
    if (status == HW_OK)
        status = take_state(c, arena);
    return status == HW_OK ? take_room(c, arena) : status;
}
