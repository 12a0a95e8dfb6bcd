/* Cutting an image's sections into the parts of blocks, none of which can reach outside its section. */
#ifndef HW_CROSSBAR_BIND_H
#define HW_CROSSBAR_BIND_H

#include "crossbar.h"

struct crossbar_cut {
    struct {
        const uint8_t *at;
        uint32_t size, count, used; /* bytes of an element; elements */
    } section[S_COUNT];
    bool lacks; /* has a section had less than was asked for? */
    uint32_t which; /* the first such section */
};

/* The next n elements of a section. What comes back must not be read if `lacks` is set. */
const void *crossbar_next(struct crossbar_cut *cut, enum crossbar_section section, uint64_t n);

/* Are all values less than the limit? (i32: -1 counts as allowed if `none`.) */
bool crossbar_below(const uint32_t *value, uint64_t n, uint32_t limit);
bool crossbar_below_or_none(const int32_t *value, uint64_t n, uint32_t limit);
bool crossbar_finite(const double *value, uint64_t n);

/* Blocks: their sizes and arrays, each checked, with what the controller derives from them. */
uint8_t crossbar_bind_blocks(struct crossbar *c, struct crossbar_cut *cut, struct hw_arena *arena, struct hw_why *why);

#endif
