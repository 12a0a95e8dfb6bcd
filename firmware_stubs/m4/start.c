/* Vectors, and what runs before main. */
#include "../common/image.h"
#include "board.h"

extern uint32_t stack_top[], data_start[], data_end[], data_from[], bss_start[], bss_end[];
int main(void);
void board_watchdog_bites(void);
void board_fault(const uint32_t *frame);

void reset(void)
{
    *board_register(0xE000ED88) |= 0xFu << 20; /* CPACR: the FPU on */
    __asm volatile("dsb\n isb" ::: "memory");
    memcpy(data_start, data_from, (size_t)((uintptr_t)data_end - (uintptr_t)data_start));
    memset(bss_start, 0, (size_t)((uintptr_t)bss_end - (uintptr_t)bss_start));
    main();
    for (;;)
        hal_reboot();
}

static __attribute__((naked)) void fault(void)
{
    __asm volatile("mrs r0, msp\n b board_fault");
}

__attribute__((weak)) void port_received(void)
{
}

__attribute__((weak)) void port_sent(void)
{
}

__attribute__((weak)) void port_time(void)
{
}

__attribute__((section(".vectors"), used)) static void (*const vectors[])(void) = {
    (void (*)(void))stack_top, reset, board_watchdog_bites, fault, fault, fault, fault, /* NMI is the watchdog's */
    0, 0, 0, 0, fault, fault, 0, fault, port_time, port_received, port_sent,
};
