/* The pulse engine: what a circuit of pulse-logic cells does, by the tables of its cells.

   Pulses under way are a heap of keys, time << net_bits | net, so that they come by time, then by net. A pulse that comes
   to a cell finds those before it at the same cell: within the absorb time of one at another pin it is lost; within a
   critical time it is counted, and goes on. Else the table says the next state and what pulses, after the cell's delay. */
#include "engine.h"

#define CAPTURES 64u

static struct sfq_tables w;
static struct sfq_running r;
static struct sfq_capture captures[CAPTURES];
static uint32_t captured;

/* Where the parts of the state begin, in bytes; the last is its size. */
static void plan(uint64_t *at)
{
    const uint64_t bytes[] = {sizeof(struct sfq_tally), 8, 8ull * w.n_pins, 8ull * w.n_somas, 8ull * w.n_branches,
                              8ull * w.queue, w.n_cells};
    at[0] = 0;
    for (uint32_t i = 0; i < 7; i++)
        at[i + 1] = at[i] + bytes[i];
    at[7] = (at[7] + 7) & ~7ull;
}

uint8_t circuit_bind(const struct hw_image *image, uint32_t queue, uint64_t *bytes, struct hw_why *why)
{
    uint64_t at[8];
    memset(&w, 0, sizeof w);
    w.queue = queue;
    uint8_t status = sfq_read_tables(image, &w, why);
    plan(at);
    *bytes = at[7];
    return status;
}

void circuit_place(uint8_t *state)
{
    uint64_t at[8];
    plan(at);
    r = (struct sfq_running){(struct sfq_tally *)(void *)state, (void *)(state + at[1]), (void *)(state + at[2]),
                             (void *)(state + at[3]), (void *)(state + at[5]), (void *)(state + at[4]), state + at[6]};
}

uint32_t circuit_lines(void)
{
    return w.n_nets;
}

uint64_t circuit_longest(void)
{
    return 1ull << (w.net_bits > 8 ? 62 - w.net_bits : 54); /* so that keys, and times beside states, have 64 bits */
}

void circuit_arm(void)
{
    *r.tally = (struct sfq_tally){0, 0, 0, 0};
    *r.queued = 0;
    memset(r.last, 0, 8 * (size_t)w.n_pins);
    memset(r.moment, 0, 8 * (size_t)w.n_somas);
    memset(r.queue, 0, 8 * (size_t)w.queue);
    memset(r.state, 0, w.n_cells);
    for (uint32_t j = 0; j < w.n_branches; j++)
        r.current[j] = 0;
    captured = 0;
}

