/* What an image has to keep, so that no step can reach outside it. */
#include "loihi.h"

#define LONGEST 64u       /* steps of a delay: 63 and the one that every connection takes (lava-nc 0.10.0) */
#define MOST_SCALE 65536  /* a sum, and mantissa (16 bits) x scale x value (32 bits), fit 64 bits */
#define KEEP_ALL (1 << 30)
#define BAD(text, value, limit) hw_refuse(why, HW_E_IMAGE, text, value, limit)

/* Are the entries of a row inside its span, and its delays inside the ring? */
static bool entries_fit(const struct machine *m, const struct row *r)
{
    const uint32_t *word = m->data + r->at;
    uint32_t form = r->form & 0xFF;
    if (form == RUN8 || form == RUN16)
        return r->span / (form == RUN8 ? 4 : 2) >= r->words;
    if (form == WIDE && r->words % 2)
        return false;
    for (uint32_t k = 0; k < r->words; k++) {
        uint32_t to = form == WIDE ? word[k++] : word[k] & 0xFFFF;
        uint32_t delay = form == WIDE ? word[k] & 0xFF : form == LATE ? word[k] >> 16 & 0xFF : 1;
        if (to >= r->span || delay < 1 || delay > m->slots)
            return false;
    }
    return true;
}

static bool row_fits(const struct machine *m, const struct row *r, uint32_t n_data)
{
    uint32_t delay = r->form >> 8;
    return (r->form & 0xFF) < ROW_FORMS && delay >= 1 && delay <= m->slots && r->words && r->at <= n_data &&
           r->words <= n_data - r->at && r->scale <= MOST_SCALE && r->scale >= -MOST_SCALE && r->span <= m->stride &&
           entries_fit(m, r);
}

uint8_t loihi_check_synapses(const struct machine *m, uint32_t n_rows, uint32_t n_segments, uint32_t n_data,
                             struct hw_why *why)
{
    uint32_t senders = m->n_in + m->n_out;
    if (m->ptr[0] || m->ptr[senders] != n_segments)
        return BAD("senders have other segments than there are", m->ptr[senders], n_segments);
    for (uint32_t s = 0; s < senders; s++)
        if (m->ptr[s] > m->ptr[s + 1])
            return BAD("the segments of a sender end before they begin", s, senders);
    for (uint32_t r = 0; r < n_rows; r++)
        if (!row_fits(m, m->rows + r, n_data))
            return BAD("a row of synapses lies outside the image or its accumulators", r, n_rows);
    for (uint32_t g = 0; g < n_segments; g++) {
        const struct segment *s = m->segments + g;
        if (s->row >= n_rows || s->base > m->stride || m->rows[s->row].span > m->stride - s->base)
            return BAD("a segment reaches beyond the accumulators", g, n_segments);
    }
    return HW_OK;
}

static bool within(int32_t x, int32_t low, int32_t high)
{
    return x >= low && x <= high;
}

/* Are these numbers ones that the model can compute with? */
static bool class_fits(const int32_t *p, uint32_t model)
{
    bool keeps = within(p[KEEP_U], 0, KEEP_ALL) && within(p[KEEP_V], 0, KEEP_ALL);
    if (model == LIF)
        return keeps && p[INTERVAL] >= 0;
    if (model == ATRLIF)
        return keeps && within(p[KEEP_THETA], 0, KEEP_ALL) && within(p[KEEP_R], 0, KEEP_ALL);
    if (model == RF || model == RF_IZ)
        return within(p[DECAY_BITS], 0, 31) && within(p[RF_EXP], 0, 31);
    if (model == SIGMA_DELTA || model == DELTA)
        return within(p[SHIFT_IN], 0, 31) && within(p[SHIFT_OUT], 0, 31);
    return true;
}

static bool classes_fit(const struct machine *m, const struct block *b, const uint16_t *index, uint32_t n_classes)
{
    uint32_t model = b->form & 0xFF;
    if (b->class != EACH)
        return b->class < n_classes && class_fits(m->classes[b->class].p, model);
    for (uint32_t i = 0; i < b->n; i++)
        if (index[i] >= n_classes || !class_fits(m->classes[index[i]].p, model))
            return false;
    return true;
}

static bool block_fits(const struct machine *m, const struct block *b, bool values)
{
    uint32_t model = b->form & 0xFF, more = b->form & ~0xFFu;
    bool second = model == RF || model == RF_IZ, sends_values = model >= SIGMA_DELTA || more & READ_OUT;
    if (model >= MODELS || more & ~(uint32_t)(RESTS | READ_OUT) || (more & RESTS && model != LIF) ||
        (more & READ_OUT && model != LIF && model != SIGMA_DELTA && model != DELTA) || (sends_values && !values))
        return false;
    return b->n && b->n <= m->accumulators && b->accumulator <= m->accumulators - b->n &&
           (!second || b->second <= m->accumulators - b->n);
}

uint8_t loihi_check_neurons(struct machine *m, uint32_t n_classes, uint32_t n_index, bool values, struct hw_why *why)
{
    uint32_t neurons = 0, indices = 0;
    uint64_t words = 1;
    if (m->slots < 1 || m->slots > LONGEST || m->accumulators > 2 * (uint64_t)m->n_out)
        return BAD("more delays or accumulators than there can be", m->slots, LONGEST);
    for (uint32_t k = 0; k < m->n_blocks; k++) {
        const struct block *b = m->blocks + k;
        bool each = b->class == EACH;
        if (!block_fits(m, b, values) || b->n > m->n_out - neurons || (each && b->n > n_index - indices) ||
            !classes_fit(m, b, each ? m->index + indices : NULL, n_classes))
            return BAD("a block of neurons reaches outside the image", k, m->n_blocks);
        neurons += b->n;
        indices += each ? b->n : 0;
        words += (uint64_t)b->n * loihi_states(b->form);
    }
    if (neurons != m->n_out)
        return BAD("blocks hold other neurons than there are", neurons, m->n_out);
    for (uint32_t i = 0; i < m->n_out; i++)
        if (m->element[i] >= m->n_out)
            return BAD("a neuron is no element of a population", m->element[i], m->n_out);
    words += (uint64_t)m->slots * m->stride;
    if (words > 0x3FFFFFFF)
        return BAD("a state of 4 GB or more", (uint32_t)(words >> 2), 0x3FFFFFFF);
    m->state_words = (uint32_t)words;
    return HW_OK;
}
