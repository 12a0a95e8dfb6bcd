"""Images of Loihi programs: the cores of all chips as one machine.

Neurons and accumulators are in core order, rows of synapses that are equal are stored once. Sections, in words as
firmware_stubs/loihi/runner.c and deliver.c give them: 0 accumulators, slots, limit; 1 blocks of neurons; 2 classes of
parameters; 3 class of each neuron, where a block has several; 4 biases; 5 elements; 6 initial state; 7 first segment of
each sender; 8 segments (row, base); 9 rows (at, words, scale, span, form); 10 words of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.hil.image import DeviceImage, Field, elements, pack
from hwsdk.programs.loihi import GRADED, MODELS, READ_OUT, RESETS, STATES, TWO_PORTS, LoihiProgram
from hwsdk.simulators.loihi_check import accumulators, check, core_order, extras, models

LAYOUT = 1
IntArray = NDArray[np.int64]
V_MAX = (1 << 23) - 1
U_WRAP = 1 << 23
FAST_BOUND = 1 << 29
"""What u and v of 32-bit arithmetic have to stay below, firmware_stubs/loihi/loihi.h."""
MOST_SHIFT = 16
"""Bits of the scale of a row, and MOST_STATE_SHIFT: of a state, firmware_stubs/loihi/check.c."""
MOST_STATE_SHIFT = 31
EACH = 0xFFFFFFFF
RESTS, READS = 1 << 8, 1 << 9
ALIKE = 16
"""Neurons that a block of one class has at least, where classes take turns faster they are stored neuron by neuron."""
RUN8, RUN16, LIST, LATE, WIDE = range(5)
SLACK = 3
CHUNK = 1 << 20
"""Synapses that are summed together."""


def image_of(program: LoihiProgram) -> DeviceImage:
    """The program for the Loihi runner of the firmware; its answers are not later than the simulator's.

    Values of outputs are int32 if a population sends graded spikes or is read out, and those of inputs if the program
    takes graded ones; else all are ones. What needs more than 32 bits in the simulator ends a step with E_RANGE: sums
    of large graded spikes or inputs, a u that its one wrap does not bring back, a sigma that only grows.

    Raises:
        ProgramError: INCONSISTENT. UnsupportedError: WIDE_WEIGHT, WIDE_STATE, NO_READ_OUT.
    """
    check(program)
    _refuse(program)
    inputs = elements([(s.name, s.shape, 0, True) for s in program.inputs])
    populations = elements([(s.name, s.shape, s.lag, s.fires) for s in program.populations])
    n_in, n_out = (sum(e.n for e in x) for x in (inputs, populations))
    cells, rows = _cells(program), _rows(program)
    slots = int(program.arrays.delay.max(initial=1))
    segment_ptr, segments = _segments(program, rows, n_in + n_out, cells.first)
    values = any(s.model in GRADED or not s.fires for s in program.populations)
    head = np.array([cells.n_accumulators, slots, _limit(program, cells)], np.uint32)
    sections = (head, cells.blocks, cells.classes, cells.index, program.arrays.bias.astype(np.int32),
                (program.arrays.source_id - n_in).astype(np.uint32), cells.initial, segment_ptr, segments, rows.table,
                rows.data)
    data = pack("loihi", LAYOUT, program.digest(), n_in, n_out,
                ("i32" if program.graded_input else "ones", "i32" if values else "ones"), sections)
    return DeviceImage("loihi", LAYOUT, data, inputs, populations, dict(program.outputs), 0,
                       _states(program, cells.state))


def _refuse(program: LoihiProgram) -> None:
    """What the runner's 32 bits cannot hold, and what it cannot read out."""
    a, extra = program.arrays, extras(program.arrays)
    if len(a.row_exponent) and a.row_exponent.max() > MOST_SHIFT:
        raise UnsupportedError(
            f"a weight exponent of {a.row_exponent.max()}, the firmware takes up to {MOST_SHIFT}", where=program.name,
            code="WIDE_WEIGHT", fix="compile the model again: no chip has exponents above 7")
    for model, own in models(program).items():
        if model in ("sigma_delta", "delta"):
            shift = int(extra[:2, own].astype(np.int64).sum(0).max(initial=0))
            if shift > MOST_STATE_SHIFT:
                raise UnsupportedError(
                    f"spike_exp + state_exp is {shift}, the firmware takes up to {MOST_STATE_SHIFT}",
                    where=program.name, code="WIDE_STATE", fix="give smaller exponents")
    for s in program.populations:
        if not s.fires and s.model not in READ_OUT:
            raise UnsupportedError(f"{s.model} neurons have no state that is read out", where=f"layer {s.name}",
                                   code="NO_READ_OUT", fix=f"read out {' or '.join(READ_OUT)} neurons")


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """Neurons in core order. first (cores,): first accumulator of each core; accumulator, second (N,): of each neuron;
    state (4, N): word of each of its states. The rest: sections of the image.
    """

    n_accumulators: int
    first: IntArray
    accumulator: IntArray
    blocks: NDArray[np.uint32]
    classes: NDArray[np.int32]
    index: NDArray[np.uint16]
    initial: NDArray[np.int32]
    state: IntArray


