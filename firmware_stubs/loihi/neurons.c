/* The neurons, after the formulas of hwsdk/ir/fixed.py. Plain LIF neurons of an image that promises small numbers are
   updated in 32 bits, all others in 64, and nothing is stored that does not fit 32. */
#include "loihi.h"

uint32_t loihi_states(uint32_t form)
{
    static const uint8_t states[MODELS] = {2, 4, 2, 2, 4, 4, 0, 0};
    return states[form & 0xFF] + (form & RESTS ? 1 : 0);
}

static inline int32_t narrow(int64_t x, uint32_t *bad)
{
    int32_t y = (int32_t)(uint32_t)(uint64_t)x;
    *bad |= y != x;
    return y;
}

/* x / 2^bits rounded toward zero. */
static inline int64_t tz(int64_t x, uint32_t bits)
{
    return x >= 0 ? x >> bits : -(-x >> bits);
}

static inline int64_t clip(int64_t x)
{
    return x > V_MAX ? V_MAX : x < -V_MAX ? -V_MAX : x;
}

/* x (4096 - decay) / 4096 rounded toward zero, for |x| < FAST_BOUND: the high word of 4 x keep, and 1 more where that
   is negative and the low word is not 0. */
static inline uint32_t decayed(int32_t x, int32_t keep)
{
    int64_t p = (int64_t)(int32_t)((uint32_t)x << 2) * keep;
    return (uint32_t)((p + (int64_t)((uint64_t)(p >> 63) >> 32)) >> 32);
}

static inline bool due(const int32_t *p, uint32_t t)
{
    return p[INTERVAL] > 0 && (t + 1) % (uint32_t)p[INTERVAL] == (uint32_t)p[OFFSET];
}

/* Neuron i spikes at v, which is reset. Not inlined: it would take the loops' registers. */
static __attribute__((noinline)) int32_t spike(const struct group *g, uint32_t i, const int32_t *p, int32_t v)
{
    hw_mark(g->out, g->element[i]);
    return p[SUBTRACTS] ? (int32_t)((uint32_t)v - (uint32_t)p[RESET_BY]) : 0;
}

/* One comparison tells whether x has left its range; that is rare. */
static inline bool outside(int32_t x, int32_t low, int32_t high)
{
    return __builtin_expect((uint32_t)x - (uint32_t)low > (uint32_t)high - (uint32_t)low, 0);
}

static inline int32_t new_current(int32_t u, int32_t a, int32_t keep)
{
    int32_t x = (int32_t)(decayed(u, keep) + ((uint32_t)a << 6));
    if (outside(x, 1 - U_WRAP, U_WRAP))
        x = (int32_t)((uint32_t)x + (x > 0 ? 0u - 2u * U_WRAP : 2u * U_WRAP));
    return x;
}

static inline int32_t new_membrane(int32_t v, int32_t u, int32_t bias, int32_t keep)
{
    int32_t y = (int32_t)(decayed(v, keep) + (uint32_t)u + (uint32_t)bias);
    if (outside(y, -V_MAX, V_MAX))
        y = y > 0 ? V_MAX : -V_MAX;
    return y;
}

/* LIF neurons of one class, without rest, in 32 bits. */
static void lif_alike(const struct group *g)
{
    const int32_t *p = g->classes->p, *restrict bias = g->bias;
    int32_t *restrict u = g->state, *restrict v = u + g->n, *restrict in = g->in;
    const int32_t keep_u = p[KEEP_U], keep_v = p[KEEP_V], theta = p[THETA];
    if (due(p, g->t))
        memset(u, 0, (size_t)g->n * 8);
    for (uint32_t i = 0, n = g->n; i < n; i++) {
        int32_t x = new_current(u[i], in[i], keep_u), y = new_membrane(v[i], x, bias[i], keep_v);
        in[i] = 0;
        u[i] = x;
        v[i] = y > theta ? spike(g, i, p, y) : y;
    }
}

/* The same where each has a class of its own. */
static void lif_each(const struct group *g)
{
    int32_t *restrict u = g->state, *restrict v = u + g->n, *restrict in = g->in;
    for (uint32_t i = 0; i < g->n; i++) {
        const int32_t *p = g->classes[g->index[i]].p;
        if (due(p, g->t))
            u[i] = v[i] = 0;
        int32_t x = new_current(u[i], in[i], p[KEEP_U]), y = new_membrane(v[i], x, g->bias[i], p[KEEP_V]);
        in[i] = 0;
        u[i] = x;
        v[i] = y > p[THETA] ? spike(g, i, p, y) : y;
    }
}

static inline const int32_t *parameters(const struct group *g, uint32_t i)
{
    return (g->index ? g->classes + g->index[i] : g->classes)->p;
}

/* u and v before threshold and reset: u is stored, v returned. */
static inline int64_t u_and_v(const struct group *g, uint32_t i, const int32_t *p, int32_t *u, int32_t v, uint32_t *bad)
{
    int64_t x = tz((int64_t)*u * p[KEEP_U], 30) + (int64_t)g->in[i] * 64;
    g->in[i] = 0;
    if (x > U_WRAP)
        x -= 2 * U_WRAP;
    else if (x <= -U_WRAP)
        x += 2 * U_WRAP;
    *u = narrow(x, bad);
    return clip(tz((int64_t)v * p[KEEP_V], 30) + x + g->bias[i]);
}

