/* An image comes in, is checked, and is bound to its runner. */
#include "crc.h"
#include "device.h"
#include "events.h"
#include "kept.h"

static uint64_t round8(uint64_t n)
{
    return (n + 7) & ~(uint64_t)7;
}

/* What its runner took is free again. */
static void unload(void)
{
    hw_arena_over(hw_device.arena, hw_device.arena + hw_device.arena_bytes);
    hw_device.runner = NULL;
    hw_device.has_result = false;
    hw_device.next = hw_device.digest = 0;
}

static bool same_upload(uint32_t bytes, uint32_t crc, const uint8_t *id)
{
    return hw_kept.image_bytes == bytes && hw_kept.image_crc == crc && !memcmp(hw_kept.id, id, sizeof hw_kept.id);
}

uint8_t hw_load_begin(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    if (hw_left(in) != 8 + sizeof hw_kept.id)
        return hw_wrong_length(why, hw_left(in), 8 + sizeof hw_kept.id);
    uint32_t bytes = hw_take32(in), crc = hw_take32(in);
    if (bytes < HW_HEADER)
        return hw_refuse(why, HW_E_RANGE, "an image has a header", bytes, HW_HEADER);
    if (bytes > hw_device.arena_bytes)
        return hw_refuse(why, HW_E_NOMEM, "the image does not fit the memory", bytes, hw_device.arena_bytes);
    if (!same_upload(bytes, crc, in->at)) {
        unload();
        hw_kept.image_bytes = bytes;
        hw_kept.image_crc = crc;
        hw_kept.received = 0;
        memcpy(hw_kept.id, in->at, sizeof hw_kept.id);
        hw_kept_save();
    }
    hw_add32(out, hw_kept.received);
    return HW_OK;
}

uint8_t hw_load_data(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    if (hw_left(in) < 4)
        return hw_wrong_length(why, hw_left(in), 4);
    uint32_t offset = hw_take32(in), n = hw_left(in);
    if (!hw_kept.image_bytes)
        return hw_refuse(why, HW_E_STATE, "no upload has begun", 0, 0);
    if (offset != hw_kept.received)
        return hw_refuse(why, HW_E_ORDER, "another offset of the image is wanted", hw_kept.received,
                         hw_kept.image_bytes);
    if (n > hw_kept.image_bytes - offset)
        return hw_refuse(why, HW_E_RANGE, "more than the image", n, hw_kept.image_bytes - offset);
    memcpy(hw_device.arena + offset, in->at, n);
    hw_kept.received += n;
    hw_kept_save();
    hw_add32(out, hw_kept.received);
    return HW_OK;
}

/* All memory behind the image: the runner's first, then what a step needs; the rest is for results and feeds. The first
   refusal is told when all has been asked for, so that the need is known. */
static uint8_t lay_out(const struct hw_runner *runner, struct hw_why *why)
{
    const struct hw_image *image = &hw_device.image;
    struct hw_device *d = &hw_device;
    uint32_t front = (uint32_t)round8(image->bytes);
    struct hw_arena room = hw_arena_over(d->arena + hw_least(front, d->arena_bytes), d->arena + d->arena_bytes);
    uint64_t most = 4 + hw_list_most(image->n_out, image->value_out);

    uint8_t status = runner->bind(image, &room, why);
    if (status && status != HW_E_NOMEM)
        return status;
    d->out.n_out = image->n_out;
    d->out.bits = hw_take(&room, ((uint64_t)image->n_out + 31) / 32, 4);
    d->out.value = hw_take(&room, image->n_out, hw_width(image->value_out));
    d->out_index = hw_take(&room, image->n_out, 4);
    d->in_index = hw_take(&room, image->n_in, 4);
    d->in_value = hw_take(&room, image->n_in, hw_width(image->value_in));
    uint64_t need = front + room.need + round8(most);
    if (status || need > d->arena_bytes)
        return hw_refuse(why, HW_E_NOMEM, "the image and its state do not fit",
                         need > UINT32_MAX ? UINT32_MAX : (uint32_t)need, d->arena_bytes);
    if (!image->value_out)
        d->out.value = NULL;
    uint32_t rest = (uint32_t)(room.end - room.at) & ~7u;
    d->step_most = (uint32_t)most;
    d->result.at = room.at;
    uint32_t half = (rest / 2) & ~7u;
    d->result.bytes = half >= most ? half : (uint32_t)round8(most);
    if (d->result.bytes > HW_RESULT_MOST && most <= HW_RESULT_MOST)
        d->result.bytes = HW_RESULT_MOST;
    d->feed.at = room.at + d->result.bytes;
    d->feed.bytes = hw_least(rest - d->result.bytes, HW_RESULT_MOST);
    d->result.used = d->feed.used = 0;
    return HW_OK;
}

/* The places of values hold 1 before a step. */
static void fill_ones(void)
{
    struct hw_outputs *out = &hw_device.out;
    uint8_t type = hw_device.image.value_out;
    for (uint32_t i = 0; type && i < out->n_out; i++) {
        if (type == HW_I32)
            ((int32_t *)out->value)[i] = 1;
        else if (type == HW_F32)
            ((float *)out->value)[i] = 1;
        else
            ((double *)out->value)[i] = 1;
    }
}

static uint8_t bind(struct hw_why *why)
{
    struct hw_image *image = &hw_device.image;
    uint8_t status = hw_image_open(image, hw_device.arena, hw_kept.image_bytes, why);
    if (status)
        return status;
    const struct hw_runner *runner = hw_runner_of(image->kind, image->layout);
    if (!runner)
        return hw_refuse(why, HW_E_UNSUPPORTED, "no runner for this kind and layout", image->kind, image->layout);
    status = lay_out(runner, why);
    if (status)
        return status;
    fill_ones();
    hw_device.runner = runner;
    hw_restart();
    return HW_OK;
}

uint8_t hw_load_end(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    if (hw_left(in))
        return hw_wrong_length(why, hw_left(in), 0);
    if (!hw_kept.image_bytes)
        return hw_refuse(why, HW_E_STATE, "no upload has begun", 0, 0);
    if (hw_kept.received != hw_kept.image_bytes)
        return hw_refuse(why, HW_E_ORDER, "the image is not complete", hw_kept.received, hw_kept.image_bytes);
    unload();
    uint32_t crc = hw_crc_memory(0, hw_device.arena, hw_kept.image_bytes);
    if (crc != hw_kept.image_crc) {
        hw_kept.image_bytes = 0;
        hw_kept_save();
        return hw_refuse(why, HW_E_CRC_IMAGE, "the image in memory is not what was announced", crc, hw_kept.image_crc);
    }
    uint8_t status = bind(why);
    if (status)
        return status;
    uint8_t *state;
    uint32_t bytes;
    hw_device.runner->state(&state, &bytes);
    hw_add32(out, 8 + bytes);
    hw_add32(out, hw_device.step_most);
    hw_add32(out, hw_device.result.bytes);
    hw_add32(out, hw_device.feed.bytes);
    return HW_OK;
}

uint8_t hw_verify_image(struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    if (hw_left(in))
        return hw_wrong_length(why, hw_left(in), 0);
    if (!hw_device.runner)
        return hw_not_loaded(why);
    hw_add32(out, hw_crc_memory(0, hw_device.arena, hw_kept.image_bytes));
    return HW_OK;
}
