/* Series with their first terms in two doubles each, so that what is rounded before the end is small beside the last
   place of the result. Coefficients are those of the Taylor series; how many are needed follows from the range. */
#include "maths.h"

#include <stdbool.h>
#include <stdint.h>

/* ln 2: the first 32 bits, so that a multiple of up to 21 bits is exact, and the rest. */
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define LN2_LOWEST 0x1.cc01f97b57a08p-87
#define LOG2_E 0x1.71547652b82fep+0
#define SQRT_HALF_BITS 0x3fe6a09eu /* upper word of sqrt(1/2) */
#define TWO_THIRDS 0x1.5555555555555p-1
#define TWO_THIRDS_LOW 0x1.5555555555555p-55
#define SPLIT 134217729.0 /* 2^27 + 1: Dekker's, halves a significand */
#define INFINITE ((double)__builtin_inf())
#define NOT_A_NUMBER ((double)__builtin_nan(""))

/* A number as high + low, low at most half a unit in the last place of high. */
struct pair {
    double high, low;
};

union bits {
    double value;
    uint64_t word;
};

static uint64_t bits_of(double x)
{
    union bits b = {.value = x};
    return b.word;
}

static double from_bits(uint64_t word)
{
    union bits b = {.word = word};
    return b.value;
}

static double magnitude(double x)
{
    return from_bits(bits_of(x) & ~(1ull << 63));
}

static double with_sign(double x, bool negative)
{
    return negative ? -x : x;
}

/* a + b where |a| >= |b| (Dekker). */
static struct pair sum_of(double a, double b)
{
    double s = a + b;
    return (struct pair){s, b - (s - a)};
}

/* a b (Dekker, Veltkamp). */
static struct pair product_of(double a, double b)
{
    double p = a * b, c = SPLIT * a, d = SPLIT * b;
    double ah = c - (c - a), bh = d - (d - b), al = a - ah, bl = b - bh;
    return (struct pair){p, ((ah * bh - p) + ah * bl + al * bh) + al * bl};
}

static struct pair times(struct pair a, struct pair b)
{
    struct pair p = product_of(a.high, b.high);
    return sum_of(p.high, p.low + (a.high * b.low + a.low * b.high));
}

static struct pair over(struct pair a, struct pair b)
{
    double q = a.high / b.high;
    struct pair p = product_of(q, b.high);
    return sum_of(q, (((a.high - p.high) - p.low) + (a.low - q * b.low)) / b.high);
}

/* x 2^k; the result may be subnormal, then it is rounded once. */
static double scaled(double x, int32_t k)
{
    if (k > 1023)
        return x * from_bits((uint64_t)2046 << 52) * from_bits((uint64_t)k << 52);
    if (k < -1022)
        return x * from_bits((uint64_t)(k + 54 + 1023) << 52) * 0x1p-54;
    return x * from_bits((uint64_t)(k + 1023) << 52);
}

/* exp(x + low) = (1 + r.high + r.low) 2^k with |r| up to (sqrt(2) - 1); |x| < 746. */
static struct pair exp_less_one(double x, double low, int32_t *k)
{
    double n = (x * LOG2_E + 0x1.8p52) - 0x1.8p52; /* the nearest whole number */
    *k = (int32_t)n;
    struct pair a = product_of(n, LN2_LOW);
    double first = x - n * LN2_HIGH; /* exact */
    double high = first - a.high;
    struct pair r = sum_of(high, ((first - high) - a.high) - a.low + low);
    double z = r.high, q = 1 / 6227020800.0; /* 1 / 13!; the next term is below 2^-58 */
    static const double term[] = {1 / 479001600.0, 1 / 39916800.0, 1 / 3628800.0, 1 / 362880.0, 1 / 40320.0,
                                  1 / 5040.0, 1 / 720.0, 1 / 120.0, 1 / 24.0, 1 / 6.0};
    for (uint32_t i = 0; i < sizeof term / sizeof *term; i++)
        q = q * z + term[i];
    struct pair square = product_of(z, z);
    struct pair sum = sum_of(z, 0.5 * square.high);
    double rest = sum.low + (r.low + (0.5 * square.low + (z * r.low + square.high * z * q)));
    return sum_of(sum.high, rest);
}

double hw_exp(double x)
{
    if (x != x || x > 709.79)
        return x * INFINITE;
    if (x < -745.2)
        return 0;
    int32_t k;
    struct pair r = exp_less_one(x, 0, &k), one = sum_of(1, r.high);
    return scaled(one.high + (one.low + r.low), k);
}

