"""Numbers, registers, programs and arrays that are not good enough, or broken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from fault_networks import Case, NoFaultError, first_layer, layered, layers, linears, some_network

from hwsdk import backends
from hwsdk.backends.base import CompileOptions, Program
from hwsdk.errors import HwsdkError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import IF, LIF
from hwsdk.ir.nodes import Linear
from hwsdk.simulators import reference

LOIHIS = ("loihi1", "loihi2")
V_MAX = (1 << 23) - 1


def few_bits(rng: np.random.Generator) -> Case:
    net, data = some_network(rng)
    target = str(rng.choice(["loihi1", "loihi2", "spinnaker2"]))
    options = CompileOptions(bits=2, data=data)
    _, whole, _ = backends.get(target).discrete(net, options)
    return Case("2 bits", net, target, data, options, ("weights",),
                first_layer(net, reference.run(net, data), reference.run(whole, data), data.n_steps))


def outlier(rng: np.random.Generator) -> Case:
    """One huge weight, from an input or neuron that is silent, takes the range of a layer's weights."""
    net, data = layered(rng, (12, 16, 10, 5))
    own = str(rng.choice(layers(net)))
    (name,) = linears(net, own)
    counts = data.inputs["in"].counts().sum(0) if own == "l0" else reference.run(net, data).spikes[
        f"l{int(own[1]) - 1}"].counts().sum(0)
    quiet = int(counts.argmin())
    weight = net.nodes[name].weight.copy()
    weight[:, quiet] = 0
    weight[int(rng.integers(len(weight))), quiet] = -40 * np.abs(weight).max()
    if counts[quiet] and own == "l0":
        data = _silenced(data, quiet)
    elif counts[quiet]:
        raise NoFaultError
    net = net.replace(nodes=dict(net.nodes) | {name: replace(net.nodes[name], weight=weight)})
    target = str(rng.choice(["loihi1", "loihi2", "spinnaker2"]))
    return Case(f"outlier in {own}", net, target, data, CompileOptions(bits=8, data=data), ("weights",), own)


def _silenced(data: Stimulus, index: int) -> Stimulus:
    dense = data.inputs["in"].dense()
    dense[:, :, index] = 0
    return Stimulus.dense(dense, {"in": data.inputs["in"].shape}, data.labels)


def quiet_calibration(rng: np.random.Generator) -> Case:
    """Calibrated on silence; then bursts lift a layer's membrane past its register, of which a spike takes little."""
    net, data = layered(rng, (12, 16, 8), reset="subtract")
    own = str(rng.choice(layers(net)))
    (name,) = linears(net, own)
    weight = np.abs(net.nodes[name].weight) * float(rng.uniform(8, 16))
    cell = replace(net.nodes[own], tau=net.nodes[own].tau * 8, r=net.nodes[own].r * 8)
    net = net.replace(nodes=dict(net.nodes) | {name: replace(net.nodes[name], weight=weight, bias=None), own: cell})
    dense = data.inputs["in"].dense()
    dense[:, 10:] = 0
    data = Stimulus.dense(dense, {"in": (12,)})
    silent = Stimulus.dense(np.zeros((1, 20, 12)), {"in": (12,)})
    options, backend = CompileOptions(data=silent), backends.get("loihi2")
    whole = [backend.discrete(net, o)[1] for o in (options, replace(options, data=data))]
    runs = [reference.run(w, data, probes="all") for w in whole]
    ends = [n for n in layers(net) if (runs[0].states[n, "v"].max((0, 1)) + whole[0].nodes[n].reset_by).max() >= V_MAX]
    good, bad, right = (r.aligned(own, 40).dense() for r in (runs[1], runs[0], reference.run(net, data)))
    if ends != [own] or (bad != right).sum() < 3 * (good != right).sum() or (bad != right).sum() < 0.1 * right.sum():
        raise NoFaultError
    return Case(f"{own} calibrated on silence", net, "loihi2", data, options, ("registers",), own)


def slow_leak(rng: np.random.Generator) -> Case:
    """A leak that is finer than 12 bits, in one layer, whose neurons need many steps for a spike."""
    net, data = layered(rng, (12, 16, 8))
    own, tau = str(rng.choice(layers(net))), float(rng.uniform(9.0, 30.0))
    dense = np.tile(data.inputs["in"].dense(), (1, 30, 1))[:2]
    data = Stimulus.dense(dense, {"in": (12,)})
    nodes = dict(net.nodes)
    for n in layers(net):  # weights of one size are exact on every chip
        (name,) = linears(net, n)
        nodes[name] = replace(net.nodes[name], weight=np.full(net.nodes[name].weight.shape, 0.5), bias=None)
        if n != own:
            nodes[n] = replace(nodes[n], v_threshold=rng.uniform(2.0, 4.0, nodes[n].shape))
    net = net.replace(nodes=nodes)
    before = data.inputs["in"] if own == "l0" else reference.run(net, data).spikes["l0"]
    theta = before.counts().sum(1).mean() * 0.5 / rng.uniform(2.0, 6.0, net.nodes[own].shape)
    slow = replace(net.nodes[own], tau=np.full(theta.shape, tau), r=np.full(theta.shape, tau / 1e-3), v_threshold=theta)
    net = net.replace(nodes=dict(net.nodes) | {own: slow})
    if not len(reference.run(net, data).spikes[own]):
        raise NoFaultError
    return Case(f"leak of {own} with tau {tau:.0f} s", net, "loihi2", data, CompileOptions(data=data), ("decays",), own)


