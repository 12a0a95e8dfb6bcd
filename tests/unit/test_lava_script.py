"""Lava scripts: the same text for the same program, valid Python for any name, refusals for what Lava lacks."""

from __future__ import annotations

import ast
from dataclasses import replace

import numpy as np
import pytest
from integer_networks import random_integer_network

import hwsdk
from hwsdk.backends.lava_conv import with_convolutions
from hwsdk.backends.lava_network import lava_network, mantissas, sign_mode
from hwsdk.backends.lava_script import INLINE, lava_script
from hwsdk.errors import UnsupportedError
from hwsdk.ir.expand import explicit
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import ConvSynapses, Input, Output, Synapses, frozen
from hwsdk.ir.semantics import Semantics


def neuron(n=3, shape=None, **changes):
    """Plain LIF neurons with some fields changed."""
    from hwsdk.ir.fixed import FixedLIF

    full = {name: frozen(np.full(shape or (n,), value), np.int64) for name, value in
            {"du": 4095, "dv": 100, "vth": 9, "bias_mant": 0, "bias_exp": 0, "reset_by": 0, "u_init": 0,
             "v_init": 0}.items()}
    ones = {"scale": frozen(np.ones(shape or (n,))), "v_offset": frozen(np.zeros(shape or (n,)))}
    return FixedLIF(**{**full, **ones, **changes})


def synapses(n_pre, n_post, **changes):
    """All to all, weight 2."""
    at = np.arange(n_pre * n_post)
    fields = {"weight": frozen(np.full(len(at), 2), np.int64), "delay_ticks": frozen(np.ones(len(at)), np.int64)}
    return Synapses((n_pre,), (n_post,), frozen(at // n_post, np.int64), frozen(at % n_post, np.int64),
                    **{**fields, **changes})


def chain(cell, first="in", second="pop", target="loihi2", **changes):
    """A program of an input and a population."""
    nodes = {first: Input((2,)), "w": synapses(2, cell.n, **changes), second: cell, "out": Output(cell.shape)}
    edges = (Edge(first, "w"), Edge("w", second), Edge(second, "out"))
    return hwsdk.compile(Network("n", nodes, edges, Semantics()), target)


@pytest.mark.parametrize("seed", range(12))
def test_the_script_is_valid_and_always_the_same(seed, tmp_path):
    program = hwsdk.compile(random_integer_network(seed).network, "loihi2")
    script = lava_script(program)
    ast.parse(script.text)
    assert max(map(len, script.text.splitlines())) <= 240
    again = lava_script(hwsdk.load_program(program.save(tmp_path / "p.hwx")))
    assert (again.text, again.numbers) == (script.text, script.numbers)


def test_many_numbers_go_into_a_file_beside_the_script(tmp_path):
    small, large = lava_script(chain(neuron(5))), lava_script(chain(neuron(INLINE)))
    assert small.numbers is None
    assert "np.load(" not in small.text.split("run_samples")[-1].split("NUMBERS")[1]
    assert [p.name for p in small.save(tmp_path / "a.py")] == ["a.py"]
    assert [p.name for p in large.save(tmp_path / "b.py")] == ["b.py", "b.npz"]
    with np.load(tmp_path / "b.npz") as numbers:
        assert (numbers["w0_weight"] == 2).all()


@pytest.mark.parametrize("name", ["class", "net", "w0", "7 of 9", 'say "x"', "it's", "a\"\"\"b", "ü", "#", "slice",
                                  "two\nlines"])
def test_any_name_gives_valid_python(name):
    script = lava_script(chain(neuron(), second=name))
    tree = ast.parse(script.text)
    strings = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    assert name in strings


def test_one_process_for_each_set_of_parameters():
    vth = frozen([9, 7, 9], np.int64)
    network = lava_network(chain(neuron(vth=vth)))
    assert [g.index.tolist() for g in network.groups["pop"]] == [[1], [0, 2]]
    assert [g.shared["vth"] for g in network.groups["pop"]] == [7, 9]
    assert [link.shape for link in network.links] == [(1, 2), (2, 2)]


def test_a_second_synapse_of_a_pair_is_a_second_link():
    extra = synapses(2, 3)
    at = np.r_[extra.source, 0], np.r_[extra.target, 0]
    double = Synapses((2,), (3,), *(frozen(x, np.int64) for x in (*at, np.full(7, 2), [1, 1, 1, 1, 1, 1, 5])))
    nodes = {"in": Input((2,)), "w": double, "pop": neuron(), "out": Output((3,))}
    edges = (Edge("in", "w"), Edge("w", "pop"), Edge("pop", "out"))
    links = lava_network(hwsdk.compile(Network("n", nodes, edges, Semantics()), "loihi2")).links
    assert sorted((len(k.weight), int(k.delay.max())) for k in links) == [(1, 5), (6, 1)]


def test_the_links_are_the_synapses_of_the_network():
    for seed in range(30):
        network = random_integer_network(seed).network
        found = lava_network(hwsdk.compile(network, "loihi2"))
        want = sorted((network.sources(n)[0].source, network.targets(n)[0].target, int(w) << s.weight_exp, int(d))
                      for n in network.of(Synapses, ConvSynapses) for s in [explicit(network.nodes[n])]
                      for w, d in zip(s.weight, s.delay_ticks, strict=True) if w)
        got = sorted((k.source[0], k.target[0], int(w) << k.exponent, int(d)) for k in found.links
                     for w, d in zip(k.weight, k.delay, strict=True))
        assert got == want


@pytest.mark.parametrize("cell, words", [
    (neuron(reset="subtract", reset_by=frozen([5, 5, 5], np.int64)), "reset by subtraction"),
    (neuron(refractory=frozen([0, 2, 0], np.int64)), "refractory"),
])
def test_what_lava_lacks_is_refused_with_the_population(cell, words):
    with pytest.raises(UnsupportedError, match=rf"\[NOT_IN_LAVA\] pop: .*{words}.*\n  fix: .*engine hwsdk"):
        lava_script(chain(cell))


def test_a_negative_exponent_is_refused():
    program = chain(neuron())
    arrays = replace(program.arrays, row_exponent=program.arrays.row_exponent - np.int8(1))
    with pytest.raises(UnsupportedError, match="negative weight exponent"):
        lava_script(replace(program, arrays=arrays))


def test_unknown_forms_and_engines_are_refused():
    program = chain(neuron())
    with pytest.raises(UnsupportedError, match="UNKNOWN_FORM"):
        hwsdk.emit(program, "verilog")
    with pytest.raises(UnsupportedError, match="UNKNOWN_ENGINE"):
        hwsdk.simulate(program, np.zeros((1, 3, 2)), engine="brian")
    with pytest.raises(UnsupportedError, match="NO_STRICT"):
        hwsdk.simulate(program, np.zeros((1, 3, 2)), engine="lava", strict=True)


def test_biases_become_mantissas_and_exponents():
    bias = np.array([0, 5, -4096, 4095, 8190, -524288, 4095 << 7, 4097 * 2])
    with pytest.raises(UnsupportedError, match="a bias of 8194"):
        mantissas(bias, "p")
    mantissa, exponent = mantissas(bias[:-1], "p")
    np.testing.assert_array_equal(mantissa << exponent, bias[:-1])
    assert mantissa.min() >= -4096
    assert mantissa.max() <= 4095
    assert exponent.max() <= 7


@pytest.mark.parametrize("weights, bits, mode", [
    ([-256, 254], 8, "MIXED"), ([-256, -2], 8, "MIXED"), ([3, 255], 8, "EXCITATORY"), ([-3, -255], 8, "INHIBITORY"),
    ([16, 240], 4, "EXCITATORY"), ([-32, 32], 4, "MIXED"), ([2, 4], 8, "MIXED"),
])
def test_the_sign_mode_leaves_every_weight(weights, bits, mode):
    assert sign_mode(np.array(weights), bits, "w") == mode


@pytest.mark.parametrize("weights, bits", [([-3, 5], 8), ([-256, 1], 8), ([8], 4), ([300], 8)])
def test_weights_that_no_mode_leaves_are_refused(weights, bits):
    with pytest.raises(UnsupportedError, match="NOT_IN_LAVA"):
        sign_mode(np.array(weights), bits, "w")


@pytest.mark.parametrize("kernel, stride, padding, dilation, groups", [
    ((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1), ((2, 3), (2, 1), ((0, 1), (2, 0)), (1, 2), 1),
    ((1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1), 2), ((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), 2),
])
def test_kernels_are_found_again(kernel, stride, padding, dilation, groups):
    """The kernel that is found gives the same synapses, whatever stride or padding it takes for that."""
    rng = np.random.default_rng(3)
    weight = rng.choice([-6, -2, 2, 4, 8], (4, 2 // groups, *kernel))
    shape = tuple((n + lo + hi - d * (k - 1) - 1) // s + 1 for n, (lo, hi), d, k, s in
                  zip((6, 7), padding, dilation, kernel, stride, strict=True))
    post = (4, *shape)
    node = ConvSynapses((2, 6, 7), post, post, frozen(weight, np.int64), stride, padding, dilation, groups)
    nodes = {"in": Input((2, 6, 7)), "w": node, "pop": neuron(shape=(4, *shape)), "out": Output((4, *shape))}
    edges = (Edge("in", "w"), Edge("w", "pop"), Edge("pop", "out"))
    program = hwsdk.compile(Network("n", nodes, edges, Semantics()), "loihi2")
    (link,) = with_convolutions(lava_network(program)).links
    assert link.kernel is not None
    found = link.kernel
    assert found.groups == groups or found.weight.shape[1] * found.groups == 2
    again = ConvSynapses((2, 6, 7), (4, *shape), (4, *shape), found.weight, found.stride,
                         tuple((p, p) for p in found.padding), (1, 1), found.groups)
    want, got = explicit(node), explicit(again)
    for name in ("source", "target", "weight"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name))
