#include "crc.h"
#include "bytes.h"
#include "config.h"

#define POLYNOMIAL 0xEDB88320u /* of CRC-32 (ISO 3309), lowest bit first */
#define BITS (HW_CRC_SLICES ? 8 : 4)

static uint32_t table[HW_CRC_SLICES ? HW_CRC_SLICES : 1][1 << BITS];

static uint32_t divided(uint32_t rest, int bits)
{
    for (int i = 0; i < bits; i++)
        rest = rest >> 1 ^ (rest & 1 ? POLYNOMIAL : 0);
    return rest;
}

/* Table s is of a byte with s zero bytes behind it. */
bool hw_crc_start(void)
{
    for (uint32_t i = 0; i < 1u << BITS; i++)
        table[0][i] = divided(i, BITS);
    for (int s = 1; s < HW_CRC_SLICES; s++)
        for (uint32_t i = 0; i < 256; i++)
            table[s][i] = divided(table[s - 1][i], 8);
    return hw_crc(0, "123456789", 9) == 0xCBF43926u;
}

#if HW_CRC_SLICES == 0
static uint32_t one(uint32_t crc, uint8_t byte)
{
    crc = table[0][(crc ^ byte) & 15] ^ crc >> 4;
    return table[0][(crc ^ byte >> 4) & 15] ^ crc >> 4;
}
#else
static inline uint32_t one(uint32_t crc, uint8_t byte)
{
    return table[0][(crc ^ byte) & 255] ^ crc >> 8;
}
#endif

#if HW_CRC_SLICES >= 4
static inline uint32_t four(uint32_t word, uint32_t last)
{
    return table[last + 3][word & 255] ^ table[last + 2][word >> 8 & 255] ^ table[last + 1][word >> 16 & 255]
           ^ table[last][word >> 24];
}
#endif

uint32_t hw_crc(uint32_t before, const void *from, uint32_t n)
{
    const uint8_t *p = from, *end = p + n;
    uint32_t crc = ~before;
#if HW_CRC_SLICES == 8
    for (; end - p >= 8; p += 8)
        crc = four(crc ^ hw_get32(p), 4) ^ four(hw_get32(p + 4), 0);
#elif HW_CRC_SLICES == 4
    for (; end - p >= 4; p += 4)
        crc = four(crc ^ hw_get32(p), 0);
#endif
    while (p < end)
        crc = one(crc, *p++);
    return ~crc;
}
