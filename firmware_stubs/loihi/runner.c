/* Runs programs of Loihi and Loihi 2: the cores of all chips as one machine. hwsdk/hil/image_loihi.py writes images.

   Neurons lie in core order, in blocks; accumulators are the inputs of neurons, core by core: those of the core's
   neurons, then the second ones of its resonators. A sender (inputs, then elements of populations) has segments, each a
   row of synapses and the accumulator where it begins; several segments can use a row, as those of a kernel do.

   Sections of layout 1, all little endian:
    0  u32 accumulators A, u32 slots D (steps of the longest delay, 1 to 64), u32 limit: as long as no |value| of an
       input is larger, |u| and |v| stay below 2^29 and every sum on the way in 32 bits; 0: no such promise
    1  blocks: u32 model | block_form, n, accumulator, second, class (EACH: the next n of section 3)
    2  classes: 8 x i32, as loihi.h names them by model
    3  u16 class of each neuron of the blocks without one
    4  i32 bias of each neuron
    5  u32 element of each neuron
    6  i32 initial state, from the first word on; what is not given is 0
    7  u32 first segment of each sender, and the number of segments
    8  segments: u32 row, u32 base
    9  rows: u32 at, words (in section 10); i32 scale; u32 span; u32 row_form | delay << 8
   10  u32 words of the rows, see deliver.c

   A step: neurons take what has come in, then inputs and spikes are brought to the accumulators of later steps. Inputs
   beyond the limit, or none promised, make the state "loud": from then on every sum is checked, and what needs more
   than 32 bits ends the step with E_RANGE; so do the steps after it, until the state is reset or written. */
#include "loihi.h"

#define SLACK 3 /* words of RUN8 are added whole, with zeros behind the last accumulator of a row */

static struct machine m;

/* A section with `count` elements, whatever is in `count` where it may have any number. */
static const void *section(const struct hw_image *image, uint32_t number, uint32_t size, uint32_t *count, bool *good)
{
    uint32_t found, raw;
    const void *at = hw_section(image, number, size, &found);
    hw_section(image, number, 1, &raw);
    *good = *good && raw == (uint64_t)found * size && (!count || *count == EACH || *count == found);
    if (count)
        *count = found;
    return at;
}

struct counts {
    uint32_t classes, index, segments, rows, data;
};

static bool find(const struct hw_image *image, struct counts *n)
{
    bool good = true;
    uint32_t three = 3, bias = image->n_out, elements = image->n_out, senders = image->n_in + image->n_out + 1;
    const uint32_t *head = section(image, 0, 4, &three, &good);
    memset(n, 0xFF, sizeof *n);
    m.n_in = image->n_in;
    m.n_out = image->n_out;
    m.n_blocks = m.n_init = EACH;
    m.blocks = section(image, 1, sizeof *m.blocks, &m.n_blocks, &good);
    m.classes = section(image, 2, sizeof *m.classes, &n->classes, &good);
    m.index = section(image, 3, 2, &n->index, &good);
    m.bias = section(image, 4, 4, &bias, &good);
    m.element = section(image, 5, 4, &elements, &good);
    m.init = section(image, 6, 4, &m.n_init, &good);
    m.ptr = section(image, 7, 4, &senders, &good);
    m.segments = section(image, 8, sizeof *m.segments, &n->segments, &good);
    m.rows = section(image, 9, sizeof *m.rows, &n->rows, &good);
    m.data = section(image, 10, 4, &n->data, &good);
    if (!good || (uint64_t)image->n_in + image->n_out + 1 >= EACH)
        return false;
    m.accumulators = head[0];
    m.slots = head[1];
    m.limit = head[2];
    m.stride = m.accumulators + SLACK;
    return true;
}

static uint8_t bind(const struct hw_image *image, struct hw_arena *arena, struct hw_why *why)
{
    struct counts n;
    if (image->value_in > HW_I32 || image->value_out > HW_I32)
        return hw_refuse(why, HW_E_UNSUPPORTED, "values are ones or 32-bit integers", image->value_in, HW_I32);
    if (!find(image, &n))
        return hw_refuse(why, HW_E_IMAGE, "a section is missing or has another size", image->sections, 11);
    uint8_t status = loihi_check_neurons(&m, n.classes, n.index, image->value_out == HW_I32, why);
    if (status == HW_OK)
        status = loihi_check_synapses(&m, n.rows, n.segments, n.data, why);
    if (status != HW_OK)
        return status;
    if (m.n_init > m.state_words)
        return hw_refuse(why, HW_E_IMAGE, "more initial state than state", m.n_init, m.state_words);
    m.state = hw_take(arena, m.state_words, 4);
    if (!m.state)
        return HW_E_NOMEM;
    m.ring = m.state + (m.state_words - m.slots * m.stride);
    return HW_OK;
}

