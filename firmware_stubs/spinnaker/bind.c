/* An image becomes a machine: sections, PEs, slices, routes, state. */
#include "machine.h"

enum { HEAD_WORDS = 6, PE_BYTES = 16, MOST_ATOMS = 1 << 30 };

static uint8_t broken(struct hw_why *why, const char *text, uint32_t value, uint32_t limit)
{
    return hw_refuse(why, HW_E_IMAGE, text, value, limit);
}

/* Section 0, and whether the types of values are those of the packets. */
static uint8_t open_head(struct spin_machine *m, const struct hw_image *image, struct hw_why *why)
{
    uint32_t n;
    const uint32_t *head = hw_section(image, 0, 4, &n);
    if (n != HEAD_WORDS)
        return broken(why, "section 0 has another size", n, HEAD_WORDS);
    *m = (struct spin_machine){.phases = head[0], .n_chips = head[1], .n_pes = head[2], .n_slices = head[3],
                               .graded = head[4] == 1, .n_in = image->n_in, .n_out = image->n_out,
                               .values = image->value_out == HW_F32};
    if (!m->phases || m->phases > SPIN_MAX_PHASES || m->n_pes > UINT16_MAX || head[4] > 1)
        return broken(why, "phases or PEs", m->phases, SPIN_MAX_PHASES);
    if (image->value_in != (m->graded ? HW_F32 : HW_ONES) || (!m->values && image->value_out != HW_ONES))
        return broken(why, "values of a type that packets do not carry", image->value_in, image->value_out);
    return HW_OK;
}

/* All sections but those of the PEs. */
static uint8_t open_sections(struct spin_machine *m, const struct hw_image *image, struct hw_why *why)
{
    uint32_t n_chips, n_ptr, n_slices;
    m->chips = hw_section(image, 3, 8, &n_chips);
    m->router_ptr = hw_section(image, 4, 4, &n_ptr);
    m->router = hw_section(image, 5, 4 * SPIN_ROUTER_WORDS, &m->n_entries);
    m->slice_records = hw_section(image, 6, 8, &n_slices);
    m->listed = hw_section(image, 7, 4, &m->n_listed);
    if (n_chips != m->n_chips || n_ptr != n_chips + 1 || n_slices != m->n_slices)
        return broken(why, "sections that do not fit together", n_slices, m->n_slices);
    for (uint32_t c = 0; c < n_chips; c++)
        if (m->router_ptr[c] > m->router_ptr[c + 1])
            return broken(why, "router entries of a chip", m->router_ptr[c], m->router_ptr[c + 1]);
    return m->router_ptr[n_chips] > m->n_entries ? broken(why, "router entries", m->router_ptr[n_chips], m->n_entries)
                                                 : HW_OK;
}

/* Whether all atoms of a slice are elements that there are; notes whether these ascend. */
static uint8_t check_elements(const struct spin_machine *m, struct spin_slice *s, uint32_t limit,
                              struct hw_why *why)
{
    bool consecutive = s->flags & SPIN_CONSECUTIVE;
    uint32_t room = consecutive ? limit : m->n_listed;
    if (s->element > room || s->n > room - s->element)
        return broken(why, "elements of a slice", s->element, room);
    const uint32_t *own = m->listed + s->element;
    bool ascending = !consecutive;
    for (uint32_t i = 0; !consecutive && i < s->n; i++) {
        if (own[i] >= limit)
            return broken(why, "an element of a slice", own[i], limit);
        ascending = ascending && (!i || own[i - 1] < own[i]);
    }
    s->flags |= ascending ? SPIN_ASCENDING : 0;
    return HW_OK;
}

/* Slice `number`, the next of PE p; record: as the PE's image has it. */
static uint8_t open_slice(struct spin_machine *m, uint32_t number, uint32_t p, const uint32_t *record,
                          struct hw_why *why)
{
    struct spin_slice *s = m->slices + number;
    const uint32_t *own = m->slice_records + 2 * number, model = m->pes[p].model;
    *s = (struct spin_slice){.key = record[0], .n = record[1], .pe = p, .atom = m->n_atoms, .element = own[0],
                             .bits = m->n_words, .phase = (uint8_t)(record[2] & 255),
                             .flags = (uint8_t)((own[1] & (SPIN_FIRES | SPIN_CONSECUTIVE)) |
                                                (record[2] & SPIN_SENDS ? SPIN_SENDING : 0))};
    if (!s->n || s->n > SPIN_MAX_BOX || s->key > UINT32_MAX - (s->n - 1) || s->phase >= m->phases)
        return broken(why, "a slice's keys or phase", s->key, s->n);
    if (model != SPIN_SOURCE && !m->values && (model == SPIN_EGRU || !(s->flags & SPIN_FIRES)))
        return broken(why, "a slice sends values, the image has none", number, model);
    m->n_atoms += s->n;
    m->n_words += (s->n + 31) / 32;
    m->most = s->n > m->most ? s->n : m->most;
    if (m->n_atoms > MOST_ATOMS)
        return broken(why, "elements of all slices", m->n_atoms, MOST_ATOMS);
    return check_elements(m, s, model == SPIN_SOURCE ? m->n_in : m->n_out, why);
}

