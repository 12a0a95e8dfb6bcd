/* Runs SpinnakerPrograms: every PE as on the chip (docs/spinnaker2.md), all of them in time. What PEs send in a tick is
   worked off at the tick's end, by sending slice and atom, before any PE begins the next one: the same as at the next
   tick's beginning, and the weights that learn are then those of the step.

   Sections:
     0  6 words: phases, chips, PEs, slices, 1 if packets carry float payloads, 0
     1  4 words a PE: where its image begins in section 2 (a multiple of 8), its bytes, its chip, its core
     2  images of PEs, as hwsdk/programs/spinnaker_image.py has them
     3  2 int32 a chip: x, y
     4  chips + 1 words: router entries of each chip
     5  8 words a router entry: key, mask, 5 words with a bit for each core, links
     6  2 words a slice, in the order of PEs: element of its first atom, flags: 1 the population fires (else its state
        is what is sent), 2 its atoms are consecutive elements; if not, the first word says where in section 7 they are
     7  words: elements */
#include "machine.h"

static struct spin_machine machine;

static uint8_t bind(const struct hw_image *image, struct hw_arena *arena, struct hw_why *why)
{
    return spin_bind(&machine, image, arena, why);
}

static void reset(void)
{
    spin_reset(&machine);
}

/* The first of n ascending numbers that is not below `least`. */
static uint32_t from(const uint32_t *numbers, uint32_t n, uint32_t least)
{
    uint32_t low = 0;
    while (n) {
        uint32_t half = n / 2;
        bool below = numbers[low + half] < least;
        low += below ? half + 1 : 0;
        n = below ? n - half - 1 : half;
    }
    return low;
}

static void take(struct spin_machine *m, const struct spin_slice *s, uint32_t atom, const struct hw_inputs *in,
                 uint32_t event)
{
    m->bits[s->bits + atom / 32] |= 1u << (atom % 32);
    if (m->graded)
        m->payload[s->atom + atom] = in->value ? ((const float *)in->value)[event] : 1;
}

/* The input events that are those of a slice of a spike list. */
static void take_inputs(struct spin_machine *m, const struct spin_slice *s, const struct hw_inputs *in)
{
    uint32_t event;
    if (s->flags & SPIN_CONSECUTIVE) {
        for (event = from(in->index, in->n, s->element); event < in->n && in->index[event] - s->element < s->n; event++)
            take(m, s, in->index[event] - s->element, in, event);
        return;
    }
    if (s->flags & SPIN_ASCENDING) {
        const uint32_t *own = m->listed + s->element;
        for (event = from(in->index, in->n, own[0]); event < in->n && in->index[event] <= own[s->n - 1]; event++) {
            uint32_t atom = from(own, s->n, in->index[event]);
            if (own[atom] == in->index[event])
                take(m, s, atom, in, event);
        }
        return;
    }
    for (uint32_t atom = 0; in->n && atom < s->n; atom++) {
        uint32_t element = spin_element(m, s, atom);
        event = from(in->index, in->n, element);
        if (event < in->n && in->index[event] == element)
            take(m, s, atom, in, event);
    }
}

/* Lists the atoms of a slice that have sent, ascending; how many. */
static uint32_t gather(const struct spin_machine *m, const struct spin_slice *s)
{
    uint32_t n = 0;
    for (uint32_t word = 0; word < (s->n + 31) / 32; word++)
        for (uint32_t bits = m->bits[s->bits + word]; bits; bits &= bits - 1)
            m->fired[n++] = 32 * word + (uint32_t)__builtin_ctz(bits);
    return n;
}

/* Packets with payloads come one by one, each to all entries that match: that is the order of the sums. */
static void deliver_payloads(struct spin_machine *m, const struct spin_slice *s, const struct spin_link *link,
                             uint32_t links, uint32_t n, uint32_t t)
{
    struct spin_pe *pe = m->pes + link->pe;
    for (uint32_t i = 0; i < n; i++) {
        float payload = m->payload[s->atom + m->fired[i]];
        for (uint32_t k = 0; k < links; k++) {
            uint32_t entry = link[k].entry;
            spin_deliver_csr(pe, entry, (s->key & ~pe->table[entry].mask) + m->fired[i], payload, t);
        }
    }
}

static void deliver(struct spin_machine *m, const struct spin_slice *s, uint32_t t)
{
    uint32_t n = s->links ? gather(m, s) : 0, end = s->link + s->links, same;
    for (uint32_t k = s->link; n && k < end; k = same) {
        struct spin_link link = m->links[k];
        for (same = k + 1; same < end && m->links[same].pe == link.pe;)
            same++;
        if (m->pes[link.pe].model == SPIN_EGRU)
            deliver_payloads(m, s, m->links + k, same - k, n, t);
        else
            for (uint32_t j = k; j < same; j++)
                spin_deliver(m->pes + link.pe, m->links[j].entry, s->key, m->fired, n, t);
    }
}

/* A phase tick of all PEs. */
static void tick(struct spin_machine *m, uint32_t phase, uint32_t t, const struct hw_inputs *in, struct hw_outputs *out)
{
    struct spin_slice *end = m->slices + m->n_slices;
    for (struct spin_slice *s = m->slices; s < end; s++) {
        if (s->phase != phase)
            continue;
        memset(m->bits + s->bits, 0, (s->n + 31) / 32 * 4);
        if (m->pes[s->pe].model == SPIN_SOURCE)
            take_inputs(m, s, in);
        else
            spin_step_slice(m, s, t, out);
    }
    for (struct spin_slice *s = m->slices; s < end; s++)
        if (s->phase == phase)
            deliver(m, s, t);
}

static uint8_t step(uint32_t t, const struct hw_inputs *in, struct hw_outputs *out, struct hw_why *why)
{
    if (machine.learns && t >= SPIN_MAX_STEP)
        return hw_refuse(why, HW_E_RANGE, "a step that the histories of what learns cannot hold", t, SPIN_MAX_STEP);
    for (uint32_t phase = 0; phase < machine.phases; phase++)
        tick(&machine, phase, t, in, out);
    return HW_OK;
}

static void state(uint8_t **base, uint32_t *bytes)
{
    *base = machine.state;
    *bytes = machine.state_bytes;
}

static uint8_t check_state(struct hw_why *why)
{
    return spin_check_state(&machine, why);
}

const struct hw_runner hw_spinnaker = {HW_SPINNAKER, 1, "spinnaker", bind, reset, step, state, check_state};