static void reset(void)
{
    memset(m.state, 0, (size_t)m.state_words * 4);
    if (m.n_init)
        memcpy(m.state, m.init, (size_t)m.n_init * 4);
    m.state[0] = m.limit ? 0 : LOUD;
}

/* Are there inputs beyond what the image promises? */
static bool loud(const struct hw_inputs *in)
{
    const int32_t *value = in->value;
    for (uint32_t k = 0; value && k < in->n; k++)
        if ((value[k] < 0 ? 0 - (uint32_t)value[k] : (uint32_t)value[k]) > m.limit)
            return true;
    return false;
}

static bool update_all(uint32_t t, bool fast, struct hw_outputs *out)
{
    int32_t *state = m.state + 1, *in = m.ring + (size_t)(t % m.slots) * m.stride;
    const uint16_t *index = m.index;
    uint32_t first = 0;
    bool good = true;
    for (uint32_t k = 0; k < m.n_blocks; k++) {
        const struct block *b = m.blocks + k;
        bool each = b->class == EACH;
        struct group g = {
            b->form & 0xFF, b->n, t, b->form & RESTS, b->form & READ_OUT, fast, each ? m.classes : m.classes + b->class,
            each ? index : NULL, m.bias + first, m.element + first, state, in + b->accumulator, in + b->second, out};
        good = loihi_update(&g) && good;
        state += (size_t)b->n * loihi_states(b->form);
        index += each ? b->n : 0;
        first += b->n;
    }
    return good;
}

/* Carries all spikes of the step. */
static bool send_all(uint32_t now, bool fast, const struct hw_inputs *in, const struct hw_outputs *out)
{
    const int32_t *from = in->value, *carried = out->value;
    bool good = true;
    for (uint32_t k = 0; k < in->n; k++)
        good = loihi_deliver(&m, now, in->index[k], from ? from[k] : 1, fast) && good;
    for (uint32_t w = 0; w < (m.n_out + 31) / 32; w++)
        for (uint32_t bits = out->bits[w], e = 32 * w; bits; bits >>= 1, e++)
            if (bits & 1)
                good = loihi_deliver(&m, now, m.n_in + e, carried ? carried[e] : 1, fast) && good;
    return good;
}

static uint8_t step(uint32_t t, const struct hw_inputs *in, struct hw_outputs *out, struct hw_why *why)
{
    if (loud(in))
        m.state[0] |= LOUD;
    bool fast = !(m.state[0] & LOUD), good = !(m.state[0] & FAILED);
    if (good) {
        good = update_all(t, fast, out);
        good = send_all(t % m.slots, fast, in, out) && good;
    }
    if (good)
        return HW_OK;
    m.state[0] |= FAILED;
    return hw_refuse(why, HW_E_RANGE, "a state or a sum of inputs needs more than 32 bits", t, 32);
}

static void state(uint8_t **base, uint32_t *bytes)
{
    *base = (uint8_t *)m.state;
    *bytes = m.state_words * 4;
}

static uint8_t check_state(struct hw_why *why)
{
    uint32_t flags = (uint32_t)m.state[0];
    if (flags & ~(uint32_t)(LOUD | FAILED) || (!m.limit && !(flags & LOUD)))
        return hw_refuse(why, HW_E_RANGE, "flags of a state that there is not", flags, LOUD | FAILED);
    const int32_t *s = m.state + 1;
    for (uint32_t k = 0; k < m.n_blocks; k++) {
        const struct block *b = m.blocks + k;
        uint64_t n = 2 * (uint64_t)b->n;
        for (uint64_t i = 0; !flags && (b->form & 0xFF) == LIF && i < n; i++)
            if (s[i] >= FAST_BOUND || s[i] <= -FAST_BOUND)
                return hw_refuse(why, HW_E_RANGE, "u or v is larger than it can become", (uint32_t)s[i], FAST_BOUND);
        s += (size_t)b->n * loihi_states(b->form);
    }
    return HW_OK;
}

const struct hw_runner hw_loihi = {HW_LOIHI, 1, "loihi", bind, reset, step, state, check_state};
