/* A device image: what is loaded on a device. docs/wire.md says how it is laid out. */
#ifndef HW_IMAGE_H
#define HW_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HW_MAGIC 0x4D495748u
#define HW_CONTAINER 1
#define HW_HEADER 64u

enum hw_kind { HW_LOIHI = 1, HW_SPINNAKER = 2, HW_SFQ = 3, HW_CROSSBAR = 4 };
enum hw_value { HW_ONES = 0, HW_I32 = 1, HW_F32 = 2, HW_F64 = 3 };

enum hw_status {
    HW_OK = 0,
    HW_E_SEQ = 0x10, HW_E_BUSY = 0x11,
    HW_E_VER = 0x20, HW_E_OP, HW_E_LEN, HW_E_RANGE, HW_E_STATE, HW_E_ORDER, HW_E_NOMEM, HW_E_UNSUPPORTED,
    HW_E_CRC_IMAGE = 0x40, HW_E_IMAGE, HW_E_FAULT, HW_E_WATCHDOG, HW_E_SESSION,
};

/* What goes with a status other than HW_OK. text is a constant. */
struct hw_why {
    uint32_t value, limit;
    const char *text;
};

/* Says why, and returns the status. */
static inline uint8_t hw_refuse(struct hw_why *why, enum hw_status status, const char *text, uint32_t value,
                                uint32_t limit)
{
    why->value = value;
    why->limit = limit;
    why->text = text;
    return (uint8_t)status;
}

struct hw_image {
    const uint8_t *base; /* aligned to 8 bytes */
    uint32_t bytes, sections, n_in, n_out;
    uint8_t kind, layout, value_in, value_out;
};

/* Reads the header; every section lies inside and is aligned when this returns HW_OK. */
uint8_t hw_image_open(struct hw_image *image, const uint8_t *base, uint32_t bytes, struct hw_why *why);

/* A section of `count` elements of `size` bytes each: NULL if it is absent or not a whole number of elements (then
   *count is 0). */
const void *hw_section(const struct hw_image *image, uint32_t number, uint32_t size, uint32_t *count);

/* Memory behind the image, from which a runner takes its state when it binds an image. */
struct hw_arena {
    uint8_t *at, *end;
    uint64_t need; /* bytes asked for so far, also beyond the end */
};

/* All memory between two places is the arena's again. */
struct hw_arena hw_arena_over(uint8_t *at, uint8_t *end);

/* `count` elements of `size` bytes, zeroed and aligned to 8 bytes, or NULL if there is no room; goes on counting. */
void *hw_take(struct hw_arena *arena, uint64_t count, uint32_t size);

/* The firmware supplies these; without a libc it has its own. */
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int value, size_t n);
void *memmove(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif
