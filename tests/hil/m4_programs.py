"""Synthetic SpiNNaker 2 programs of one PE with a given number of packets, synaptic events of one kind, neurons and
spikes a step, by which to measure what the firmware's runner takes for each.

How many of each a step has is what the simulator counts: see ``load``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from spinnaker_programs import Hand, Pe, block, key_of, lif_records, word

from hwsdk.ir.data import Stimulus
from hwsdk.ir.plastic import decay_table
from hwsdk.programs.spinnaker import Sender, SpinnakerProgram
from hwsdk.programs.spinnaker_image import CONV_FIELDS, Block, Learner, PeMemory, PeSlice
from hwsdk.simulators import spinnaker

KINDS = ("narrow", "byte", "wide", "plastic", "conv", "csr")
MODELS = ("lif", "lif_curr", "egru")
TAU, HISTORY = 4.0, 8
"""Of the rule of a program that learns: steps, and post spikes that are kept."""
COUNTS = ("packets", "static_events", "conv_events", "plastic_events", "csr_events", "neuron_updates", "spikes")
"""What the cost of a step depends on, by the names that the simulator counts."""
MORE = ("deliveries", "plastic_changes")
"""What it depends on besides: entries of the PE's table to which packets come in a step; plastic events in each of
which a weight is potentiated once and depressed once.
"""
WARM = 20
"""Steps after which every step of a program costs the same: histories are full, and all delays have passed."""


@dataclass(frozen=True)
class Size:
    """neurons: of the PE. inputs: senders that it hears, up to 1,024. row: words of each sender; of a convolution the
    channels of its kernel of 3 x 3, so that each sender has 9 row weights. firing: every neuron fires in every step,
    else none does.
    """

    neurons: int
    inputs: int
    row: int
    firing: bool = False


def program_of(kind: str, size: Size, model: str = "lif") -> SpinnakerProgram:
    """A spike list on one PE, and neurons of a model on another, with words of a kind between them; csr has EGRUs.

    A convolution has its senders in one line, and 3 (inputs + 2) row neurons, whatever size.neurons is.
    """
    rng = np.random.default_rng(0)
    model = "egru" if kind == "csr" else model
    n = size.neurons if kind != "conv" else 3 * (size.inputs + 2) * size.row
    made = _conv(size) if kind == "conv" else _rows(kind, size, rng)
    learners = (Learner(2.0, 1.0, 0.0, 100.0, decay_table(TAU), decay_table(TAU)),) if kind == "plastic" else ()
    memory = PeMemory("lif", model, (PeSlice(key_of(1), n, sends=False),), (made,), learners,
                      _neurons(model, n, size.firing), 8, history=HISTORY if learners else 0)
    sources = PeMemory("spike_list", "source", (PeSlice(key_of(0), size.inputs),))
    sender = Sender("neurons", (n,), "egru" if model == "egru" else "lif")
    hand = Hand((Sender("in", (size.inputs,)),), (sender,), [
        Pe(((0, np.arange(size.inputs)),), sources, 0, 1), Pe(((1, np.arange(n)),), memory, 0, 2)], {0: {1}})
    return hand.program(sync="barrier")


def packets(program: SpinnakerProgram, each: int, steps: int) -> Stimulus:
    """``each`` packets in every step, the first senders'; of EGRUs with payload 0.5."""
    raster = np.zeros((1, steps, program.inputs[0].n))
    raster[:, :, :each] = 0.5 if program.populations[0].model == "egru" else 1
    return Stimulus.dense({"in": raster}, program.input_shapes)


def load(program: SpinnakerProgram, stimulus: Stimulus) -> dict[str, np.ndarray]:
    """COUNTS and MORE -> (steps,): how many of each the runner works off in each step. The events of a packet count to
    the step in which it is sent, as the runner works it off at that step's end; changes of weights hold from WARM on.
    """
    counts = spinnaker.run(program, stimulus, steps=stimulus.n_steps + 1).counts
    steps = slice(stimulus.n_steps)
    found = {name: counts[name][0, 1:] if name.endswith("_events") else counts[name][0, steps] for name in COUNTS}
    fires = found["spikes"] == program.populations[0].n
    return found | {"deliveries": (found["packets"] > 0) * 1, "plastic_changes": found["plastic_events"] * fires}


def _neurons(model: str, n: int, firing: bool) -> np.ndarray:
    """Records; a bias above all sums makes neurons fire, one below them keeps them silent."""
    if model == "egru":
        theta = 0.0 if firing else 1.0  # |c| is at most 1
        return lif_records(n, model, theta=theta, bias_z=-2.0, bias_x=3.0)
    return lif_records(n, model, decay_u=0.5, decay_v=0.5, bias=1e9 if firing else -1e9, v_threshold=1.0)


def _rows(kind: str, size: Size, rng: np.random.Generator) -> Block:
    """``row`` words for each sender, to neurons by chance. Those of EGRUs are 0, which takes as long to add, so that
    what exp and tanh take, which depends on their arguments, stays the same.
    """
    k = size.inputs * size.row
    rows = np.arange(size.inputs + 1, dtype=np.int64) * size.row
    if kind == "csr":
        targets = rng.integers(0, 6 * size.neurons, k).astype(np.uint32)
        return block(0, kind, rows=rows, words=np.zeros(k, np.float32), targets=targets)
    target = rng.integers(0, size.neurons, k)
    late = 0 if kind == "byte" else rng.integers(0, 7, k)
    return block(0, kind, rows=rows, words=word(kind, target, rng.integers(1, 16, k), late))


def _conv(size: Size) -> Block:
    """3 x 3 weights a channel around each sender, all of which meet a neuron."""
    shape = dict.fromkeys(CONV_FIELDS[:-1], 0) | {
        "in_channels": 1, "in_height": 1, "in_width": size.inputs, "out_channels": size.row, "out_height": 3,
        "out_width": size.inputs + 2, "kernel_y": 3, "kernel_x": 3, "stride_y": 1, "stride_x": 1, "pad_y": 2,
        "pad_x": 2, "dilation_y": 1, "dilation_x": 1, "group_in": 1, "group_out": size.row, "weight_bytes": 1}
    return block(0, "conv", shape=shape, kernel=np.ones((size.row, 1, 3, 3), np.int8))
