/* What a compiler expects to be there even without a library. Builds that have one leave this out. */
#include "image.h"

#ifdef HW_NO_LIBC

typedef uint32_t __attribute__((may_alias)) word;

static int aligned(const void *a, const void *b)
{
    return (((uintptr_t)a | (uintptr_t)b) & 3) == 0;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    if (aligned(t, f))
        for (; n >= 4; n -= 4, t += 4, f += 4)
            *(word *)(void *)t = *(const word *)(const void *)f;
    while (n--)
        *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    if ((uintptr_t)t - (uintptr_t)f >= n)
        return memcpy(to, from, n);
    while (n--)
        t[n] = f[n];
    return to;
}

void *memset(void *to, int value, size_t n)
{
    uint8_t *t = to, v = (uint8_t)value;
    if (aligned(t, t))
        for (; n >= 4; n -= 4, t += 4)
            *(word *)(void *)t = v * 0x01010101u;
    while (n--)
        *t++ = v;
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *p = a, *q = b;
    for (; n; n--, p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}

#endif