static uint8_t open_slices(struct spin_machine *m, uint32_t p, const uint8_t *image, uint32_t *number,
                           struct hw_why *why)
{
    const struct spin_header *h = (const struct spin_header *)image;
    uint32_t first = 0;
    if (h->slices > m->n_slices - *number)
        return broken(why, "more slices than section 6 has", h->slices, m->n_slices);
    for (uint32_t i = 0; i < h->slices; i++, (*number)++) {
        uint8_t status = open_slice(m, *number, p, (const uint32_t *)(image + h->at_slices) + 4 * i, why);
        if (status != HW_OK)
            return status;
        m->slices[*number].first = first;
        first += m->slices[*number].n;
    }
    return first == m->pes[p].n ? HW_OK : broken(why, "neurons in the slices of a PE", first, m->pes[p].n);
}

/* PE p: its image, and its place. */
static uint8_t open_pe(struct spin_machine *m, uint32_t p, const uint32_t *record, const uint8_t *images,
                       uint32_t bytes, struct hw_arena *arena, struct hw_why *why)
{
    struct spin_pe *pe = m->pes + p;
    if (record[0] % 8 || record[0] > bytes || record[1] > bytes - record[0])
        return broken(why, "an image of a PE lies outside section 2", record[0], bytes);
    uint8_t status = spin_check_pe(pe, images + record[0], record[1], m->phases, why);
    if (status != HW_OK)
        return status;
    pe->chip = record[2];
    pe->core = record[3];
    if (pe->chip >= m->n_chips || pe->core >= 32 * SPIN_ROUTE_WORDS)
        return broken(why, "the place of a PE", pe->chip, m->n_chips);
    if (pe->model == SPIN_EGRU && !m->graded)
        return broken(why, "EGRUs need packets with payloads", p, m->n_pes);
    m->learns |= pe->n_learners != 0;
    pe->plastic = pe->n_learners ? hw_take(arena, pe->entries, sizeof *pe->plastic) : NULL;
    return pe->n_learners && !pe->plastic ? HW_E_NOMEM : spin_check_entries(pe, why);
}

static uint8_t open_pes(struct spin_machine *m, const struct hw_image *image, struct hw_arena *arena,
                        struct hw_why *why)
{
    uint32_t n, bytes, number = 0;
    const uint32_t *records = hw_section(image, 1, PE_BYTES, &n);
    const uint8_t *images = hw_section(image, 2, 1, &bytes);
    if (n != m->n_pes)
        return broken(why, "section 1 has another size", n, m->n_pes);
    m->pes = hw_take(arena, n, sizeof *m->pes);
    m->slices = hw_take(arena, m->n_slices, sizeof *m->slices);
    if (!m->pes || !m->slices)
        return HW_E_NOMEM;
    for (uint32_t p = 0; p < n; p++) {
        uint8_t status = open_pe(m, p, records + 4 * p, images, bytes, arena, why);
        if (status == HW_OK)
            status = open_slices(m, p, images + records[4 * p], &number, why);
        if (status != HW_OK)
            return status;
    }
    return number == m->n_slices ? HW_OK : broken(why, "fewer slices than section 6 has", number, m->n_slices);
}

/* Everything that changes, and what a tick needs besides. */
static uint8_t take_memory(struct spin_machine *m, struct hw_arena *arena)
{
    uint64_t bytes = spin_lay_out(m, NULL);
    m->state = hw_take(arena, bytes, 1);
    m->bits = hw_take(arena, m->n_words, 4);
    m->fired = hw_take(arena, m->most, 4);
    m->payload = m->graded ? hw_take(arena, m->n_atoms, 4) : NULL;
    if (!m->state || !m->bits || !m->fired || (m->graded && !m->payload))
        return HW_E_NOMEM;
    m->state_bytes = (uint32_t)bytes;
    spin_lay_out(m, m->state);
    for (uint32_t i = 0; m->graded && i < m->n_atoms; i++)
        m->payload[i] = 1;
    return HW_OK;
}

uint8_t spin_bind(struct spin_machine *m, const struct hw_image *image, struct hw_arena *arena, struct hw_why *why)
{
    uint8_t status = open_head(m, image, why);
    if (status == HW_OK)
        status = open_sections(m, image, why);
    if (status == HW_OK)
        status = open_pes(m, image, arena, why);
    if (status == HW_OK)
        status = spin_route(m, arena, why);
    return status == HW_OK ? take_memory(m, arena) : status;
}
