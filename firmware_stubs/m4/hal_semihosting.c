/* The port is standard input and output of the host, through Arm's semihosting: bkpt 0xab with the operation in r0 and
   its arguments at r1. Same image in QEMU and in Unicorn. */
#include "../common/config.h"
#include "../common/image.h"
#include "board.h"

enum { SYS_OPEN = 0x01, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };

static struct hal_board board = {
    .name = "MPS2-AN386, semihosting", .chip = "AN386", .core = "Cortex-M4F", .mtu = HW_MTU, .window = HW_WINDOW,
    .credit = 16 * HW_MTU, .watchdog_ms = BOARD_WATCHDOG_MS,
};
static int32_t input, output;
static uint8_t waiting[4096];
static uint32_t n_waiting;

static int32_t call(uint32_t operation, const void *block)
{
    register uint32_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = block;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

static int32_t open_console(uint32_t mode)
{
    struct {
        const char *name;
        uint32_t mode, length;
    } block = {":tt", mode, 3};
    return call(SYS_OPEN, &block);
}

/* How many bytes were not moved. */
static int32_t move(uint32_t operation, int32_t file, const uint8_t *bytes, uint32_t n)
{
    struct {
        int32_t file;
        const uint8_t *bytes;
        uint32_t n;
    } block = {file, bytes, n};
    return call(operation, &block);
}

const struct hal_board *hal_start(void)
{
    board_start(&board);
    input = open_console(0);
    output = open_console(4);
    return &board;
}

int32_t hal_read(uint8_t *to, uint32_t most)
{
    int32_t left = move(SYS_READ, input, to, most);
    return left < 0 || (uint32_t)left >= most ? -1 : (int32_t)most - left;
}

void hal_flush(void)
{
    if (n_waiting)
        move(SYS_WRITE, output, waiting, n_waiting);
    n_waiting = 0;
}

void hal_write(const uint8_t *from, uint32_t n)
{
    while (n) {
        uint32_t room = (uint32_t)sizeof waiting - n_waiting, part = n < room ? n : room;
        memcpy(waiting + n_waiting, from, part);
        n_waiting += part;
        from += part;
        n -= part;
        if (n_waiting == sizeof waiting)
            hal_flush();
    }
}

void hal_exit(uint8_t code)
{
    const uint32_t block[2] = {0x20026, code}; /* ADP_Stopped_ApplicationExit */
    hal_flush();
    call(SYS_EXIT_EXTENDED, block);
}
