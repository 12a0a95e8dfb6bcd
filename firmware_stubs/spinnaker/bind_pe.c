/* Whether the image of a PE holds together: its sections, and every target, row and kernel of its table. */
#include "machine.h"

enum { PE_MAGIC = 0x45503253, PE_LAYOUT = 1 };

static const uint32_t neuron_words[] = {0, 6, 8, 6};
static const uint32_t word_bytes[SPIN_KINDS] = {2, 2, 4, 4, 0, 8};

static uint8_t broken(struct hw_why *why, const char *text, uint32_t value, uint32_t limit)
{
    return hw_refuse(why, HW_E_IMAGE, text, value, limit);
}

/* `count` words from `at` on, or NULL if they do not lie in the image. */
static const void *part(const uint8_t *image, uint32_t bytes, uint32_t at, uint64_t count)
{
    return at % 4 || at > bytes || count > (bytes - at) / 4 ? NULL : image + at;
}

static uint8_t take_sections(struct spin_pe *pe, const uint8_t *image, uint32_t bytes, struct hw_why *why)
{
    const struct spin_header *h = (const struct spin_header *)image;
    pe->table = part(image, bytes, h->at_table, (uint64_t)h->entries * 3);
    pe->shapes = part(image, bytes, h->at_shapes, (uint64_t)h->shapes * (sizeof(struct spin_conv) / 4));
    pe->rows = part(image, bytes, h->at_rows, h->rows);
    pe->learners = part(image, bytes, h->at_learners, (uint64_t)h->learners * (sizeof(struct spin_learner) / 4));
    pe->decays = part(image, bytes, h->at_decays, h->decays);
    pe->words = part(image, bytes, h->at_words, h->word_bytes / 4 + (h->word_bytes % 4 != 0));
    pe->neurons = part(image, bytes, h->at_neurons, (uint64_t)h->neurons * neuron_words[h->model]);
    if (!part(image, bytes, h->at_slices, (uint64_t)h->slices * 4) || !pe->table || !pe->shapes || !pe->rows ||
        !pe->learners || !pe->decays || !pe->words || !pe->neurons)
        return broken(why, "a section of a PE lies outside its image", h->needed, bytes);
    return HW_OK;
}

static uint8_t check_learners(const struct spin_pe *pe, struct hw_why *why)
{
    if (pe->n_learners && pe->model != SPIN_LIF && pe->model != SPIN_LIF_CURRENT)
        return broken(why, "a PE learns that has no LIF neurons", pe->model, SPIN_LIF);
    if (pe->n_learners > 16 || (pe->n_learners && (pe->history < 2 || pe->history > SPIN_MAX_HISTORY)))
        return broken(why, "learning rules or their history", pe->history, SPIN_MAX_HISTORY);
    for (const struct spin_learner *r = pe->learners; r < pe->learners + pe->n_learners; r++) {
        if (r->plus > pe->n_decays || r->n_plus > pe->n_decays - r->plus || r->minus > pe->n_decays ||
            r->n_minus > pe->n_decays - r->minus)
            return broken(why, "a table of a learning rule lies outside", r->n_plus, pe->n_decays);
        if (!(r->w_min >= 0 && r->w_min <= r->w_max && r->w_max <= 32767))
            return broken(why, "bounds of a learning rule", 0, 32767);
    }
    return HW_OK;
}

uint8_t spin_check_pe(struct spin_pe *pe, const uint8_t *image, uint32_t bytes, uint32_t phases, struct hw_why *why)
{
    const struct spin_header *h = (const struct spin_header *)image;
    if (bytes < sizeof *h || h->magic != PE_MAGIC || h->layout != PE_LAYOUT || h->stored != bytes)
        return broken(why, "no image of a PE", bytes, sizeof *h);
    if (h->model > SPIN_EGRU || h->phases != phases || !h->slots || h->slots > SPIN_MAX_SLOTS ||
        h->slots & (h->slots - 1))
        return broken(why, "a PE's model, phases or slots", h->slots, SPIN_MAX_SLOTS);
    if (h->model != SPIN_SOURCE && h->neurons > SPIN_MAX_ATOMS)
        return broken(why, "neurons of a PE", h->neurons, SPIN_MAX_ATOMS);
    if (h->entries > UINT16_MAX)
        return broken(why, "entries of a PE's table", h->entries, UINT16_MAX);
    *pe = (struct spin_pe){.model = h->model, .n = h->neurons, .mask = h->slots - 1, .entries = h->entries,
                           .history = h->history, .n_learners = h->learners, .row_words = h->rows,
                           .word_bytes = h->word_bytes, .n_decays = h->decays, .n_shapes = h->shapes};
    uint8_t status = take_sections(pe, image, bytes, why);
    return status == HW_OK ? check_learners(pe, why) : status;
}

