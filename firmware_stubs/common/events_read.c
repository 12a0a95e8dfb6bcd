#include "events.h"

enum tag { U16 = 0, VARINT = 1, BITMAP = 2 };

static uint8_t cut(struct hw_why *why, uint32_t value, uint32_t limit)
{
    return hw_refuse(why, HW_E_LEN, "an event list ends too soon", value, limit);
}

static uint8_t beyond(struct hw_why *why, uint64_t value, uint32_t limit)
{
    return hw_refuse(why, HW_E_RANGE, "events of elements that there are not, or not ascending",
                     value > UINT32_MAX ? UINT32_MAX : (uint32_t)value, limit);
}

/* The shortest form only, of 32 bits. */
static uint8_t varint(struct hw_reader *from, uint32_t *value, struct hw_why *why)
{
    uint32_t found = 0;
    for (uint32_t shift = 0; shift < 35; shift += 7) {
        if (from->at == from->end)
            return cut(why, 0, 1);
        uint32_t byte = hw_take8(from);
        if ((shift == 28 && byte > 15) || (shift && !byte))
            break;
        found |= (byte & 127) << shift;
        if (byte < 128) {
            *value = found;
            return HW_OK;
        }
    }
    return hw_refuse(why, HW_E_RANGE, "no number of 32 bits in its shortest form", 0, 5);
}

static uint8_t read_u16(struct hw_reader *from, uint32_t elements, uint32_t *index, uint32_t n, struct hw_why *why)
{
    uint32_t next = 0; /* least that may come */
    if (hw_left(from) / 2 < n)
        return cut(why, hw_left(from), 2 * n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t found = hw_take16(from);
        if (found < next || found >= elements)
            return beyond(why, found, elements);
        index[i] = found;
        next = found + 1;
    }
    return HW_OK;
}

static uint8_t read_varints(struct hw_reader *from, uint32_t elements, uint32_t *index, uint32_t n, struct hw_why *why)
{
    uint64_t next = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t gap;
        uint8_t status = varint(from, &gap, why);
        if (status)
            return status;
        if (next + gap >= elements)
            return beyond(why, next + gap, elements);
        index[i] = (uint32_t)(next + gap);
        next += (uint64_t)gap + 1;
    }
    return HW_OK;
}

static uint8_t read_bitmap(struct hw_reader *from, uint32_t elements, uint32_t *index, uint32_t n, struct hw_why *why)
{
    uint32_t bytes = elements / 8 + (elements % 8 != 0), found = 0;
    if (hw_left(from) < bytes)
        return cut(why, hw_left(from), bytes);
    for (uint32_t b = 0; b < bytes; b++)
        for (uint32_t bits = hw_take8(from), i = 8 * b; bits; bits >>= 1, i++)
            if (bits & 1) {
                if (i >= elements || found == n)
                    return beyond(why, i, elements);
                index[found++] = i;
            }
    if (found < n)
        return hw_refuse(why, HW_E_RANGE, "a bitmap with another number of events", found, n);
    return HW_OK;
}

static bool is_zero(const uint8_t *value, uint8_t type)
{
    uint32_t last = hw_get32(value + hw_width(type) - 4);
    if (type != HW_I32)
        last &= 0x7FFFFFFFu; /* without the sign */
    return !last && (type != HW_F64 || !hw_get32(value));
}

static uint8_t read_values(struct hw_reader *from, uint8_t type, uint8_t *value, uint32_t n, struct hw_why *why)
{
    uint32_t width = hw_width(type);
    if (hw_left(from) / width < n)
        return cut(why, hw_left(from), width * n);
    for (uint32_t i = 0; i < n; i++)
        if (is_zero(from->at + width * i, type))
            return hw_refuse(why, HW_E_RANGE, "an event without a value", i, n);
    memcpy(value, from->at, width * n);
    from->at += width * n;
    return HW_OK;
}

uint8_t hw_list_read(struct hw_reader *from, uint32_t elements, uint8_t type, uint32_t *index, uint8_t *value,
                     uint32_t *n, bool *valued, struct hw_why *why)
{
    *n = 0;
    *valued = false;
    if (from->at == from->end)
        return cut(why, 0, 2);
    uint8_t tag = hw_take8(from), status = varint(from, n, why);
    if (status)
        return status;
    *valued = tag >> 4 != HW_ONES;
    if ((tag & 15) > BITMAP || (*valued && tag >> 4 != type))
        return hw_refuse(why, HW_E_RANGE, "event lists of this kind are not known, or not of this image", tag, type);
    if (*n > elements)
        return beyond(why, *n, elements);
    if ((tag & 15) == U16)
        status = read_u16(from, elements, index, *n, why);
    else if ((tag & 15) == VARINT)
        status = read_varints(from, elements, index, *n, why);
    else
        status = read_bitmap(from, elements, index, *n, why);
    if (!status && *valued)
        status = read_values(from, type, value, *n, why);
    return status;
}
