/* Spikes to accumulators. A row is an array of 32-bit words, whose form says what a word holds:

   RUN8   four signed 8-bit mantissas, for consecutive accumulators      RUN16  two of 16 bits
   LIST   mantissa << 16 | accumulator (16 bits)
   LATE   mantissa (8 bits) << 24 | delay << 16 | accumulator (16 bits)
   WIDE   two words: accumulator; mantissa << 16 | delay

   A weight is mantissa * scale. RUN8, RUN16 and LIST have one delay, that of the row. */
#include "loihi.h"

/* The accumulators of the step that comes `delay` steps after the one of slot `now`. */
static inline int32_t *slot(const struct machine *m, uint32_t now, uint32_t delay)
{
    uint32_t s = now + delay;
    return m->ring + (size_t)(s < m->slots ? s : s - m->slots) * m->stride;
}

static inline void add(int32_t *a, int32_t mantissa, uint32_t factor)
{
    *a = (int32_t)((uint32_t)*a + (uint32_t)mantissa * factor);
}

static void run8(int32_t *restrict a, const int8_t *restrict mantissa, uint32_t words, uint32_t factor)
{
    for (const int8_t *end = mantissa + 4 * (size_t)words; mantissa != end; mantissa += 4, a += 4) {
        add(a, mantissa[0], factor);
        add(a + 1, mantissa[1], factor);
        add(a + 2, mantissa[2], factor);
        add(a + 3, mantissa[3], factor);
    }
}

static void run16(int32_t *restrict a, const uint32_t *restrict word, uint32_t words, uint32_t factor)
{
    for (const uint32_t *end = word + words; word < end; word++, a += 2) {
        uint32_t w = *word;
        add(a, (int16_t)w, factor);
        add(a + 1, (int16_t)(w >> 16), factor);
    }
}

static void list(int32_t *restrict a, const uint32_t *restrict word, uint32_t words, uint32_t factor)
{
    for (const uint32_t *end = word + words; word < end; word++) {
        uint32_t w = *word;
        add(a + (w & 0xFFFF), (int16_t)(w >> 16), factor);
    }
}

static void late(const struct machine *m, uint32_t now, uint32_t base, const uint32_t *word, uint32_t words,
                 uint32_t factor)
{
    for (uint32_t k = 0; k < words; k++) {
        uint32_t w = word[k];
        add(slot(m, now, w >> 16 & 0xFF) + base + (w & 0xFFFF), (int8_t)(w >> 24), factor);
    }
}

static void wide(const struct machine *m, uint32_t now, uint32_t base, const uint32_t *word, uint32_t words,
                 uint32_t factor)
{
    for (uint32_t k = 0; k + 1 < words; k += 2)
        add(slot(m, now, word[k + 1] & 0xFF) + base + word[k], (int16_t)(word[k + 1] >> 16), factor);
}

/* A row of any form and delay. */
static __attribute__((noinline)) void row_fast(const struct machine *m, uint32_t now, const struct row *r,
                                               uint32_t base, uint32_t factor)
{
    const uint32_t *word = m->data + r->at;
    int32_t *a = slot(m, now, r->form >> 8) + base;
    switch (r->form & 0xFF) {
    case RUN8:
        run8(a, (const int8_t *)word, r->words, factor);
        break;
    case RUN16:
        run16(a, word, r->words, factor);
        break;
    case LIST:
        list(a, word, r->words, factor);
        break;
    case LATE:
        late(m, now, base, word, r->words, factor);
        break;
    default:
        wide(m, now, base, word, r->words, factor);
    }
}

static void deliver_fast(const struct machine *m, uint32_t now, uint32_t sender, int32_t value)
{
    const struct row *rows = m->rows;
    const uint32_t *data = m->data;
    int32_t *next = slot(m, now, 1);
    for (uint32_t k = m->ptr[sender], end = m->ptr[sender + 1]; k < end; k++) {
        const struct segment *g = m->segments + k;
        const struct row *r = rows + g->row;
        uint32_t factor = (uint32_t)r->scale * (uint32_t)value;
        if (r->form == (RUN8 | 1 << 8)) /* most are */
            run8(next + g->base, (const int8_t *)(data + r->at), r->words, factor);
        else
            row_fast(m, now, r, g->base, factor);
    }
}

/* |mantissa * factor| is at most 2^15 2^16 2^31, see loihi_check_synapses. */
static inline uint32_t add_checked(int32_t *a, int32_t mantissa, int64_t factor)
{
    int64_t sum = *a + mantissa * factor;
    *a = (int32_t)(uint32_t)(uint64_t)sum;
    return *a != sum;
}

static uint32_t row_checked(const struct machine *m, uint32_t now, const struct row *r, uint32_t base, int64_t factor)
{
    const uint32_t *word = m->data + r->at;
    uint32_t form = r->form & 0xFF, bad = 0;
    int32_t *a = slot(m, now, r->form >> 8) + base;
    for (uint32_t k = 0; k < r->words; k++) {
        uint32_t w = word[k];
        if (form == RUN8) {
            for (uint32_t j = 0; j < 4; j++)
                bad |= add_checked(a++, (int8_t)(w >> 8 * j), factor);
        } else if (form == RUN16) {
            bad |= add_checked(a++, (int16_t)w, factor);
            bad |= add_checked(a++, (int16_t)(w >> 16), factor);
        } else if (form == LIST) {
            bad |= add_checked(a + (w & 0xFFFF), (int16_t)(w >> 16), factor);
        } else if (form == LATE) {
            bad |= add_checked(slot(m, now, w >> 16 & 0xFF) + base + (w & 0xFFFF), (int8_t)(w >> 24), factor);
        } else {
            uint32_t more = word[++k];
            bad |= add_checked(slot(m, now, more & 0xFF) + base + w, (int16_t)(more >> 16), factor);
        }
    }
    return bad;
}

bool loihi_deliver(const struct machine *m, uint32_t now, uint32_t sender, int32_t value, bool fast)
{
    if (fast) {
        deliver_fast(m, now, sender, value);
        return true;
    }
    uint32_t bad = 0;
    for (uint32_t g = m->ptr[sender]; g < m->ptr[sender + 1]; g++) {
        const struct row *r = m->rows + m->segments[g].row;
        bad |= row_checked(m, now, r, m->segments[g].base, (int64_t)r->scale * value);
    }
    return !bad;
}
