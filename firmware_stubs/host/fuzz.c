/* The device in one process with what attacks it, at millions of frames a second.

   hwsdk_fuzz                          bytes of the line from standard input
   hwsdk_fuzz frames                   records from standard input: u16 n, then n bytes of header and payload; a session of
                                       0 becomes the one that is open, a seq of 65535 the one that is wanted, and the
                                       CRC-32 is added
   hwsdk_fuzz random SEED FRAMES [IMAGE...]   FRAMES frames of its own, about the images of these files: right ones,
                                       wrong ones, damaged ones

   Each frame is given to the device in memory of its own size, so that a sanitizer sees what is read beyond it. It ends
   with 0, or as the sanitizer ends it. What was done is printed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/config.h"
#include "../common/crc.h"
#include "../common/device.h"
#include "../common/kept.h"
#include "../common/link.h"

#define ARENA (4u << 20)
#define IMAGES 64

static const struct hal_board board = {"fuzz", "process", "host", HW_MTU, HW_WINDOW, HW_WINDOW * HW_MTU, 1, 0, HAL_WALL};
static uint8_t *arena;
static uint32_t clock_now, starts;
static uint64_t kept[64], frames_in, done, replies, bytes_out, steps, loads;
static uint8_t reason = HAL_POWER;

const struct hal_board *hal_start(void) { return &board; }
int32_t hal_read(uint8_t *to, uint32_t most) { (void)to, (void)most; return -1; }
void hal_write(const uint8_t *from, uint32_t n) { (void)from; bytes_out += n; }
void hal_flush(void) { replies++; }
uint32_t hal_ticks(void) { return ++clock_now; }
uint32_t hal_milliseconds(void) { return clock_now; }
void hal_mask(bool on) { (void)on; }
void hal_watchdog(bool armed) { (void)armed; }
uint8_t hal_reset_reason(void) { return reason; }
uint8_t *hal_arena(uint32_t *bytes) { *bytes = ARENA; return arena; }
uint8_t *hal_kept(uint32_t *bytes) { *bytes = sizeof kept; return (uint8_t *)kept; }
void hal_exit(uint8_t code) { (void)code; }

/* Adds up what a start would forget. */
static void note(void)
{
    done += hw_link_counts.executed;
    steps += hw_device.steps;
}

/* Begun anew from here: the frame under way goes on in a device that has just been reset. */
void hal_reboot(void)
{
    note();
    reason = HAL_SOFTWARE;
    starts++;
    if (!hw_start())
        abort();
}

static void give_line(const uint8_t *from, uint32_t n)
{
    uint8_t *own = malloc(n ? n : 1);
    memcpy(own, from, n);
    hw_link_take(own, n);
    free(own);
}

/* Header and payload, with what the record leaves open. */
static void give_frame(const uint8_t *body, uint32_t n)
{
    uint8_t *own = malloc(n + 4);
    uint32_t session;
    uint16_t wanted;
    memcpy(own, body, n);
    hw_link_now(&session, &wanted);
    if (n >= 8 && !hw_get32(own + 4))
        hw_put32(own + 4, session);
    if (n >= 8 && hw_get16(own + 2) == 65535)
        hw_put16(own + 2, wanted);
    hw_put32(own + n, hw_crc(0, own, n));
    if (n + 4 <= HW_MTU)
        hw_link_frame(own, n + 4);
    free(own);
    frames_in++;
}

static void from_input(bool frames)
{
    static uint8_t data[65536];
    uint8_t head[2];
    size_t n;
    if (!frames)
        while ((n = fread(data, 1, sizeof data, stdin)) > 0)
            give_line(data, (uint32_t)n);
    if (!frames)
        frames_in = hw_link_counts.frames; /* since the last start */
    else
        while (fread(head, 1, 2, stdin) == 2 && (n = fread(data, 1, hw_get16(head), stdin)) == hw_get16(head))
            give_frame(data, (uint32_t)n);
}

/* The attacker. */
static uint64_t dice;
static struct {
    uint8_t *data;
    uint32_t bytes;
} images[IMAGES];
static uint32_t n_images;

static uint32_t roll(uint32_t sides) /* splitmix64, Steele et al. 2014 */
{
    uint64_t z = dice += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return sides ? (uint32_t)((z ^ z >> 31) >> 32) % sides : 0;
}