def late_processor(rng: np.random.Generator) -> Case:
    """A tick that is too short for the one busy layer of SpiNNaker 2."""
    net, data = layered(rng, (12, 10, 8, 5))
    own = str(rng.choice(layers(net)[1:]))
    n = int(own[1])
    wide = 300
    weight = np.abs(rng.normal(0, 1, (wide, net.nodes[f"w{n - 1}"].weight.shape[1])))
    base = NetworkBuilder("busy").input("in", 12)
    before = "in"
    for k, name in enumerate(layers(net)):
        w = net.nodes[f"w{k}"].weight
        cell = net.nodes[name]
        if name == f"l{n - 1}":
            w = weight / weight.sum(1, keepdims=True) * 6
            cell = neuron(LIF, wide, tau=1e-2, r=10.0, v_threshold=1.0)
        if name == own:
            w = rng.normal(0.2, 1.0, (cell.n, wide)) / 6
        base.population(name, cell).add(f"w{k}", Linear(w)).connect(before, f"w{k}").connect(f"w{k}", name)
        before = name
    net = base.output("out", before).build(net.semantics)
    backend = backends.get("spinnaker2")
    for step in (2e-4, 1.5e-4, 1e-4, 7e-5, 5e-5, 3.5e-5, 2.5e-5, 1.8e-5):
        options = CompileOptions(step_time=step, data=None)
        try:
            program = backend.compile(net, options, lambda _: None)
        except HwsdkError:
            continue
        trace = backend.simulate(program, data, probes=(), strict=False, progress=None)
        late = trace.counts["pe_late_ticks"].sum(0) + trace.counts["pe_dropped"].sum(0)
        a = program.arrays
        hit = {program.senders[s].name for p in np.flatnonzero(late) for s in
               a.slice_sender[a.slice_ptr[p] : a.slice_ptr[p + 1]]}
        if hit:
            patient = backend.simulate(replace(program, tick_s=1e-2), data, probes=(), strict=False, progress=None)
            if patient.first_difference(trace) is None:
                continue
            if len(hit) > 1:
                raise NoFaultError
            return Case(f"ticks of {step * 1e6:.0f} us", net, "spinnaker2", data, options, ("losses",), hit.pop())
    raise NoFaultError


def tampered_weight(rng: np.random.Generator, targets: tuple[str, ...]) -> Case:
    """One weight of one core is another, or the cells of a row of a crossbar are the wrong way round."""
    net, data = some_network(rng)
    target, wanted = str(rng.choice(targets)), str(rng.choice(layers(net)))
    options = CompileOptions(data=data, target_options=backends.get(target).exact)
    program = backends.get(target).compile(net, options, lambda _: None)
    if target == "memristor":
        k = int(rng.integers(len(program.blocks)))
        b = program.blocks[k]
        g = b.target_s.copy()
        row = int(_busy_row(net, data, b, rng))
        g[row] = g[row][::-1]
        bad = replace(program, blocks=(*program.blocks[:k], replace(b, target_s=g), *program.blocks[k + 1 :]))
        return _tampered(f"a row of {b.target}", net, target, data, options, program, bad, b.target)
    a = program.arrays
    e = int(rng.integers(len(a.weight)))
    weight = a.weight.copy()
    weight[e] = -weight[e] if abs(int(weight[e])) > 40 else (200 if weight[e] <= 0 else -200)
    row = int(np.searchsorted(a.row_ptr, e, side="right")) - 1
    core = int(np.searchsorted(a.core_row_ptr, row, side="right")) - 1
    layer = _owner(program, core, int(a.target[e]), row)
    if layer != wanted:
        raise NoFaultError
    bad = replace(program, arrays=replace(a, weight=weight))
    return _tampered(f"a weight of {layer}", net, target, data, options, program, bad, layer)


def _busy_row(net: Network, data: Stimulus, b: object, rng: np.random.Generator) -> int:
    source = b.segments[0].source  # type: ignore[attr-defined]
    events = data.inputs[source] if source in data.inputs else reference.run(net, data).spikes[source]
    counts = events.counts().sum(0)[b.row_source[0][: b.segments[0].rows]]  # type: ignore[attr-defined]
    return int(counts.argmax())


