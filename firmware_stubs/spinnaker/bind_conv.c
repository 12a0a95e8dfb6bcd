/* Whether the record of a convolution holds together. */
#include "machine.h"

/* Whether every number lies from low to high. */
static bool within(const int32_t *numbers, uint32_t n, int32_t low, int32_t high)
{
    for (uint32_t i = 0; i < n; i++)
        if (numbers[i] < low || numbers[i] > high)
            return false;
    return true;
}

static uint64_t volume(int32_t a, int32_t b, int32_t c)
{
    return (uint64_t)a * (uint64_t)b * (uint64_t)c;
}

/* Whether no number that is made of two fields grows past 2^30. */
static bool moderate(const struct spin_conv *f)
{
    uint64_t groups = (uint64_t)(f->in_channel + f->in_channels) / (uint64_t)f->group_in + 1;
    return groups * (uint64_t)f->group_out <= 1 << 30 && (uint64_t)f->kernel_y * (uint64_t)f->dilation_y <= 1 << 24 &&
           (uint64_t)f->kernel_x * (uint64_t)f->dilation_x <= 1 << 24;
}

uint8_t spin_check_conv(const struct spin_pe *pe, uint32_t index, uint32_t *senders, struct hw_why *why)
{
    if (index >= pe->n_shapes)
        return hw_refuse(why, HW_E_IMAGE, "a convolution that is not there", index, pe->n_shapes);
    const struct spin_conv *f = pe->shapes + index;
    const int32_t box[] = {f->in_channel, f->in_channels, f->in_y, f->in_height, f->in_x, f->in_width, f->first,
                           f->out_channel, f->out_channels, f->out_y, f->out_height, f->out_x, f->out_width};
    const int32_t kernel[] = {f->out_channels, f->group_in, f->kernel_y, f->kernel_x, f->stride_y, f->stride_x,
                              f->dilation_y, f->dilation_x, f->group_out};
    const int32_t pad[] = {f->pad_y, f->pad_x};
    if (!within(box, sizeof box / 4, 0, SPIN_MAX_BOX) || !within(kernel, sizeof kernel / 4, 1, SPIN_MAX_BOX) ||
        !within(pad, 2, -SPIN_MAX_BOX, SPIN_MAX_BOX) || !moderate(f))
        return hw_refuse(why, HW_E_IMAGE, "a number of a convolution", index, SPIN_MAX_BOX);
    uint64_t in = volume(f->in_channels, f->in_height, f->in_width);
    uint64_t out = volume(f->out_channels, f->out_height, f->out_width);
    if (in > SPIN_MAX_BOX || out + (uint64_t)f->first > (uint64_t)pe->n * spin_ports(pe->model))
        return hw_refuse(why, HW_E_IMAGE, "a convolution beyond the neurons of its PE", index, pe->n);
    uint64_t weights = volume(f->out_channels, f->group_in, 1);
    if (weights > pe->word_bytes || (f->weight_bytes != 1 && f->weight_bytes != 2))
        return hw_refuse(why, HW_E_IMAGE, "a kernel's weights", (uint32_t)f->weight_bytes, 2);
    weights = weights * (uint64_t)f->kernel_y; /* below 2^52 */
    if (weights > pe->word_bytes || f->at_kernel % (uint32_t)f->weight_bytes || f->at_kernel > pe->word_bytes ||
        weights * (uint64_t)f->kernel_x > (pe->word_bytes - f->at_kernel) / (uint32_t)f->weight_bytes)
        return hw_refuse(why, HW_E_IMAGE, "a kernel reaches past the words", f->at_kernel, pe->word_bytes);
    *senders = (uint32_t)in;
    return HW_OK;
}
