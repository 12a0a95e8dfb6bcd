/* Which operation is done by what, and the small ones. */
#include "crc.h"
#include "device.h"

#define EACH_CRC 65536u /* bytes between two signs of life to the watchdog */

struct hw_device hw_device;

static enum { GO_ON, REBOOT, EXIT } then;
static uint8_t exit_code;

uint8_t hw_wrong_length(struct hw_why *why, uint32_t is, uint32_t wanted)
{
    return hw_refuse(why, HW_E_LEN, "a request of this length is none", is, wanted);
}

uint8_t hw_not_loaded(struct hw_why *why)
{
    return hw_refuse(why, HW_E_STATE, "no image is loaded", 0, 0);
}

uint32_t hw_crc_memory(uint32_t before, const uint8_t *from, uint32_t n)
{
    while (n) {
        uint32_t some = hw_least(n, EACH_CRC);
        before = hw_crc(before, from, some);
        from += some;
        n -= some;
        hal_watchdog(true);
    }
    return before;
}

static uint8_t echo(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    if (hw_left(in) > hw_room(out))
        return hw_wrong_length(why, hw_left(in), hw_room(out));
    hw_add(out, in->at, hw_left(in));
    return HW_OK;
}

static uint8_t sink(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    (void)why;
    hw_add32(out, hw_left(in));
    return HW_OK;
}

static uint8_t source(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    if (hw_left(in) != 2)
        return hw_wrong_length(why, hw_left(in), 2);
    uint32_t n = hw_take16(in);
    if (n > hw_room(out))
        return hw_wrong_length(why, n, hw_room(out));
    for (uint32_t i = 0, v = 0; i < n; i++, v = v == 250 ? 0 : v + 1)
        *out->at++ = (uint8_t)v;
    return HW_OK;
}

static uint8_t reboot(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    (void)out;
    if (hw_left(in))
        return hw_wrong_length(why, hw_left(in), 0);
    then = REBOOT;
    return HW_OK;
}

static uint8_t end(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    (void)out;
    if (hw_left(in) != 1)
        return hw_wrong_length(why, hw_left(in), 1);
    exit_code = hw_take8(in);
    then = EXIT;
    return HW_OK;
}

#if defined HW_TEST_BUILD && !defined HW_FUZZ
static uint8_t hang(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    volatile bool for_ever = true;
    (void)in, (void)out, (void)why;
    while (for_ever) {
    }
    return HW_OK;
}
#endif

static hw_handler *const handlers[] = {
    [HW_LOAD_BEGIN] = hw_load_begin, [HW_LOAD_DATA] = hw_load_data, [HW_LOAD_END] = hw_load_end,
    [HW_RESET_STATE] = hw_reset_state, [HW_STEP] = hw_step, [HW_FETCH] = hw_fetch,
    [HW_READ_STATE] = hw_read_state, [HW_WRITE_STATE] = hw_write_state, [HW_STATUS] = hw_status,
    [HW_ECHO] = echo, [HW_SINK] = sink, [HW_SOURCE] = source, [HW_BENCH] = hw_bench,
    [HW_REBOOT] = reboot, [HW_EXIT] = end, [HW_VERIFY_IMAGE] = hw_verify_image, [HW_FEED] = hw_feed,
#if defined HW_TEST_BUILD && !defined HW_FUZZ
    [HW_HANG] = hang,
#endif
};

#define N_HANDLERS (sizeof handlers / sizeof *handlers)

uint32_t hw_op_mask(void)
{
    uint32_t mask = 1u << HW_HELLO | 1u << HW_LOG;
    for (uint32_t op = 0; op < N_HANDLERS; op++)
        if (handlers[op])
            mask |= 1u << op;
    return mask;
}

uint8_t hw_perform(uint8_t op, struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    if (op >= N_HANDLERS || !handlers[op])
        return hw_refuse(why, HW_E_OP, "no such operation", op, (uint32_t)N_HANDLERS - 1);
    if (op != HW_READ_STATE)
        hw_device.crc_known = false;
    return handlers[op](in, out, why);
}

void hw_afterwards(void)
{
    int now = (int)then;
    then = GO_ON;
    if (now == REBOOT)
        hal_reboot();
    if (now == EXIT)
        hal_exit(exit_code);
}
