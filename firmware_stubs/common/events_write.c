#include "crc.h"
#include "events.h"

uint32_t hw_width(uint8_t type)
{
    return type == HW_F64 ? 8 : type == HW_ONES ? 0 : 4;
}

static uint32_t varint_bytes(uint32_t value)
{
    uint32_t n = 1;
    while (value >>= 7)
        n++;
    return n;
}

static uint8_t *add_varint(uint8_t *to, uint32_t value)
{
    for (; value > 127; value >>= 7)
        *to++ = (uint8_t)(value | 128);
    *to++ = (uint8_t)value;
    return to;
}

uint64_t hw_list_most(uint32_t elements, uint8_t type)
{
    return 1 + (uint64_t)varint_bytes(elements) + elements / 8 + (elements % 8 != 0)
           + (uint64_t)elements * hw_width(type);
}

/* The marked elements, ascending; clears the marks. */
static uint32_t gather(struct hw_outputs *out, uint32_t *index)
{
    uint32_t n = 0;
    for (uint32_t w = 0; w < (out->n_out + 31) / 32; w++) {
        uint32_t bits = out->bits[w];
        out->bits[w] = 0;
        for (; bits; bits &= bits - 1) {
            uint32_t i = 32 * w + (uint32_t)__builtin_ctz(bits);
            if (i < out->n_out)
                index[n++] = i;
        }
    }
    return n;
}

/* The encoding with the fewest bytes, and of those the lowest. */
static uint8_t encoding(const uint32_t *index, uint32_t n, uint32_t elements)
{
    uint64_t u16 = !n || index[n - 1] <= UINT16_MAX ? 2 * (uint64_t)n : UINT64_MAX;
    uint64_t bitmap = elements / 8 + (elements % 8 != 0), varints = 0;
    uint32_t next = 0;
    for (uint32_t i = 0; i < n && varints < u16; i++) { /* no need to know by how much it is longer */
        varints += varint_bytes(index[i] - next);
        next = index[i] + 1;
    }
    uint64_t shorter = u16 <= varints ? u16 : varints;
    return bitmap < shorter ? 2 : varints < u16;
}

static uint8_t *add_indices(uint8_t *to, uint8_t tag, const uint32_t *index, uint32_t n, uint32_t elements)
{
    if (tag == 0) {
        for (uint32_t i = 0; i < n; i++)
            hw_put16(to + 2 * i, index[i]);
        return to + 2 * n;
    }
    if (tag == 1) {
        for (uint32_t i = 0, next = 0; i < n; next = index[i++] + 1)
            to = add_varint(to, index[i] - next);
        return to;
    }
    uint32_t bytes = elements / 8 + (elements % 8 != 0);
    memset(to, 0, bytes);
    for (uint32_t i = 0; i < n; i++)
        to[index[i] / 8] |= (uint8_t)(1u << index[i] % 8);
    return to + bytes;
}

/* The values one behind the other; their places get 1 again. Whether one of them is not 1. */
static bool add_values(uint8_t *to, void *value, uint8_t type, const uint32_t *index, uint32_t n)
{
    const int32_t one_i32 = 1;
    const float one_f32 = 1;
    const double one_f64 = 1;
    const void *one = type == HW_I32 ? (const void *)&one_i32 : type == HW_F32 ? (const void *)&one_f32 : &one_f64;
    uint32_t width = hw_width(type);
    bool other = false;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *place = (uint8_t *)value + (size_t)width * index[i];
        if (memcmp(place, one, width)) {
            other = true;
            memcpy(to + (size_t)width * i, place, width);
            memcpy(place, one, width);
        } else {
            memcpy(to + (size_t)width * i, one, width);
        }
    }
    return other;
}

static uint32_t chained(uint32_t digest, uint32_t step, const uint32_t *index, uint32_t n, const uint8_t *value,
                        uint32_t width)
{
    uint32_t head[2] = {step, n};
    digest = hw_crc(digest, head, sizeof head);
    digest = hw_crc(digest, index, 4 * n);
    return width ? hw_crc(digest, value, width * n) : digest;
}

uint8_t *hw_list_write(struct hw_outputs *out, uint8_t type, uint32_t step, uint32_t *index, uint8_t *to,
                       uint32_t *digest)
{
    uint32_t n = gather(out, index), width = hw_width(type);
    uint8_t tag = encoding(index, n, out->n_out);
    uint8_t *at = add_indices(add_varint(to + 1, n), tag, index, n, out->n_out);
    bool valued = width && add_values(at, out->value, type, index, n);
#ifndef HW_NO_DIGEST
    *digest = chained(*digest, step, index, n, at, width);
#else
    (void)digest, (void)step, (void)chained;
#endif
    to[0] = (uint8_t)(tag | (valued ? type << 4 : 0));
    return at + (valued ? width * n : 0);
}
