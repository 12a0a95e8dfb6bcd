/* MPS2-AN386: CMSDK timer 0 and watchdog, reset, and memory that survives it. */
#include "board.h"

#include "../common/image.h"

enum {
    TIMER_CONTROL = 0x40000000, TIMER_VALUE = 0x40000004, TIMER_RELOAD = 0x40000008,
    DOG_LOAD = 0x40008000, DOG_CONTROL = 0x40008008, DOG_CLEAR = 0x4000800C,
};
#define DWT_CONTROL 0xE0001000u
#define DWT_CYCLES 0xE0001004u
#define DEMCR 0xE000EDFCu
#define AIRCR 0xE000ED0Cu
#define CFSR 0xE000ED28u

#define RECORD 0x52435244u
#define KEPT 1024u

extern uint8_t board_arena[], board_arena_bytes[];
extern const uint32_t board_note[];

/* Why it was reset is written down before a reset. After a fault: where it was, for a debugger. */
static struct {
    uint32_t magic, reason, pc, lr, cfsr;
} record __attribute__((section(".noinit")));
static uint64_t kept[KEPT / 8] __attribute__((section(".noinit")));

static uint8_t reason, counter;
static uint32_t scale, half, shift; /* ticks of the counter = (ticks of the timer * scale + half) >> shift */
static uint32_t counted, seen;
static uint64_t passed;
static uint32_t passed_at;

static uint32_t timer(void)
{
    return ~*board_register(TIMER_VALUE);
}

static bool cycles_run(void)
{
    *board_register(DEMCR) |= 1u << 24;
    *board_register(DWT_CONTROL) |= 1;
    uint32_t before = *board_register(DWT_CYCLES);
    for (uint32_t i = 0; i < 16; i++)
        __asm volatile("nop");
    return *board_register(DWT_CYCLES) != before;
}

static void find_counter(void)
{
    *board_register(TIMER_CONTROL) = 0;
    *board_register(TIMER_RELOAD) = UINT32_MAX;
    *board_register(TIMER_VALUE) = UINT32_MAX;
    *board_register(TIMER_CONTROL) = 1;
    counter = HAL_WALL;
    scale = 1;
    if (cycles_run()) {
        counter = HAL_CYCLES;
    } else if ((board_note[0] & ~31u) == BOARD_NOTE) {
        counter = HAL_INSTRUCTIONS;
        scale = 1000000000u / BOARD_HZ;
        shift = board_note[0] & 31;
        half = (1u << shift) / 2;
    }
}

void board_start(struct hal_board *board)
{
    reason = HAL_POWER;
    if (record.magic == RECORD)
        reason = (uint8_t)record.reason;
    record.magic = RECORD;
    record.reason = HAL_UNKNOWN; /* what comes without a word, such as the reset pin */
    hal_watchdog(false);
    find_counter();
    board->counter = counter;
    board->counter_hz = counter == HAL_INSTRUCTIONS ? 0 : BOARD_HZ;
}

/* Each difference is rounded by itself: a clock that goes on by itself while the core sleeps leaves no fraction behind. */
uint32_t hal_ticks(void)
{
    if (counter == HAL_CYCLES)
        return *board_register(DWT_CYCLES);
    uint32_t now = timer(), since = now - seen;
    seen = now;
    counted += (uint32_t)(((uint64_t)since * scale + half) >> shift);
    return counted;
}

uint32_t hal_milliseconds(void) /* right if asked every 170 s */
{
    uint32_t now = timer();
    passed += now - passed_at;
    passed_at = now;
    return (uint32_t)(passed / (BOARD_HZ / 1000));
}

void hal_mask(bool on)
{
    if (on)
        __asm volatile("cpsid i" ::: "memory");
    else
        __asm volatile("cpsie i" ::: "memory");
}

/* Its time-out is an NMI, which resets. Its own reset stays off: QEMU 7.2 lets it count while it is disarmed, and what
   it has found out then would reset the board as soon as it is armed. A clock that counts instructions runs faster than
   a wall clock: with a shift of 8 it bites after 336 million of them. */
void hal_watchdog(bool armed)
{
    if (armed) {
        bool fast = counter == HAL_INSTRUCTIONS;
        *board_register(DOG_LOAD) = fast ? INT32_MAX : BOARD_WATCHDOG_MS * (BOARD_HZ / 1000);
        *board_register(DOG_CLEAR) = 1;
    }
    *board_register(DOG_CONTROL) = armed;
}

uint8_t hal_reset_reason(void)
{
    return reason;
}

static _Noreturn void start_again(enum hal_reset why)
{
    record.magic = RECORD;
    record.reason = why;
    __asm volatile("dsb" ::: "memory");
    *board_register(AIRCR) = 0x05FA0004;
    for (;;)
        ;
}

void hal_reboot(void)
{
    start_again(HAL_SOFTWARE);
}

void board_watchdog_bites(void)
{
    start_again(HAL_WATCHDOG);
}

void board_fault(const uint32_t *frame)
{
    record.lr = frame[5];
    record.pc = frame[6];
    record.cfsr = *board_register(CFSR);
    start_again(HAL_FAULT);
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
