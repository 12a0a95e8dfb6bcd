/* A runner for tests of the link: kind 255. Each element of the populations adds up what comes in at the input of its
   number, and sends: the sum, as far as the image has values of the type i32, else a one.
   Section 0: u32 step at which it fails, u32 step at which it hangs (both 2^32 - 1 for never). */
#include "runner.h"

#ifdef HW_TEST_BUILD

static const uint32_t *parameters;
static uint32_t *sums, n_out;
static uint8_t value_in, value_out;

static uint8_t test_bind(const struct hw_image *image, struct hw_arena *arena, struct hw_why *why)
{
    uint32_t n;
    parameters = hw_section(image, 0, 4, &n);
    if (n != 2)
        return hw_refuse(why, HW_E_IMAGE, "the test runner has two parameters", n, 2);
    n_out = image->n_out;
    value_in = image->value_in;
    value_out = image->value_out;
    sums = hw_take(arena, n_out, 4);
    return sums ? HW_OK : HW_E_NOMEM;
}

static void test_reset(void)
{
    memset(sums, 0, 4 * (size_t)n_out);
}

static uint8_t test_step(uint32_t t, const struct hw_inputs *in, struct hw_outputs *out, struct hw_why *why)
{
    if (t == parameters[0])
        return hw_refuse(why, HW_E_FAULT, "the test runner fails at this step", t, 0);
#ifndef HW_FUZZ
    for (volatile bool hangs = t == parameters[1]; hangs;) {
    }
#endif
    for (uint32_t i = 0; i < in->n && in->index[i] < n_out; i++) {
        uint32_t element = in->index[i];
        sums[element] += in->value && value_in == HW_I32 ? (uint32_t)((const int32_t *)in->value)[i] : 1;
        if (value_out == HW_I32)
            hw_send_i32(out, element, (int32_t)sums[element]);
        else if (value_out == HW_F32)
            hw_send_f32(out, element, (float)(int32_t)sums[element]);
        else if (value_out == HW_F64)
            hw_send_f64(out, element, (double)(int32_t)sums[element]);
        else
            hw_mark(out, element);
    }
    return HW_OK;
}

static void test_state(uint8_t **base, uint32_t *bytes)
{
    *base = (uint8_t *)sums;
    *bytes = 4 * n_out;
}

static uint8_t test_check(struct hw_why *why)
{
    for (uint32_t i = 0; i < n_out; i++)
        if (sums[i] == UINT32_MAX)
            return hw_refuse(why, HW_E_RANGE, "no sum of the test runner", sums[i], UINT32_MAX - 1);
    return HW_OK;
}

const struct hw_runner hw_test = {255, 0, "test", test_bind, test_reset, test_step, test_state, test_check};

#else
typedef int hw_no_test_runner; /* a file has to hold something */
#endif
