/* Little-endian numbers at any address, and a reader and a writer that stop at the end. */
#ifndef HW_BYTES_H
#define HW_BYTES_H

#include "image.h"

static inline uint32_t hw_get16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static inline uint32_t hw_get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void hw_put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void hw_put32(uint8_t *p, uint32_t v)
{
    hw_put16(p, v);
    hw_put16(p + 2, v >> 16);
}

static inline uint32_t hw_least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

struct hw_reader {
    const uint8_t *at, *end;
};

static inline uint32_t hw_left(const struct hw_reader *from)
{
    return (uint32_t)(from->end - from->at);
}

/* The next numbers; the caller has seen that so much is left. */
static inline uint8_t hw_take8(struct hw_reader *from)
{
    return *from->at++;
}

static inline uint32_t hw_take16(struct hw_reader *from)
{
    from->at += 2;
    return hw_get16(from->at - 2);
}

static inline uint32_t hw_take32(struct hw_reader *from)
{
    from->at += 4;
    return hw_get32(from->at - 4);
}

struct hw_writer {
    uint8_t *at, *end;
};

static inline uint32_t hw_room(const struct hw_writer *to)
{
    return (uint32_t)(to->end - to->at);
}

/* What does not fit is left out. */
static inline void hw_add(struct hw_writer *to, const void *from, uint32_t n)
{
    if (n > hw_room(to))
        n = hw_room(to);
    memcpy(to->at, from, n);
    to->at += n;
}

static inline void hw_add8(struct hw_writer *to, uint32_t v)
{
    if (hw_room(to) >= 1)
        *to->at++ = (uint8_t)v;
}

static inline void hw_add16(struct hw_writer *to, uint32_t v)
{
    hw_add8(to, v);
    hw_add8(to, v >> 8);
}

static inline void hw_add32(struct hw_writer *to, uint32_t v)
{
    hw_add16(to, v);
    hw_add16(to, v >> 16);
}

static inline uint32_t hw_length(const char *text)
{
    uint32_t n = 0;
    while (text[n])
        n++;
    return n;
}

static inline void hw_add_text(struct hw_writer *to, const char *text)
{
    hw_add(to, text, hw_length(text));
}

#endif
