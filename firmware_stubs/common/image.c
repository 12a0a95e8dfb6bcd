#include "image.h"

static uint32_t word(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint8_t hw_image_open(struct hw_image *image, const uint8_t *base, uint32_t bytes, struct hw_why *why)
{
    memset(image, 0, sizeof *image);
    if (bytes < HW_HEADER)
        return hw_refuse(why, HW_E_IMAGE, "an image has a header", bytes, HW_HEADER);
    if (word(base) != HW_MAGIC || base[4] != HW_CONTAINER || base[5] != 0)
        return hw_refuse(why, HW_E_IMAGE, "no image of this version", word(base), HW_MAGIC);
    uint32_t sections = word(base + 12);
    if (word(base + 8) != bytes || sections > (bytes - HW_HEADER) / 8)
        return hw_refuse(why, HW_E_IMAGE, "the header has another size", word(base + 8), bytes);
    for (uint32_t s = 0; s < sections; s++) {
        const uint8_t *entry = base + HW_HEADER + 8 * s;
        uint32_t at = word(entry), n = word(entry + 4);
        if (n && (at % 8 || at < HW_HEADER + 8 * sections || at > bytes || n > bytes - at))
            return hw_refuse(why, HW_E_IMAGE, "a section lies outside the image", s, sections);
    }
    if (base[24] > HW_F64 || base[25] > HW_F64)
        return hw_refuse(why, HW_E_IMAGE, "values of an unknown type", base[24], HW_F64);
    image->base = base;
    image->bytes = bytes;
    image->sections = sections;
    image->kind = base[6];
    image->layout = base[7];
    image->n_in = word(base + 16);
    image->n_out = word(base + 20);
    image->value_in = base[24];
    image->value_out = base[25];
    return HW_OK;
}

const void *hw_section(const struct hw_image *image, uint32_t number, uint32_t size, uint32_t *count)
{
    *count = 0;
    if (number >= image->sections)
        return NULL;
    const uint8_t *entry = image->base + HW_HEADER + 8 * number;
    uint32_t bytes = word(entry + 4);
    if (!bytes || bytes % size)
        return NULL;
    *count = bytes / size;
    return image->base + word(entry);
}

/* Builds under AddressSanitizer see what reaches from one piece into the next. */
#ifdef HW_RED_ZONES
void __asan_poison_memory_region(const volatile void *from, size_t n);
void __asan_unpoison_memory_region(const volatile void *from, size_t n);
#define ZONE 32u
#else
#define ZONE 0u
#endif

struct hw_arena hw_arena_over(uint8_t *at, uint8_t *end)
{
#ifdef HW_RED_ZONES
    __asan_unpoison_memory_region(at, (size_t)(end - at));
#endif
    return (struct hw_arena){at, end, 0};
}

void *hw_take(struct hw_arena *arena, uint64_t count, uint32_t size)
{
    uint64_t bytes = ((count * size + 7) & ~(uint64_t)7) + ZONE;
    if (count > UINT32_MAX || arena->need > UINT32_MAX)
        bytes = (uint64_t)UINT32_MAX + 1;
    arena->need += bytes;
    if (bytes > (uint64_t)(arena->end - arena->at))
        return NULL;
    uint8_t *found = arena->at;
    arena->at += bytes;
#ifdef HW_RED_ZONES
    __asan_unpoison_memory_region(found, (size_t)bytes);
    __asan_poison_memory_region(found + count * size, (size_t)(bytes - count * size));
    bytes = count * size;
#endif
    memset(found, 0, (size_t)bytes);
    return found;
}
