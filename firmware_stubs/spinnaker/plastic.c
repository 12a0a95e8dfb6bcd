/* StoredPairSTDP (hwsdk/ir/plastic.py): weights of 16 bits, traces and changes in single precision, every operation
   rounded. Steps are less than SPIN_MAX_STEP; differences wrap, and a table gives 0 beyond its end. */
#include "machine.h"

static float decayed(const struct spin_pe *pe, uint32_t first, uint32_t n, uint32_t steps)
{
    return steps < n ? pe->decays[first + steps] : 0;
}

static uint32_t less_or_0(uint32_t a, uint32_t b)
{
    return a > b ? a - b : 0;
}

/* The nearest whole number, halves to the even one. */
static uint16_t stored(float w)
{
    if (!(w > 0))
        return 0;
    return w >= 32767 ? 32767 : (uint16_t)((w + 0x1p23f) - 0x1p23f);
}

/* The weight of a word when its row spikes in step t; x: the row's spike before. */
static uint16_t learned(const struct spin_pe *pe, uint32_t rule, uint32_t target, uint32_t delay,
                        const struct spin_spike *x, uint16_t weight, uint32_t t)
{
    const struct spin_learner *r = pe->learners + rule;
    uint32_t at = rule * pe->n + target, kept = pe->history, end = pe->posts[at];
    const struct spin_spike *history = pe->post + at * kept;
    uint32_t begin_step = less_or_0(x->step, delay), end_step = less_or_0(t, delay);
    if (end && history[(end - 1) % kept].step >= t) /* of this step: in a later phase it would not be there yet */
        end--;
    uint32_t oldest = less_or_0(end, kept - 1), first;
    while (end > oldest && history[(end - 1) % kept].step > end_step)
        end--;
    for (first = end; first > oldest && history[(first - 1) % kept].step > begin_step;)
        first--;
    float w = weight;
    for (; first < end; first++) {
        float change = (r->a_plus * x->trace) *
                       decayed(pe, r->plus, r->n_plus, history[first % kept].step + delay - x->step);
        w = w + change;
        w = w < r->w_max ? w : r->w_max;
    }
    if (end > oldest && history[(end - 1) % kept].step) {
        const struct spin_spike *y = history + (end - 1) % kept;
        w = w - (r->a_minus * y->trace) * decayed(pe, r->minus, r->n_minus, t - (y->step + delay));
        w = w > r->w_min ? w : r->w_min;
    }
    return stored(w);
}

void spin_learn_row(struct spin_pe *pe, uint32_t entry, uint32_t row, uint32_t t)
{
    uint32_t rest = pe->table[entry].rest, rule = SPIN_DELAY(rest);
    const struct spin_learner *r = pe->learners + rule;
    const uint16_t *ptr = spin_rows(pe, rest) + row;
    const uint32_t *words = (const uint32_t *)spin_words(pe, rest);
    uint16_t *weights = pe->weights + pe->plastic[entry].weight;
    struct spin_spike *x = pe->pre + pe->plastic[entry].row + row;
    for (uint32_t i = ptr[0]; i < ptr[1]; i++) {
        uint32_t target = words[i] & 1023, delay = 1 + (words[i] >> 10 & 7);
        weights[i] = learned(pe, rule, target, delay, x, weights[i], t);
        pe->ring[((t + delay) & pe->mask) * pe->n + target] += weights[i];
    }
    x->trace = x->trace * decayed(pe, r->plus, r->n_plus, t - x->step) + 1;
    x->step = t;
}

void spin_learn_post(struct spin_pe *pe, uint32_t neuron, uint32_t t)
{
    for (uint32_t rule = 0; rule < pe->n_learners; rule++) {
        const struct spin_learner *r = pe->learners + rule;
        uint32_t at = rule * pe->n + neuron, count = pe->posts[at];
        struct spin_spike *history = pe->post + at * pe->history, *now = history + count % pe->history;
        float trace = 1;
        if (count) {
            const struct spin_spike *before = history + (count - 1) % pe->history;
            trace = before->trace * decayed(pe, r->minus, r->n_minus, t - before->step) + 1;
        }
        *now = (struct spin_spike){t, trace};
        pe->posts[at] = count + 1;
    }
}
