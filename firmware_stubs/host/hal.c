/* The HAL of a process: arguments, clock, reset. hwsdk_host [--arena BYTES] [--watchdog MS] [--tcp PORT]
   The line is standard input and output, and the device ends with its input. With --tcp it is a connection to
   127.0.0.1:PORT (0: a free port, which it prints); a client may go and another one come, the newest has it; the device
   ends when standard input, if that is a pipe, is closed. A reset, by the watchdog or by REBOOT, executes the program
   anew; memory and connection survive, as RAM and cable do on a board. */
#include "hal_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../common/config.h"
#include "../common/link.h"

#if defined(__x86_64__)
#define CORE "x86-64"
#elif defined(__aarch64__)
#define CORE "aarch64"
#else
#define CORE "host"
#endif

#define ARGUMENTS 12

struct host_options host_options = {64u << 20, 2000, -1};
struct host_kept host_kept = {-1, -1, -1, HAL_POWER};

static struct hal_board board = {
    "host", "process", CORE, HW_MTU, HW_WINDOW, HW_WINDOW * HW_MTU, 1000000000u, 0, HAL_WALL,
};
static uint64_t started;
static char *arguments[ARGUMENTS];
static char kept_name[] = "--kept", kept_text[80];

bool host_fail(const char *what)
{
    perror(what);
    return false;
}

static uint64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

const struct hal_board *hal_start(void)
{
    started = nanoseconds();
    board.watchdog_ms = host_options.watchdog_ms;
    return &board;
}

uint32_t hal_ticks(void)
{
    return (uint32_t)nanoseconds();
}

uint32_t hal_milliseconds(void)
{
    return (uint32_t)((nanoseconds() - started) / 1000000u);
}

void hal_mask(bool on)
{
    (void)on;
}

uint8_t hal_reset_reason(void)
{
    return (uint8_t)host_kept.reset;
}

/* Digits, as a signal handler may write them. */
static char *number(char *to, int value)
{
    char digits[12];
    int n = 0;
    unsigned rest = value < 0 ? 0u - (unsigned)value : (unsigned)value;
    do
        digits[n++] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *to++ = '-';
    while (n)
        *to++ = digits[--n];
    return to;
}

void host_reset(enum hal_reset why)
{
    const int kept[] = {host_kept.memory, host_kept.listener, host_kept.client, (int)why};
    char *to = kept_text;
    for (int i = 0; i < 4; i++) {
        to = number(to, kept[i]);
        *to++ = ',';
    }
    *to = 0;
    host_watchdog_stop();
    execv("/proc/self/exe", arguments);
    execv(arguments[0], arguments); /* where there is no /proc */
    _exit(71); /* EX_OSERR of sysexits.h */
}

void hal_reboot(void)
{
    hal_flush();
    host_reset(HAL_SOFTWARE);
}

void hal_exit(uint8_t code)
{
    hal_flush();
    host_port_close();
    exit(code);
}

static bool read_number(const char *text, long least, long most, long *value)
{
    char *end;
    *value = strtol(text, &end, 0);
    return *text && !*end && *value >= least && *value <= most;
}

static bool option(const char *name, const char *text)
{
    long value;
    if (!strcmp(name, "--arena") && read_number(text, 4096, 0x7FFFF000, &value))
        host_options.arena = (uint32_t)value & ~7u;
    else if (!strcmp(name, "--watchdog") && read_number(text, 0, 3600000, &value))
        host_options.watchdog_ms = (uint32_t)value;
    else if (!strcmp(name, "--tcp") && read_number(text, 0, 65535, &value))
        host_options.tcp = (int)value;
    else
        return !strcmp(name, "--kept")
               && sscanf(text, "%d,%d,%d,%d,", &host_kept.memory, &host_kept.listener, &host_kept.client,
                         &host_kept.reset) == 4;
    return true;
}

/* Takes the options, and gets ready those with which the program executes itself again. */
static bool read_options(int count, char **given)
{
    int n = 0;
    arguments[n++] = given[0];
    for (int i = 1; i < count; i += 2) {
        if (i + 1 == count || !option(given[i], given[i + 1]))
            return false;
        if (strcmp(given[i], "--kept") && n < ARGUMENTS - 4) {
            arguments[n++] = given[i];
            arguments[n++] = given[i + 1];
        }
    }
    arguments[n++] = kept_name;
    arguments[n++] = kept_text;
    return true;
}

int main(int count, char **given)
{
    if (!read_options(count, given)) {
        fprintf(stderr, "usage: %s [--arena BYTES] [--watchdog MS] [--tcp PORT]\n", given[0]);
        return 64; /* EX_USAGE */
    }
    if (!host_memory() || !host_port())
        return 71;
    host_watchdog();
    hw_main();
    return 0;
}
