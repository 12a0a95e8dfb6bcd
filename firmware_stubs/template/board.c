/* The board's own functions. What every Cortex-M has stands here; what a chip has of its own is marked FILL IN: until then
   the port sends nothing, and there is no watchdog. Start code and linker script come from the chip's vendor, or from
   ../m4 (start.c, an386.ld); the FPU has to be on before main. */
#include "board.h"

#include "../common/hal.h"

/* Armv7-M Architecture Reference Manual: debug and trace, system timer, system control. */
#define DEMCR 0xE000EDFCu
#define DWT_CONTROL 0xE0001000u
#define DWT_CYCLES 0xE0001004u
#define SYSTICK_CONTROL 0xE000E010u
#define SYSTICK_RELOAD 0xE000E014u
#define SYSTICK_VALUE 0xE000E018u
#define AIRCR 0xE000ED0Cu

enum { TICK_MS = 50 };

static volatile uint32_t milliseconds;
static uint8_t reason = HAL_UNKNOWN;

static volatile uint32_t *reg(uint32_t address)
{
    return (volatile uint32_t *)(uintptr_t)address;
}

/* FILL IN: clocks up to BOARD_HZ; pins; the port (ask for 1 Mbaud or more: 115,200 baud are 11 KB/s) with its receive
   interrupt enabled; the cause of the reset from the chip's register, which is then cleared. */
void board_start(void)
{
    reason = HAL_UNKNOWN;
    *reg(DEMCR) |= 1u << 24; /* TRCENA: the trace unit, and with it the cycle counter */
    *reg(DWT_CONTROL) |= 1;
    *reg(SYSTICK_RELOAD) = BOARD_HZ / 1000 * TICK_MS - 1; /* 24 bits: less than 16.8 million */
    *reg(SYSTICK_VALUE) = 0;
    *reg(SYSTICK_CONTROL) = 7; /* on, with its interrupt, of the core's clock */
}

/* Vector of the system timer; it also wakes the core, so that a sleep does not last. */
void board_tick(void)
{
    milliseconds += TICK_MS;
}

/* Vector of the port's receive interrupt. FILL IN: clear its flag first, then give away all that is there:
       while (UART->STATUS & READY)
           board_received(UART->DATA); */
void board_port(void)
{
}

/* FILL IN. */
bool board_can_send(void)
{
    return true;
}

/* FILL IN. */
void board_send(uint8_t byte)
{
    (void)byte;
}

void board_sleep(void)
{
    __asm volatile("wfi" ::: "memory");
}

void board_interrupts(bool on)
{
    if (on)
        __asm volatile("cpsie i" ::: "memory");
    else
        __asm volatile("cpsid i" ::: "memory");
}

uint32_t board_cycles(void)
{
    return *reg(DWT_CYCLES);
}

uint32_t board_milliseconds(void)
{
    return milliseconds;
}

/* FILL IN, or say 0 for BOARD_WATCHDOG_MS. */
void board_watchdog(bool armed)
{
    (void)armed;
}

uint8_t board_reset_reason(void)
{
    return reason;
}

void board_reset(void)
{
    __asm volatile("dsb" ::: "memory");
    *reg(AIRCR) = 0x05FA0004u; /* VECTKEY and SYSRESETREQ */
    for (;;) {
    }
}
