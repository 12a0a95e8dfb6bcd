/* COBS: bytes without zeros, and zeros between the frames. */
#ifndef HW_COBS_H
#define HW_COBS_H

#include <stdbool.h>
#include <stdint.h>

enum hw_cobs { HW_COBS_MORE, HW_COBS_FRAME, HW_COBS_BAD, HW_COBS_LONG };

/* A frame that is coming in: decoded into `to`, which holds `most` bytes; `at` of them are there. */
struct hw_cobs_in {
    uint8_t *to;
    uint32_t most, at;
    uint8_t left;             /* bytes of the block that are still to come */
    bool begun, zero, over;   /* there was a block; a zero follows if another one comes; too long */
};

/* Takes bytes of the line from *from up to the end of a frame at most. HW_COBS_MORE: all are taken, no frame has ended. */
enum hw_cobs hw_cobs_take(struct hw_cobs_in *in, const uint8_t **from, const uint8_t *end);

/* For the next frame. */
void hw_cobs_clear(struct hw_cobs_in *in);

/* Sends one frame, with its zeros, by hal_write. */
void hw_cobs_send(const uint8_t *from, uint32_t n);

#endif
