/* The port is CMSDK UART 0. What comes goes into a ring by interrupt; the core sleeps while there is nothing: asking the
   status register in a loop starves an emulator's own work. */
#include "../common/config.h"
#include "board.h"

enum {
    UART_DATA = 0x40004000, UART_STATE = 0x40004004, UART_CONTROL = 0x40004008, UART_CLEAR = 0x4000400C,
    UART_DIVIDER = 0x40004010,
};
enum { TX_FULL = 1, RX_FULL = 2, TX_ON = 1, RX_ON = 2, TX_WAKES = 4, RX_WAKES = 8, TX_FLAG = 1, RX_FLAG = 2 };
#define NVIC_ENABLE 0xE000E100u
#define SYSTICK_CONTROL 0xE000E010u
#define SYSTICK_RELOAD 0xE000E014u

#define RING 16384u /* a power of two */
_Static_assert(RING > HW_WINDOW * (HW_MTU + HW_MTU / 254 + 4), "a window of frames fits, with what COBS adds");
#define BAUD 1000000u

static struct hal_board board = {
    .name = "MPS2-AN386, UART", .chip = "AN386", .core = "Cortex-M4F", .mtu = HW_MTU, .window = HW_WINDOW,
    .credit = RING, .watchdog_ms = BOARD_WATCHDOG_MS,
};
static uint8_t ring[RING];
static volatile uint32_t head, tail; /* written by the interrupt, read by the firmware */
static volatile uint32_t lost;

void port_received(void)
{
    *board_register(UART_CLEAR) = RX_FLAG; /* first: a byte that comes after the last look sets it again */
    while (*board_register(UART_STATE) & RX_FULL) {
        uint8_t byte = (uint8_t)*board_register(UART_DATA);
        if (head - tail < RING)
            ring[head++ % RING] = byte;
        else
            lost++;
    }
}

void port_sent(void)
{
    *board_register(UART_CLEAR) = TX_FLAG;
}

void port_time(void)
{
}

const struct hal_board *hal_start(void)
{
    board_start(&board);
    *board_register(UART_DIVIDER) = BOARD_HZ / BAUD;
    *board_register(UART_CONTROL) = TX_ON | RX_ON | RX_WAKES;
    *board_register(SYSTICK_RELOAD) = BOARD_HZ / 10 - 1;
    *board_register(SYSTICK_CONTROL) = 7;
    *board_register(NVIC_ENABLE) = 3;
    (void)*board_register(UART_DATA); /* QEMU holds back what was sent before the port was on until this is read */
    return &board;
}

/* Sleeps until something comes, at most to the next tick of the system timer. */
static void doze(void)
{
    hal_mask(true); /* wfi wakes nevertheless, and nothing can come between the question and the sleep */
    if (head == tail)
        __asm volatile("wfi" ::: "memory");
    hal_mask(false);
}

int32_t hal_read(uint8_t *to, uint32_t most)
{
    uint32_t n = 0;
    if (head == tail)
        doze();
    while (n < most && head != tail)
        to[n++] = ring[tail++ % RING];
    return (int32_t)n;
}

static void wait_to_send(void)
{
    *board_register(UART_CONTROL) = TX_ON | RX_ON | RX_WAKES | TX_WAKES;
    while (*board_register(UART_STATE) & TX_FULL)
        ;
    *board_register(UART_CONTROL) = TX_ON | RX_ON | RX_WAKES;
}

void hal_write(const uint8_t *from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (*board_register(UART_STATE) & TX_FULL)
            wait_to_send();
        *board_register(UART_DATA) = from[i];
    }
}

void hal_flush(void)
{
}

uint32_t hal_overrun(void)
{
    return lost;
}

void hal_exit(uint8_t code)
{
    (void)code;
}
