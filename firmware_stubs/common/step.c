/* Steps: all of a request, or none. */
#include "crc.h"
#include "device.h"
#include "events.h"

enum flag { FED = 1, DRAIN = 2 };

void hw_restart(void)
{
    hw_device.runner->reset();
    hw_device.next = hw_device.digest = 0;
    hw_device.fallow = hw_device.has_result = false;
}

static uint8_t next_list(struct hw_reader *from, struct hw_inputs *in, struct hw_why *why)
{
    const struct hw_image *image = &hw_device.image;
    bool valued;
    uint8_t status = hw_list_read(from, image->n_in, image->value_in, hw_device.in_index, hw_device.in_value, &in->n,
                                  &valued, why);
    in->index = hw_device.in_index;
    in->value = valued ? hw_device.in_value : NULL;
    return status;
}

static uint8_t check_lists(struct hw_reader from, uint32_t k, struct hw_why *why)
{
    for (uint32_t i = 0; i < k; i++) {
        struct hw_inputs in;
        uint8_t status = next_list(&from, &in, why);
        if (status)
            return status;
    }
    if (hw_left(&from))
        return hw_refuse(why, HW_E_LEN, "bytes behind the last event list", hw_left(&from), 0);
    return HW_OK;
}

/* One step with what it costs, which goes before what it sends. */
static uint8_t one_step(const struct hw_inputs *in, struct hw_why *why)
{
    struct hw_buffer *result = &hw_device.result;
    uint8_t *to = result->at + result->used;
    hal_watchdog(true);
    hal_mask(true);
    uint32_t before = hal_ticks();
    uint8_t status = hw_device.runner->step(hw_device.next, in, &hw_device.out, why);
    uint32_t ticks = hal_ticks() - before;
    hal_mask(false);
    uint8_t *end = hw_list_write(&hw_device.out, hw_device.image.value_out, hw_device.next, hw_device.out_index, to + 4,
                                 &hw_device.digest);
    if (status) {
        why->value = hw_device.next;
        return status;
    }
    hw_put32(to, ticks);
    result->used += (uint32_t)(end - to);
    hw_device.next++;
    hw_device.steps++;
    return HW_OK;
}

static uint8_t run(struct hw_reader from, uint32_t k, bool drain, struct hw_why *why)
{
    hw_device.result.used = 0;
    hw_device.has_result = false;
    for (uint32_t i = 0; i < k; i++) {
        struct hw_inputs in;
        uint8_t status = next_list(&from, &in, why);
        in.drain = drain;
        if (!status)
            status = one_step(&in, why);
        if (status) {
            hw_device.fallow = true;
            hw_say(HW_ERROR, why->text);
            return status;
        }
    }
    hw_device.has_result = true;
    return HW_OK;
}

/* What was fed becomes the event lists. */
static uint8_t take_feed(struct hw_reader *in, struct hw_why *why)
{
    const struct hw_buffer *feed = &hw_device.feed;
    if (hw_left(in) != 8)
        return hw_wrong_length(why, hw_left(in), 8);
    uint32_t bytes = hw_take32(in), crc = hw_take32(in);
    if (bytes != feed->used)
        return hw_refuse(why, HW_E_ORDER, "another number of bytes was fed", feed->used, bytes);
    if (hw_crc_memory(0, feed->at, bytes) != crc)
        return hw_refuse(why, HW_E_RANGE, "what was fed has another CRC-32", crc, bytes);
    in->at = feed->at;
    in->end = feed->at + bytes;
    return HW_OK;
}

