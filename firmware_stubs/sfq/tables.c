/* The tables of the pulse engine out of an image. Everything that is used as an index later is checked here. */
#include "engine.h"

static uint8_t wrong(struct hw_why *why, const char *text, uint64_t value, uint64_t limit)
{
    return hw_refuse(why, HW_E_IMAGE, text, (uint32_t)value, (uint32_t)limit);
}

/* Whether n entries from `first` on lie within a table of `size`. */
static bool inside(uint64_t first, uint64_t n, uint64_t size)
{
    return first <= size && n <= size - first;
}

static bool finite(double x)
{
    return x - x == 0;
}

static bool below(const uint32_t *values, uint64_t n, uint32_t limit)
{
    for (uint64_t i = 0; i < n; i++)
        if (values[i] > limit)
            return false;
    return true;
}

static bool entries_hold(const struct sfq_type *t, const struct sfq_tables *w)
{
    for (uint32_t k = 0; k < t->states * t->inputs; k++) {
        const struct sfq_entry *e = w->table + t->table + k;
        if (e->next >= t->states || e->fires >> t->outputs)
            return false;
    }
    return true;
}

static uint8_t check_types(const struct sfq_tables *w, struct hw_why *why)
{
    for (uint32_t k = 0; k < w->n_types; k++) {
        const struct sfq_type *t = w->types + k;
        uint32_t square = t->inputs * t->inputs, row = t->states * t->inputs;
        if (t->inputs > SFQ_MOST_INPUTS || t->outputs > SFQ_MOST_OUTPUTS || t->states > SFQ_MOST_STATES || t->soma > 1)
            return wrong(why, "a type has more pins or states than there are", k, w->n_types);
        if (t->soma) {
            if (t->outputs != 1)
                return wrong(why, "a soma has one output", k, w->n_types);
            continue;
        }
        if ((t->inputs && !t->states) || !inside(t->table, row, w->n_table) ||
            !inside(t->critical, t->states * square, w->n_critical) || !inside(t->absorb, square, w->n_absorb))
            return wrong(why, "the tables of a type lie outside theirs", k, w->n_types);
        if (!entries_hold(t, w) || t->window > SFQ_MOST_FS ||
            !below(w->critical + t->critical, t->states * square, t->window) ||
            !below(w->absorb + t->absorb, square, t->window))
            return wrong(why, "the tables of a type do not fit it", k, w->n_types);
    }
    return HW_OK;
}

/* Also counts the pins. */
static uint8_t check_cells(struct sfq_tables *w, struct hw_why *why)
{
    uint64_t pins = 0, outs = 0;
    for (uint32_t k = 0; k < w->n_cells; k++) {
        const struct sfq_cell *c = w->cells + k;
        if (c->type >= w->n_types || c->pin != pins || c->out != outs || c->delay < -1)
            return wrong(why, "a cell of no type, or with pins of others", k, w->n_cells);
        const struct sfq_type *t = w->types + c->type;
        if (t->soma && (c->soma >= w->n_somas || w->somas[c->soma].branches != t->inputs))
            return wrong(why, "a soma has other branches than pins", k, w->n_cells);
        pins += t->inputs;
        outs += t->outputs;
    }
    if (outs != w->n_outs || pins > UINT32_MAX)
        return wrong(why, "the cells have another number of outputs", outs, w->n_outs);
    w->n_pins = (uint32_t)pins;
    return HW_OK;
}

static uint8_t check_nets(struct sfq_tables *w, struct hw_why *why)
{
    for (uint32_t k = 0; k < w->n_nets; k++) {
        const struct sfq_net *n = w->nets + k;
        if (n->cell >= w->n_cells || n->pin >= w->types[w->cells[n->cell].type].inputs || n->neuron > w->n_neurons)
            return wrong(why, "a net leads nowhere", k, w->n_nets);
    }
    for (uint32_t k = 0; k < w->n_outs; k++)
        if (w->outs[k] != SFQ_NO_NET && w->outs[k] >= w->n_nets)
            return wrong(why, "an output drives no net", k, w->n_nets);
    w->net_bits = 1;
    while (w->n_nets > 1ull << w->net_bits)
        w->net_bits++;
    return HW_OK;
}