def _cells(program: LoihiProgram) -> _Cells:
    """Lay out neurons, their classes and their states."""
    a, n = program.arrays, program.n_neurons
    own, seconds = accumulators(program)
    first = np.cumsum(own + seconds) - own - seconds
    core = program.core_of()
    accumulator = first[core] + np.arange(n) - a.neuron_ptr[core]
    model = np.zeros(n, np.int64)
    for name, neurons in models(program).items():
        model[neurons] = list(MODELS).index(name)
    two = np.isin(model, [list(MODELS).index(m) for m in TWO_PORTS])
    before: IntArray = np.cumsum(two) - two  # resonators before each neuron, of all cores
    start = np.r_[before, two.sum()][a.neuron_ptr[:-1]]
    second = np.where(two, (first + own)[core] + before - start[core], 0)
    rows, class_of = _classes(program, model)
    reads = ~_fires(program)
    form = model | RESTS * ((model == 0) & (rows[class_of, 5] > 0)) | READS * reads
    cuts = np.r_[True, (np.diff(form) != 0) | (np.diff(accumulator) != 1) | (np.diff(second) != two[1:])][:n]
    blocks = list(_blocks(np.r_[np.flatnonzero(cuts), n], class_of))
    table = np.array([(form[lo], hi - lo, accumulator[lo], second[lo], EACH if each else class_of[lo])
                      for lo, hi, each in blocks], np.uint32).reshape(-1, 5)
    index = np.concatenate([np.zeros(0, np.int64), *(class_of[lo:hi] for lo, hi, each in blocks if each)])
    state, initial = _state_words(program, form, blocks)
    return _Cells(int((own + seconds).sum()), first, accumulator, table, rows.astype(np.int32),
                  index.astype(np.uint16), initial, state)


def _fires(program: LoihiProgram) -> NDArray[np.bool_]:
    """(N,) by neuron in core order: whether its population fires."""
    n_in = sum(s.n for s in program.inputs)
    return np.repeat([s.fires for s in program.populations], [s.n for s in program.populations]).astype(bool)[
        program.arrays.source_id - n_in]


def _blocks(cuts: IntArray, class_of: IntArray) -> Iterator[tuple[int, int, bool]]:
    """(first, last + 1, has each neuron a class of its own?) of the blocks between cuts."""
    for lo, hi in pairwise(cuts.tolist()):
        turns = np.flatnonzero(np.diff(class_of[lo:hi])) + lo + 1
        if len(turns) * ALIKE > hi - lo:
            yield lo, hi, True
        else:
            yield from ((x, y, False) for x, y in pairwise([lo, *turns.tolist(), hi]))


def _classes(program: LoihiProgram, model: IntArray) -> tuple[IntArray, IntArray]:
    """((classes, 8) parameters as loihi.h names them, class of each neuron)."""
    a, n = program.arrays, program.n_neurons
    found = np.zeros((n, 8), np.int64)
    e, keep_u, keep_v = extras(a).astype(np.int64), (4095 - a.du.astype(np.int64)) << 18, _kept(a.dv)
    theta = a.vth.astype(np.int64) << 6
    never = np.where(a.fires, np.clip(theta, -U_WRAP, V_MAX), V_MAX)
    interval = np.maximum(e[1], 1)
    columns: dict[str, list[Any]] = {
        "lif": [keep_u, keep_v, never, a.reset_by, a.reset == RESETS.index("subtract"), e[0], e[1], e[2] % interval],
        "atrlif": [keep_u, keep_v, theta, _kept(e[0]), _kept(e[1]), e[2] << 6],
        "rf": [e[0], e[1], a.vth, e[2], e[3]], "sigma_delta": [a.vth, e[0] + e[1], e[1], e[2], e[3]],
        "graded": [a.vth]}
    columns |= {"rf_iz": columns["rf"], "delta": columns["sigma_delta"], "graded_relu": columns["graded"]}
    for k, name in enumerate(MODELS):
        for j, column in enumerate(columns[name]):
            found[model == k, j] = column[model == k]
    if n and np.abs(found).max() >= 1 << 31:
        raise UnsupportedError("a threshold or a step of it needs more than 32 bits", where=program.name,
                               code="WIDE_STATE", fix="compile the model again: thresholds have 17 bits")
    rows, class_of = np.unique(np.c_[model, found], axis=0, return_inverse=True)
    if len(rows) > 1 << 16:
        raise UnsupportedError(f"{len(rows)} sets of neuron parameters, the firmware takes {1 << 16}",
                               where=program.name, code="TOO_MANY_CLASSES", fix="use fewer neuron groups")
    return rows[:, 1:], class_of.ravel()