/* A number of the kinds at which something ends. */
static uint32_t odd(uint32_t near)
{
    static const uint32_t ends[] = {0, 1, 7, 8, 127, 128, 255, 65535, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF};
    uint32_t how = roll(4);
    return how == 0 ? ends[roll(sizeof ends / sizeof *ends)] : how == 1 ? near + roll(5) - 2 : roll(near ? near : 1);
}

static struct {
    uint8_t body[HW_MTU];
    uint32_t n;
} out;

static void add(uint32_t value, uint32_t bytes)
{
    for (; bytes && out.n < HW_MTU - 4; bytes--, value >>= 8)
        out.body[out.n++] = (uint8_t)value;
}

static void begin(uint8_t op)
{
    out.n = 0;
    add(1, 1);
    add(op, 1);
    add(65535, 2);
    add(0, 4);
}

static void end(void)
{
    if (!roll(16)) /* too short, too long, another one */
        out.n = roll(2) ? roll(out.n + 1) : out.n + roll(HW_MTU - 3 - out.n);
    for (uint32_t hits = roll(8) ? 0 : 1 + roll(4); hits && out.n; hits--)
        out.body[roll(out.n)] ^= (uint8_t)(1u << roll(8));
    give_frame(out.body, out.n);
}

static void say_hello(void)
{
    begin(HW_HELLO);
    add(roll(3), 8);
    add(0x0101, 2);
    end();
}

static void add_events(void)
{
    uint32_t elements = hw_device.runner ? hw_device.image.n_in : 10, tag = roll(3);
    uint32_t n = roll(8) ? roll(elements < 40 ? elements + 1 : 40) : odd(elements), last = 0;
    uint32_t type = hw_device.runner && !roll(2) ? hw_device.image.value_in : 0;
    add((roll(40) ? tag : roll(256)) | type << 4, 1);
    for (uint32_t rest = n; ; rest >>= 7) {
        add(rest > 127 ? rest | 128 : rest, 1);
        if (rest < 128)
            break;
    }
    if (tag == 2) {
        uint32_t bytes = elements / 8 + 1, marked = n;
        for (uint32_t i = 0; i < bytes && i < 400; i++, marked -= marked < 8 ? marked : 8)
            add(marked < 8 ? (1u << marked) - 1 : 255, 1);
    }
    for (uint32_t i = 0; i < n && i < 400 && tag != 2; i++) {
        uint32_t gap = roll((uint32_t)(elements / ((uint64_t)n + 1)) + 1);
        add(tag ? gap & 127 : last + gap, tag ? 1 : 2);
        last += gap + 1;
    }
    for (uint32_t i = 0; type && i < n && i < 400; i++) {
        add(roll(8) ? 1 + roll(100) : odd(9), 4);
        if (type == HW_F64)
            add(roll(8) ? 0x3FF00000 : roll(1u << 31), 4);
    }
}

static void say_step(void)
{
    uint32_t k = 1 + roll(4);
    begin(HW_STEP);
    add(roll(30) ? hw_device.next : odd(hw_device.next), 4);
    add(roll(30) ? k : odd(k), 2);
    add(roll(8) ? 0 : roll(4), 1);
    while (k--)
        add_events();
    end();
}

static void say_feed(void)
{
    begin(HW_FEED);
    add(roll(4) ? 0 : odd(hw_device.feed.used), 4);
    uint32_t k = 1 + roll(3);
    for (uint32_t i = 0; i < k; i++)
        add_events();
    end();
    begin(HW_STEP);
    add(hw_device.next, 4);
    add(k, 2);
    add(1 + 2 * roll(2), 1);
    add(hw_device.feed.used, 4);
    add(hw_device.runner ? hw_crc(0, hw_device.feed.at, hw_device.feed.used) : 0, 4);
    end();
}

static void load(const uint8_t *data, uint32_t bytes)
{
    begin(HW_LOAD_BEGIN);
    add(bytes, 4);
    add(hw_crc(0, data, bytes), 4);
    for (uint32_t i = 0; i < 8; i++)
        add(roll(UINT32_MAX), 4);
    give_frame(out.body, out.n);
    for (uint32_t at = 0; at < bytes;) {
        uint32_t some = hw_least(bytes - at, HW_MTU - 20);
        begin(HW_LOAD_DATA);
        add(at, 4);
        memcpy(out.body + out.n, data + at, some);
        out.n += some;
        give_frame(out.body, out.n);
        at += some;
    }
    begin(HW_LOAD_END);
    give_frame(out.body, out.n);
    loads += hw_device.runner != NULL;
}