static uint32_t lif(const struct group *g)
{
    int32_t *u = g->state, *v = u + g->n, *left = g->rests ? v + g->n : NULL;
    uint32_t bad = 0;
    for (uint32_t i = 0; i < g->n; i++) {
        const int32_t *p = parameters(g, i);
        if (due(p, g->t))
            u[i] = v[i] = 0;
        int64_t y = u_and_v(g, i, p, &u[i], v[i], &bad);
        if (left && left[i]) {
            left[i] = (int32_t)((uint32_t)left[i] - 1);
        } else if (y > p[THETA]) {
            hw_mark(g->out, g->element[i]);
            v[i] = p[SUBTRACTS] ? narrow(y - p[RESET_BY], &bad) : 0;
            if (left)
                left[i] = p[REFRACTORY];
        } else {
            v[i] = (int32_t)y;
        }
    }
    return bad;
}

static uint32_t atrlif(const struct group *g)
{
    int32_t *u = g->state, *v = u + g->n, *theta = v + g->n, *r = theta + g->n;
    uint32_t bad = 0;
    for (uint32_t i = 0; i < g->n; i++) {
        const int32_t *p = parameters(g, i);
        int64_t y = u_and_v(g, i, p, &u[i], v[i], &bad);
        int64_t limit = tz(((int64_t)theta[i] - p[THETA]) * p[KEEP_THETA], 30) + p[THETA];
        int64_t rest = tz((int64_t)r[i] * p[KEEP_R], 30);
        if (y - rest >= limit) {
            hw_mark(g->out, g->element[i]);
            rest += 2 * limit;
            limit += p[STEP];
        }
        v[i] = (int32_t)y;
        theta[i] = narrow(limit, &bad);
        r[i] = narrow(rest, &bad);
    }
    return bad;
}

/* tz(p x) + tz(q y) + a, modulo 2^64 */
static inline int64_t turned(int64_t p, int64_t x, int64_t q, int64_t y, uint32_t bits, int64_t a)
{
    return (int64_t)((uint64_t)tz(p * x, bits) + (uint64_t)tz(q * y, bits) + (uint64_t)a);
}

static uint32_t rf(const struct group *g)
{
    int32_t *re = g->state, *im = re + g->n;
    uint32_t bad = 0;
    for (uint32_t i = 0; i < g->n; i++) {
        const int32_t *p = parameters(g, i);
        int64_t one = (int64_t)1 << p[RF_EXP], sin = p[SIN], cos = p[COS];
        uint32_t bits = (uint32_t)p[DECAY_BITS];
        int64_t x = clip(turned(cos, re[i], -sin, im[i], bits, g->in[i] * one));
        int64_t y = clip(turned(sin, re[i], cos, im[i], bits, g->second[i] * one));
        g->in[i] = g->second[i] = 0;
        bool fires = g->model == RF_IZ ? y >= p[RF_THETA] : x >= p[RF_THETA] && y >= 0 && im[i] < 0;
        if (fires)
            hw_mark(g->out, g->element[i]);
        if (fires && g->model == RF_IZ) {
            x = 0;
            y = (int64_t)p[RF_THETA] - 1;
        }
        re[i] = (int32_t)x;
        im[i] = narrow(y, &bad);
    }
    return bad;
}

static uint32_t sigma_delta(const struct group *g)
{
    int32_t *sigma = g->state, *act = sigma + g->n, *residue = act + g->n, *error = residue + g->n;
    uint32_t bad = 0;
    for (uint32_t i = 0; i < g->n; i++) {
        const int32_t *p = parameters(g, i);
        int64_t x = g->in[i], theta = (int64_t)p[SD_THETA] * ((int64_t)1 << p[SHIFT_IN]);
        g->in[i] = 0;
        if (g->model == DELTA) {
            x *= (int64_t)1 << p[SHIFT_IN];
        } else {
            sigma[i] = narrow(x + sigma[i], &bad);
            x = (int64_t)sigma[i] + g->bias[i];
            x = p[RELU] && x < 0 ? 0 : x;
        }
        int64_t d = x - act[i] + residue[i], compared = p[CUM_ERROR] ? error[i] + d : d;
        int64_t spike = !g->reads && (compared >= theta || -compared >= theta) ? d : 0;
        if (p[CUM_ERROR])
            error[i] = spike ? 0 : narrow(compared, &bad);
        act[i] = narrow(x, &bad);
        residue[i] = narrow(d - spike, &bad);
        hw_send_i32(g->out, g->element[i], narrow(spike >> p[SHIFT_OUT], &bad));
    }
    return bad;
}

static void graded(const struct group *g)
{
    for (uint32_t i = 0; i < g->n; i++) {
        int32_t a = g->in[i];
        int64_t theta = parameters(g, i)[GRADED_THETA];
        g->in[i] = 0;
        if (a > theta || (g->model == GRADED && -(int64_t)a > theta))
            hw_send_i32(g->out, g->element[i], a);
    }
}

static uint32_t update(const struct group *g)
{
    switch (g->model) {
    case LIF:
        if (!g->fast || g->rests)
            return lif(g);
        (g->index ? lif_each : lif_alike)(g);
        return 0;
    case ATRLIF:
        return atrlif(g);
    case RF:
    case RF_IZ:
        return rf(g);
    case SIGMA_DELTA:
    case DELTA:
        return sigma_delta(g);
    default:
        graded(g);
        return 0;
    }
}

bool loihi_update(const struct group *g)
{
    uint32_t bad = update(g);
    if (g->reads) { /* v, or act: both are the second state */
        const int32_t *shown = g->state + g->n;
        for (uint32_t i = 0; i < g->n; i++)
            hw_send_i32(g->out, g->element[i], shown[i]);
    }
    return !bad;
}
