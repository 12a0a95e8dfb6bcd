/* Sizes that a build can choose with -D. */
#ifndef HW_CONFIG_H
#define HW_CONFIG_H

#ifdef HW_HOST /* a process has room, and its own main */
#define HW_OWN_MAIN
#ifndef HW_MTU
#define HW_MTU 60000
#endif
#ifndef HW_WINDOW
#define HW_WINDOW 8
#endif
#ifndef HW_PIECE
#define HW_PIECE 65536
#endif
#ifndef HW_CRC_SLICES
#define HW_CRC_SLICES 8
#endif
#endif

#ifndef HW_MTU
#define HW_MTU 2048 /* most bytes of a decoded frame; at least 512, for HELLO. A board may announce less. */
#endif
#ifndef HW_WINDOW
#define HW_WINDOW 4 /* replies that are kept */
#endif
#ifndef HW_PIECE
#define HW_PIECE 256 /* bytes taken from the port at once */
#endif
#ifndef HW_CRC_SLICES
#define HW_CRC_SLICES 1 /* 0: a table of 64 bytes; 1: one of 1 KB; 4 or 8: so many of them, as many bytes at once */
#endif
#ifndef HW_RESULT_MOST
#define HW_RESULT_MOST (16u << 20) /* caps of the result and the feed buffer */
#endif
#ifndef HW_BENCH_MOST
#define HW_BENCH_MOST 1000000u /* steps of one BENCH, during which nothing else is heard */
#endif
#ifndef HW_CRC_BITS
#define HW_CRC_BITS 32 /* less only in builds that show what a weaker check lets through */
#endif
#ifndef HW_BUILD_ID
#define HW_BUILD_ID "unknown"
#endif

#if HW_MTU < 512 || HW_MTU > 65535 || HW_WINDOW < 1 || HW_WINDOW > 256
#error "a frame has 512 to 65535 bytes, a window 1 to 256 frames"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "images and states are little endian, and so has the device to be"
#endif

#endif
