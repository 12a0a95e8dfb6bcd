/* Frames, sessions and order. */
#ifndef HW_LINK_H
#define HW_LINK_H

#include <stdbool.h>
#include <stdint.h>

struct hw_link_counts {
    uint32_t frames, bad_cobs, bad_crc, too_long, too_short, wrong_session, repeated, gaps, executed, naks;
};

extern struct hw_link_counts hw_link_counts;

void hw_link_start(void); /* no session is open */

/* Bytes of the line. What they ask for is done before this returns. */
void hw_link_take(const uint8_t *from, uint32_t n);

/* A decoded frame with its CRC-32, as it comes out of COBS. */
void hw_link_frame(const uint8_t *frame, uint32_t n);

/* The session that is open, 0 for none, and the request that is wanted: for tests in the same process. */
void hw_link_now(uint32_t *session, uint16_t *wanted);

/* The device from its start on: takes up what has survived a reset. False if the CRC-32 of this build is wrong. */
bool hw_start(void);

/* Never returns but where a device can end. */
void hw_main(void);

#endif
