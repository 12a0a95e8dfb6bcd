"""The SFQ mapper: trees, slots, widths of counters, what it refuses."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from sfq_networks import KINDS, TARGET, counter, difference, joined, layer, mapped, spikes_for, synapses

from hwsdk.errors import FitError, InternalError, UnsupportedError
from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.nodes import ConvSynapses, Input, Output
from hwsdk.mappers.sfq import MapOptions, legality, map_network, summary
from hwsdk.mappers.sfq_build import Builder, levels
from hwsdk.mappers.sfq_lines import lines_of
from hwsdk.mappers.sfq_slots import shared
from hwsdk.mappers.sfq_timing import frame_timing


def builder(wires: str = "abut") -> Builder:
    return Builder({n: TARGET.cell(n) for n in TARGET.cell_names}, wires, 0.05)


def patterns(n: int) -> Stimulus:
    """Every combination of n input spikes, one after the other."""
    return Stimulus({"x": events_from_dense(np.array(list(product((0.0, 1.0), repeat=n)))[None], (n,))})


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 100])
def test_a_splitter_tree_is_as_deep_as_it_must_be(n: int) -> None:
    b = builder()
    pins = b.split_tree((b.cell("SRC"), 0), n)
    depth = int(np.ceil(np.log2(n)))
    assert levels(n) == depth
    assert len({p for p, _ in pins}) == n
    assert {t for _, t in pins} == {depth * b.delay("SPLIT")}
    split, sink = (b.cell_type.count(b.used.get(x, -1)) for x in ("SPLIT", "SINK"))
    assert split - sink == n - 1


@pytest.mark.parametrize(("n", "depth"), [(1, 0), (1, 3), (3, 2), (5, 4), (6, 3), (16, 4), (17, 6)])
def test_merged_pulses_take_the_same_time(n: int, depth: int) -> None:
    b = builder()
    late = b.merge_paths(n, depth)
    assert late.shape == (3, n)
    assert np.abs(late[0]).max() <= b.delay("JTL") / 2
    b.merge([(b.cell("SRC"), 0) for _ in range(n)], depth)
    assert b.cell_type.count(b.used.get("MERGE", -1)) == n - 1


def test_pulses_at_different_times_are_padded_before_they_merge() -> None:
    b = builder()
    jtl = b.times("JTL")
    pin, time = b.merge_tree([((b.cell("SRC"), 0), 0 * jtl), ((b.cell("SRC"), 0), 5 * jtl)])
    assert b.cell_type.count(b.used["JTL"]) == 5
    assert time.tolist() == (5 * jtl + b.times("MERGE")).tolist()
    assert pin[1] == 0


def test_lines_without_a_common_target_share_a_slot() -> None:
    network = layer("memoryless", [[1, 1, 0, 0], [0, 0, -2, 1], [0, 1, 1, 0]], 1)
    lines = lines_of(network, "p")
    assert [x.element for x in lines] == [0, 1, 2]
    assert sorted(map(sorted, shared(lines))) == [[0, 1], [2]]


def test_parallel_synapses_add_up() -> None:
    one, two = synapses([[2.0], [1.0]]), synapses([[-2.0], [3.0]])
    nodes = {"x": Input((2,)), "a": one, "b": two, "p": counter(1, "subtract", 2), "y": Output((1,))}
    network = joined(nodes, "x>a a>p x>b b>p p>y")
    (line,) = lines_of(network, "p")
    assert (line.element, line.weight.tolist()) == (1, [4.0])
    assert difference(network, mapped(network), spikes_for(network, 2, 20, 0)) is None


@pytest.mark.parametrize(("threshold", "bits"), [(0, 5), (-1, 6), (7, 5), (8, 5), (9, 6), (15, 6), (16, 6), (99, 6),
                                                 (-8, 6), (-100, 6)])
def test_a_counter_is_as_wide_as_its_sums(threshold: int, bits: int) -> None:
    """v is -8 to 15; 5 bits hold v - threshold from -16 to 15."""
    network = layer("memoryless", [[8.0], [7.0], [-5.0], [-3.0]], threshold)
    program = mapped(network, weights="binary")
    assert len(program.arrays.bit_cell) == bits
    assert difference(network, program, patterns(4)) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threshold", [-4, -1, 0, 1, 2, 7, 8, 9, 100])
def test_values_at_the_wrap_are_exact(kind: str, threshold: int) -> None:
    network = layer(kind, [[4.0, 1.0], [2.0, -1.0], [1.0, -2.0], [1.0, 3.0]], [threshold, 2], reset_by=[threshold, 5])
    for weights in ("train", "binary"):
        assert difference(network, mapped(network, 16, weights=weights), patterns(4)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_neurons_without_synapses_and_inputs_without_targets(kind: str) -> None:
    weight = np.zeros((3, 4))
    weight[1, 2] = -2.0
    network = layer(kind, weight, [2, 4, -1, 8], bias=[1, 2, 0, 0], v_init=[0, 0, 0, 6])
    assert difference(network, mapped(network, 12, weights="binary"), spikes_for(network, 2, 12, 3)) is None


def test_a_convolution_is_written_out_and_its_lines_share_slots() -> None:
    weight = np.random.default_rng(1).integers(-2, 3, (2, 1, 3, 3)).astype(np.float64)
    conv = ConvSynapses((1, 8, 8), (2, 6, 6), (2, 6, 6), weight, (1, 1), ((0, 0), (0, 0)), (1, 1))
    cell = counter(72, "memoryless", 3)
    cell = replace(cell, **{f: getattr(cell, f).reshape(2, 6, 6) for f in (
        "decay_u", "decay_v", "bias", "v_threshold", "reset_by", "u_init", "v_init", "u_start", "v_start", "v_offset")})
    network = joined({"x": Input((1, 8, 8)), "x_p": conv, "p": cell, "y": Output((2, 6, 6))}, "x>p p>y")
    assert len(shared(lines_of(network, "p"))) <= 20 < 64
    assert difference(network, mapped(network), spikes_for(network, 1, 5, 0)) is None
    with pytest.raises(UnsupportedError, match="limit 100") as error:
        mapped(network, max_synapses=100)
    assert (error.value.code, error.value.where) == ("TOO_LARGE", "x_p")


def test_forms_that_are_no_netlist_are_refused() -> None:
    nodes = {"x": Input((2,)), "x_p": synapses(np.eye(2)), "p": counter(2, "subtract", 2), "q": counter(2, "value", 1),
             "y": Output((2,))}
    late = joined(nodes, "x>p p>y q>y x_p>q")
    with pytest.raises(UnsupportedError) as error:
        mapped(late)
    assert (error.value.code, error.value.where) == ("NETWORK_FORM", "x_p")
    fed = joined({n: x for n, x in nodes.items() if n != "q"} | {"q": nodes["q"]}, "x>p p>q q>y")
    with pytest.raises(UnsupportedError, match="p feeds it directly"):
        mapped(fed)


def test_a_counter_that_cannot_drift_runs_for_ever() -> None:
    assert mapped(layer("value", [[1.0], [2.0]], 5)).schedule.max_steps is None
    assert mapped(layer("subtract", [[-1.0], [2.0]], 5), 33).schedule.max_steps == 33


def test_a_source_of_several_populations_and_delays() -> None:
    rng = np.random.default_rng(0)
    nodes = {"x": Input((3,)), "x_a": synapses(rng.integers(-2, 3, (3, 4)), rng.integers(1, 6, (3, 4)), True),
             "x_b": synapses(rng.integers(-2, 3, (3, 2)), 1), "a_b": synapses(rng.integers(-2, 3, (4, 2)), 2),
             "a_a": synapses(np.eye(4), [[1], [2], [3], [5]]), "a": counter(4, "subtract", 2), "y": Output((2,)),
             "b": counter(2, "memoryless", 1)}
    network = joined(nodes, "x>a x>b a>b a>a b>y")
    assert difference(network, mapped(network, 30), spikes_for(network, 3, 30, 5)) is None


def test_junctions_are_those_of_the_cells() -> None:
    program = mapped(layer("subtract", [[1.0, 2.0], [-3.0, 1.0]], 3))
    jj = [program.types[k].jj for k in program.arrays.cell_type]
    used = summary(program, TARGET)
    assert program.junctions == sum(jj) == used["junctions"].used
    assert sum(u.used for n, u in used.items() if n.endswith(" cells")) == program.n_cells
    assert legality(program, TARGET) == ()


def test_too_many_junctions_are_told() -> None:
    program = mapped(layer("subtract", [[1.0, 2.0], [-3.0, 1.0]], 3))
    small = TARGET.model_copy(update={"limits": TARGET.limits | {
        "junctions": TARGET.limits["junctions"].model_copy(update={"value": 100})}})
    (broken,) = legality(program, small)
    assert (broken.rule, broken.need, broken.limit) == ("junctions", program.junctions, 100)


def test_wires_of_transmission_line_stand_in_every_net_that_no_jtl_drives() -> None:
    network = layer("value", [[1.0, 2.0], [-3.0, 1.0]], 3)
    program = mapped(network, wires="ptl")
    a, names = program.arrays, [t.name for t in program.types]
    kinds = {(names[a.cell_type[s]], names[a.cell_type[t]]) for s, t in zip(a.from_cell, a.to_cell, strict=True)}
    assert {b for a, b in kinds if a not in ("JTL", "PTLTX", "PTLRX")} == {"PTLTX"}
    assert {b for a, b in kinds if a == "PTLTX"} == {"PTLRX"}


REFUSED = [
    (layer("subtract", [[1.5]], 2), "COUNTER_INTEGER", "weight of x_p 1.5"),
    (layer("subtract", [[1.0]], 2.5), "COUNTER_INTEGER", "v_threshold 2.5"),
    (layer("value", [[1.0]], 2, bias=0.25), "COUNTER_INTEGER", "bias 0.25"),
    (layer("subtract", [[1.0]], 2, reset_by=0.5), "COUNTER_INTEGER", "reset_by 0.5"),
]


@pytest.mark.parametrize(("network", "code", "text"), REFUSED)
def test_what_is_not_whole_is_refused(network: object, code: str, text: str) -> None:
    with pytest.raises(UnsupportedError, match=text) as error:
        mapped(network)  # type: ignore[arg-type]
    assert (error.value.code, error.value.where) == (code, "p")
    assert error.value.fix


def test_leaks_and_strict_thresholds_are_refused() -> None:
    network = layer("subtract", [[1.0]], 2)
    cell = network.populations["p"]
    for change, code in (({"decay_v": np.array([0.5])}, "COUNTER_LEAK"), ({"comparison": ">"}, "COUNTER_COMPARISON")):
        other = network.replace(nodes={**network.nodes, "p": replace(cell, **change)})  # type: ignore[arg-type]
        with pytest.raises(UnsupportedError) as error:
            mapped(other)
        assert error.value.code == code


def test_a_counter_that_would_be_too_wide_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="limit 48 bits") as error:
        mapped(layer("subtract", [[-1000.0]], 5), 10**14)
    assert error.value.code == "COUNTER_WIDTH"


def test_a_frame_that_is_too_short_is_refused_and_a_longer_one_kept() -> None:
    network = layer("subtract", [[1.0, -2.0]], 2)
    least = mapped(network).schedule.frame_fs
    with pytest.raises(FitError, match=r"needs .* ps, limit 50 "):
        mapped(network, frame_s=50e-12)
    assert mapped(network, frame_s=2 * least * 1e-15).schedule.frame_fs == 2 * least


def test_options_that_there_are_not() -> None:
    network = layer("subtract", [[1.0]], 2)
    for options in ({"weights": "unary"}, {"wires": "air"}):
        with pytest.raises(UnsupportedError) as error:
            mapped(network, **options)
        assert error.value.code == "BAD_OPTION"
    with pytest.raises(UnsupportedError, match="no style"):
        map_network(network, TARGET, MapOptions({}))
    with pytest.raises(UnsupportedError, match="gives no pulse") as error:
        mapped(network, spread=0.5)
    assert error.value.code == "BIAS_SPREAD"


def test_the_same_network_gives_the_same_netlist() -> None:
    network = layer("value", [[1.0, -2.0], [3.0, 1.0]], 2)
    assert mapped(network).digest() == mapped(network).digest()


def test_the_structure_is_checked() -> None:
    program = mapped(layer("subtract", [[1.0]], 2))
    a = program.arrays
    lacking = replace(a, **{n: getattr(a, n)[:-1] for n in ("from_cell", "from_pin", "to_cell", "to_pin")})
    with pytest.raises(InternalError, match="pin without a net"):
        frame_timing(replace(program, arrays=lacking))
    jtl = next(i for i, t in enumerate(program.types) if t.name == "JTL")
    one, two = np.flatnonzero(a.cell_type == jtl)[:2]
    to = a.to_cell.copy()
    out = program.driven[program.output_base[[one, two]]]
    into = [int(np.flatnonzero(a.to_cell == c)[0]) for c in (one, two)]
    for net, ends in ((into[0], to[out[0]]), (out[0], one)):  # the first one drives itself
        to[net] = ends
    pins = a.to_pin.copy()
    pins[into[0]], pins[out[0]] = a.to_pin[out[0]], 0
    with pytest.raises(InternalError, match="in a ring"):
        frame_timing(replace(program, arrays=replace(a, to_cell=to, to_pin=pins)))
