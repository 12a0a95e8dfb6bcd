/* QEMU's RISC-V `virt`: the second instruction set, against code that only one compiler or core accepts. Loaded by an
   emulator, which puts initialised data in place at each reset. */
#include "../common/hal.h"

#include "../common/config.h"
#include "../common/image.h"

enum { UART = 0x10000000, UART_DATA = 0, UART_INTERRUPTS = 1, UART_FIFO = 2, UART_STATUS = 5, RX_READY = 1, TX_EMPTY = 32 };
enum { PLIC_PRIORITY = 0x0C000028, PLIC_ENABLE = 0x0C002000, PLIC_THRESHOLD = 0x0C200000, PLIC_CLAIM = 0x0C200004 };
enum { CLINT_COMPARE = 0x02004000, CLINT_TIME = 0x0200BFF8, TIME_HZ = 10000000, EXIT = 0x00100000 };
enum { UART_SOURCE = 10, TIMER_WAKES = 0x80, PLIC_WAKES = 0x800 };

#define NOTE 0x48570100u /* | shift, from the emulator's host: its clock advances 2^shift ns with each instruction */
#define RECORD 0x52435244u
#define KEPT 1024u

extern uint8_t board_arena[], board_arena_bytes[];
extern const uint32_t board_note[];

static struct hal_board board = {
    .name = "QEMU virt", .chip = "virt", .core = "RV32IMAC", .mtu = HW_MTU, .window = HW_WINDOW,
    .credit = 16384,
    .counter_hz = TIME_HZ,
};
static struct {
    uint32_t magic, reason;
} record __attribute__((section(".noinit")));
static uint64_t kept[KEPT / 8] __attribute__((section(".noinit")));
static uint8_t reason;
static uint32_t shift;

static volatile uint32_t *at(uint32_t address)
{
    return (volatile uint32_t *)(uintptr_t)address;
}

static volatile uint8_t *port(uint32_t place)
{
    return (volatile uint8_t *)(uintptr_t)(UART + place);
}

const struct hal_board *hal_start(void)
{
    reason = record.magic == RECORD ? (uint8_t)record.reason : HAL_POWER;
    record.magic = RECORD;
    record.reason = HAL_UNKNOWN;
    board.counter = HAL_WALL;
    if ((board_note[0] & ~31u) == NOTE) {
        board.counter = HAL_INSTRUCTIONS;
        board.counter_hz = 0;
        shift = board_note[0] & 31;
    }
    *port(UART_FIFO) = 7;
    *port(UART_INTERRUPTS) = 1;
    *at(PLIC_PRIORITY) = 1;
    *at(PLIC_ENABLE) = 1u << UART_SOURCE;
    *at(PLIC_THRESHOLD) = 0;
    __asm volatile("csrw mie, %0" ::"r"(TIMER_WAKES | PLIC_WAKES)); /* wakes; mstatus.MIE stays off: no trap is taken */
    return &board;
}

static uint64_t now(void)
{
    uint32_t high, low;
    do {
        high = *at(CLINT_TIME + 4);
        low = *at(CLINT_TIME);
    } while (high != *at(CLINT_TIME + 4));
    return (uint64_t)high << 32 | low;
}

static void doze(void)
{
    uint64_t until = now() + TIME_HZ / 10;
    *at(CLINT_COMPARE + 4) = UINT32_MAX;
    *at(CLINT_COMPARE) = (uint32_t)until;
    *at(CLINT_COMPARE + 4) = (uint32_t)(until >> 32);
    __asm volatile("wfi" ::: "memory");
    *at(CLINT_COMPARE + 4) = UINT32_MAX;
    *at(PLIC_CLAIM) = *at(PLIC_CLAIM);
}

int32_t hal_read(uint8_t *to, uint32_t most)
{
    uint32_t n = 0;
    if (!(*port(UART_STATUS) & RX_READY))
        doze();
    while (n < most && *port(UART_STATUS) & RX_READY)
        to[n++] = *port(UART_DATA);
    return (int32_t)n;
}

void hal_write(const uint8_t *from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        while (!(*port(UART_STATUS) & TX_EMPTY))
            ;
        *port(UART_DATA) = from[i];
    }
}

void hal_flush(void)
{
}

uint32_t hal_ticks(void)
{
    uint32_t low, high, again;
    if (board.counter != HAL_INSTRUCTIONS)
        return (uint32_t)now();
    do
        __asm volatile("csrr %0, mcycleh\n csrr %1, mcycle\n csrr %2, mcycleh" : "=r"(high), "=r"(low), "=r"(again));
    while (high != again);
    return (uint32_t)(((uint64_t)high << 32 | low) >> shift);
}

uint32_t hal_milliseconds(void)
{
    return (uint32_t)(now() / (TIME_HZ / 1000));
}

void hal_mask(bool on)
{
    (void)on; /* nothing interrupts */
}

void hal_watchdog(bool armed)
{
    (void)armed; /* the board has none */
}

uint8_t hal_reset_reason(void)
{
    return reason;
}

static _Noreturn void start_again(enum hal_reset why)
{
    record.magic = RECORD;
    record.reason = why;
    *at(EXIT) = 0x7777;
    for (;;)
        ;
}

void hal_reboot(void)
{
    start_again(HAL_SOFTWARE);
}

__attribute__((aligned(4))) void board_trap(void)
{
    start_again(HAL_FAULT);
}

void hal_exit(uint8_t code)
{
    *at(EXIT) = code ? 0x3333u | (uint32_t)code << 16 : 0x5555u;
}

uint8_t *hal_arena(uint32_t *bytes)
{
    *bytes = (uint32_t)(uintptr_t)board_arena_bytes;
    return board_arena;
}

uint8_t *hal_kept(uint32_t *bytes)
{
    *bytes = sizeof kept;
    return (uint8_t *)kept;
}
