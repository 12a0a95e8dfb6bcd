/* The controller of a test bench for SFQ circuits: plays the pulses of each frame to the circuit, and finds out of what is
   captured which neurons have fired in which frame. Image kind 3, layout 1:

   section        entries
   SFQ_SCHEDULE   i64: frame_fs, start_fs, init_fs, input_offset_fs, most frames (0: any number), room for pulses that are
                  under way, most pulses that may come to cells within a frame
   SFQ_READ       i64 of each neuron: fs after the start of a frame at which its pulse is seen
   SFQ_INPUT      u32 of each element of the inputs: its line
   SFQ_FRAME      u32: lines that pulse in every frame; SFQ_OFFSET i64: fs after its start
   SFQ_INIT       u32: lines that pulse once, at init_fs
   the others     are the circuit's: engine.h

   A step is a frame: frame t lasts from start_fs + t * frame_fs until the next. What a neuron fires belongs to the frame
   whose reading is nearest. As the reading may be late in a frame, or later, the answer of a step is that of the frame
   `late` steps before it, late = 1 or as much more as the latest reading takes. DRAIN steps end a run: in the first of them
   the circuit goes on for one frame without pulses of the bench's own, as the simulator does; in the others it rests, and
   only answers come out. Pulses that belong to no frame of the run are counted as strays.

   The state begins with struct controller, then what each neuron holds at the end of the frame of the last step (8 bytes:
   v of a counter as i64, the current of a loop in A as f64, see circuit_held), which is not late. */
#include "circuit.h"

#define MOST_LATE 16 /* frames; what a schedule of one frame after another takes is 1 */
#define MOST_FS ((int64_t)1 << 54)

struct controller {
    uint32_t next, frames, ended, failed; /* next step; frames of the run, once it has ended; no more after a fault */
    uint64_t stray;
    struct sfq_tally tally;
};

static struct {
    int64_t frame, start, init, input, most, room, pulses;
} schedule;
static const int64_t *reads, *offsets;
static const uint32_t *inputs, *sources, *inits;
static uint32_t n_sources, n_inits, n_neurons, n_inputs;
static uint32_t late, ring; /* ring: frames whose pulses are counted at a time */
static struct controller *c;
static uint64_t *held;
static uint32_t *counts; /* ring * n_neurons pulses */
static uint8_t *block;
static uint64_t block_bytes;

