/* Holds the firmware's coders against wire_vectors.txt: wire_check FILE. Prints what differs; make_wire_vectors.py says
   what a line is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../firmware_stubs/common/cobs.h"
#include "../../firmware_stubs/common/crc.h"
#include "../../firmware_stubs/common/events.h"

#define MOST 65536
#define MTU 2048
#define ELEMENTS (1 << 20)

static uint8_t sent[2 * MOST];
static uint32_t n_sent;
static int failures, checks;

void hal_write(const uint8_t *from, uint32_t n)
{
    memcpy(sent + n_sent, from, n);
    n_sent += n;
}

static void hold(int good, const char *kind, const char *name, const char *what)
{
    checks++;
    if (!good) {
        failures++;
        printf("%s %s: %s\n", kind, name, what);
    }
}

static uint32_t bytes_of(const char *text, uint8_t *to)
{
    uint32_t n = 0;
    for (; *text && *text != '-'; text += 2, n++) {
        char pair[3] = {text[0], text[1], 0};
        to[n] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

static uint32_t numbers_of(char *text, uint32_t *to)
{
    uint32_t n = 0;
    for (char *part = *text == '-' ? NULL : text; part; part = *part ? part + 1 : NULL)
        to[n++] = (uint32_t)strtoul(part, &part, 10);
    return n;
}

/* Bit patterns, as bytes of the values; 0 where all are ones. */
static uint32_t values_of(char *text, uint32_t width, uint8_t *to)
{
    uint32_t n = 0;
    for (char *part = *text == '-' ? NULL : text; part; part = *part ? part + 1 : NULL) {
        uint64_t pattern = strtoull(part, &part, 16);
        memcpy(to + (size_t)width * n++, &pattern, width);
    }
    return n;
}

/* Decodes bytes of a line that come `piece` at a time, up to the end of a frame. */
static enum hw_cobs decode(struct hw_cobs_in *in, const uint8_t *wire, uint32_t n, uint32_t piece)
{
    enum hw_cobs found = HW_COBS_MORE;
    for (uint32_t at = 0; at < n && found == HW_COBS_MORE; at += piece) {
        const uint8_t *from = wire + at, *end = wire + (at + piece < n ? at + piece : n);
        while (from < end && found == HW_COBS_MORE)
            found = hw_cobs_take(in, &from, end);
    }
    return found;
}

static void check_frame(const char *kind, const char *name, const uint8_t *body, uint32_t n, const uint8_t *wire,
                        uint32_t n_wire)
{
    static uint8_t got[MOST];
    n_sent = 0;
    hw_cobs_send(body, n);
    hold(n_sent == n_wire && !memcmp(sent, wire, n_wire), kind, name, "sent otherwise");
    for (uint32_t piece = 1; piece < 300; piece = 3 * piece + 1) {
        struct hw_cobs_in in = {.to = got, .most = n};
        hw_cobs_clear(&in);
        hold(decode(&in, wire, n_wire, piece) == HW_COBS_FRAME && in.at == n && !memcmp(got, body, n), kind, name,
             "received otherwise");
    }
}

static void cobs_line(char **f)
{
    static uint8_t body[MOST], wire[MOST];
    uint32_t n = bytes_of(f[2], body), k = bytes_of(f[3], wire + 1);
    wire[0] = wire[k + 1] = 0;
    check_frame(f[0], f[1], body, n, wire, k + 2);
}

static void frame_line(char **f)
{
    static uint8_t body[MOST], wire[MOST];
    uint32_t n = 8 + bytes_of(f[5], body + 8), k = bytes_of(f[6], wire);
    body[0] = 1;
    body[1] = (uint8_t)strtoul(f[2], NULL, 10);
    hw_put16(body + 2, (uint32_t)strtoul(f[3], NULL, 10));
    hw_put32(body + 4, (uint32_t)strtoul(f[4], NULL, 10));
    hw_put32(body + n, hw_crc(0, body, n));
    check_frame(f[0], f[1], body, n + 4, wire, k);
}

static void bad_line(char **f)
{
    static uint8_t got[MTU], wire[2 * MTU];
    struct hw_cobs_in in = {.to = got, .most = MTU};
    hw_cobs_clear(&in);
    enum hw_cobs found = decode(&in, wire, bytes_of(f[3], wire), 7);
    const char *kind = found == HW_COBS_BAD ? "cobs" : found == HW_COBS_LONG ? "long" : in.at < 12 ? "short" : "crc";
    hold(found != HW_COBS_MORE && !strcmp(kind, f[2]), f[0], f[1], kind);
    if (!strcmp(kind, "crc"))
        hold(hw_crc(0, got, in.at - 4) != hw_get32(got + in.at - 4), f[0], f[1], "the CRC-32 is right");
}

static void ones(uint8_t *place, uint32_t n, uint32_t type)
{
    for (uint32_t i = 0; i < n; i++)
        if (type == HW_F64)
            ((double *)(void *)place)[i] = 1;
        else if (type == HW_F32)
            ((float *)(void *)place)[i] = 1;
        else
            ((int32_t *)(void *)place)[i] = 1;
}

