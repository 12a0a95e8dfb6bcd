/* Reading and writing the state: u32 next step, u32 digest, then the runner's. */
#include "crc.h"
#include "device.h"

#define HEAD 8u

static uint8_t head[HEAD];
static struct {
    uint32_t at, crc; /* of a state that comes in piece by piece: how far */
} written;

static uint32_t state_bytes(uint8_t **base)
{
    uint32_t bytes;
    hw_device.runner->state(base, &bytes);
    return HEAD + bytes;
}

static uint32_t state_crc(const uint8_t *base, uint32_t total)
{
    return hw_crc_memory(hw_crc(0, head, HEAD), base, total - HEAD);
}

uint8_t hw_reset_state(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    if (hw_left(in))
        return hw_wrong_length(why, hw_left(in), 0);
    if (!hw_device.runner)
        return hw_not_loaded(why);
    hw_restart();
    hw_add32(out, hw_device.next);
    return HW_OK;
}

/* The part [offset, offset + n) of head and state. */
static void add_part(struct hw_writer *out, const uint8_t *base, uint32_t offset, uint32_t n)
{
    if (offset < HEAD) {
        uint32_t first = hw_least(n, HEAD - offset);
        hw_add(out, head + offset, first);
        offset += first;
        n -= first;
    }
    if (n)
        hw_add(out, base + (offset - HEAD), n);
}

uint8_t hw_read_state(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    if (hw_left(in) != 6)
        return hw_wrong_length(why, hw_left(in), 6);
    uint32_t offset = hw_take32(in), n = hw_take16(in);
    if (!hw_device.runner)
        return hw_not_loaded(why);
    if (hw_device.fallow)
        return hw_refuse(why, HW_E_STATE, "the state is not complete: reset or write it", hw_device.next, 0);
    uint8_t *base;
    uint32_t total = state_bytes(&base);
    if (offset > total)
        return hw_refuse(why, HW_E_RANGE, "beyond the state", offset, total);
    hw_put32(head, hw_device.next);
    hw_put32(head + 4, hw_device.digest);
    if (!hw_device.crc_known)
        hw_device.state_crc = state_crc(base, total);
    hw_device.crc_known = true;
    hw_add32(out, total);
    hw_add32(out, hw_device.state_crc);
    add_part(out, base, offset, hw_least(n, hw_least(total - offset, hw_room(out))));
    return HW_OK;
}

static void put_part(uint8_t *base, uint32_t offset, const uint8_t *from, uint32_t n)
{
    if (offset < HEAD) {
        uint32_t first = hw_least(n, HEAD - offset);
        memcpy(head + offset, from, first);
        offset += first;
        from += first;
        n -= first;
    }
    if (n)
        memcpy(base + (offset - HEAD), from, n);
}

/* All has come: it is in force, or the device is in its initial state. */
static uint8_t take_over(uint8_t *base, uint32_t total, struct hw_why *why)
{
    uint32_t crc = state_crc(base, total);
    uint8_t status = HW_OK;
    if (crc != written.crc)
        status = hw_refuse(why, HW_E_RANGE, "the state has another CRC-32", crc, written.crc);
    else
        status = hw_device.runner->check_state(why);
    if (status) {
        hw_restart();
        return status;
    }
    hw_device.next = hw_get32(head);
    hw_device.digest = hw_get32(head + 4);
    hw_device.fallow = false;
    return HW_OK;
}

uint8_t hw_write_state(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    if (hw_left(in) < 12)
        return hw_wrong_length(why, hw_left(in), 12);
    uint32_t offset = hw_take32(in), bytes = hw_take32(in), crc = hw_take32(in), n = hw_left(in);
    if (!hw_device.runner)
        return hw_not_loaded(why);
    uint8_t *base;
    uint32_t total = state_bytes(&base);
    if (bytes != total)
        return hw_refuse(why, HW_E_LEN, "the state has another size", bytes, total);
    if (offset && (offset != written.at || crc != written.crc))
        return hw_refuse(why, HW_E_ORDER, "another part of the state is wanted", written.at, total);
    if (n > total - offset)
        return hw_refuse(why, HW_E_RANGE, "beyond the state", n, total - offset);
    hw_device.fallow = true;
    hw_device.has_result = false;
    put_part(base, offset, in->at, n);
    written.at = offset + n;
    written.crc = crc;
    if (written.at == total) {
        written.at = 0;
        uint8_t status = take_over(base, total, why);
        if (status)
            return status;
    }
    hw_add32(out, offset + n);
    return HW_OK;
}
