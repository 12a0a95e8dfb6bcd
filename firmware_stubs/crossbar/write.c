/* Writing the cells when a program is loaded: in the program's order, each read once afterwards. */
#include "array.h"

static double distance(double a, double b)
{
    return a < b ? b - a : a - b;
}

/* Writes one cell and reads it; counts it, and counts it as missed if the reading is too far from its target. */
static bool write_cell(const struct crossbar *c, uint32_t block, uint32_t i)
{
    const struct crossbar_block *b = &c->block[block];
    uint32_t cell = b->order[i];
    if (!(b->native ? array_form(block, cell) : array_write(block, cell, b->aim[i])))
        return false;
    c->state.report[0]++;
    if (!b->native && distance(array_measure(block, cell), b->aim[i]) > c->tolerance)
        c->state.report[1]++;
    return true;
}

uint8_t crossbar_write_cells(struct crossbar *c, struct hw_why *why)
{
    for (uint32_t block = 0; block < c->blocks; block++) {
        const struct crossbar_block *b = &c->block[block];
        for (uint32_t i = 0; i < b->written; i++)
            if (!write_cell(c, block, i))
                return hw_refuse(why, HW_E_IMAGE, "a cell is written twice", b->order[i], block);
        for (uint32_t cell = 0; c->state.reading && cell < b->rows * b->columns; cell++)
            c->state.reading[b->first_cell + cell] = array_measure(block, cell);
    }
    return HW_OK;
}
