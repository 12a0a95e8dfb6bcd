/* The line of the host's HAL. While it cannot write, it goes on reading, into a ring of the announced credit: so a host
   that writes all that it may before it reads does not block itself. */
#include "hal_host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/config.h"

#define WAIT_MS 100
#define RING (HW_WINDOW * (HW_MTU + HW_MTU / 128 + 16))

static int in = STDIN_FILENO, out = STDOUT_FILENO, flags_in = -1, flags_out = -1;
static bool gone, watch_input; /* watch_input: with --tcp, standard input is a pipe whose end is the device's */
static uint8_t held[RING], sending[65536];
static uint32_t held_from, held_to, n_sending;

static int set_nonblocking(int file)
{
    int flags = fcntl(file, F_GETFL);
    if (flags >= 0)
        fcntl(file, F_SETFL, flags | O_NONBLOCK);
    return flags;
}

static void take_client(int client)
{
    int one = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    set_nonblocking(client);
    in = out = host_kept.client = client;
}

static void drop_client(void)
{
    if (in >= 0)
        close(in);
    in = out = host_kept.client = -1;
    n_sending = 0;
}

/* The newest has the line. */
static void accept_client(void)
{
    int client = accept(host_kept.listener, NULL, NULL);
    if (client < 0)
        return;
    drop_client();
    take_client(client);
}

static bool listen_here(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)host_options.tcp)};
    socklen_t bytes = sizeof at;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one)
        || bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 8)
        || getsockname(listener, (struct sockaddr *)&at, &bytes))
        return host_fail("tcp");
    host_kept.listener = listener;
    printf("port %d\n", ntohs(at.sin_port));
    fflush(stdout);
    return true;
}

bool host_port(void)
{
    signal(SIGPIPE, SIG_IGN);
    if (host_options.tcp < 0) {
        flags_in = set_nonblocking(in);
        flags_out = set_nonblocking(out);
        return true;
    }
    struct stat input;
    watch_input = !fstat(STDIN_FILENO, &input) && S_ISFIFO(input.st_mode);
    in = out = -1;
    if (host_kept.client >= 0)
        take_client(host_kept.client);
    if (host_kept.listener < 0 && !listen_here())
        return false;
    set_nonblocking(host_kept.listener);
    return true;
}

void host_port_close(void)
{
    if (flags_in >= 0)
        fcntl(STDIN_FILENO, F_SETFL, flags_in);
    if (flags_out >= 0)
        fcntl(STDOUT_FILENO, F_SETFL, flags_out);
}

static void lost(void)
{
    if (host_options.tcp >= 0)
        drop_client();
    else
        gone = true;
}

/* What is there now: 0 if nothing is, or the line is lost. */
static uint32_t read_now(uint8_t *to, uint32_t most)
{
    ssize_t n = in < 0 ? -1 : read(in, to, most);
    if (n > 0)
        return (uint32_t)n;
    if (in >= 0 && (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)))
        lost();
    return 0;
}

/* Until there is something to do, or the time is over. writing: also until more can be written. */
static void wait_for_line(bool reading, bool writing)
{
    struct pollfd files[] = {{reading ? in : -1, POLLIN, 0}, {writing ? out : -1, POLLOUT, 0},
                             {host_kept.listener, POLLIN, 0}, {watch_input ? STDIN_FILENO : -1, 0, 0}};
    if (poll(files, 4, WAIT_MS) <= 0)
        return;
    if (files[3].revents & POLLHUP)
        gone = true;
    if (files[2].revents & POLLIN)
        accept_client();
}

static uint32_t take_held(uint8_t *to, uint32_t most)
{
    uint32_t n = held_to - held_from;
    if (n > most)
        n = most;
    memcpy(to, held + held_from, n);
    held_from += n;
    if (held_from == held_to)
        held_from = held_to = 0;
    return n;
}

int32_t hal_read(uint8_t *to, uint32_t most)
{
    if (held_to > held_from)
        return (int32_t)take_held(to, most);
    uint32_t n = read_now(to, most);
    if (!n && !gone) {
        wait_for_line(true, false);
        n = read_now(to, most);
    }
    return n || !gone ? (int32_t)n : -1;
}

/* Some of it; 0 if the line takes nothing now, or is lost. */
static uint32_t write_now(const uint8_t *from, uint32_t n)
{
    ssize_t done = write(out, from, n);
    if (done >= 0)
        return (uint32_t)done;
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        lost();
    return 0;
}

void hal_flush(void)
{
    uint32_t from = 0, n = n_sending;
    int line = out;
    while (from < n && out >= 0 && out == line && !gone) {
        uint32_t done = write_now(sending + from, n - from);
        from += done;
        if (done)
            continue;
        wait_for_line(held_to < RING, true);
        if (held_to < RING)
            held_to += read_now(held + held_to, RING - held_to);
    }
    n_sending = 0;
}

void hal_write(const uint8_t *from, uint32_t n)
{
    while (n) {
        uint32_t some = (uint32_t)sizeof sending - n_sending;
        if (some > n)
            some = n;
        memcpy(sending + n_sending, from, some);
        n_sending += some;
        from += some;
        n -= some;
        if (n_sending == sizeof sending)
            hal_flush();
    }
}
