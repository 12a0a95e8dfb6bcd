"""The most important messages, word for word: what, where, need, limit, and what to do next. A proposal must work."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import hwsdk
from hwsdk import backends
from hwsdk.backends import loihi_fit
from hwsdk.compiler import load_data
from hwsdk.errors import FitError, HwsdkError, UnsupportedError, Violation
from hwsdk.ir.network import Network

SETTLED: dict[str, Any] = {"dt": 1e-3, "reset": "value"}
RNG = np.random.default_rng(0)


def lif(n: int, tau: Any = 0.02) -> nir.LIF:
    full = np.broadcast_to(np.asarray(tau, float), (n,)).copy()
    return nir.LIF(tau=full, r=full / 1e-3, v_leak=np.zeros(n), v_threshold=np.ones(n), v_reset=np.zeros(n))


def linear(n_in: int, n_out: int, scale: float = 0.3) -> nir.Linear:
    return nir.Linear(np.random.default_rng(n_out).normal(0, scale, (n_out, n_in)))


def chain(*nodes: nir.NIRNode, shape: tuple[int, ...], extra: tuple[tuple[str, str], ...] = (), **semantics: Any,
          ) -> Network:
    """input -> n0 -> n1 ..., and more edges."""
    named = {"input": nir.Input(np.array(shape)), **{f"n{i}": node for i, node in enumerate(nodes)}}
    graph = nir.NIRGraph(named, [*pairwise(named), *extra], type_check=False)
    return hwsdk.load(graph, **{**SETTLED, **semantics})


def refusal(network: Network, target: str = "loihi2", **options: Any) -> HwsdkError:
    with pytest.raises(HwsdkError) as caught:
        hwsdk.compile(network, target, **options)
    return caught.value


def test_a_message_has_code_place_what_and_fix():
    error = HwsdkError("it is broken", where="layer 3", fix="mend it", code="BROKEN")
    assert str(error) == "[BROKEN] layer 3: it is broken\n  fix: mend it"


def test_a_violation_reads_as_need_and_limit():
    assert str(Violation("cores", "whole network", 1_048_576, 120, "cores")) == (
        "whole network: needs 1,048,576 cores, limit 120 [cores]")
    assert str(Violation("load", "core 3", 1.25, 1)) == "core 3: needs 1.25, limit 1 [load]"


def test_only_twelve_violations_are_listed():
    many = tuple(Violation("axons_in", f"core {i}", 2, 1, "axons") for i in range(40))
    text = str(FitError("net does not fit loihi2", violations=many))
    assert text.count("\n  - ") == 13
    assert "  - and 28 more\n  fix: make it smaller" in text


# models that do not fit, and the option that each proposal names

def option_in(proposal: str) -> dict[str, Any]:
    """The keyword argument behind a proposed option."""
    words = re.search(r"--(chips|bits|packing) (\w+)", proposal)
    assert words, proposal
    value = words.group(2)
    return {words.group(1): int(value) if value.isdigit() else value}


def test_too_many_groups_of_neurons():
    network = chain(linear(4, 1200), lif(1200, RNG.uniform(0.01, 0.05, 1200)), shape=(4,))
    error = refusal(network)
    assert isinstance(error, FitError)
    assert re.match(r"\[DOES_NOT_FIT\] network does not fit 1 chip\(s\) of loihi2\n"
                    r"  - whole network; n1 alone takes \d+: needs \d+ cores, limit 120 \[cores\]\n"
                    r"  fix: use \d+ chips \(--chips \d+\)$", str(error))
    assert hwsdk.compile(network, "loihi2", **option_in(error.proposals[0])).n_cores > 120


def test_too_many_weights_and_the_bits_that_help():
    network = chain(linear(3000, 2000), lif(2000), shape=(3000,))
    error = refusal(network)
    assert isinstance(error, FitError)
    assert error.proposals == (
        "use 2 chips (--chips 2)", "use 6-bit weights (--bits 6) and check the accuracy")
    for proposal in error.proposals:
        hwsdk.compile(network, "loihi2", **option_in(proposal))


def test_one_neuron_that_no_core_holds():
    assert str(refusal(chain(nir.Linear(np.ones((2, 20_000))), lif(2), shape=(20_000,)))) == (
        "[DOES_NOT_FIT] n1: one neuron of n1 alone does not fit a core\n"
        "  - n1, neuron 0: needs 20,000 axons, limit 16,000 [axons_in]\n"
        "  - n1, neuron 0: needs 20,000 64-bit words, limit 16,000 [synapse_words]\n"
        "  - n1, neuron 0: needs 40,001 64-bit words, limit 20,000 [total_words]\n"
        "  fix: neither more chips, nor fewer bits, nor denser packing makes it fit; it needs fewer inputs a neuron "
        "(prune the layer, or put a smaller one before it)")


def conv(c_in: int, c_out: int, side: int) -> nir.Conv2d:
    return nir.Conv2d((side, side), RNG.normal(0, 0.2, (c_out, c_in, 3, 3)), 1, 1, 1, 1, np.zeros(c_out))


def spikes(shape: tuple[int, ...]) -> nir.IF:
    return nir.IF(np.ones(shape), np.ones(shape), np.zeros(shape))


def test_a_million_neurons_are_refused_before_anything_is_built():
    network = chain(conv(2, 16, 256), spikes((16, 256, 256)), shape=(2, 256, 256))
    assert str(refusal(network)).startswith(
        "[DOES_NOT_FIT] network does not fit 1 chip(s) of loihi2\n"
        "  - whole network, most in n1: needs 1,048,576 neurons, limit 491,400 [neurons]\n  fix: try --chips 3")


def test_weights_that_no_board_holds_are_refused_before_anything_is_built(monkeypatch):
    monkeypatch.setattr("hwsdk.backends.loihi.LoihiBackend.discrete", lambda *_a: pytest.fail("it was lowered"))
    weight = np.broadcast_to(np.float32(1), (30_000, 4096))
    network = chain(nir.Linear(weight), lif(30_000), shape=(4096,))
    assert str(refusal(network)) == (
        "[DOES_NOT_FIT] network does not fit 1 chip(s) of loihi2\n"
        "  - whole network, most in n0: needs 38,400,000 64-bit words, limit 1,920,000 [synapse_words]\n"
        "  fix: make it smaller or sparser: the largest board of loihi2 has 16 chips, 30,720,000 words")


def test_the_bounds_are_bounds():
    """What is refused without trying could not have fitted: no program uses less than the bound says."""
    from hwsdk import backends
    from hwsdk.backends.base import CompileOptions

    for target in ("loihi1", "loihi2"):
        backend = backends.get(target)
        for network in (chain(linear(30, 400), lif(400), linear(400, 10), lif(10), shape=(30,)),
                        chain(conv(2, 4, 10), spikes((4, 10, 10)), shape=(2, 10, 10))):
            program = hwsdk.compile(network, target)
            _, whole, _ = backend.discrete(network, CompileOptions())
            least = loihi_fit.least_cores(whole, backend.target)
            assert max(least.values()) <= program.n_cores
            words = sum(u["synapse_words"] for u in program.usage)
            assert sum(loihi_fit.dense_words(network, backend.target, 8).values()) <= words


# models that the chip cannot run

def test_reset_by_subtraction_on_loihi1():
    network = chain(linear(4, 3), lif(3), linear(3, 2), lif(2), shape=(4,), reset="subtract")
    assert str(refusal(network, "loihi1")) == (
        "[RESET_KIND] n1, n3: reset=subtract, loihi1 has only reset=value\n"
        "  fix: compile for loihi2, whose neurons are programmable, or train with reset to a value (--reset value)")
    hwsdk.compile(network, "loihi2")


def test_a_delay_that_no_chain_of_relays_reaches():
    def late(seconds: float) -> Network:
        return chain(linear(4, 3), lif(3), nir.Delay(np.full(3, seconds)), linear(3, 2), lif(2), shape=(4,))

    assert "9 relay neurons in 3 stage(s) carry delays of up to 199 steps" in hwsdk.compile(late(0.2), "loihi2").losses
    assert str(refusal(late(20))) == (
        "[DELAY_RANGE] n1: delays of more than 19968 steps need 312 stages of relay neurons, the limit is 256\n"
        "  fix: shorten the delays, or use a longer step (--dt, with data binned to it) and check the accuracy")


def test_two_populations_in_a_loop_of_one_step():
    nodes, loop = (linear(4, 3), lif(3), linear(3, 3), lif(3), linear(3, 3)), (("n4", "n1"),)
    assert str(refusal(chain(*nodes, shape=(4,), extra=loop))) == (
        "[LOOP_TOO_SHORT] n1: the loop n1 -> n3 -> n1 takes 1 step(s) in the model and needs 2, one for each of its "
        "connections\n"
        "  fix: raise recurrent_delay by 1 when the model is loaded (--recurrent-delay; it is 1 unless you set it) "
        "and check the accuracy with hwsdk verify, or give the loop more delay in the model")
    hwsdk.compile(chain(*nodes, shape=(4,), extra=loop, recurrent_delay=2), "loihi2")


def test_a_membrane_that_feeds_a_layer():
    leaky = nir.LI(np.full(3, 0.02), np.full(3, 20.0), np.zeros(3))
    assert str(refusal(chain(linear(4, 3), leaky, linear(3, 2), lif(2), shape=(4,)))) == (
        "[ANALOG_CONNECTION] n1: LI has no spikes, yet it feeds n2\n"
        "  fix: let it feed an Output only, or give it a threshold")


def test_several_spikes_a_step():
    network = chain(linear(4, 3), lif(3), shape=(4,), reset="subtract", spikes="multiple")
    error = refusal(network)
    assert isinstance(error, UnsupportedError)
    assert str(error) == ("[MULTIPLE_SPIKES] n1: several spikes in one step\n"
                          "  fix: import with spikes=single and check the accuracy with hwsdk verify")
    hwsdk.compile(hwsdk.load(network, spikes="single"), "loihi2")


def test_unknown_target():
    assert str(refusal(chain(linear(4, 3), lif(3), shape=(4,)), "loihi3")) == (
        f"[UNKNOWN_TARGET] no target 'loihi3'\n  fix: use one of {', '.join(backends.names())}")


# data

def data_refusal(target: str, data: Any) -> str:
    network = chain(linear(4, 3), lif(3), shape=(4,))
    with pytest.raises(HwsdkError) as caught:
        hwsdk.simulate(hwsdk.compile(network, target), load_data(data, network))
    return str(caught.value)


def test_data_that_the_chip_cannot_take():
    assert data_refusal("loihi2", np.full((1, 5, 4), 0.5)) == (
        "[FRACTIONAL_INPUT] input: fractional input values, the chip takes spikes or integers\n"
        "  fix: encode the data as spikes, or scale it to integers")
    assert data_refusal("spinnaker2", np.full((1, 5, 4), 0.5)) == (
        "[FRACTIONAL_INPUT] input: fractional input values, the chip takes spikes\n  fix: encode the data as spikes")
    assert data_refusal("loihi1", np.full((1, 5, 4), 2)) == (
        "[GRADED_INPUT] input: input values other than 1; loihi1 has no graded spikes\n"
        "  fix: compile for loihi2, or encode the data as spikes")


def test_data_of_another_shape(tmp_path: Path):
    path = tmp_path / "x.npy"
    np.save(path, np.ones((2, 5, 7)))
    assert data_refusal("loihi2", path) == (
        f"[SHAPE_MISMATCH] {path}: input: the data has shape (2, 5, 7), the network's input is (4,)\n"
        "  fix: give (steps, 4) or (samples, steps, ...), flattened or not")


# files

def file_refusal(path: Path, content: bytes | None) -> str:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HwsdkError) as caught:
        hwsdk.load(path, **SETTLED)
    return str(caught.value).replace(str(path.parent), "...")


def test_files_that_are_no_models(tmp_path: Path):
    assert file_refusal(tmp_path / "a.nir", None) == (
        "[NO_FILE] .../a.nir: there is no such file\n  fix: give the path of a .nir file")
    assert file_refusal(tmp_path / "a.nir", b"hello\n") == (
        "[NOT_HDF5] .../a.nir: it is not an HDF5 file\n  fix: give a .nir file as nir.write makes it, or a .net file "
        "of lava-dl")
    nir.write(tmp_path / "whole.nir", nir.NIRGraph({"input": nir.Input(np.array([3])), "n": lif(3)}, [("input", "n")]))
    half = (tmp_path / "whole.nir").read_bytes()
    assert file_refusal(tmp_path / "a.nir", half[: len(half) // 2]).startswith("[TRUNCATED] .../a.nir: ")


def test_files_that_are_no_programs(tmp_path: Path):
    def refused(name: str) -> str:
        with pytest.raises(HwsdkError) as caught:
            hwsdk.load_program(tmp_path / name)
        return str(caught.value).replace(str(tmp_path), "...")

    (tmp_path / "text.hwx").write_text("hello")
    nir.write(tmp_path / "model.nir", nir.NIRGraph({"input": nir.Input(np.array([3])), "n": lif(3)}, [("input", "n")]))
    assert refused("none.hwx") == (
        "[NO_FILE] .../none.hwx: there is no such file\n"
        "  fix: check the path, or make it with: hwsdk compile MODEL --target T -o P.hwx")
    assert refused("model.nir") == (
        "[NOT_A_PROGRAM] .../model.nir: it is an HDF5 file, perhaps a model, and no compiled program\n"
        "  fix: compile it first: hwsdk compile .../model.nir --target T -o P.hwx")
    assert refused("text.hwx") == (
        "[BAD_PROGRAM] .../text.hwx: not a readable .hwx file: File is not a zip file\n"
        "  fix: compile the model again with: hwsdk compile MODEL --target T -o P.hwx")
    assert refused(".").endswith("it is a folder\n  fix: give a .hwx file")
