/* One step of the neurons of a slice: SingleLIF (hwsdk/ir/single.py) and EGRU (hwsdk/ir/recurrent.py). Every operation
   is rounded to single precision; none are fused. */
#include "../common/maths.h"
#include "machine.h"

enum { SUBTRACTS = 1 << 24, AT_THRESHOLD = 1 << 25, FIRES = 1 << 26, REST = 4095 };

static void fire(struct spin_machine *m, const struct spin_slice *s, uint32_t i, uint32_t t, struct hw_outputs *out)
{
    struct spin_pe *pe = m->pes + s->pe;
    m->bits[s->bits + i / 32] |= 1u << (i % 32);
    if (pe->n_learners)
        spin_learn_post(pe, s->first + i, t);
    if (!(s->flags & SPIN_FIRES))
        return;
    if (pe->model == SPIN_EGRU)
        hw_send_f32(out, spin_element(m, s, i), m->payload[s->atom + i]);
    else
        hw_mark(out, spin_element(m, s, i));
}

/* Whether the membrane v with the current u fires; it is left as the reset leaves it. */
static inline bool lif(const struct spin_lif *p, float *v, uint16_t *left, float u)
{
    float now = ((p->decay_v * *v) + u) + p->bias;
    if (*left) {
        (*left)--;
        return false;
    }
    if (!(p->control & FIRES) || !(p->control & AT_THRESHOLD ? now >= p->threshold : now > p->threshold)) {
        *v = now;
        return false;
    }
    *v = p->control & SUBTRACTS ? now - p->reset_by : 0;
    *left = p->control & REST;
    return true;
}

static void step_lif(struct spin_machine *m, struct spin_slice *s, uint32_t t, struct hw_outputs *out)
{
    struct spin_pe *pe = m->pes + s->pe;
    const struct spin_lif *p = (const struct spin_lif *)pe->neurons + s->first;
    uint32_t *a = pe->ring + (t & pe->mask) * pe->n + s->first;
    float *u = pe->u + s->first, *v = pe->v + s->first;
    uint16_t *left = pe->left + s->first;
    for (uint32_t i = 0; i < s->n; i++) {
        u[i] = (float)(int32_t)a[i];
        a[i] = 0;
        if (lif(p + i, v + i, left + i, u[i]))
            fire(m, s, i, t, out);
    }
}

static void step_lif_current(struct spin_machine *m, struct spin_slice *s, uint32_t t, struct hw_outputs *out)
{
    struct spin_pe *pe = m->pes + s->pe;
    const struct spin_lif_current *p = (const struct spin_lif_current *)pe->neurons + s->first;
    uint32_t *a = pe->ring + (t & pe->mask) * pe->n + s->first;
    float *u = pe->u + s->first, *v = pe->v + s->first;
    uint16_t *left = pe->left + s->first;
    for (uint32_t i = 0; i < s->n; i++) {
        u[i] = p[i].decay_u * u[i] + (float)(int32_t)a[i];
        a[i] = 0;
        if (lif(&p[i].rest, v + i, left + i, u[i]))
            fire(m, s, i, t, out);
    }
}

static float sigma(float x)
{
    return 1 / (1 + (float)hw_exp(-(double)x));
}

/* a: the accumulators z_outside, r_outside, z_recurrent, r_recurrent, x, h of the unit, each n after the one before. */
static bool egru(const struct spin_egru *p, float *h, const float *a, uint32_t n, float *event)
{
    float z = sigma((a[0] + a[2 * n]) + p->bias_z), r = sigma((a[n] + a[3 * n]) + p->bias_r);
    float x = (a[4 * n] + p->bias_x) + r * (a[5 * n] + p->bias_h);
    float g = (float)hw_tanh(x), c = z * *h + (1 - z) * g;
    bool fires = c > p->theta;
    *h = fires ? c - p->theta : c;
    *event = c;
    return fires;
}

static void step_egru(struct spin_machine *m, struct spin_slice *s, uint32_t t, struct hw_outputs *out)
{
    struct spin_pe *pe = m->pes + s->pe;
    const struct spin_egru *p = (const struct spin_egru *)pe->neurons + s->first;
    float *a = pe->sums + (t & pe->mask) * SPIN_PORTS * pe->n + s->first, *h = pe->v + s->first;
    for (uint32_t i = 0; i < s->n; i++) {
        if (egru(p + i, h + i, a + i, pe->n, m->payload + s->atom + i))
            fire(m, s, i, t, out);
        for (uint32_t port = 0; port < SPIN_PORTS; port++)
            a[i + port * pe->n] = 0;
    }
}

void spin_step_slice(struct spin_machine *m, struct spin_slice *s, uint32_t t, struct hw_outputs *out)
{
    const struct spin_pe *pe = m->pes + s->pe;
    if (pe->model == SPIN_LIF)
        step_lif(m, s, t, out);
    else if (pe->model == SPIN_LIF_CURRENT)
        step_lif_current(m, s, t, out);
    else
        step_egru(m, s, t, out);
    if (!(s->flags & SPIN_FIRES))
        for (uint32_t i = 0; i < s->n; i++)
            hw_send_f32(out, spin_element(m, s, i), pe->v[s->first + i]);
}
