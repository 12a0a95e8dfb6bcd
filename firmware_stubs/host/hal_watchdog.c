/* A watchdog: a timer that counts while an operation runs. Arming costs no system call: the timer starts with the first
   operation and stops by itself when none has come for a while. */
#include "hal_host.h"

#include <signal.h>
#include <stddef.h>
#include <sys/time.h>

#define TICK_MS 50
#define IDLE_TICKS 40

static volatile sig_atomic_t armed, ticking, ticks;

static void set_timer(int every_ms)
{
    const struct itimerval timer = {{0, every_ms * 1000}, {0, every_ms * 1000}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void tick(int signal_number)
{
    (void)signal_number;
    ticks = ticks + 1;
    if (armed && (uint32_t)ticks * TICK_MS >= host_options.watchdog_ms)
        host_reset(HAL_WATCHDOG);
    if (!armed && ticks >= IDLE_TICKS) {
        ticking = 0;
        set_timer(0);
    }
}

/* The program that was executed anew comes with the signal blocked. */
void host_watchdog(void)
{
    struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
    sigset_t own;
    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    sigemptyset(&own);
    sigaddset(&own, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &own, NULL);
}

void host_watchdog_stop(void)
{
    sigset_t own;
    sigemptyset(&own);
    sigaddset(&own, SIGALRM);
    sigprocmask(SIG_BLOCK, &own, NULL);
    set_timer(0);
}

void hal_watchdog(bool on)
{
    ticks = 0;
    armed = on;
    if (on && !ticking && host_options.watchdog_ms) {
        ticking = 1;
        set_timer(TICK_MS);
    }
}
