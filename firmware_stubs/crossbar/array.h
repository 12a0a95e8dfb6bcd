/* The driver of the arrays: what a board supplies in place of array.c, which emulates a die from what the image says.

   Blocks, rows and columns are those of the image; macro, row_at and column_at of a block say where they are. */
#ifndef HW_CROSSBAR_ARRAY_H
#define HW_CROSSBAR_ARRAY_H

#include "crossbar.h"

/* Takes its memory when an image is loaded. HW_OK or HW_E_NOMEM. No cell is written then. */
uint8_t array_attach(const struct crossbar *c, struct hw_arena *arena);

/* Writes a cell, or forms it and leaves it as it then is. False if the cell takes no (further) write. */
bool array_write(uint32_t block, uint32_t cell, float siemens);
bool array_form(uint32_t block, uint32_t cell);

/* S of a cell as it is read alone. */
double array_measure(uint32_t block, uint32_t cell);

/* Drives rows of a block (by volts x their input, or by switching their transistors), all others being off. */
void array_drive(uint32_t block, const struct crossbar_rows *rows);

/* A into the converters of a phase while rows are driven, for its channels: amperes[channel]. A board whose converters
   give codes returns code x step; the controller then finds the same code again, with an offset of 0 in the image. */
void array_sense(uint32_t block, uint32_t phase, double *amperes);

#endif
