/* A HAL to copy for a new board: what ../common/hal.h asks for, on top of board.h. As it stands it suits a Cortex-M with a
   UART or a USB serial port, and needs no change. */
#include "../common/hal.h"

#include "../common/config.h"
#include "board.h"

/* A UART has no flow control: a whole window of frames, with what COBS adds, has to fit. Where memory is short, build with
   a smaller -DHW_MTU and -DHW_WINDOW; the host keeps to what HELLO says. A power of two. */
#define RING 16384u
_Static_assert(RING > HW_WINDOW * (HW_MTU + HW_MTU / 254 + 4), "a window of frames does not fit the ring");

/* A section that the linker script keeps out of .bss, (NOLOAD), so that nothing clears it at start: an upload that was
   broken off by a reset then goes on where it stood. On a board without such memory leave the attribute away. */
#define SURVIVES __attribute__((section(".noinit"), aligned(8)))

static uint8_t arena[BOARD_ARENA] SURVIVES;
static uint8_t kept[256] SURVIVES;

static uint8_t ring[RING];
static volatile uint32_t head, tail, lost; /* head and lost are the interrupt's, tail is the firmware's */

static struct hal_board board = {
    .name = BOARD_NAME, .chip = BOARD_CHIP, .core = BOARD_CORE, .mtu = HW_MTU, .window = HW_WINDOW, .credit = RING,
    .counter_hz = BOARD_HZ, .watchdog_ms = BOARD_WATCHDOG_MS, .counter = HAL_CYCLES,
};

/* Called once, before everything else. Some cores, and all emulators, have no cycle counter: one that stands still is
   found out here, so that no report quotes its zeros. */
const struct hal_board *hal_start(void)
{
    board_start();
    uint32_t before = board_cycles();
    for (volatile uint32_t i = 0; i < 100; i++) {
    }
    if (board_cycles() == before)
        board.counter = HAL_NO_COUNTER;
    return &board;
}

/* In interrupt context. What does not fit is lost, and counted: the host sees it in STATUS, and sends again. */
void board_received(uint8_t byte)
{
    if (head - tail < RING)
        ring[head++ % RING] = byte;
    else
        lost++;
}

uint32_t hal_overrun(void)
{
    return lost;
}

/* Sleeps while there is nothing. The interrupt is masked between the question and the sleep, or a byte could come in
   between and not wake the core, which a masked interrupt still does. A real port is never closed: no -1. */
int32_t hal_read(uint8_t *to, uint32_t most)
{
    uint32_t n = 0;
    board_interrupts(false);
    if (head == tail)
        board_sleep();
    board_interrupts(true);
    while (n < most && head != tail)
        to[n++] = ring[tail++ % RING];
    return (int32_t)n;
}

/* A frame is written in pieces; a port with DMA or packets (USB) gathers them here and sends at hal_flush. */
void hal_write(const uint8_t *from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        while (!board_can_send()) {
        }
        board_send(from[i]);
    }
}

void hal_flush(void)
{
}

/* Around each step, on both sides: cheap, and of the same cost every time. */
uint32_t hal_ticks(void)
{
    return board_cycles();
}

uint32_t hal_milliseconds(void)
{
    return board_milliseconds();
}

/* Interrupts off while a step is counted, else they would be counted with it. Where a step takes longer than the port's own
   buffer lasts, and it has no DMA, leave this empty: better a count with some interrupts in it than bytes lost. */
void hal_mask(bool on)
{
    board_interrupts(!on);
}

/* Armed when an operation begins and again at each step of it, disarmed when it ends: what hangs is reset, an idle device
   is not. Where a watchdog cannot be stopped once it runs, feed it in board_sleep. Clear its old request when arming. */
void hal_watchdog(bool armed)
{
    board_watchdog(armed);
}

uint8_t hal_reset_reason(void)
{
    return board_reset_reason();
}

void hal_reboot(void)
{
    while (!board_can_send()) { /* the reply to REBOOT goes out first; wait for "sent" where the port has a FIFO */
    }
    board_reset();
}

/* A board goes on: there is nothing to which it could end. */
void hal_exit(uint8_t code)
{
    (void)code;
}

uint8_t *hal_arena(uint32_t *bytes)
{
    *bytes = sizeof arena;
    return arena;
}

uint8_t *hal_kept(uint32_t *bytes)
{
    *bytes = sizeof kept;
    return kept;
}
