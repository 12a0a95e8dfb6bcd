#include "crc.h"
#include "device.h"
#include "kept.h"
#include "link.h"

bool hw_start(void)
{
    if (!hw_crc_start())
        return false;
    memset(&hw_device, 0, sizeof hw_device);
    hw_device.board = hal_start();
    hw_device.mtu = hw_least(hw_device.board->mtu, HW_MTU);
    hw_device.window = hw_least(hw_device.board->window, HW_WINDOW);
    hw_device.arena = hal_arena(&hw_device.arena_bytes);
    hw_kept_start();
    hw_link_start();
    return true;
}

void hw_main(void)
{
    static uint8_t piece[HW_PIECE];
    if (!hw_start()) {
        hal_exit(70);
        return;
    }
    for (;;) {
        int32_t n = hal_read(piece, sizeof piece);
        if (n < 0)
            break;
        hw_link_take(piece, (uint32_t)n);
    }
    hal_exit(0);
}

#ifndef HW_OWN_MAIN /* a board whose main has arguments calls hw_main itself */
int main(void)
{
    hw_main();
    return 0;
}
#endif
