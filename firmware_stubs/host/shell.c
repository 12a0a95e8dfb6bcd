/* The runners as a shared library, without the link: for tests that hold them against the simulators step by step. */
#include "../common/device.h"

static const uint32_t widths[] = {0, 4, 4, 8};
static const struct hw_runner *runner;
static struct hw_image image;
static struct hw_outputs out;

/* Binds an image (aligned to 8 bytes, kept by the caller); why: value, limit; *text: what is wrong. */
int shell_open(const uint8_t *base, uint32_t bytes, uint8_t *arena, uint32_t arena_bytes, uint32_t *why, const char **text)
{
    struct hw_why found = {0, 0, ""};
    struct hw_arena room = {arena, arena + arena_bytes, 0};
    runner = NULL;
    int status = hw_image_open(&image, base, bytes, &found);
    if (status == HW_OK && !(runner = hw_runner_of(image.kind, image.layout)))
        status = hw_refuse(&found, HW_E_UNSUPPORTED, "no runner for this kind and layout", image.kind, image.layout);
    if (runner) {
        out.n_out = image.n_out;
        out.bits = hw_take(&room, (image.n_out + 31) / 32, 4);
        out.value = image.value_out ? hw_take(&room, image.n_out, widths[image.value_out]) : NULL;
        status = out.bits ? runner->bind(&image, &room, &found) : HW_E_NOMEM;
        if (status == HW_E_NOMEM)
            hw_refuse(&found, HW_E_NOMEM, "the image and its state do not fit", (uint32_t)room.need, arena_bytes);
    }
    why[0] = found.value;
    why[1] = found.limit;
    *text = found.text;
    if (status == HW_OK)
        runner->reset();
    return status;
}

void shell_reset(void)
{
    runner->reset();
}

/* One step; returns the status; found (n_out) and value get the n_found elements that were sent. */
int shell_step(uint32_t t, uint32_t n, const uint32_t *index, const void *value, int drain, uint32_t *n_found,
               uint32_t *found, uint8_t *values, const char **text)
{
    struct hw_why why = {0, 0, ""};
    struct hw_inputs in = {n, index, value, drain != 0};
    uint32_t width = widths[image.value_out], k = 0;
    memset(out.bits, 0, (image.n_out + 31) / 32 * 4);
    for (uint32_t i = 0; i < image.n_out && width; i++) { /* one is the value of what is only marked */
        if (image.value_out == HW_I32)
            ((int32_t *)out.value)[i] = 1;
        else if (image.value_out == HW_F32)
            ((float *)out.value)[i] = 1;
        else
            ((double *)out.value)[i] = 1;
    }
    int status = runner->step(t, &in, &out, &why);
    for (uint32_t i = 0; i < image.n_out; i++)
        if (out.bits[i / 32] >> (i % 32) & 1) {
            if (width)
                memcpy(values + width * k, (uint8_t *)out.value + width * i, width);
            found[k++] = i;
        }
    *n_found = k;
    *text = why.text;
    return status;
}

void shell_state(uint8_t **base, uint32_t *bytes)
{
    runner->state(base, bytes);
}

int shell_check_state(void)
{
    struct hw_why why;
    return runner->check_state(&why);
}
