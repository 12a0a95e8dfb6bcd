/* The parts of the host's HAL: a process stands for a device. */
#ifndef HW_HAL_HOST_H
#define HW_HAL_HOST_H

#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>

#include "../common/hal.h"

/* What outlives a reset: the process executes itself again, with these as arguments. -1: there is none. */
struct host_kept {
    int memory, listener, client; /* file descriptors */
    int reset;                    /* one of hal_reset */
};

struct host_options {
    uint32_t arena, watchdog_ms;
    int tcp; /* port, 0 for any that is free; -1: standard input and output */
};

extern struct host_options host_options;
extern struct host_kept host_kept;

bool host_memory(void);           /* the memory that survives; false if there is none to be had */
bool host_port(void);             /* the line */
void host_port_close(void);       /* before the process ends */
void host_watchdog(void);         /* its signal */
void host_watchdog_stop(void);    /* no signal comes any more */
void host_reset(enum hal_reset why) __attribute__((noreturn)); /* also from a signal handler */
bool host_fail(const char *what); /* says so on standard error; false */

#endif
