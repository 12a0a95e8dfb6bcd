/* The ways of packets, followed once: which entries of which PEs' tables the packets of each slice come to. The first
   entry of a chip's router that matches a key counts; all keys of a slice go one way. */
#include "machine.h"

struct walk {
    uint32_t *reached; /* one bit a PE */
    uint8_t *seen;     /* each chip */
    uint32_t *pending; /* chips to come */
};

static uint8_t broken(struct hw_why *why, const char *text, uint32_t value, uint32_t limit)
{
    return hw_refuse(why, HW_E_IMAGE, text, value, limit);
}

/* The low bits in which keys key .. key + n - 1 differ. */
static uint32_t spread_of(uint32_t key, uint32_t n)
{
    uint32_t low = 0;
    while ((key ^ (key + n - 1)) & ~low)
        low = low << 1 | 1;
    return low;
}

/* The chip that link k leads to: E, NE, N, W, SW, S; n_chips if there is none. */
static uint32_t neighbour(const struct spin_machine *m, uint32_t chip, uint32_t k)
{
    static const int32_t dx[] = {1, 1, 0, -1, -1, 0}, dy[] = {0, 1, 1, 0, -1, -1};
    uint32_t x = (uint32_t)m->chips[2 * chip] + (uint32_t)dx[k], c;
    uint32_t y = (uint32_t)m->chips[2 * chip + 1] + (uint32_t)dy[k];
    for (c = 0; c < m->n_chips; c++)
        if ((uint32_t)m->chips[2 * c] == x && (uint32_t)m->chips[2 * c + 1] == y)
            break;
    return c;
}

/* Marks the PEs that a router entry names. */
static uint8_t copies(const struct spin_machine *m, uint32_t chip, const uint32_t *entry, struct walk *w,
                      struct hw_why *why)
{
    uint32_t named = 0, found = 0;
    for (uint32_t i = 0; i < SPIN_ROUTE_WORDS; i++)
        for (uint32_t bits = entry[2 + i]; bits; bits &= bits - 1)
            named++;
    for (uint32_t p = 0; named && p < m->n_pes; p++) {
        const struct spin_pe *pe = m->pes + p;
        if (pe->chip == chip && entry[2 + pe->core / 32] >> pe->core % 32 & 1) {
            w->reached[p / 32] |= 1u << p % 32;
            found++;
        }
    }
    return found == named ? HW_OK : broken(why, "packets go to a core that runs nothing", found, named);
}

/* The entry of a chip that takes the packets of a slice; NULL: none. */
static const uint32_t *matching(const struct spin_machine *m, uint32_t chip, const struct spin_slice *s, bool *splits)
{
    uint32_t spread = spread_of(s->key, s->n);
    for (uint32_t r = m->router_ptr[chip]; r < m->router_ptr[chip + 1]; r++) {
        const uint32_t *entry = m->router + r * SPIN_ROUTER_WORDS;
        if ((entry[0] ^ s->key) & entry[1] & ~spread)
            continue;
        *splits = entry[1] & spread;
        return entry;
    }
    return NULL;
}

static uint8_t follow(const struct spin_machine *m, const struct spin_slice *s, struct walk *w, struct hw_why *why)
{
    uint32_t first = 0, last = 1;
    memset(w->reached, 0, (m->n_pes + 31) / 32 * 4);
    memset(w->seen, 0, m->n_chips);
    w->pending[0] = m->pes[s->pe].chip;
    w->seen[w->pending[0]] = 1;
    while (first < last) {
        uint32_t chip = w->pending[first++];
        bool splits = false;
        const uint32_t *entry = matching(m, chip, s, &splits);
        if (splits)
            return broken(why, "a router entry splits a slice", s->key, s->n);
        if (!entry)
            continue;
        uint8_t status = copies(m, chip, entry, w, why);
        if (status != HW_OK)
            return status;
        for (uint32_t k = 0; k < 6; k++)
            if (entry[SPIN_ROUTER_WORDS - 1] >> k & 1) {
                uint32_t next = neighbour(m, chip, k);
                if (next == m->n_chips || w->seen[next])
                    return broken(why, "packets leave for nowhere, or come back", chip, k);
                w->seen[next] = 1;
                w->pending[last++] = next;
            }
    }
    return HW_OK;
}

/* Whether an entry takes the packets of a slice: 1, none of them: 0, or some: 2. */
static uint32_t takes(const struct spin_entry *e, const struct spin_slice *s)
{
    uint32_t spread = spread_of(s->key, s->n);
    if ((s->key ^ e->key) & e->mask & ~spread || e->key & ~e->mask)
        return 0;
    if (!(e->mask & spread))
        return 1;
    for (uint32_t i = 0; i < s->n; i++)
        if (((s->key + i) & e->mask) == e->key)
            return 2;
    return 0;
}

static uint32_t senders_of(const struct spin_pe *pe, uint32_t rest)
{
    const struct spin_conv *f = pe->shapes + SPIN_INDEX(rest);
    return (rest & 15) == SPIN_CONV ? (uint32_t)f->in_channels * (uint32_t)f->in_height * (uint32_t)f->in_width
                                    : pe->rows[SPIN_INDEX(rest)];
}

/* Notes (or, without links, counts) the entries of a PE that take the packets of a slice. */
static uint8_t join(struct spin_machine *m, const struct spin_slice *s, uint32_t p, struct hw_why *why)
{
    const struct spin_pe *pe = m->pes + p;
    if (pe->model == SPIN_SOURCE)
        return broken(why, "packets go to a PE that only sends", p, s->key);
    for (uint32_t i = 0; i < pe->entries; i++) {
        const struct spin_entry *e = pe->table + i;
        uint32_t how = takes(e, s), first = s->key & ~e->mask, senders;
        if (how == 2)
            return broken(why, "an entry of a PE splits a slice", e->key, s->key);
        if (!how)
            continue;
        senders = senders_of(pe, e->rest);
        if (first > senders || s->n > senders - first || SPIN_PHASE(e->rest) != s->phase)
            return broken(why, "an entry has too few rows or another phase", senders, s->n);
        if (m->links)
            m->links[m->n_links] = (struct spin_link){(uint16_t)p, (uint16_t)i};
        m->n_links++;
    }
    return HW_OK;
}

/* All slices, by number; for each PEs by number, then its entries. */
static uint8_t follow_all(struct spin_machine *m, struct walk *w, struct hw_why *why)
{
    m->n_links = 0;
    for (struct spin_slice *s = m->slices; s < m->slices + m->n_slices; s++) {
        uint8_t status = follow(m, s, w, why);
        s->link = m->n_links;
        for (uint32_t p = 0; s->flags & SPIN_SENDING && p < m->n_pes && status == HW_OK; p++)
            if (w->reached[p / 32] >> p % 32 & 1)
                status = join(m, s, p, why);
        if (status != HW_OK)
            return status;
        s->links = m->n_links - s->link;
    }
    return HW_OK;
}

uint8_t spin_route(struct spin_machine *m, struct hw_arena *arena, struct hw_why *why)
{
    struct walk w = {hw_take(arena, (m->n_pes + 31) / 32, 4), hw_take(arena, m->n_chips, 1),
                     hw_take(arena, m->n_chips, 4)};
    if (!w.reached || !w.seen || !w.pending)
        return HW_E_NOMEM;
    m->links = NULL;
    uint8_t status = follow_all(m, &w, why);
    if (status != HW_OK)
        return status;
    m->links = hw_take(arena, m->n_links, sizeof *m->links);
    return m->links ? follow_all(m, &w, why) : HW_E_NOMEM;
}