static uint8_t check_step(uint32_t t0, uint32_t k, uint32_t flags, struct hw_why *why)
{
#ifndef HW_NO_DUPLICATES
    if (t0 != hw_device.next)
        return hw_refuse(why, HW_E_ORDER, "another step is the next one", hw_device.next, t0);
#else
    (void)t0;
#endif
    if (!k || flags > (FED | DRAIN))
        return hw_refuse(why, HW_E_RANGE, "at least one step, and flags that are known", k ? flags : 0, FED | DRAIN);
    if (k > UINT32_MAX - hw_device.next)
        return hw_refuse(why, HW_E_RANGE, "steps are counted to 2^32 - 1", k, UINT32_MAX - hw_device.next);
    uint64_t need = (uint64_t)k * hw_device.step_most;
    if (need > hw_device.result.bytes)
        return hw_refuse(why, HW_E_NOMEM, "so many steps could overflow the result buffer",
                         need > UINT32_MAX ? UINT32_MAX : (uint32_t)need, hw_device.result.bytes);
    return HW_OK;
}

uint8_t hw_step(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    if (hw_left(in) < 7)
        return hw_wrong_length(why, hw_left(in), 7);
    uint32_t t0 = hw_take32(in), k = hw_take16(in), flags = hw_take8(in);
    if (!hw_device.runner)
        return hw_not_loaded(why);
    if (hw_device.fallow)
        return hw_refuse(why, HW_E_STATE, "the state is not complete: reset or write it", hw_device.next, 0);
    uint8_t status = check_step(t0, k, flags, why);
    if (!status && flags & FED)
        status = take_feed(in, why);
    if (!status)
        status = check_lists(*in, k, why);
    if (!status)
        status = run(*in, k, flags & DRAIN, why);
    if (status)
        return status;
    hw_add32(out, hw_device.next);
    hw_add32(out, hw_device.digest);
    hw_add32(out, hw_device.result.used);
    hw_add(out, hw_device.result.at, hw_device.result.used);
    return HW_OK;
}

uint8_t hw_fetch(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    const struct hw_buffer *result = &hw_device.result;
    if (hw_left(in) != 8)
        return hw_wrong_length(why, hw_left(in), 8);
    uint32_t next = hw_take32(in), offset = hw_take32(in);
    if (!hw_device.runner || !hw_device.has_result)
        return hw_refuse(why, HW_E_STATE, "there is no result", 0, 0);
    if (next != hw_device.next)
        return hw_refuse(why, HW_E_ORDER, "the result is of another step", hw_device.next, next);
    if (offset > result->used)
        return hw_refuse(why, HW_E_RANGE, "beyond the result", offset, result->used);
    hw_add(out, result->at + offset, result->used - offset);
    return HW_OK;
}

uint8_t hw_feed(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    struct hw_buffer *feed = &hw_device.feed;
    if (hw_left(in) < 4)
        return hw_wrong_length(why, hw_left(in), 4);
    uint32_t offset = hw_take32(in), n = hw_left(in);
    if (!hw_device.runner)
        return hw_not_loaded(why);
    if (offset && offset != feed->used)
        return hw_refuse(why, HW_E_ORDER, "another offset of the feed is wanted", feed->used, feed->bytes);
    if (n > feed->bytes - offset)
        return hw_refuse(why, HW_E_NOMEM, "the feed buffer is too small", offset + n, feed->bytes);
    memcpy(feed->at + offset, in->at, n);
    feed->used = offset + n;
    hw_add32(out, feed->used);
    return HW_OK;
}

uint8_t hw_bench(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    const struct hw_inputs none = {0, NULL, NULL, false};
    if (hw_left(in) != 4)
        return hw_wrong_length(why, hw_left(in), 4);
    uint32_t k = hw_take32(in);
    if (k > HW_BENCH_MOST)
        return hw_refuse(why, HW_E_RANGE, "too many steps for one measurement", k, HW_BENCH_MOST);
    if (!hw_device.runner)
        return hw_not_loaded(why);
    uint64_t ticks = 0;
    uint8_t status = HW_OK;
    hw_restart();
    for (uint32_t i = 0; i < k && !status; i++) {
        hw_device.result.used = 0;
        status = one_step(&none, why);
        ticks += status ? 0 : hw_get32(hw_device.result.at);
    }
    hw_restart();
    hw_add32(out, k);
    hw_add32(out, (uint32_t)ticks);
    hw_add32(out, (uint32_t)(ticks >> 32));
    return status;
}
