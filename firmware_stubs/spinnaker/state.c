/* All that changes, in one piece of 32-bit words, PE after PE:

       u        n float      LIF
       v        n float      LIF: v; EGRU: h
       left     n uint16     LIF: steps of rest to come; padded to a word
       ring     slots x ports x n   int32, of EGRUs float: accumulators
       posts    rules x n    post spikes so far of each neuron, for each rule that learns
       post     rules x n x history   uint32 step, float trace: the last of them, a ring
       pre      rows that learn   uint32 step, float trace, in the order of the table's entries
       weights  words that learn   uint16, in the same order; padded to a word */
#include "machine.h"

static uint32_t words_of_halves(uint32_t n)
{
    return n / 2 + n % 2;
}

/* The next `count` words, of which at least 0 are there; NULL while only counting. */
static void *next(uint8_t *state, uint64_t *words, uint64_t count)
{
    uint8_t *found = state ? state + 4 * *words : NULL;
    *words += count;
    return found;
}

static void lay_out(struct spin_pe *pe, uint8_t *state, uint64_t *at)
{
    bool lif = pe->model == SPIN_LIF || pe->model == SPIN_LIF_CURRENT;
    uint32_t n = pe->model == SPIN_SOURCE ? 0 : pe->n, rules = pe->n_learners;
    pe->u = next(state, at, lif ? n : 0);
    pe->v = next(state, at, n);
    pe->left = next(state, at, lif ? words_of_halves(n) : 0);
    pe->ring = next(state, at, (uint64_t)(pe->mask + 1) * spin_ports(pe->model) * n);
    pe->sums = (float *)pe->ring;
    pe->posts = next(state, at, rules * n);
    pe->post = next(state, at, 2ull * rules * n * pe->history);
    pe->pre = next(state, at, 2ull * pe->n_rows);
    pe->weights = next(state, at, words_of_halves(pe->n_weights));
}

uint64_t spin_lay_out(struct spin_machine *m, uint8_t *state)
{
    uint64_t words = 0;
    for (uint32_t p = 0; p < m->n_pes; p++)
        lay_out(m->pes + p, state, &words);
    return 4 * words;
}

static void reset_lif(struct spin_pe *pe)
{
    const struct spin_lif *simple = pe->neurons;
    const struct spin_lif_current *with_current = pe->neurons;
    for (uint32_t i = 0; i < pe->n; i++) {
        bool current = pe->model == SPIN_LIF_CURRENT;
        const struct spin_lif *p = current ? &with_current[i].rest : simple + i;
        pe->u[i] = current ? with_current[i].u : 0;
        pe->v[i] = p->v;
        pe->left[i] = p->control >> 12 & 4095;
    }
}

static void reset_weights(struct spin_pe *pe)
{
    for (uint32_t e = 0; pe->plastic && e < pe->entries; e++) {
        uint32_t rest = pe->table[e].rest;
        if ((rest & 15) != SPIN_PLASTIC)
            continue;
        const uint32_t *words = (const uint32_t *)spin_words(pe, rest);
        uint32_t n = spin_rows(pe, rest)[pe->rows[SPIN_INDEX(rest)]];
        for (uint32_t i = 0; i < n; i++)
            pe->weights[pe->plastic[e].weight + i] = (uint16_t)(words[i] >> 16);
    }
}

void spin_reset(struct spin_machine *m)
{
    memset(m->state, 0, m->state_bytes);
    for (uint32_t p = 0; p < m->n_pes; p++) {
        struct spin_pe *pe = m->pes + p;
        const struct spin_egru *units = pe->neurons;
        if (pe->model == SPIN_LIF || pe->model == SPIN_LIF_CURRENT)
            reset_lif(pe);
        for (uint32_t i = 0; pe->model == SPIN_EGRU && i < pe->n; i++)
            pe->v[i] = units[i].h;
        reset_weights(pe);
    }
}

static bool good_steps(const struct spin_spike *spikes, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (spikes[i].step >= SPIN_MAX_STEP)
            return false;
    return true;
}

static bool good_halves(const uint16_t *numbers, uint32_t n, uint32_t most)
{
    for (uint32_t i = 0; i < n; i++)
        if (numbers[i] > most)
            return false;
    return true;
}

uint8_t spin_check_state(const struct spin_machine *m, struct hw_why *why)
{
    for (uint32_t p = 0; p < m->n_pes; p++) {
        const struct spin_pe *pe = m->pes + p;
        bool lif = pe->model == SPIN_LIF || pe->model == SPIN_LIF_CURRENT;
        if (!good_steps(pe->post, pe->n_learners * pe->n * pe->history) || !good_steps(pe->pre, pe->n_rows) ||
            !good_halves(pe->weights, pe->n_weights, 32767) || !good_halves(pe->left, lif ? pe->n : 0, 4095))
            return hw_refuse(why, HW_E_RANGE, "a step, a weight or a rest of a PE", p, SPIN_MAX_STEP);
    }
    return HW_OK;
}