/* The largest target of n words, + 1. */
static uint32_t targets_of(uint32_t kind, const uint8_t *words, uint32_t n)
{
    const uint16_t *half = (const uint16_t *)words;
    const uint32_t *word = (const uint32_t *)words;
    const struct spin_weight *weight = (const struct spin_weight *)words;
    uint32_t most = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t target = kind <= SPIN_BYTE ? half[i] & 255 : kind == SPIN_CSR ? weight[i].target : word[i] & 1023;
        most = target >= most ? target : most;
    }
    return n ? most + (most != UINT32_MAX) : 0;
}

/* An entry with rows of words: senders is how many rows. */
static uint8_t check_rows(struct spin_pe *pe, uint32_t rest, uint32_t *senders, struct hw_why *why)
{
    uint32_t kind = rest & 15, at = SPIN_INDEX(rest), size = word_bytes[kind];
    if (at > pe->row_words || pe->row_words - at < 2)
        return broken(why, "rows outside the section", at, pe->row_words);
    uint32_t n = pe->rows[at], begin = pe->rows[at + 1];
    if (n / 2 + 1 > pe->row_words - at - 2)
        return broken(why, "more rows than there are", n, pe->row_words);
    const uint16_t *ptr = spin_rows(pe, rest);
    for (uint32_t i = 0; i < n; i++)
        if (ptr[i] > ptr[i + 1])
            return broken(why, "rows that do not ascend", ptr[i], ptr[i + 1]);
    if (ptr[0] || begin % 4 || begin > pe->word_bytes || ptr[n] > (pe->word_bytes - begin) / size)
        return broken(why, "rows reach past the words", begin, pe->word_bytes);
    uint32_t targets = targets_of(kind, pe->words + begin, ptr[n]);
    if (targets > pe->n * spin_ports(pe->model))
        return broken(why, "a word's target", targets, pe->n * spin_ports(pe->model));
    *senders = n;
    if (kind == SPIN_PLASTIC && SPIN_DELAY(rest) >= pe->n_learners)
        return broken(why, "a rule that is not there", SPIN_DELAY(rest), pe->n_learners);
    return HW_OK;
}

/* Whether entry i holds together; where it learns, counts its rows and words. */
static uint8_t check_entry(struct spin_pe *pe, uint32_t i, uint32_t *senders, struct hw_why *why)
{
    uint32_t rest = pe->table[i].rest, kind = rest & 15;
    if (kind >= SPIN_KINDS || (kind == SPIN_CSR) != (pe->model == SPIN_EGRU) || pe->model == SPIN_SOURCE)
        return broken(why, "words of a kind that the PE does not take", kind, pe->model);
    if (kind == SPIN_CONV)
        return spin_check_conv(pe, SPIN_INDEX(rest), senders, why);
    uint8_t status = check_rows(pe, rest, senders, why);
    if (status == HW_OK && kind == SPIN_PLASTIC) {
        pe->n_rows += *senders;
        pe->n_weights += spin_rows(pe, rest)[*senders];
    }
    return status;
}

uint8_t spin_check_entries(struct spin_pe *pe, struct hw_why *why)
{
    uint32_t senders;
    for (uint32_t i = 0; i < pe->entries; i++) {
        if (pe->plastic)
            pe->plastic[i] = (struct spin_plastic){pe->n_weights, pe->n_rows};
        uint8_t status = check_entry(pe, i, &senders, why);
        if (status != HW_OK)
            return status;
    }
    return HW_OK;
}