static bool latency_holds(const struct sfq_late *p, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        if (!finite(p[k].over) || !(p[k].fs >= 0 && p[k].fs <= SFQ_MOST_FS) || (k && !(p[k].over > p[k - 1].over)))
            return false;
    return n > 0;
}

static uint8_t check_somas(const struct sfq_tables *w, struct hw_why *why)
{
    for (uint32_t k = 0; k < w->n_somas; k++) {
        const struct sfq_soma *s = w->somas + k;
        if (!inside(s->branch, s->branches, w->n_branches) || !inside(s->late, s->lates, w->n_lates))
            return wrong(why, "the branches or latencies of a soma lie outside theirs", k, w->n_somas);
        if (!latency_holds(w->lates + s->late, s->lates) || !finite(s->theta) || !finite(s->fold))
            return wrong(why, "the latencies of a soma are no table, or a figure is no number", k, w->n_somas);
    }
    for (uint32_t k = 0; k < w->n_branches; k++) {
        const struct sfq_branch *b = w->branches + k;
        if (!finite(b->weight) || !finite(b->loss) || !(b->tau > 0))
            return wrong(why, "a branch has no weight or decay time", k, w->n_branches);
    }
    return HW_OK;
}

static uint8_t check_helds(const struct sfq_tables *w, struct hw_why *why)
{
    if (w->n_helds != w->n_neurons)
        return wrong(why, "every neuron has a line that says what it holds", w->n_helds, w->n_neurons);
    for (uint32_t k = 0; k < w->n_helds; k++) {
        const struct sfq_held *h = w->helds + k;
        if (h->kind > SFQ_LOOP || h->n > SFQ_MOST_BITS || (h->kind == SFQ_LOOP && h->first >= w->n_somas) ||
            (h->kind == SFQ_COUNTER && !inside(h->first, h->n, w->n_bits)))
            return wrong(why, "a neuron's bits or soma lie outside theirs", k, w->n_helds);
    }
    for (uint32_t k = 0; k < w->n_bits; k++)
        if (w->bits[k] >= w->n_cells)
            return wrong(why, "a bit of a counter is no cell", w->bits[k], w->n_cells);
    return HW_OK;
}

uint8_t sfq_read_tables(const struct hw_image *image, struct sfq_tables *w, struct hw_why *why)
{
    w->n_neurons = image->n_out;
    w->types = hw_section(image, SFQ_TYPES, sizeof *w->types, &w->n_types);
    w->table = hw_section(image, SFQ_TABLE, sizeof *w->table, &w->n_table);
    w->critical = hw_section(image, SFQ_CRITICAL, 4, &w->n_critical);
    w->absorb = hw_section(image, SFQ_ABSORB, 4, &w->n_absorb);
    w->cells = hw_section(image, SFQ_CELLS, sizeof *w->cells, &w->n_cells);
    w->nets = hw_section(image, SFQ_NETS, sizeof *w->nets, &w->n_nets);
    w->outs = hw_section(image, SFQ_OUTS, 4, &w->n_outs);
    w->somas = hw_section(image, SFQ_SOMAS, sizeof *w->somas, &w->n_somas);
    w->branches = hw_section(image, SFQ_BRANCHES, sizeof *w->branches, &w->n_branches);
    w->lates = hw_section(image, SFQ_LATE, sizeof *w->lates, &w->n_lates);
    w->helds = hw_section(image, SFQ_HELD, sizeof *w->helds, &w->n_helds);
    w->bits = hw_section(image, SFQ_BITS, 4, &w->n_bits);
    uint8_t status = check_types(w, why);
    if (status == HW_OK)
        status = check_somas(w, why);
    if (status == HW_OK)
        status = check_cells(w, why);
    if (status == HW_OK)
        status = check_nets(w, why);
    return status == HW_OK ? check_helds(w, why) : status;
}