def _owner(program: Program, core: int, accumulator: int, row: int) -> str:
    """The population of a core's neuron; where rows have bases, the core's only population."""
    a = program.arrays  # type: ignore[attr-defined]
    ids = a.source_id[a.neuron_ptr[core] : a.neuron_ptr[core + 1]]
    names = {p.name for i in ids for p in program.populations if p.first <= i < p.first + p.n}  # type: ignore[attr-defined]
    if len(names) != 1:
        raise NoFaultError
    return names.pop()


def wrong_route(rng: np.random.Generator) -> Case:
    """An axon of a core listens to another sender, or a processor's router entry is gone."""
    net, data = some_network(rng)
    target = str(rng.choice([*LOIHIS, "spinnaker2"]))
    options = CompileOptions(data=data)
    program = backends.get(target).compile(net, options, lambda _: None)
    a = program.arrays
    if target == "spinnaker2":
        own = str(rng.choice(layers(net)))
        pes = [p for p in range(program.n_pes) if own in {program.senders[s].name for s in a.slice_sender[
            a.slice_ptr[p] : a.slice_ptr[p + 1]]}]
        core = int(a.pe_core[pes[0]])
        masks = a.router_pes.copy()
        masks[:, core // 32] &= np.uint32(~(1 << (core % 32)) & 0xFFFFFFFF)
        bad = replace(program, arrays=replace(a, router_pes=masks))
        return _tampered(f"no route to {own}", net, target, data, options, program, bad, own)
    core = int(rng.integers(program.n_cores))
    lo, hi = int(a.axon_ptr[core]), int(a.axon_ptr[core + 1])
    swap = rng.permutation(hi - lo)
    source = a.segment_row.copy()
    s_lo, s_hi = int(a.segment_ptr[lo]), int(a.segment_ptr[hi])
    if s_hi - s_lo != hi - lo:
        raise NoFaultError
    source[s_lo:s_hi] = source[s_lo:s_hi][swap]
    layer = _owner(program, core, 0, 0)
    bad = replace(program, arrays=replace(a, segment_row=source))
    return _tampered(f"routes into {layer} mixed up", net, target, data, options, program, bad, layer)


def _tampered(name: str, net: Network, target: str, data: Stimulus, options: CompileOptions, good: Program,
              bad: Program, layer: str) -> Case:
    run = [backends.get(target).simulate(p, data, probes=(), strict=False, progress=None) for p in (good, bad)]
    if run[0].first_difference(run[1], layers(net)) is None:
        raise NoFaultError
    return Case(name, net, target, data, options, ("mapping",), layer, program=bad)


def short_frame(rng: np.random.Generator) -> Case:
    """A netlist whose frames are shorter than its pulses need."""
    net, data = layered(rng, (5, 4, 3), kind=IF, reset="subtract")
    options = CompileOptions(bits=4)
    backend = backends.get("sfq")
    program = backend.compile(net, options, lambda _: None)
    share = float(rng.uniform(0.3, 0.7))
    times = replace(program.schedule, frame_fs=int(program.schedule.frame_fs * share))
    bad = replace(program, schedule=times)
    good_run, bad_run = (backend.simulate(p, data, probes=(), strict=False, progress=None) for p in (program, bad))
    layer = first_layer(net, good_run, bad_run, data.n_steps)
    if not int(bad_run.counts["timing"].sum() + bad_run.counts["absorbed"].sum()):
        raise NoFaultError
    return Case(f"frame x {share:.2f}", net, "sfq", data, options, ("timing",), layer, program=bad)


def crossbar(rng: np.random.Generator, stage: str) -> Case:
    """One stage of an array that is worse than it should be, all others good or off."""
    net, data = some_network(rng)
    changes = {"write": {"write": float(rng.uniform(0.2, 0.4))}, "read": {"read": float(rng.uniform(0.2, 0.4))},
               "adc": {"adc_bits": 2}, "faults": {"stuck_on": 0.1, "stuck_off": 0.1}, "levels": {"levels": 2}}[stage]
    given = {"wires": "off", "encoding": "differential"} | changes
    options = CompileOptions(data=data, target_options=given, seed=int(rng.integers(1000)))
    backend = backends.get("memristor")
    program = backend.compile(net, options, lambda _: None)
    if stage not in program.physics.stages:
        raise NoFaultError
    before = program.physics.stages[: program.physics.stages.index(stage)]
    runs = [backend.simulate(program.with_stages(*s), data, probes=(), strict=False, progress=None)
            for s in (before, (*before, stage))]
    if stage == "levels":
        off = replace(options, target_options={k: v for k, v in given.items() if k != "levels"} | {"levels": "off"})
        bare = backend.compile(net, off, lambda _: None).with_stages()
        runs[0] = backend.simulate(bare, data, probes=(), strict=False, progress=None)
    return Case(f"crossbar {stage}", net, "memristor", data, options, (stage,),
                first_layer(net, *runs, data.n_steps))
