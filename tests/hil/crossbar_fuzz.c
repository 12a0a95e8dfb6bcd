/* Damaged images and states for the crossbar runner, under AddressSanitizer and UBSan.

   fuzz SEED ROUNDS IMAGE...: prints how many damaged images were refused and how many ran. Every section of an image
   and every piece of the arena is an allocation of its own, so that no access from one into the next goes unseen. */
#include <stdio.h>
#include <stdlib.h>

#include "../../firmware_stubs/common/runner.h"

enum { MOST_PIECES = 1 << 16, MOST_BYTES = 64 << 20, MOST_IMAGES = 64 };

const void *plain_section(const struct hw_image *image, uint32_t number, uint32_t size, uint32_t *count);

static void *piece[MOST_PIECES];
static uint32_t pieces;
static uint64_t taken, seed;

static uint32_t draw(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16) % n;
}

static void *keep(size_t bytes)
{
    if (pieces == MOST_PIECES)
        return NULL;
    taken += bytes;
    return piece[pieces++] = calloc(1, bytes ? bytes : 1);
}

const void *hw_section(const struct hw_image *image, uint32_t number, uint32_t size, uint32_t *count)
{
    const void *at = plain_section(image, number, size, count);
    void *copy = at ? keep((size_t)*count * size) : NULL;
    if (copy)
        memcpy(copy, at, (size_t)*count * size);
    *count = copy ? *count : 0;
    return copy;
}

void *hw_take(struct hw_arena *arena, uint64_t count, uint32_t size)
{
    arena->need += count * size;
    return count > MOST_BYTES || count * size > MOST_BYTES || taken > MOST_BYTES ? NULL : keep((size_t)count * size);
}

static void damage(uint8_t *base, uint32_t bytes)
{
    static const uint32_t likely[] = {0, 1, 2, 31, 32, 33, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x7ff00000};
    for (uint32_t n = 1 + draw(4); n; n--) {
        uint32_t word, at = 4 * draw((draw(2) && bytes > 2048 ? 2048 : bytes) / 4);
        memcpy(&word, base + at, 4);
        uint32_t how = draw(4), flipped = word ^ 1u << draw(32);
        word = how == 0 ? likely[draw(11)] : how == 1 ? word + draw(7) - 3 : how == 2 ? flipped : draw(1000);
        memcpy(base + at, &word, 4);
    }
}

static void steps(const struct hw_image *image, uint32_t first)
{
    struct hw_why why;
    uint32_t *index = calloc(image->n_in + 1, 4), *bits = calloc(image->n_out / 32 + 1, 4);
    int32_t *value = calloc(image->n_in + 1, 4);
    void *sent = image->value_out ? calloc(image->n_out + 1, image->value_out == HW_F64 ? 8 : 4) : NULL;
    for (uint32_t t = first; t < first + 3; t++) {
        struct hw_inputs in = {0, index, draw(2) ? value : NULL, false};
        struct hw_outputs out = {image->n_out, bits, sent};
        for (uint32_t i = 0; i < image->n_in; i++)
            if (draw(2)) {
                value[in.n] = draw(4) ? 1 + (int32_t)draw(3) : (int32_t)(draw(0xffffffff));
                index[in.n++] = i;
            }
        hw_crossbar.step(t, &in, &out, &why);
    }
    free(index);
    free(bits);
    free(value);
    free(sent);
}

/* Steps of a fresh state, then of one that was damaged. */
static void drive(const struct hw_image *image)
{
    struct hw_why why;
    uint8_t *state;
    uint32_t bytes;
    hw_crossbar.reset();
    steps(image, draw(3) ? 0 : 0xfffffffe);
    hw_crossbar.state(&state, &bytes);
    for (uint32_t n = 1 + draw(8); n; n--)
        state[draw(bytes)] ^= (uint8_t)draw(256);
    hw_crossbar.check_state(&why);
    steps(image, draw(1000));
}

static int try_once(const uint8_t *whole, uint32_t bytes)
{
    struct hw_why why;
    struct hw_image image;
    struct hw_arena arena = {NULL, NULL, 0};
    uint8_t *base = aligned_alloc(8, (bytes + 7) & ~7u);
    memcpy(base, whole, bytes);
    damage(base, bytes);
    int runs = hw_image_open(&image, base, bytes, &why) == HW_OK && image.n_out <= MOST_BYTES / 8
               && hw_crossbar.bind(&image, &arena, &why) == HW_OK;
    if (runs)
        drive(&image);
    while (pieces)
        free(piece[--pieces]);
    taken = 0;
    free(base);
    return runs;
}

int main(int argc, char **argv)
{
    static uint8_t *image[MOST_IMAGES];
    static uint32_t bytes[MOST_IMAGES];
    int ran = 0, rounds = atoi(argv[2]), images = argc - 3;
    seed = 0x9E3779B97F4A7C15u ^ strtoull(argv[1], NULL, 10);
    for (int i = 0; i < images && i < MOST_IMAGES; i++) {
        FILE *file = fopen(argv[3 + i], "rb");
        fseek(file, 0, SEEK_END);
        bytes[i] = (uint32_t)ftell(file);
        rewind(file);
        image[i] = malloc(bytes[i]);
        if (fread(image[i], 1, bytes[i], file) != bytes[i])
            return 2;
        fclose(file);
    }
    for (int i = 0; i < rounds; i++) {
        uint32_t k = draw((uint32_t)images);
        ran += try_once(image[k], bytes[k]);
    }
    printf("%d refused, %d ran\n", rounds - ran, ran);
    return 0;
}
