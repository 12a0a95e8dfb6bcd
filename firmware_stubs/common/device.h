/* What the device is doing: the image that is loaded, and how far it has run. There is one device. */
#ifndef HW_DEVICE_H
#define HW_DEVICE_H

#include "bytes.h"
#include "config.h"
#include "hal.h"
#include "runner.h"

#define HW_VERSION 1u

enum hw_op {
    HW_HELLO = 1, HW_LOAD_BEGIN, HW_LOAD_DATA, HW_LOAD_END, HW_RESET_STATE, HW_STEP, HW_FETCH, HW_READ_STATE,
    HW_WRITE_STATE, HW_STATUS, HW_LOG, HW_ECHO, HW_SINK, HW_SOURCE, HW_BENCH, HW_REBOOT, HW_EXIT, HW_HANG,
    HW_VERIFY_IMAGE, HW_FEED,
};
enum hw_level { HW_DEBUG, HW_INFO, HW_WARNING, HW_ERROR };

struct hw_buffer {
    uint8_t *at;
    uint32_t bytes, used;
};

struct hw_device {
    const struct hal_board *board;
    uint32_t mtu, window; /* what this build and the board hold */
    uint8_t *arena;
    uint32_t arena_bytes;

    const struct hw_runner *runner; /* NULL: no image is loaded */
    struct hw_image image;
    struct hw_outputs out;
    uint32_t *in_index, *out_index; /* of one step */
    uint8_t *in_value;
    uint32_t step_most; /* bytes of one step's result */
    struct hw_buffer result, feed;

    uint32_t next, digest;
    bool fallow;     /* the state is not one that a step could go on from */
    bool has_result; /* of the steps before `next` */
    bool crc_known;  /* state_crc is of the state as it is */
    uint32_t state_crc;
    uint32_t steps, logs_dropped;
};

extern struct hw_device hw_device;

typedef uint8_t hw_handler(struct hw_reader *in, struct hw_writer *out, struct hw_why *why);

/* load.c */
hw_handler hw_load_begin, hw_load_data, hw_load_end, hw_verify_image;
/* step.c */
hw_handler hw_step, hw_fetch, hw_feed, hw_bench;
void hw_restart(void); /* to the initial state */
/* state.c */
hw_handler hw_reset_state, hw_read_state, hw_write_state;
/* report.c */
hw_handler hw_status;
void hw_hello_body(struct hw_writer *out, const uint8_t *nonce, uint32_t session);
/* ops.c */
uint8_t hw_perform(uint8_t op, struct hw_reader *in, struct hw_writer *out, struct hw_why *why);
void hw_afterwards(void); /* what REBOOT and EXIT do once their reply is out */
uint32_t hw_op_mask(void);
uint8_t hw_wrong_length(struct hw_why *why, uint32_t is, uint32_t wanted);
uint8_t hw_not_loaded(struct hw_why *why);
/* runners.c */
const struct hw_runner *hw_runner_of(uint8_t kind, uint8_t layout);
extern const struct hw_runner *const hw_runners[]; /* ends with NULL */
/* link.c */
void hw_say(enum hw_level level, const char *text);

/* CRC-32 of memory of any size, with the watchdog content. */
uint32_t hw_crc_memory(uint32_t before, const uint8_t *from, uint32_t n);

#endif
