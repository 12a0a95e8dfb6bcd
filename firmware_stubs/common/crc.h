/* CRC-32 as zlib has it. */
#ifndef HW_CRC_H
#define HW_CRC_H

#include <stdbool.h>
#include <stdint.h>

bool hw_crc_start(void); /* makes the tables; whether "123456789" gives what it should */

/* Of n more bytes, after those that gave `before` (0 at the beginning). */
uint32_t hw_crc(uint32_t before, const void *from, uint32_t n);

#endif