/* Adds a key to the heap; false if there is no room. */
static bool push(uint64_t key)
{
    uint64_t i = *r.queued;
    if (i >= w.queue)
        return false;
    while (i && r.queue[(i - 1) / 2] > key) {
        r.queue[i] = r.queue[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    r.queue[i] = key;
    if (++*r.queued > r.tally->most)
        r.tally->most = *r.queued;
    return true;
}

/* Puts a key where the first of a heap of n is. */
static void replace_first(uint64_t key, uint64_t n)
{
    uint64_t i = 0;
    for (uint64_t child = 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && r.queue[child + 1] < r.queue[child])
            child++;
        if (r.queue[child] >= key)
            break;
        r.queue[i] = r.queue[child];
        i = child;
    }
    r.queue[i] = key;
}

static void remove_first(void)
{
    uint64_t n = --*r.queued;
    if (n)
        replace_first(r.queue[n], n);
}

static uint8_t full(struct hw_why *why)
{
    return hw_refuse(why, HW_E_FAULT, "more pulses are under way than there is room for", w.queue + 1, w.queue);
}

uint8_t circuit_play(uint32_t line, uint64_t time, struct hw_why *why)
{
    return push(time << w.net_bits | line) ? HW_OK : full(why);
}

/* Whether a pulse comes less than a limit after the last one at a pin. */
static bool within(uint64_t time, uint64_t last, uint32_t limit)
{
    return last && time + 1 - (last >> SFQ_STATE_BITS) < limit;
}

/* Whether a pulse is lost. Counts what comes too soon: one violation a pulse, absorbed first. */
static bool too_soon(const struct sfq_type *type, const uint64_t *last, uint32_t pin, uint64_t time)
{
    uint32_t n = type->inputs;
    for (uint32_t p = 0; p < n; p++)
        if (within(time, last[p], w.absorb[type->absorb + p * n + pin])) {
            r.tally->absorbed++;
            return true;
        }
    for (uint32_t p = 0; p < n; p++) {
        uint32_t state = (uint32_t)last[p] & ((1u << SFQ_STATE_BITS) - 1);
        if (within(time, last[p], w.critical[type->critical + (state * n + p) * n + pin])) {
            r.tally->timing++;
            break;
        }
    }
    return false;
}

/* The outputs of a cell that pulse, as bits. */
static uint32_t table(const struct sfq_type *type, uint32_t cell, uint32_t first, uint32_t pin, uint64_t time)
{
    uint64_t *last = r.last + first;
    bool close = false;
    for (uint32_t p = 0; p < type->inputs; p++)
        close |= within(time, last[p], type->window);
    if (close && too_soon(type, last, pin, time))
        return 0;
    uint32_t state = r.state[cell];
    const struct sfq_entry *entry = w.table + type->table + state * type->inputs + pin;
    last[pin] = (time + 1) << SFQ_STATE_BITS | state;
    r.state[cell] = entry->next;
    return entry->fires;
}

/* Sends the outputs of a cell on their way. The first takes the place of the pulse that has come, which saves a sift. */
static bool send(const uint32_t *outs, uint32_t fires, uint64_t time)
{
    bool replaced = false;
    for (; fires; fires >>= 1, outs++) {
        if (!(fires & 1) || *outs == SFQ_NO_NET)
            continue;
        uint64_t key = time << w.net_bits | *outs;
        if (replaced) {
            if (!push(key))
                return false;
        } else
            replace_first(key, *r.queued);
        replaced = true;
    }
    if (!replaced)
        remove_first();
    return true;
}

/* Gives the first pulse of the heap to its cell; false if there is no room for what comes of it. */
static bool deliver(uint64_t time, uint32_t net)
{
    const struct sfq_net *to = w.nets + net;
    const struct sfq_cell *cell = w.cells + to->cell;
    const struct sfq_type *type = w.types + cell->type;
    uint64_t delay = (uint64_t)(int64_t)cell->delay;
    uint32_t fires;
    if (to->neuron)
        captures[captured++] = (struct sfq_capture){time, to->neuron - 1};
    if (type->soma)
        fires = sfq_soma_pulse(&w, &r, cell->soma, to->pin, time, &delay);
    else
        fires = table(type, to->cell, cell->pin, to->pin, time);
    return send(w.outs + cell->out, cell->delay < 0 ? 0 : fires, time + delay);
}

uint8_t circuit_run(uint64_t until, uint64_t *left, bool *more, struct hw_why *why)
{
    uint64_t limit = until << w.net_bits, mask = (1ull << w.net_bits) - 1;
    *more = false;
    while (*r.queued && r.queue[0] < limit) {
        *more = captured == CAPTURES;
        if (*more)
            break;
        if (!*left)
            return hw_refuse(why, HW_E_FAULT, "the circuit does not come to rest within a frame", *r.queued, 0);
        --*left;
        r.tally->deliveries++;
        if (!deliver(r.queue[0] >> w.net_bits, (uint32_t)(r.queue[0] & mask)))
            return full(why);
    }
    return HW_OK;
}

uint32_t circuit_fetch(struct sfq_capture *to, uint32_t most)
{
    uint32_t n = captured < most ? captured : most;
    memcpy(to, captures, n * sizeof *to);
    memmove(captures, captures + n, (captured - n) * sizeof *captures);
    captured -= n;
    return n;
}

/* v of a counter: its bits as a number of that width with a sign, counted from v = 0. */
static uint64_t counted(const struct sfq_held *own)
{
    uint64_t half = 1ull << (own->n ? own->n - 1 : 0), count = 0;
    for (uint32_t k = 0; k < own->n; k++)
        count += (uint64_t)r.state[w.bits[own->first + k]] << k;
    return ((count - (uint64_t)own->zero + half) & (2 * half - 1)) - half;
}

void circuit_held(uint64_t time, uint64_t *held)
{
    for (uint32_t k = 0; k < w.n_helds; k++) {
        const struct sfq_held *own = w.helds + k;
        held[k] = own->kind == SFQ_COUNTER ? counted(own) : 0;
        if (own->kind == SFQ_LOOP) {
            double current = sfq_soma_current(&w, &r, own->first, time);
            memcpy(held + k, &current, sizeof current);
        }
    }
}

void circuit_tally(struct sfq_tally *tally)
{
    *tally = *r.tally;
}

/* Whether the pulses under way lead to nets, are still to come, and are a heap. */
static bool queue_holds(uint64_t now)
{
    uint64_t mask = (1ull << w.net_bits) - 1, latest = circuit_longest() + SFQ_MOST_FS;
    for (uint64_t i = 0; i < *r.queued; i++) {
        uint64_t time = r.queue[i] >> w.net_bits;
        if ((r.queue[i] & mask) >= w.n_nets || time < now || time > latest)
            return false;
        if (i && r.queue[(i - 1) / 2] > r.queue[i])
            return false;
    }
    return true;
}

/* Whether a cell is, and has been, in states that it has. */
static bool cell_holds(uint32_t cell, uint64_t now)
{
    const struct sfq_type *type = w.types + w.cells[cell].type;
    const uint64_t *last = r.last + w.cells[cell].pin;
    if (r.state[cell] && r.state[cell] >= type->states)
        return false;
    for (uint32_t p = 0; p < type->inputs; p++)
        if (last[p] && ((last[p] & ((1u << SFQ_STATE_BITS) - 1)) >= type->states || last[p] >> SFQ_STATE_BITS > now))
            return false;
    return true;
}

bool circuit_check(uint64_t now)
{
    if (*r.queued > w.queue || !queue_holds(now))
        return false;
    for (uint32_t c = 0; c < w.n_cells; c++)
        if (!cell_holds(c, now))
            return false;
    for (uint32_t m = 0; m < w.n_somas; m++)
        if (r.moment[m] > now)
            return false;
    captured = 0;
    return true;
}
