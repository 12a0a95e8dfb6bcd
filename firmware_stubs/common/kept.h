/* What outlives a reset, where the board's memory does. */
#ifndef HW_KEPT_H
#define HW_KEPT_H

#include <stdbool.h>
#include <stdint.h>

struct hw_kept {
    uint32_t magic, boots, watchdog_resets;
    uint32_t image_bytes, image_crc, received; /* the upload at the front of the arena; image_bytes 0: there is none */
    uint8_t id[32];
    uint32_t check;
};

extern struct hw_kept hw_kept;

void hw_kept_start(void);      /* takes up what is there, and counts this start */
void hw_kept_save(void);       /* after a change */
void hw_kept_op(uint8_t op);   /* the operation that is under way, 0 for none */
uint8_t hw_kept_last_op(void); /* that was under way at the last reset */

#endif
