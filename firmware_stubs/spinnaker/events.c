/* What packets do to the accumulators of a PE. Sums of integers wrap at 32 bits. */
#include "machine.h"

static uint32_t *slot_of(const struct spin_pe *pe, uint32_t step)
{
    return pe->ring + (step & pe->mask) * pe->n;
}

static void add_narrow(struct spin_pe *pe, const uint16_t *word, const uint16_t *end, uint32_t step)
{
    for (; word < end; word++) {
        uint32_t w = *word, magnitude = w >> 8 & 15;
        slot_of(pe, step + (w >> 13))[w & 255] += w & 1 << 12 ? 0 - magnitude : magnitude;
    }
}

static void add_bytes(uint32_t *slot, const uint16_t *word, const uint16_t *end)
{
    for (; word < end; word++) {
        uint32_t w = *word;
        slot[w & 255] += (uint32_t)(int32_t)(int8_t)(uint8_t)(w >> 8);
    }
}

static void add_wide(struct spin_pe *pe, const uint32_t *word, const uint32_t *end, uint32_t step)
{
    for (; word < end; word++) {
        uint32_t w = *word;
        slot_of(pe, step + (w >> 10 & 7))[w & 1023] += (uint32_t)(int32_t)(int16_t)(uint16_t)(w >> 16);
    }
}

void spin_deliver(struct spin_pe *pe, uint32_t entry, uint32_t key, const uint32_t *atoms, uint32_t n, uint32_t t)
{
    const struct spin_entry *e = pe->table + entry;
    uint32_t rest = e->rest, kind = rest & 15, first = key & ~e->mask, step = t + SPIN_DELAY(rest);
    if (kind == SPIN_CONV) {
        for (uint32_t i = 0; i < n; i++)
            spin_convolve(pe, rest, first + atoms[i], slot_of(pe, step));
        return;
    }
    if (kind == SPIN_PLASTIC) {
        for (uint32_t i = 0; i < n; i++)
            spin_learn_row(pe, entry, first + atoms[i], t);
        return;
    }
    const uint16_t *row = spin_rows(pe, rest) + first;
    const uint16_t *half = (const uint16_t *)spin_words(pe, rest);
    const uint32_t *word = (const uint32_t *)spin_words(pe, rest);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t from = row[atoms[i]], to = row[atoms[i] + 1];
        if (kind == SPIN_NARROW)
            add_narrow(pe, half + from, half + to, step);
        else if (kind == SPIN_BYTE)
            add_bytes(slot_of(pe, step), half + from, half + to);
        else
            add_wide(pe, word + from, word + to, step);
    }
}

void spin_deliver_csr(struct spin_pe *pe, uint32_t entry, uint32_t row, float payload, uint32_t t)
{
    uint32_t rest = pe->table[entry].rest;
    const uint16_t *ptr = spin_rows(pe, rest) + row;
    const struct spin_weight *word = (const struct spin_weight *)spin_words(pe, rest), *end = word + ptr[1];
    float *slot = pe->sums + ((t + SPIN_DELAY(rest)) & pe->mask) * SPIN_PORTS * pe->n;
    for (word += ptr[0]; word < end; word++)
        slot[word->target] += word->weight * payload;
}

/* Where a kernel's row or column k takes a sender at `place` (with the padding): to + 1, or 0 if nowhere. */
static inline uint32_t reached(int32_t place, int32_t k, int32_t dilation, int32_t stride, int32_t first, int32_t n)
{
    int32_t at = place - k * dilation;
    if (at < 0 || (stride != 1 && at % stride))
        return 0;
    at = (stride != 1 ? at / stride : at) - first;
    return at < 0 || at >= n ? 0 : (uint32_t)at + 1;
}

/* Adds the weights of n channels, so many apart. */
static inline void add_kernel(uint32_t *to, uint32_t plane, const uint8_t *kernel, uint32_t apart, uint32_t n,
                              bool narrow)
{
    const int8_t *bytes = (const int8_t *)kernel;
    const int16_t *words = (const int16_t *)kernel;
    if (narrow)
        for (; n; n--, to += plane, bytes += apart)
            *to += (uint32_t)(int32_t)*bytes;
    else
        for (; n; n--, to += plane, words += apart)
            *to += (uint32_t)(int32_t)*words;
}

void spin_convolve(struct spin_pe *pe, uint32_t rest, uint32_t atom, uint32_t *slot)
{
    const struct spin_conv *f = pe->shapes + SPIN_INDEX(rest);
    uint32_t in_plane = (uint32_t)f->in_height * (uint32_t)f->in_width;
    int32_t c = (int32_t)(atom / in_plane), inside = (int32_t)(atom % in_plane);
    int32_t y = inside / f->in_width, x = inside % f->in_width, channel = c + f->in_channel;
    int32_t group = channel / f->group_in, low = group * f->group_out - f->out_channel, high = low + f->group_out;
    low = low < 0 ? 0 : low;
    high = high > f->out_channels ? f->out_channels : high;
    if (low >= high)
        return;
    uint32_t kernel_plane = (uint32_t)f->kernel_y * (uint32_t)f->kernel_x, width = (uint32_t)f->weight_bytes;
    uint32_t out_plane = (uint32_t)f->out_height * (uint32_t)f->out_width, apart = (uint32_t)f->group_in * kernel_plane;
    const uint8_t *kernel = pe->words + f->at_kernel +
                            width * ((uint32_t)low * apart + (uint32_t)(channel % f->group_in) * kernel_plane);
    slot += (uint32_t)f->first + (uint32_t)low * out_plane;
    y += f->in_y + f->pad_y;
    x += f->in_x + f->pad_x;
    for (int32_t ky = 0; ky < f->kernel_y; ky++) {
        uint32_t row = reached(y, ky, f->dilation_y, f->stride_y, f->out_y, f->out_height);
        for (int32_t kx = 0; row && kx < f->kernel_x; kx++) {
            uint32_t column = reached(x, kx, f->dilation_x, f->stride_x, f->out_x, f->out_width);
            if (column)
                add_kernel(slot + (row - 1) * (uint32_t)f->out_width + (column - 1), out_plane,
                           kernel + width * (uint32_t)(ky * f->kernel_x + kx), apart, (uint32_t)(high - low),
                           width == 1);
        }
    }
}
