/* What both firmwares of the MPS2-AN386 share: all of hal.h but the port, which is semihosting or a UART. */
#ifndef HW_BOARD_H
#define HW_BOARD_H

#include "../common/hal.h"

#define BOARD_HZ 25000000u /* of the core and its peripherals */
#define BOARD_WATCHDOG_MS 2000u

/* A word at board_note (see an386.ld) by which the host of an emulator says what a tick of timer 0 is worth:
   NOTE | shift: the emulator's clock advances 2^shift ns with each instruction. On a board it is anything else. */
#define BOARD_NOTE 0x48570100u

static inline volatile uint32_t *board_register(uint32_t address)
{
    return (volatile uint32_t *)(uintptr_t)address;
}

void board_start(struct hal_board *board); /* timer, kind of counter, reason of the reset */

#endif