/* One of the images, whole or with a few numbers changed; sections are where the runners' own numbers are. */
static void say_load(void)
{
    uint32_t which = roll(n_images), bytes = images[which].bytes;
    uint8_t *data = malloc(bytes);
    memcpy(data, images[which].data, bytes);
    for (uint32_t hits = roll(4) ? 1 + roll(3) : 0; hits; hits--) {
        uint32_t near = roll(2) ? hw_least(bytes, 512) : bytes, at = roll(near) & ~(roll(2) ? 3u : 0u);
        if (at + 4 <= bytes && roll(2))
            hw_put32(data + at, odd(hw_get32(data + at)));
        else
            data[at] ^= (uint8_t)(1u << roll(8));
    }
    load(data, bytes);
    free(data);
}

static void say_state(void)
{
    uint8_t *base;
    uint32_t bytes;
    if (!hw_device.runner)
        return;
    hw_device.runner->state(&base, &bytes);
    uint8_t *data = malloc(8 + (size_t)bytes);
    hw_put32(data, odd(hw_device.next));
    hw_put32(data + 4, hw_device.digest);
    memcpy(data + 8, base, bytes);
    for (uint32_t hits = roll(4); hits && bytes; hits--)
        data[8 + roll(bytes)] ^= (uint8_t)(1u << roll(8));
    for (uint32_t at = 0; at < 8 + bytes;) {
        uint32_t some = hw_least(8 + bytes - at, HW_MTU - 40);
        begin(HW_WRITE_STATE);
        add(at, 4);
        add(8 + bytes, 4);
        add(hw_crc(0, data, 8 + bytes), 4);
        memcpy(out.body + out.n, data + at, some);
        out.n += some;
        at += some;
        give_frame(out.body, out.n);
    }
    free(data);
}

static void say_any(void)
{
    uint8_t op = (uint8_t)(roll(10) ? roll(22) : roll(256));
    if (op == HW_REBOOT && roll(8))
        op = HW_ECHO;
    begin(op);
    for (uint32_t i = roll(6); i; i--)
        add(odd(roll(2) ? hw_device.next : roll(2000)), roll(2) ? 4 : 1 + roll(4));
    end();
}

static void say_noise(void)
{
    out.n = 1 + roll(300);
    for (uint32_t i = 0; i < out.n; i++)
        out.body[i] = (uint8_t)(roll(3) ? roll(256) : roll(4));
    give_line(out.body, out.n);
    frames_in++;
}

static void attack(uint64_t n)
{
    while (frames_in < n) {
        uint32_t what = roll(1000), heavy = n_images ? 4 : 0;
        if (what < heavy)
            say_load();
        else if (what < 2 * heavy)
            say_state();
        else if (what < 30)
            say_hello();
        else if (what < 550)
            say_step();
        else if (what < 650)
            say_feed();
        else if (what < 950)
            say_any();
        else
            say_noise();
    }
}

static void read_image(const char *name)
{
    FILE *file = fopen(name, "rb");
    if (!file || fseek(file, 0, SEEK_END) || n_images == IMAGES)
        exit(66); /* EX_NOINPUT */
    long bytes = ftell(file);
    rewind(file);
    images[n_images].data = malloc((size_t)bytes + 1);
    images[n_images].bytes = (uint32_t)fread(images[n_images].data, 1, (size_t)bytes, file);
    fclose(file);
    if (images[n_images].bytes >= HW_HEADER && images[n_images].bytes <= ARENA)
        n_images++;
}

int main(int count, char **given)
{
    arena = calloc(1, ARENA);
    if (!arena || !hw_start())
        return 70;
    if (count > 3 && !strcmp(given[1], "random")) {
        dice = strtoull(given[2], NULL, 0);
        for (int i = 4; i < count; i++)
            read_image(given[i]);
        say_hello();
        attack(strtoull(given[3], NULL, 0));
    } else {
        from_input(count > 1 && !strcmp(given[1], "frames"));
    }
    note();
    printf("%llu frames, %llu requests executed, %llu steps, %llu images bound, %u restarts, %llu replies of %llu bytes\n",
           (unsigned long long)frames_in, (unsigned long long)done, (unsigned long long)steps, (unsigned long long)loads,
           starts, (unsigned long long)replies, (unsigned long long)bytes_out);
    return 0;
}
