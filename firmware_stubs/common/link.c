#include "link.h"
#include "cobs.h"
#include "crc.h"
#include "device.h"
#include "kept.h"

#define HEAD 8u     /* version, op, seq, session */
#define LEAST 12u   /* with the CRC-32 */
#define REPLY 0x80u

#if HW_CRC_BITS < 32
#define CRC_MASK ((1u << HW_CRC_BITS) - 1)
#else
#define CRC_MASK UINT32_MAX
#endif

struct hw_link_counts hw_link_counts;

struct slot {
    uint32_t n;
    uint8_t frame[HW_MTU];
};

static struct slot slots[HW_WINDOW]; /* the last replies, with their requests' numbers */
static uint8_t incoming[HW_MTU];
static uint8_t own[512]; /* replies that are not kept: HELLO, refusals, NAK, LOG */
static struct hw_cobs_in line;
static struct {
    uint8_t nonce[8];
    uint32_t session; /* 0: none is open */
    uint16_t wanted;
    uint32_t kept, place; /* replies that are kept, and where the next one goes */
    bool told;            /* of the reset that came before */
} link;

void hw_link_start(void)
{
    memset(&link, 0, sizeof link);
    memset(&hw_link_counts, 0, sizeof hw_link_counts);
    line.to = incoming;
    line.most = hw_device.mtu;
    hw_cobs_clear(&line);
}

void hw_link_now(uint32_t *session, uint16_t *wanted)
{
    *session = link.session;
    *wanted = link.wanted;
}

/* A frame begins: its payload goes to what is returned, which leaves room for the CRC-32. */
static struct hw_writer open_frame(uint8_t *frame, uint32_t bytes, uint8_t op, uint32_t seq, uint32_t session)
{
    frame[0] = HW_VERSION;
    frame[1] = (uint8_t)(op | REPLY);
    hw_put16(frame + 2, seq);
    hw_put32(frame + 4, session);
    return (struct hw_writer){frame + HEAD, frame + bytes - 4};
}

static uint32_t close_frame(uint8_t *frame, const uint8_t *end)
{
    uint32_t n = (uint32_t)(end - frame);
    hw_put32(frame + n, hw_crc(0, frame, n));
    return n + 4;
}

static void send(const uint8_t *frame, uint32_t n)
{
    hw_cobs_send(frame, n);
    hal_flush();
}

static void add_refusal(struct hw_writer *out, uint8_t status, const struct hw_why *why)
{
    hw_add8(out, status);
    hw_add32(out, why->value);
    hw_add32(out, why->limit);
    hw_add_text(out, why->text);
}

static void refuse(const uint8_t *frame, uint8_t status, const struct hw_why *why)
{
    struct hw_writer out = open_frame(own, sizeof own, frame[1], hw_get16(frame + 2), hw_get32(frame + 4));
    add_refusal(&out, status, why);
    send(own, close_frame(own, out.at));
}

/* Says which request is wanted. */
static void nak(uint8_t op, uint32_t seq)
{
    if (!link.session)
        return;
    hw_link_counts.naks++;
    struct hw_writer out = open_frame(own, sizeof own, op, seq, link.session);
    hw_add8(&out, HW_E_SEQ);
    hw_add16(&out, link.wanted);
    send(own, close_frame(own, out.at));
}

void hw_say(enum hw_level level, const char *text)
{
    if (!link.session) {
        hw_device.logs_dropped++;
        return;
    }
    struct hw_writer out = open_frame(own, sizeof own, HW_LOG, 0, link.session);
    hw_add8(&out, HW_OK);
    hw_add8(&out, level);
    hw_add_text(&out, text);
    send(own, close_frame(own, out.at));
}

/* Another one than that before, also where the memory of a reset is lost. */
static void open_session(const uint8_t *nonce)
{
    const uint32_t more[3] = {hw_kept.boots, link.session, hal_ticks()};
    uint32_t session = hw_crc(hw_crc(0, nonce, sizeof link.nonce), more, sizeof more);
    if (session == link.session)
        session++;
    memcpy(link.nonce, nonce, sizeof link.nonce);
    link.session = session ? session : 1;
    link.wanted = 0;
    link.kept = 0;
}

static void tell_reset(void)
{
    if (link.told)
        return;
    link.told = true;
    if (hal_reset_reason() == HAL_WATCHDOG)
        hw_say(HW_WARNING, "the watchdog has reset the device");
    if (hal_reset_reason() == HAL_FAULT)
        hw_say(HW_WARNING, "a fault has reset the device");
}

