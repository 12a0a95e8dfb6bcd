#include "kept.h"
#include "bytes.h"
#include "crc.h"
#include "hal.h"

#define MAGIC 0x5045454Bu /* "KEEP" */

struct hw_kept hw_kept;
static uint8_t *place; /* the record, then the operation in a form that chance does not make */
static uint8_t last_op;

static uint32_t check(void)
{
    return hw_crc(0, &hw_kept, (uint32_t)offsetof(struct hw_kept, check));
}

void hw_kept_save(void)
{
    hw_kept.check = check();
    memcpy(place, &hw_kept, sizeof hw_kept);
}

void hw_kept_op(uint8_t op)
{
    hw_put32(place + sizeof hw_kept, op * 0x01000001u ^ 0x00A55A00u);
}

void hw_kept_start(void)
{
    uint32_t bytes;
    place = hal_kept(&bytes);
    memcpy(&hw_kept, place, sizeof hw_kept);
    uint32_t arena, op = hw_get32(place + sizeof hw_kept);
    hal_arena(&arena);
    last_op = op == ((op & 255) * 0x01000001u ^ 0x00A55A00u) ? (uint8_t)op : 0;
    if (hw_kept.magic != MAGIC || hw_kept.check != check() || hw_kept.image_bytes > arena
        || hw_kept.received > hw_kept.image_bytes) {
        memset(&hw_kept, 0, sizeof hw_kept);
        hw_kept.magic = MAGIC;
        last_op = 0;
    }
    hw_kept.boots++;
    hw_kept.watchdog_resets += hal_reset_reason() == HAL_WATCHDOG;
    hw_kept_save();
    hw_kept_op(0);
}

uint8_t hw_kept_last_op(void)
{
    return last_op;
}