/* What a step with these events has sent, written as a list. */
static uint32_t written(uint32_t elements, uint32_t type, uint32_t step, char *indices, char *values, uint8_t *to,
                        uint32_t *digest)
{
    static uint32_t bits[ELEMENTS / 32 + 1], index[ELEMENTS], given[ELEMENTS];
    static double place[ELEMENTS];
    static uint8_t value[8 * MOST];
    struct hw_outputs out = {elements, bits, type ? place : NULL};
    uint32_t n = numbers_of(indices, given), width = hw_width((uint8_t)type);
    uint32_t valued = values_of(values, width, value);
    ones((uint8_t *)place, elements, type);
    for (uint32_t i = 0; i < n; i++) {
        hw_mark(&out, given[i]);
        if (valued)
            memcpy((uint8_t *)place + (size_t)width * given[i], value + (size_t)width * i, width);
    }
    uint8_t *end = hw_list_write(&out, (uint8_t)type, step, index, to, digest);
    uint32_t left = 0;
    for (uint32_t i = 0; i < elements / 32 + 1; i++)
        left |= bits[i];
    hold(!left, "list", "marks", "are left");
    return (uint32_t)(end - to);
}

static uint8_t read_list(const uint8_t *list, uint32_t bytes, uint32_t elements, uint32_t type, uint32_t *n, bool *valued,
                         uint32_t *index, uint8_t *value)
{
    /* of its own size, so that a sanitizer sees what is read beyond it */
    uint8_t *own = malloc(bytes ? bytes : 1);
    struct hw_why why = {0, 0, ""};
    memcpy(own, list, bytes);
    struct hw_reader from = {own, own + bytes};
    uint8_t status = hw_list_read(&from, elements, (uint8_t)type, index, value, n, valued, &why);
    if (!status && hw_left(&from))
        status = HW_E_LEN;
    free(own);
    return status;
}

static uint32_t index_of[ELEMENTS];
static uint8_t value_of[8 * ELEMENTS];

static void list_line(char **f)
{
    static uint8_t list[MOST], got[16 * MOST], value[8 * MOST];
    static uint32_t index[ELEMENTS];
    uint32_t elements = (uint32_t)strtoul(f[2], NULL, 10), type = (uint32_t)strtoul(f[3], NULL, 10), digest = 0, n;
    bool valued;
    uint32_t bytes = bytes_of(f[6], list), width = hw_width((uint8_t)type);
    hold(written(elements, type, 0, f[4], f[5], got, &digest) == bytes && !memcmp(got, list, bytes), f[0], f[1],
         "written otherwise");
    hold(bytes <= hw_list_most(elements, (uint8_t)type), f[0], f[1], "longer than the most");
    uint8_t status = read_list(list, bytes, elements, type, &n, &valued, index_of, value_of);
    uint32_t wanted = numbers_of(f[4], index), values = values_of(f[5], width, value);
    hold(!status && n == wanted && !memcmp(index, index_of, 4 * n), f[0], f[1], "read otherwise");
    for (uint32_t i = 0; i < values && !valued; i++)
        values = !memcmp(value, value + (size_t)width * i, width) ? values : UINT32_MAX; /* all ones are not sent */
    hold(!valued || !memcmp(value, value_of, (size_t)width * n), f[0], f[1], "other values read");
    hold(values != UINT32_MAX, f[0], f[1], "values left out");
}

static void notlist_line(char **f)
{
    static uint8_t list[MOST];
    uint32_t elements = (uint32_t)strtoul(f[2], NULL, 10), n;
    bool valued;
    uint8_t status = read_list(list, bytes_of(f[4], list), elements, (uint32_t)strtoul(f[3], NULL, 10), &n, &valued,
                               index_of, value_of);
    hold(status == HW_E_LEN || status == HW_E_RANGE, f[0], f[1], "not refused");
}

static void digest_line(char **f)
{
    static uint8_t got[16 * MOST];
    uint32_t digest = (uint32_t)strtoul(f[2], NULL, 16);
    written(ELEMENTS, (uint32_t)strtoul(f[4], NULL, 10), (uint32_t)strtoul(f[3], NULL, 10), f[5], f[6], got, &digest);
    hold(digest == strtoul(f[7], NULL, 16), f[0], f[1], "another digest");
}

static void crc_line(char **f)
{
    static uint8_t data[MOST];
    uint32_t n = bytes_of(f[2], data), whole = hw_crc(0, data, n), half = n / 2;
    hold(whole == strtoul(f[3], NULL, 16), f[0], f[1], "another CRC-32");
    hold(whole == hw_crc(hw_crc(0, data, half), data + half, n - half), f[0], f[1], "another CRC-32 in two parts");
}

static void line(char *text)
{
    static const struct {
        const char *name;
        int fields;
        void (*check)(char **f);
    } kinds[] = {{"crc", 4, crc_line},   {"cobs", 4, cobs_line},       {"frame", 7, frame_line},  {"bad", 4, bad_line},
                 {"list", 7, list_line}, {"notlist", 5, notlist_line}, {"digest", 8, digest_line}};
    char *f[9] = {0};
    int n = 0;
    for (char *part = strtok(text, " \n"); part && n < 9; part = strtok(NULL, " \n"))
        f[n++] = part;
    for (size_t i = 0; n && i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, f[0]) && kinds[i].fields == n) {
            kinds[i].check(f);
            return;
        }
    hold(!n || f[0][0] == '#', "line", n ? f[0] : "", "not known");
}

int main(int count, char **given)
{
    static char text[1 << 20];
    FILE *file = count == 2 ? fopen(given[1], "r") : NULL;
    if (!file || !hw_crc_start())
        return 2;
    while (fgets(text, sizeof text, file))
        line(text);
    fclose(file);
    printf("%d checks, %d failures\n", checks, failures);
    return failures != 0;
}