static int64_t floored(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* The frame that a pulse belongs to which comes some fs after the start of frame 0. */
static int64_t frame_of(uint32_t neuron, int64_t time)
{
    return floored(time - reads[neuron] + schedule.frame / 2, schedule.frame);
}

static uint8_t wrong(struct hw_why *why, const char *text, uint32_t value, uint32_t limit)
{
    return hw_refuse(why, HW_E_IMAGE, text, value, limit);
}

static bool is_time(int64_t fs)
{
    return fs >= 0 && fs < MOST_FS;
}

/* How many frames are open at a time: back to that of the latest reading, and on to that of the earliest. */
static uint8_t check_reads(struct hw_why *why)
{
    int64_t back = 1, ahead = 0;
    for (uint32_t k = 0; k < n_neurons; k++) {
        if (reads[k] <= -MOST_FS || reads[k] >= MOST_FS)
            return wrong(why, "a neuron is read at no time", k, n_neurons);
        int64_t first = -frame_of(k, 0), last = frame_of(k, schedule.frame - 1);
        back = first > back ? first : back;
        ahead = last > ahead ? last : ahead;
    }
    if (back > MOST_LATE || ahead > MOST_LATE)
        return wrong(why, "neurons are read too many frames away", (uint32_t)(back > ahead ? back : ahead), MOST_LATE);
    late = (uint32_t)back;
    ring = (uint32_t)(back + ahead + 1);
    return HW_OK;
}

static uint8_t check_lines(const uint32_t *lines, uint32_t n, struct hw_why *why)
{
    for (uint32_t k = 0; k < n; k++)
        if (lines[k] >= circuit_lines())
            return wrong(why, "a source is no line of the circuit", lines[k], circuit_lines());
    return HW_OK;
}

static uint8_t read_schedule(const struct hw_image *image, struct hw_why *why)
{
    uint32_t n, n_offsets;
    const int64_t *s = hw_section(image, SFQ_SCHEDULE, 8, &n);
    if (n != 7)
        return wrong(why, "a schedule has 7 entries", n, 7);
    memcpy(&schedule, s, sizeof schedule);
    if (schedule.frame < 1 || !is_time(schedule.frame) || !is_time(schedule.start) || !is_time(schedule.init) ||
        !is_time(schedule.input) || schedule.most < 0 || schedule.most > UINT32_MAX || schedule.room < 1 ||
        schedule.room > UINT32_MAX || schedule.pulses < 1)
        return wrong(why, "the schedule has a time below 0, or no room", 0, 0);
    reads = hw_section(image, SFQ_READ, 8, &n);
    inputs = hw_section(image, SFQ_INPUT, 4, &n_inputs);
    sources = hw_section(image, SFQ_FRAME, 4, &n_sources);
    offsets = hw_section(image, SFQ_OFFSET, 8, &n_offsets);
    inits = hw_section(image, SFQ_INIT, 4, &n_inits);
    n_neurons = image->n_out;
    if (n != n_neurons || n_inputs != image->n_in || n_sources != n_offsets)
        return wrong(why, "the lists of sources and neurons have other lengths", n, n_neurons);
    if (n_inits > schedule.room)
        return wrong(why, "there is no room for the first pulses", n_inits, (uint32_t)schedule.room);
    for (uint32_t k = 0; k < n_sources; k++)
        if (!is_time(offsets[k]))
            return wrong(why, "a source has a time below 0", k, n_sources);
    return check_reads(why);
}

static uint8_t check_sources(struct hw_why *why)
{
    uint8_t status = check_lines(inputs, n_inputs, why);
    if (status == HW_OK)
        status = check_lines(sources, n_sources, why);
    if (status == HW_OK)
        status = check_lines(inits, n_inits, why);
    if (status == HW_OK && (uint64_t)schedule.init >= circuit_longest())
        return wrong(why, "the circuit holds no time as late as that of the first pulses", 0, 0);
    return status;
}

static uint64_t whole(uint64_t bytes)
{
    return (bytes + 7) & ~7ull;
}

static uint8_t bind(const struct hw_image *image, struct hw_arena *arena, struct hw_why *why)
{
    uint64_t circuit;
    if (image->value_in != HW_ONES || image->value_out != HW_I32)
        return hw_refuse(why, HW_E_UNSUPPORTED, "inputs are pulses, outputs numbers of pulses", image->value_out, HW_I32);
    uint8_t status = read_schedule(image, why);
    if (status == HW_OK)
        status = circuit_bind(image, (uint32_t)schedule.room, &circuit, why);
    if (status == HW_OK)
        status = check_sources(why);
    if (status != HW_OK)
        return status;
    uint64_t at_counts = sizeof *c + 8ull * n_neurons, at_circuit = whole(at_counts + 4ull * ring * n_neurons);
    block_bytes = at_circuit + circuit;
    block = hw_take(arena, block_bytes / 8, 8);
    if (!block)
        return HW_E_NOMEM;
    c = (void *)block;
    held = (void *)(block + sizeof *c);
    counts = (void *)(block + at_counts);
    circuit_place(block + at_circuit);
    return HW_OK;
}

/* The first pulses are part of the initial state; there is room for them. */
static void reset(void)
{
    struct hw_why why;
    memset(block, 0, (size_t)(sizeof *c + 8ull * n_neurons + 4ull * ring * n_neurons));
    circuit_arm();
    for (uint32_t k = 0; k < n_inits; k++)
        (void)circuit_play(inits[k], (uint64_t)schedule.init, &why);
    circuit_held(0, held);
}

/* A captured pulse counts for its frame. */
static void attribute(const struct sfq_capture *pulse)
{
    int64_t frame = frame_of(pulse->neuron, (int64_t)pulse->time - schedule.start);
    if (frame < 0)
        c->stray++;
    else
        counts[(uint64_t)frame % ring * n_neurons + pulse->neuron]++;
}

/* Lets the circuit run until a time, and looks at it. */
static uint8_t run(uint64_t until, struct hw_why *why)
{
    struct sfq_capture found[16];
    uint64_t left = (uint64_t)schedule.pulses;
    bool more = true;
    while (more) {
        uint8_t status = circuit_run(until, &left, &more, why);
        if (status != HW_OK)
            return status;
        for (uint32_t n = 16; n == 16;) {
            n = circuit_fetch(found, 16);
            for (uint32_t k = 0; k < n; k++)
                attribute(found + k);
        }
    }
    circuit_tally(&c->tally);
    circuit_held(until, held);
    return HW_OK;
}

/* The pulses of the bench in the frame that begins at a time. */
static uint8_t play(uint64_t begin, const struct hw_inputs *in, struct hw_why *why)
{
    uint8_t status = HW_OK;
    for (uint32_t k = 0; k < n_sources && status == HW_OK; k++)
        status = circuit_play(sources[k], begin + (uint64_t)offsets[k], why);
    for (uint32_t k = 0; k < in->n && status == HW_OK; k++)
        status = circuit_play(inputs[in->index[k]], begin + (uint64_t)schedule.input, why);
    return status;
}

/* Pulses for frames that will not be. */
static void count_strays(void)
{
    for (uint32_t f = c->frames; f < c->frames + ring - late; f++)
        for (uint32_t k = 0; k < n_neurons; k++) {
            uint32_t *count = counts + (uint64_t)(f % ring) * n_neurons + k;
            c->stray += *count;
            *count = 0;
        }
}

static uint8_t refuse_step(uint32_t t, const struct hw_inputs *in, struct hw_why *why)
{
    uint64_t most = circuit_longest() - 1, beyond = (uint64_t)schedule.input;
    for (uint32_t k = 0; k < n_sources; k++)
        beyond = (uint64_t)offsets[k] > beyond ? (uint64_t)offsets[k] : beyond;
    if (c->failed)
        return hw_refuse(why, HW_E_FAULT, "the run has failed: reset", t, c->next);
    if (t != c->next || t == UINT32_MAX)
        return hw_refuse(why, HW_E_ORDER, "frames come one after the other", t, c->next);
    if (in->drain ? in->n > 0 : c->ended > 0)
        return hw_refuse(why, HW_E_STATE, "pulses for a run that has ended: reset", in->n, c->frames);
    if (!in->drain && schedule.most && t >= schedule.most)
        return hw_refuse(why, HW_E_RANGE, "counters are wide enough for fewer frames", t + 1, (uint32_t)schedule.most);
    beyond += (uint64_t)schedule.start + (uint64_t)schedule.frame;
    uint64_t frames = beyond > most ? 0 : (most - beyond) / (uint64_t)schedule.frame + 1;
    if (t >= frames)
        return hw_refuse(why, HW_E_RANGE, "times beyond those that the circuit holds", t + 1, (uint32_t)frames);
    return HW_OK;
}

static void answer(uint32_t t, struct hw_outputs *out)
{
    if (t < late)
        return;
    uint32_t *row = counts + (uint64_t)((t - late) % ring) * n_neurons;
    for (uint32_t k = 0; k < n_neurons; k++) {
        hw_send_i32(out, k, (int32_t)(row[k] < INT32_MAX ? row[k] : INT32_MAX));
        row[k] = 0;
    }
}

static uint8_t step(uint32_t t, const struct hw_inputs *in, struct hw_outputs *out, struct hw_why *why)
{
    uint8_t status = refuse_step(t, in, why);
    if (status != HW_OK)
        return status;
    if (!c->ended) {
        uint64_t begin = (uint64_t)schedule.start + (uint64_t)t * (uint64_t)schedule.frame;
        if (!in->drain)
            status = play(begin, in, why);
        if (status == HW_OK)
            status = run(begin + (uint64_t)schedule.frame, why);
        c->failed |= status;
        if (status != HW_OK)
            return status;
    }
    if (in->drain && !c->ended) {
        c->ended = 1;
        c->frames = t;
        count_strays();
    }
    answer(t, out);
    c->next = t + 1;
    return HW_OK;
}

static void state(uint8_t **base, uint32_t *bytes)
{
    *base = block;
    *bytes = (uint32_t)block_bytes;
}

static uint8_t check_state(struct hw_why *why)
{
    uint64_t frames = c->ended ? (uint64_t)c->frames + 1 : c->next;
    uint64_t now = frames ? (uint64_t)schedule.start + frames * (uint64_t)schedule.frame : 0;
    bool late_enough = frames <= circuit_longest() / (uint64_t)schedule.frame && now < circuit_longest();
    if (c->ended > 1 || c->failed > UINT8_MAX || (c->ended && c->frames >= c->next) || !late_enough ||
        !circuit_check(now))
        return hw_refuse(why, HW_E_RANGE, "a state that there cannot be", c->next, 0);
    return HW_OK;
}

const struct hw_runner hw_sfq = {HW_SFQ, 1, "sfq test bench", bind, reset, step, state, check_state};
