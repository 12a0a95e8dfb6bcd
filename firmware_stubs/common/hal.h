/* What a board supplies. One implementation each in host/, m4/, riscv/ and template/. */
#ifndef HW_HAL_H
#define HW_HAL_H

#include <stdbool.h>
#include <stdint.h>

enum hal_counter { HAL_NO_COUNTER = 0, HAL_WALL = 1, HAL_INSTRUCTIONS = 2, HAL_CYCLES = 3 };
enum hal_reset { HAL_POWER = 0, HAL_WATCHDOG = 1, HAL_SOFTWARE = 2, HAL_FAULT = 3, HAL_UNKNOWN = 4 };

/* Constant facts. watchdog_ms: 0 where there is none. mtu and window: what the receive memory holds. */
struct hal_board {
    const char *name, *chip, *core;
    uint16_t mtu, window;
    uint32_t credit, counter_hz, watchdog_ms;
    uint8_t counter; /* one of hal_counter; may be found out at start */
};

const struct hal_board *hal_start(void); /* clocks, port, counter; called once */

/* Waits until there is a byte, then gives at most `most` that are there; 0 after about 100 ms without one; -1 when the
   port is closed for good (a process whose standard input ended), whereupon the firmware ends itself. */
int32_t hal_read(uint8_t *to, uint32_t most);
void hal_write(const uint8_t *from, uint32_t n); /* may buffer */
void hal_flush(void);

uint32_t hal_ticks(void);        /* of the counter; wraps */
uint32_t hal_milliseconds(void); /* since the start, about; 0 where there is no clock */
void hal_mask(bool on);          /* keep interrupts off what is being counted */

uint32_t hal_overrun(void);      /* bytes that came in and were lost; without one of its own a board has 0 */

/* Resets the device unless it is disarmed, or armed again, in time. Armed only while an operation runs; cheap, since it is
   armed again at each step. */
void hal_watchdog(bool armed);
uint8_t hal_reset_reason(void); /* of the last start, one of hal_reset */
void hal_reboot(void);          /* does not return */
void hal_exit(uint8_t code);    /* ends, or does nothing where a device cannot */

/* Memory for the image and its state: aligned to 8 bytes; keeps its content over a reset where the board can. */
uint8_t *hal_arena(uint32_t *bytes);
/* At least 256 bytes, aligned to 4, that survive a reset where the board can (guarded by a checksum of the user). */
uint8_t *hal_kept(uint32_t *bytes);

#endif