static void hello(const uint8_t *frame, uint32_t n)
{
    const uint8_t *nonce = frame + HEAD;
    struct hw_why why;
    uint8_t status = HW_OK;
    if (n < HEAD + 10)
        status = hw_wrong_length(&why, n - HEAD, 10);
    else if (nonce[8] > HW_VERSION || nonce[9] < HW_VERSION)
        status = hw_refuse(&why, HW_E_VER, "the device speaks another version", HW_VERSION, nonce[9]);
    if (status) {
        refuse(frame, status, &why);
        return;
    }
    if (!link.session || memcmp(nonce, link.nonce, sizeof link.nonce))
        open_session(nonce);
    struct hw_writer out = open_frame(own, sizeof own, HW_HELLO, hw_get16(frame + 2), hw_get32(frame + 4));
    hw_add8(&out, HW_OK);
    hw_hello_body(&out, nonce, link.session);
    send(own, close_frame(own, out.at));
    tell_reset();
}

static uint8_t watched(uint8_t op, struct hw_reader *in, struct hw_writer *out, struct hw_why *why)
{
    hw_kept_op(op);
    hal_watchdog(true);
    uint8_t status = hw_perform(op, in, out, why);
    hal_watchdog(false);
    hw_kept_op(0);
    return status;
}

/* Does what is asked for, keeps the reply and sends it. */
static void execute(const uint8_t *frame, uint32_t n)
{
    struct slot *slot = &slots[link.place];
    struct hw_reader in = {frame + HEAD, frame + n};
    struct hw_writer out = open_frame(slot->frame, hw_device.mtu, frame[1], link.wanted, link.session);
    struct hw_why why = {0, 0, ""};
    hw_add8(&out, HW_OK);
    uint8_t status = watched(frame[1], &in, &out, &why);
    if (status) {
        out.at = slot->frame + HEAD;
        add_refusal(&out, status, &why);
    }
    slot->n = close_frame(slot->frame, out.at);
    link.wanted++;
    link.place = (link.place + 1) % hw_device.window;
    link.kept += link.kept < hw_device.window;
    hw_link_counts.executed++;
    send(slot->frame, slot->n);
    hw_afterwards();
}

static void in_order(const uint8_t *frame, uint32_t n)
{
    uint32_t seq = hw_get16(frame + 2), behind = (uint16_t)(link.wanted - seq);
    bool repeated = behind && behind <= link.kept;
    hw_link_counts.repeated += repeated;
#ifdef HW_NO_DUPLICATES
    if (repeated) {
        link.wanted = (uint16_t)seq; /* done again, as a device does that keeps no replies */
        behind = 0;
    }
#endif
    if (!behind) {
        execute(frame, n);
    } else if (repeated) {
        const struct slot *slot = &slots[(link.place + hw_device.window - behind) % hw_device.window];
        send(slot->frame, slot->n);
    } else {
        hw_link_counts.gaps++;
        nak(frame[1], seq);
    }
}

/* Header and payload of a frame that has come undamaged. */
static void received(const uint8_t *frame, uint32_t n)
{
    uint8_t op = frame[1];
    struct hw_why why;
    if (op & REPLY) { /* our own words, from a line that echoes: an answer would come back too */
        hw_link_counts.wrong_session++;
        return;
    }
    if (frame[0] != HW_VERSION) {
        refuse(frame, hw_refuse(&why, HW_E_VER, "the device speaks another version", HW_VERSION, frame[0]), &why);
    } else if (op == HW_HELLO) {
        hello(frame, n);
    } else if (!link.session || hw_get32(frame + 4) != link.session) {
        hw_link_counts.wrong_session++;
        refuse(frame, hw_refuse(&why, HW_E_SESSION, "no such session", hw_kept.boots, hal_reset_reason()), &why);
    } else {
        in_order(frame, n);
    }
}

void hw_link_frame(const uint8_t *frame, uint32_t n)
{
    hw_link_counts.frames++;
    if (n < LEAST) {
        hw_link_counts.too_short++;
        nak(0, link.wanted);
    } else if ((hw_get32(frame + n - 4) ^ hw_crc(0, frame, n - 4)) & CRC_MASK) {
        hw_link_counts.bad_crc++;
        nak(0, link.wanted);
    } else {
        received(frame, n - 4);
    }
}

static void damaged(enum hw_cobs how)
{
    hw_link_counts.frames++;
    if (how == HW_COBS_LONG)
        hw_link_counts.too_long++;
    else
        hw_link_counts.bad_cobs++;
    nak(0, link.wanted);
}

void hw_link_take(const uint8_t *from, uint32_t n)
{
    const uint8_t *end = from + n;
    while (from < end) {
        enum hw_cobs found = hw_cobs_take(&line, &from, end);
        if (found == HW_COBS_MORE)
            break;
        uint32_t bytes = line.at;
        hw_cobs_clear(&line);
        if (found == HW_COBS_FRAME)
            hw_link_frame(incoming, bytes);
        else
            damaged(found);
    }
}