def _kept(decay: NDArray[Any]) -> IntArray:
    """4096 - decay in units of 2^-30."""
    return (4096 - decay.astype(np.int64)) << 18


def _state_words(program: LoihiProgram, form: IntArray, blocks: list[tuple[int, int, bool]],
                 ) -> tuple[IntArray, NDArray[np.int32]]:
    """((4, N) word of each state of each neuron; the words as they start, none if all are 0)."""
    a, at = program.arrays, 1
    state = np.zeros((4, program.n_neurons), np.int64)
    starts: dict[int, tuple[NDArray[Any], ...]] = {1: (a.u_init, a.v_init, a.vth.astype(np.int64) << 6)}
    starts |= dict.fromkeys((0, 2, 3), (a.u_init, a.v_init))
    words, n_states = list[NDArray[Any]]([np.zeros(1, np.int64)]), [len(x) for x in STATES.values()]
    for lo, hi, _ in blocks:
        model = int(form[lo] & 0xFF)
        kinds = n_states[model] + bool(form[lo] & RESTS)
        for k in range(kinds):
            given = starts.get(model, ())
            words.append(given[k][lo:hi] if k < len(given) else np.zeros(hi - lo, np.int64))
            if k < n_states[model]:
                state[k, lo:hi] = np.arange(at, at + hi - lo)
            at += hi - lo
    initial = np.concatenate(words)
    return state, initial.astype(np.int32) if initial.any() else np.zeros(0, np.int32)


def _states(program: LoihiProgram, state: IntArray) -> dict[tuple[str, str], Field]:
    """(population, state) -> where it lies, in element order."""
    rank, n_in = core_order(program), sum(s.n for s in program.inputs)
    return {(s.name, name): Field(0, "<i4", s.n, 4, state[k, rank[s.first - n_in : s.first - n_in + s.n]])
            for s in program.populations for k, name in enumerate(STATES[s.model])}


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """number, low (R,): of each row of the program, its number in the table and its lowest target."""

    number: IntArray
    low: IntArray
    table: NDArray[np.uint32]
    data: NDArray[np.uint32]


