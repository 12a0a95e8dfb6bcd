/* Event lists as docs/wire.md has them: the events of one step. */
#ifndef HW_EVENTS_H
#define HW_EVENTS_H

#include "bytes.h"
#include "runner.h"

uint32_t hw_width(uint8_t type); /* bytes of a value; 0 for HW_ONES */

/* Reads a list for `elements` elements and values of `type`: index and value have room for `elements`. *valued: whether
   there are values, else all are 1. HW_OK, HW_E_LEN or HW_E_RANGE. */
uint8_t hw_list_read(struct hw_reader *from, uint32_t elements, uint8_t type, uint32_t *index, uint8_t *value,
                     uint32_t *n, bool *valued, struct hw_why *why);

/* The most bytes that a list takes. */
uint64_t hw_list_most(uint32_t elements, uint8_t type);

/* Writes what a step has sent, for which there is room, and makes `out` ready for the next step. `index` has room for all
   elements. *digest goes on over the step. Returns the end of what was written. */
uint8_t *hw_list_write(struct hw_outputs *out, uint8_t type, uint32_t step, uint32_t *index, uint8_t *to,
                       uint32_t *digest);

#endif