/* Of x > 0, finite: log(x) = k ln 2 + 2 atanh(s), s = (m - 1) / (m + 1), x = m 2^k, m from sqrt(1/2) to sqrt(2). */
static struct pair log_of(double x)
{
    int32_t k = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        k = -54;
    }
    uint64_t word = bits_of(x);
    int32_t up = (int32_t)((uint32_t)(word >> 32) - SQRT_HALF_BITS) >> 20;
    k += up;
    double m = from_bits(word - ((uint64_t)(int64_t)up << 52));
    struct pair s = over((struct pair){m - 1, 0}, sum_of(m > 1 ? m : 1, m > 1 ? 1 : m));
    struct pair z = times(s, s), cube = times(s, z);
    double q = 2 / 25.0; /* |s| < 0.172: the next term is below 2^-68 of the first */
    static const double term[] = {2 / 23.0, 2 / 21.0, 2 / 19.0, 2 / 17.0, 2 / 15.0, 2 / 13.0, 2 / 11.0, 2 / 9.0,
                                  2 / 7.0, 2 / 5.0};
    for (uint32_t i = 0; i < sizeof term / sizeof *term; i++)
        q = q * z.high + term[i];
    struct pair third = times(cube, (struct pair){TWO_THIRDS, TWO_THIRDS_LOW});
    struct pair small = sum_of(third.high, third.low + cube.high * z.high * q);
    struct pair twice = sum_of(2 * s.high, small.high);
    struct pair log_m = sum_of(twice.high, twice.low + (2 * s.low + small.low));
    struct pair shift = sum_of(k * LN2_HIGH, 0), low = product_of(k, LN2_LOW);
    shift = sum_of(shift.high, low.high);
    shift.low += low.low + k * LN2_LOWEST;
    struct pair all = k ? sum_of(shift.high, log_m.high) : log_m;
    return k ? sum_of(all.high, all.low + (shift.low + log_m.low)) : log_m;
}

double hw_log(double x)
{
    if (x != x || x == INFINITE)
        return x;
    if (x == 0)
        return -INFINITE;
    return x < 0 ? NOT_A_NUMBER : log_of(x).high;
}

double hw_tanh(double x)
{
    double a = magnitude(x);
    bool negative = bits_of(x) >> 63;
    if (a != a || a < 0x1p-27)
        return x; /* x - x^3 / 3 */
    if (a > 20)
        return with_sign(1, negative); /* 1 - 2 exp(-40) */
    int32_t k;
    struct pair top = exp_less_one(2 * a, 0, &k);
    if (k) { /* exp(2 a) - 1 = 2^k (1 - 2^-k + r) */
        double scale = scaled(1, k);
        struct pair whole = sum_of(scale - 1, scale * top.high);
        top = sum_of(whole.high, whole.low + scale * top.low);
    }
    bool large = top.high > 2;
    struct pair below = sum_of(large ? top.high : 2, large ? 2 : top.high);
    below.low += top.low;
    struct pair found = over(top, below);
    return with_sign(found.high, negative);
}

double hw_cbrt(double x)
{
    double a = magnitude(x);
    if (!(a < INFINITE) || a == 0)
        return x;
    int32_t k = 0;
    if (a < 0x1p-1022) {
        a *= 0x1p54;
        k = -18;
    }
    int32_t third = (int32_t)(bits_of(a) >> 52) / 3 - 341; /* 1023 / 3 */
    a = from_bits(bits_of(a) - ((uint64_t)(int64_t)(3 * third) << 52)); /* 1 to 8 */
    double t = 1 + (a - 1) / 7; /* within 12 % */
    for (uint32_t i = 0; i < 3; i++) /* Halley: every round gives three times the digits */
        t = t * ((t * t * t + 2 * a) / (2 * t * t * t + a));
    t = from_bits((bits_of(t) + (1u << 26)) & ~((1ull << 27) - 1)); /* so that its square is exact */
    double off = a / (t * t);
    t = t + t * ((off - t) / (2 * t + off));
    return with_sign(scaled(t, k + third), bits_of(x) >> 63);
}

/* Of a finite y: 2 if it is an odd number, 1 if another whole number, else 0. */
static uint32_t whole(double y)
{
    double a = magnitude(y);
    if (a >= 0x1p53)
        return 1;
    uint64_t n = (uint64_t)a;
    return (double)n != a ? 0 : 1 + (uint32_t)(n & 1);
}

/* Where x or y is 0, infinite, or x is 1 or negative with no whole power; whether it is such a case. */
static bool special_power(double x, double y, double *found)
{
    double a = magnitude(x), b = magnitude(y);
    bool odd = b < INFINITE && whole(y) == 2, small = a < 1;
    if (y == 0 || x == 1)
        *found = 1;
    else if (x != x || y != y)
        *found = x + y;
    else if (b == INFINITE)
        *found = a == 1 ? 1 : small == (y < 0) ? INFINITE : 0;
    else if (a == 0 || a == INFINITE)
        *found = with_sign((a == 0) == (y < 0) ? INFINITE : 0, odd && bits_of(x) >> 63);
    else if (x < 0 && !whole(y))
        *found = NOT_A_NUMBER;
    else
        return false;
    return true;
}

double hw_pow(double x, double y)
{
    double found;
    if (special_power(x, y, &found))
        return found;
    bool negative = x < 0 && whole(y) == 2;
    if (magnitude(y) > 0x1p65) /* beyond any power of a number that is not 1; a product would overflow */
        y = y > 0 ? 0x1p65 : -0x1p65;
    struct pair log_x = log_of(magnitude(x)), p = product_of(log_x.high, y);
    double low = p.low + log_x.low * y;
    if (p.high > 709.79)
        return with_sign(INFINITE, negative);
    if (p.high < -745.2)
        return with_sign(0, negative);
    int32_t k;
    struct pair r = exp_less_one(p.high, low, &k), one = sum_of(1, r.high);
    return with_sign(scaled(one.high + (one.low + r.low), k), negative);
}
