/* What the device says of itself. */
#include "device.h"
#include "kept.h"
#include "link.h"

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown"
#endif

enum tlv { NAME = 1, BUILD, CHIP, CORE, KINDS, OPS, COMPILER_NAME, WATCHDOG };
enum hello_flag { LOADED = 1, BROKEN_OFF = 2, TEST_BUILD = 4 };

static void add_tlv(struct hw_writer *out, enum tlv type, const char *text)
{
    uint32_t n = hw_least(hw_length(text), 255);
    hw_add8(out, type);
    hw_add8(out, n);
    hw_add(out, text, n);
}

static void add_tlv32(struct hw_writer *out, enum tlv type, uint32_t value)
{
    hw_add8(out, type);
    hw_add8(out, 4);
    hw_add32(out, value);
}

static void add_kinds(struct hw_writer *out)
{
    uint32_t n = 0;
    while (hw_runners[n])
        n++;
    hw_add8(out, KINDS);
    hw_add8(out, 2 * n);
    for (uint32_t i = 0; i < n; i++) {
        hw_add8(out, hw_runners[i]->kind);
        hw_add8(out, hw_runners[i]->layout);
    }
}

static uint32_t hello_flags(void)
{
    uint32_t flags = hw_device.runner ? LOADED : hw_kept.image_bytes ? BROKEN_OFF : 0;
#ifdef HW_TEST_BUILD
    flags |= TEST_BUILD;
#endif
    return flags;
}

static void add_image(struct hw_writer *out)
{
    static const uint8_t none[sizeof hw_kept.id];
    hw_add32(out, hw_device.runner ? hw_kept.image_crc : 0);
    hw_add(out, hw_kept.image_bytes ? hw_kept.id : none, sizeof hw_kept.id);
}

void hw_hello_body(struct hw_writer *out, const uint8_t *nonce, uint32_t session)
{
    const struct hal_board *board = hw_device.board;
    hw_add(out, nonce, 8);
    hw_add8(out, HW_VERSION);
    hw_add8(out, hello_flags());
    hw_add16(out, hw_device.mtu);
    hw_add16(out, hw_device.window);
    hw_add32(out, session);
    hw_add32(out, board->credit);
    hw_add32(out, hw_device.arena_bytes);
    hw_add32(out, board->counter_hz);
    hw_add8(out, board->counter);
    hw_add8(out, hal_reset_reason());
    hw_add8(out, hw_kept_last_op());
    hw_add8(out, 0);
    hw_add32(out, hw_kept.boots);
    hw_add32(out, hw_device.next);
    hw_add32(out, hw_device.digest);
    add_image(out);
    add_tlv(out, NAME, board->name);
    add_tlv(out, BUILD, HW_BUILD_ID);
    add_tlv(out, CHIP, board->chip);
    add_tlv(out, CORE, board->core);
    add_kinds(out);
    add_tlv32(out, OPS, hw_op_mask());
    add_tlv(out, COMPILER_NAME, COMPILER);
    add_tlv32(out, WATCHDOG, board->watchdog_ms);
}

uint8_t hw_status(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    if (hw_left(in))
        return hw_wrong_length(why, hw_left(in), 0);
    const struct hw_link_counts *c = &hw_link_counts;
    const uint32_t counts[] = {
        c->frames, c->bad_cobs, c->bad_crc, c->too_long, c->too_short, c->wrong_session, c->repeated, c->gaps,
        hal_overrun(), c->executed, hw_device.steps, c->naks, hw_device.logs_dropped, hw_kept.boots,
        hw_kept.watchdog_resets, hal_milliseconds(),
    };
    const uint32_t n = sizeof counts / sizeof *counts;
    hw_add8(out, n);
    for (uint32_t i = 0; i < n; i++)
        hw_add32(out, counts[i]);
    return HW_OK;
}
