/* Current-summing somas: a pulse adds its branch's weight to a current that decays exponentially; see SomaModel in
   hwsdk/ir/cells.py. */
#include "../common/maths.h"
#include "engine.h"

/* What a branch keeps after some fs. Branches of one soma often decay alike: the last factor is kept. */
struct decay {
    double gone, tau, factor;
};

static double kept(struct decay *d, double tau)
{
    if (tau != d->tau) {
        d->tau = tau;
        d->factor = hw_exp(-d->gone / tau);
    }
    return d->factor;
}

static struct decay since(uint64_t from, uint64_t to)
{
    return (struct decay){(double)(int64_t)(to - from), -1, 1};
}

/* Linear between the points, flat outside. */
static double latency(const struct sfq_late *p, uint32_t n, double over)
{
    if (over <= p[0].over)
        return p[0].fs;
    if (over >= p[n - 1].over)
        return p[n - 1].fs;
    uint32_t k = 0;
    while (p[k + 1].over < over)
        k++;
    return p[k].fs + (over - p[k].over) / (p[k + 1].over - p[k].over) * (p[k + 1].fs - p[k].fs);
}

/* By how much the currents are above what makes the soma fire, after a pulse at a pin. */
static double excess(const struct sfq_tables *w, const struct sfq_running *r, const struct sfq_soma *own, uint32_t pin,
                     struct decay gone)
{
    double sum = 0, rate = 0;
    for (uint32_t j = 0; j < own->branches; j++) {
        const struct sfq_branch *b = w->branches + own->branch + j;
        double *current = r->current + own->branch + j;
        double now = *current * kept(&gone, b->tau);
        if (j == pin)
            now += b->weight;
        *current = now;
        sum += now;
        rate += now / b->tau;
    }
    double over = sum - own->theta;
    if (over >= 0 && rate > 0 && own->theta > 0) { /* currents that decay must be that far above it */
        double fast = own->fold * rate;
        over -= hw_pow(own->theta * fast * fast, 1.0 / 3);
    }
    return over;
}

bool sfq_soma_pulse(const struct sfq_tables *w, const struct sfq_running *r, uint32_t soma, uint32_t pin, uint64_t time,
                    uint64_t *delay)
{
    const struct sfq_soma *own = w->somas + soma;
    double over = excess(w, r, own, pin, since(r->moment[soma], time));
    r->moment[soma] = time;
    if (!(over >= 0))
        return false;
    for (uint32_t j = own->branch; j < own->branch + own->branches; j++)
        r->current[j] -= w->branches[j].loss;
    *delay = (uint64_t)(latency(w->lates + own->late, own->lates, over) + 0.5);
    return true;
}

double sfq_soma_current(const struct sfq_tables *w, const struct sfq_running *r, uint32_t soma, uint64_t time)
{
    const struct sfq_soma *own = w->somas + soma;
    struct decay gone = since(r->moment[soma], time);
    double sum = 0;
    for (uint32_t j = own->branch; j < own->branch + own->branches; j++)
        sum += r->current[j] * kept(&gone, w->branches[j].tau);
    return sum;
}