def _rows(program: LoihiProgram) -> _Rows:
    """All rows in the forms of deliver.c, equal ones once."""
    a, known = program.arrays, dict[tuple[int, int, int, bytes], int]()
    number, low = np.zeros(len(a.row_bits), np.int64), np.zeros(len(a.row_bits), np.int64)
    ptr = a.row_ptr.tolist()
    for r, (lo, hi) in enumerate(pairwise(ptr)):
        target = a.target[lo:hi].astype(np.int64)
        low[r] = target.min()
        row = _row(target - low[r], a.weight[lo:hi].astype(np.int64), a.delay[lo:hi].astype(np.int64),
                   int(a.row_exponent[r]))
        number[r] = known.setdefault(row, len(known))
    words = [len(row[3]) // 4 for row in known]
    at = np.cumsum([0, *words])[:-1]
    table = np.array([(at[k], words[k], row[0], row[1], row[2]) for k, row in enumerate(known)], np.uint32)
    data = np.frombuffer(b"".join(row[3] for row in known), np.uint32)
    return _Rows(number, low, table.reshape(-1, 5), data)


def _row(to: IntArray, weight: IntArray, delay: IntArray, exponent: int) -> tuple[int, int, int, bytes]:
    """(scale, span, form, words) of one row. A run, which takes 2 or 4 accumulators a word, holds zeros for those that
    have no synapse, and is taken where it has at most three places for two synapses.
    """
    bits = int(np.bitwise_or.reduce(np.abs(weight)))
    shift = min((bits & -bits).bit_length() - 1, MOST_SHIFT - exponent) if bits else 0
    mantissa, span, scale = weight >> shift, int(to.max()) + 1, 1 << (exponent + shift)
    if (delay == delay[0]).all():
        form, late = _run_or_list(to, mantissa, span, len(weight)), int(delay[0])
    else:
        form, late = (LATE if span <= 1 << 16 and _fit(mantissa, 8) else WIDE), 1
    if form in (RUN8, RUN16):
        span = -(-span // (4 if form == RUN8 else 2)) * (4 if form == RUN8 else 2)
        run = np.zeros(span, np.int64)
        np.add.at(run, to, mantissa)
        words = run.astype("<i1" if form == RUN8 else "<i2").tobytes()
    elif form == WIDE:
        words = np.stack([to, (mantissa & 0xFFFF) << 16 | delay], 1).astype("<u4").tobytes()
    elif form == LATE:
        words = ((mantissa & 0xFF) << 24 | delay << 16 | to).astype("<u4").tobytes()
    else:
        words = ((mantissa & 0xFFFF) << 16 | to).astype("<u4").tobytes()
    return scale, span, form | late << 8, words


def _run_or_list(to: IntArray, mantissa: IntArray, span: int, n: int) -> int:
    """The form of a row with one delay."""
    if 2 * span <= 3 * n + 4:
        total = np.bincount(to, mantissa, span)
        if _fit(total, 16):
            return RUN8 if _fit(total, 8) else RUN16
    return LIST if span <= 1 << 16 else WIDE


def _fit(values: NDArray[Any], bits: int) -> bool:
    """Are they integers with so many bits and a sign?"""
    return bool(values.min() >= -(1 << (bits - 1)) and values.max() < 1 << (bits - 1))


def _segments(program: LoihiProgram, rows: _Rows, senders: int, first: IntArray,
              ) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """(first segment of each sender; (segments, 2) row and base), by sender. What does not fire sends nothing."""
    a, dead = program.arrays, np.zeros(senders, bool)
    for s in program.populations:
        dead[s.first : s.first + s.n] = not s.fires
    lengths = np.diff(a.segment_ptr)
    core = np.repeat(np.arange(program.n_cores), np.diff(a.axon_ptr)).repeat(lengths)
    sender = a.axon_source.repeat(lengths)
    table = np.stack([rows.number[a.segment_row],
                      a.segment_base.astype(np.int64) + rows.low[a.segment_row] + first[core]], 1)
    order = np.argsort(sender, kind="stable")
    order = order[~dead[sender[order]]]
    count = np.bincount(sender[order], minlength=senders)
    return np.r_[0, np.cumsum(count)].astype(np.uint32), table[order].astype(np.uint32)


def _limit(program: LoihiProgram, cells: _Cells) -> int:
    """The largest |value| of inputs with which 32 bits hold everything; 0 if there is none, as with graded spikes."""
    if any(s.model in GRADED for s in program.populations):
        return 0
    from_neurons, from_inputs = _reach(program, cells)

    def fits(value: int) -> bool:
        return _fits32(program, cells, (from_neurons + from_inputs * value) * 64.0)

    low, high = 0, (1 << 31) - 1
    if fits(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low if fits(low) else 0


def _fits32(program: LoihiProgram, cells: _Cells, arriving: NDArray[np.float64]) -> bool:
    """Do u and v stay below FAST_BOUND, and all on their way below 2^31, if so much, shifted by 6, arrives at each
    accumulator? Up to 2^24 the one wrap brings u back into its range; beyond, u grows until its decay takes as much.
    """
    if len(arriving) and arriving.max() >= FAST_BOUND:
        return False
    lif = models(program).get("lif", np.zeros(0, np.int64))
    own, a = arriving[cells.accumulator[lif]], program.arrays
    beyond = np.maximum(own - 2 * U_WRAP, 0) * 4096 / (a.du[lif] + 1.0)
    u = np.maximum(np.maximum(np.abs(a.u_init[lif].astype(np.float64)), U_WRAP), beyond)
    v = np.maximum(np.abs(a.v_init[lif].astype(np.float64)), V_MAX + np.abs(a.reset_by[lif].astype(np.float64)))
    total = u + v + own + np.abs(a.bias[lif].astype(np.float64))
    return not len(lif) or bool(max(u.max(), v.max()) < FAST_BOUND and total.max() < 1 << 31)


def _reach(program: LoihiProgram, cells: _Cells) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum of |weights| into each accumulator, from (neurons, inputs)."""
    a, found = program.arrays, np.zeros((2, cells.n_accumulators))
    n_in = sum(s.n for s in program.inputs)
    lengths = np.diff(a.segment_ptr)
    core = np.repeat(np.arange(program.n_cores), np.diff(a.axon_ptr)).repeat(lengths)
    base, fed = cells.first[core] + a.segment_base, (a.axon_source.repeat(lengths) < n_in).astype(np.int64)
    size = np.abs(a.weight.astype(np.float64)) * np.exp2(np.repeat(a.row_exponent, np.diff(a.row_ptr)))
    n = np.diff(a.row_ptr)[a.segment_row]
    parts = np.searchsorted(np.cumsum(n), np.arange(CHUNK, n.sum() + CHUNK, CHUNK)) + 1
    for lo, hi in pairwise([0, *np.unique(np.minimum(parts, len(n))).tolist()]):
        k = n[lo:hi]
        entry = np.repeat(a.row_ptr[a.segment_row[lo:hi]] - np.cumsum(k) + k, k) + np.arange(k.sum())
        place = np.repeat(base[lo:hi], k) + a.target[entry]
        for kind, total in enumerate(found):
            total += np.bincount(place, size[entry] * (np.repeat(fed[lo:hi], k) == kind), cells.n_accumulators)
    return found[0], found[1]
