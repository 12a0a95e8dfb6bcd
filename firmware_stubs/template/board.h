/* What a board has of its own: ten small functions, which board.c defines. hal.c builds the rest on them. */
#ifndef HW_BOARD_H
#define HW_BOARD_H

#include <stdbool.h>
#include <stdint.h>

/* 1. Fill in what is said in HELLO. */
#define BOARD_NAME "my board"
#define BOARD_CHIP "my chip"
#define BOARD_CORE "Cortex-M4F"
#define BOARD_HZ 150000000u     /* of the core, whose cycles are counted */
#define BOARD_WATCHDOG_MS 2000u /* from arming to reset; 0 where there is no watchdog */

/* 2. Memory. The arena holds image, state, inputs and results: as much as is left over. */
#define BOARD_ARENA (96u * 1024u)

/* 3. These, in board.c. */
void board_start(void);              /* clocks, pins, the port with its receive interrupt, counters */
bool board_can_send(void);           /* whether the port takes a byte */
void board_send(uint8_t byte);
void board_sleep(void);              /* until an interrupt comes, which may be masked; about 100 ms at most */
void board_interrupts(bool on);
uint32_t board_cycles(void);
uint32_t board_milliseconds(void);
void board_watchdog(bool armed);     /* also restarts its time */
uint8_t board_reset_reason(void);    /* one of enum hal_reset, read once at start */
void board_reset(void) __attribute__((noreturn));

/* The receive interrupt of the port gives each byte to this. */
void board_received(uint8_t byte);

#endif
