/* The circuit on the bench as the controller sees it: pulses go in on lines, pulses of neurons are captured with the time
   at which they passed. On a real bench a driver of a pattern generator and of a time tagger stands behind this; here it
   is the pulse engine (engine.c), which computes what the circuit does.

   Times are fs since the power came on. A line is a net that a source drives; its number is that of the net. */
#ifndef HW_SFQ_CIRCUIT_H
#define HW_SFQ_CIRCUIT_H

#include "../common/runner.h"

/* Sections of an image; runner.c says what is in those of the controller, engine.h what is in the others. */
enum sfq_section {
    SFQ_SCHEDULE, SFQ_READ, SFQ_INPUT, SFQ_FRAME, SFQ_OFFSET, SFQ_INIT,
    SFQ_TYPES, SFQ_TABLE, SFQ_CRITICAL, SFQ_ABSORB, SFQ_CELLS, SFQ_NETS, SFQ_OUTS,
    SFQ_SOMAS, SFQ_BRANCHES, SFQ_LATE, SFQ_HELD, SFQ_BITS,
};

/* Neurons are numbered over all populations, in their order. */
struct sfq_capture {
    uint64_t time;
    uint32_t neuron;
};

/* Pulses that came to cells, of these absorbed and too soon, and the most that were under way at a time. A circuit into
   which nobody can look has zeros here. */
struct sfq_tally {
    uint64_t deliveries, absorbed, timing, most;
};

/* Checks what of an image is the circuit's. queue: pulses that can be under way. *bytes: what its state takes. */
uint8_t circuit_bind(const struct hw_image *image, uint32_t queue, uint64_t *bytes, struct hw_why *why);
void circuit_place(uint8_t *state); /* so many bytes, aligned to 8 */
uint32_t circuit_lines(void);
uint64_t circuit_longest(void); /* times must be less */

void circuit_arm(void); /* the power comes on: cells in their first state, nothing under way */

/* One pulse more for the pattern, not before what has been run already. HW_E_FAULT if there is no room. */
uint8_t circuit_play(uint32_t line, uint64_t time, struct hw_why *why);

/* Runs until a time. *more: the memory for captures is full; fetch them and call again. *left: pulses that may yet come to
   cells, counted down; HW_E_FAULT when they are used up, or more pulses are under way than there is room for. */
uint8_t circuit_run(uint64_t until, uint64_t *left, bool *more, struct hw_why *why);

/* The captures since the last fetch, in the order in which they came, at most `most`; how many. */
uint32_t circuit_fetch(struct sfq_capture *to, uint32_t most);

/* What each neuron holds at a time after the last pulse: v of a counter (int64_t), the current of a loop in A (double), 0
   of what keeps nothing. */
void circuit_held(uint64_t time, uint64_t *held);
void circuit_tally(struct sfq_tally *tally);
bool circuit_check(uint64_t now); /* whether the state, written from outside, is one that there can be at this time */

#endif
