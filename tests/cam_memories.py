"""What the tests of the content-addressable memory (examples/cam_memory.py) share: the published tables, what a
dictionary would answer, random and long sequences of operations.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from examples import cam_memory as cam
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.trace import Trace

EXPERIMENTS = {1: (1080, 322), 3: (1680, 504)}
"""Published experiment -> its cells (a population in a tick) and its spikes (arXiv:2310.05868; corpus/cam)."""
CUES, BITS = 5, 10
few = settings(max_examples=25, deadline=None, derandomize=True)
cues, bits = st.integers(0, CUES - 1), st.integers(0, BITS - 1)
questions = cues.map(cam.recall_cue) | bits.map(lambda bit: cam.recall_content({bit}))
lessons = st.builds(cam.learn, cues, st.frozensets(bits, min_size=1))
sequences = st.lists(lessons | questions, min_size=1, max_size=14)
several = st.frozensets(bits, min_size=1)


def table_of(corpus: Path, experiment: int) -> dict[str, Any]:
    """A published table: sizes, stimulus and spikes."""
    table: dict[str, Any] = json.loads((corpus / "cam" / f"cam_experiment{experiment}.json").read_text())
    return table


def network_of(table: dict[str, Any]) -> Network:
    """The memory of a published experiment."""
    return cam.cam_network(table["cue_size"], table["cont_size"])


def stimulus_of(network: Network, table: dict[str, Any]) -> Stimulus:
    """The published stimulus."""
    inputs = {name: [(t, i) for i, times in enumerate(rows) for t in times]
              for name, rows in table["input_spike_ticks"].items()}
    return cam.from_ticks(network, inputs, table["ticks"])


def compared(table: dict[str, Any], data: Stimulus, trace: Trace) -> tuple[int, int, int]:
    """(cells, cells that differ from the table, spikes)."""
    wrong = spikes = 0
    for name, recorded in table["spikes"].items():
        events = data.inputs[name] if name in data.inputs else trace.spikes[name]
        got = {(int(t), int(i)) for t, i in zip(events.step, events.index, strict=True)}
        wrong += len({t for t, _ in got ^ {(t, i) for t, ids in recorded for i in ids}})
        spikes += len(got)
    return len(table["spikes"]) * table["ticks"], wrong, spikes


def dictionary(operations: list[Any]) -> list[tuple[set[int], set[int]]]:
    """What a dictionary from cues to sets of bits answers to each operation, with what was asked repeated."""
    memory: dict[int, set[int]] = {}
    answers = []
    for op in operations:
        if op.kind == "learn":
            memory[op.cue] = set(op.content)
        known = memory.get(op.cue, set()) if op.cue is not None else set(op.content)
        found = {op.cue} if op.cue is not None else {c for c, bits in memory.items() if bits & op.content}
        answers.append((found, known))
    return answers


def learned_once(operations: list[Any], last: frozenset[int]) -> list[Any]:
    """Without what teaches a cue anew; ``last`` is asked for at the end, for asking for several bits at once joins each
    with the cues of the others.
    """
    seen: set[int] = set()
    once = [op for op in operations if op.kind != "learn" or not (op.cue in seen or seen.add(op.cue))]  # type: ignore[func-returns-value]
    return [*once, cam.recall_content(last)]


def long_sequence(n_cues: int, n_bits: int, rounds: int = 2) -> list[Any]:
    """Learn every cue, ask for everything by cue and by bit, and again with other contents over the old ones."""
    rng, operations = random.Random(n_cues * n_bits), []
    for _ in range(rounds):
        for cue in rng.sample(range(n_cues), n_cues):
            operations.append(cam.learn(cue, rng.sample(range(n_bits), rng.randint(1, max(1, n_bits // 2)))))
        operations += [cam.recall_cue(cue) for cue in rng.sample(range(n_cues), n_cues)]
        operations += [cam.recall_content({bit}) for bit in rng.sample(range(n_bits), n_bits)]
    return operations
