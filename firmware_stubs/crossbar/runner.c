/* The controller of resistive crossbars: writes the cells when a program is loaded, then for each step drives rows use
   by use and slice by slice, converts currents phase by phase, adds up what belongs together, and updates the neurons.
   crossbar.h says what the sections of an image are. */
#include "array.h"

static struct crossbar own;

static uint8_t bind(const struct hw_image *image, struct hw_arena *arena, struct hw_why *why)
{
    uint8_t status = crossbar_bind(&own, image, arena, why);
    if (status == HW_OK)
        status = array_attach(&own, arena);
    return status == HW_OK ? crossbar_write_cells(&own, why) : status;
}

static void reset(void)
{
    for (uint32_t s = 0; s < own.senders; s++) {
        memset(own.sender[s].ring, 0, (size_t)own.sender[s].depth * own.sender[s].width * 4);
        memset(own.sender[s].active, 0, (size_t)own.sender[s].depth * 4);
    }
    for (uint32_t i = 0; i < own.neurons; i++) {
        own.state.u[i] = own.u_first[i];
        own.state.v[i] = own.v_first[i];
        own.state.left[i] = 0;
    }
}

/* Opens the slot of step t in every ring: what was sent a whole turn ago is gone. */
static void open_step(uint32_t t)
{
    for (uint32_t s = 0; s < own.senders; s++) {
        struct crossbar_sender *sender = &own.sender[s];
        uint32_t slot = t % sender->depth;
        memset(sender->ring + (size_t)slot * sender->width, 0, (size_t)sender->width * 4);
        sender->active[slot] = 0;
    }
}

static void take_inputs(uint32_t t, const struct hw_inputs *in)
{
    const int32_t *value = in->value;
    const int32_t one = 1;
    struct crossbar_sender *sender = own.sender;
    for (uint32_t i = 0; i < in->n; i++) {
        while (in->index[i] - sender->first >= sender->n) /* indices ascend, and are those of some input */
            sender++;
        uint32_t slot = t % sender->depth, *words = sender->ring + (size_t)slot * sender->width;
        memcpy(&words[in->index[i] - sender->first], value ? &value[i] : &one, 4);
        sender->active[slot]++;
    }
}

/* One neuron: its sum comes in, it decays, and v is held while it rests. Returns whether it spikes. */
static bool update(const struct crossbar_population *p, uint32_t i)
{
    struct crossbar_state *state = &own.state;
    double before = state->v[i], u = own.decay_u[i] * state->u[i];
    u = u + own.input[i];
    double v = own.decay_v[i] * before;
    v = v + u;
    v = v + own.bias[i];
    bool spikes = p->fires && (p->at_threshold ? v >= own.threshold[i] : v > own.threshold[i]);
    if (spikes)
        v = p->subtract ? v - own.reset_by[i] : 0.0;
    if (state->left[i]) {
        v = before;
        spikes = false;
    }
    state->u[i] = u;
    state->v[i] = v;
    if (spikes)
        state->left[i] = own.refractory ? own.refractory[i] : 0;
    else if (state->left[i])
        state->left[i]--;
    return spikes;
}

static void update_population(uint32_t k, uint32_t t, struct hw_outputs *out)
{
    const struct crossbar_population *p = &own.population[k];
    struct crossbar_sender *sender = &own.sender[own.inputs + k];
    uint32_t slot = t % sender->depth, *words = sender->ring + (size_t)slot * sender->width;
    for (uint32_t i = 0; i < sender->n; i++) {
        uint32_t neuron = sender->first + i;
        if (update(p, neuron)) {
            words[i / 32] |= 1u << (i % 32);
            sender->active[slot]++;
            hw_mark(out, neuron);
        } else if (!p->fires) {
            hw_send_f64(out, neuron, own.state.v[neuron]);
        }
    }
}

static uint8_t step(uint32_t t, const struct hw_inputs *in, struct hw_outputs *out, struct hw_why *why)
{
    (void)why;
    open_step(t);
    take_inputs(t, in);
    crossbar_read_step(&own, t);
    for (uint32_t k = 0; k < own.populations; k++)
        update_population(k, t, out);
    return HW_OK;
}

static void state(uint8_t **base, uint32_t *bytes)
{
    *base = own.state.base;
    *bytes = own.state.bytes;
}

/* How many elements of a step are not 0. Bits beyond the last neuron count, and so are found. */
static uint32_t count(const struct crossbar_sender *sender, uint32_t slot, bool bits)
{
    const uint32_t *words = sender->ring + (size_t)slot * sender->width;
    uint32_t n = 0;
    for (uint32_t i = 0; i < sender->width; i++)
        for (uint32_t word = bits ? words[i] : words[i] != 0; word; word &= word - 1)
            n++;
    return n;
}

static uint8_t check_state(struct hw_why *why)
{
    for (uint32_t s = 0; s < own.senders; s++) {
        const struct crossbar_sender *sender = &own.sender[s];
        for (uint32_t slot = 0; slot < sender->depth; slot++)
            if (sender->active[slot] > sender->n || sender->active[slot] != count(sender, slot, s >= own.inputs))
                return hw_refuse(why, HW_E_RANGE, "a shift register does not hold what it says", s, own.senders);
    }
    for (uint32_t i = 0; i < own.neurons; i++)
        if (own.state.left[i] > (own.refractory ? own.refractory[i] : 0))
            return hw_refuse(why, HW_E_RANGE, "a neuron rests longer than it can", i, own.neurons);
    return HW_OK;
}

const struct hw_runner hw_crossbar = {HW_CROSSBAR, 1, "crossbar", bind, reset, step, state, check_state};
