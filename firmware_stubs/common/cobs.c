#include "cobs.h"
#include "bytes.h"
#include "hal.h"

void hw_cobs_clear(struct hw_cobs_in *in)
{
    in->at = 0;
    in->left = 0;
    in->begun = in->zero = in->over = false;
}

static void put(struct hw_cobs_in *in, uint8_t byte)
{
    if (in->at < in->most)
        in->to[in->at++] = byte;
    else
        in->over = true;
}

/* The data of a block, up to a zero that should not be there. */
static const uint8_t *data(struct hw_cobs_in *in, const uint8_t *p, const uint8_t *end)
{
    if (end - p > in->left)
        end = p + in->left;
    const uint8_t *begin = p;
    if ((uint32_t)(end - p) <= in->most - in->at) {
        uint8_t *to = in->to + in->at;
        while (p < end && *p)
            *to++ = *p++;
        in->at += (uint32_t)(p - begin);
    } else {
        while (p < end && *p)
            put(in, *p++);
    }
    in->left = (uint8_t)(in->left - (p - begin));
    return p;
}

static void block(struct hw_cobs_in *in, uint8_t code)
{
    if (in->zero)
        put(in, 0);
    in->begun = true;
    in->zero = code != 255;
    in->left = (uint8_t)(code - 1);
}

static enum hw_cobs ended(const struct hw_cobs_in *in)
{
    return in->left ? HW_COBS_BAD : in->over ? HW_COBS_LONG : HW_COBS_FRAME;
}

enum hw_cobs hw_cobs_take(struct hw_cobs_in *in, const uint8_t **from, const uint8_t *end)
{
    const uint8_t *p = *from;
    enum hw_cobs found = HW_COBS_MORE;
    while (p < end && found == HW_COBS_MORE) {
        if (in->left)
            p = data(in, p, end);
        if (p == end)
            break;
        uint8_t byte = *p++;
        if (byte)
            block(in, byte);
        else if (in->begun)
            found = ended(in);
    }
    *from = p;
    return found;
}

void hw_cobs_send(const uint8_t *from, uint32_t n)
{
    uint8_t out[256];
    const uint8_t *end = from + n;
    bool more = true; /* a block is due: at the beginning, and after a zero */
    out[0] = 0;
    hal_write(out, 1);
    while (more || from < end) {
        uint32_t k = 0;
        while (k < 254 && from < end && *from)
            out[++k] = *from++;
        out[0] = (uint8_t)(k + 1);
        more = k < 254 && from < end;
        from += more;
        hal_write(out, k + 1);
    }
    out[0] = 0;
    hal_write(out, 1);
}
