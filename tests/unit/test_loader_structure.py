"""Graphs: nesting, missing ports and edges, loops and their delays, types and values."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from hwsdk.errors import ModelError, SemanticsError
from hwsdk.ir.formats import load
from hwsdk.ir.ledger import SemanticsWarning
from hwsdk.ir.network import Network
from hwsdk.ir.semantics import Semantics

GIVEN: dict[str, Any] = {"dt": 1e-3, "reset": "value"}


def lif(n: int = 3, **changes: Any) -> nir.LIF:
    one = np.ones(n)
    made = {"tau": 0.02 * one, "r": one, "v_leak": 0 * one, "v_threshold": one, "v_reset": 0 * one}
    return nir.LIF(**{**made, **changes})


def dense(out: int = 3, into: int = 3) -> nir.Affine:
    return nir.Affine(np.eye(out, into), np.zeros(out))


def graph(nodes: dict[str, Any], edges: list[tuple[str, str]],
          ports: tuple[str, ...] = ("input", "output")) -> nir.NIRGraph:
    extra = {"input": nir.Input({"input": np.array([3])}), "output": nir.Output({"output": np.array([3])})}
    return nir.NIRGraph({**{p: extra[p] for p in ports}, **nodes}, edges, type_check=False)


def pairs(network: Network) -> set[tuple[str, str]]:
    return {(e.source, e.target) for e in network.edges}


def delays(network: Network) -> dict[tuple[str, str], int]:
    return {(e.source, e.target): e.delay_ticks for e in network.edges if e.delay_ticks}


def refused(source: object, code: str, *words: str, **given: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load(source, **{**GIVEN, **given})
    assert caught.value.code == code, str(caught.value)
    for word in words:
        assert word in str(caught.value)
    return caught.value


def codes(network: Network) -> set[str]:
    return {e.code for e in network.ledger.entries}


def recurrent() -> nir.NIRGraph:
    return graph({"lif": lif(), "rec": dense()},
                 [("input", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "output")])


def test_nested_graphs_are_inlined() -> None:
    outer = graph({"fc": dense(), "rnn": recurrent()}, [("input", "fc"), ("fc", "rnn"), ("rnn", "output")])
    network = load(outer, **GIVEN)
    assert pairs(network) == {("input", "fc"), ("fc", "rnn.lif"), ("rnn.lif", "rnn.rec"), ("rnn.rec", "rnn.lif"),
                              ("rnn.lif", "output")}
    assert delays(network) == {("rnn.lif", "rnn.rec"): 1}
    assert "SUBGRAPH_INLINED" in codes(network)


def test_deep_nesting() -> None:
    inner = graph({"a": dense()}, [("input", "a"), ("a", "output")])
    for _ in range(20):
        inner = graph({"g": inner}, [("input", "g"), ("g", "output")])
    network = load(inner, **GIVEN)
    assert pairs(network) == {("input", "g." * 20 + "a"), ("g." * 20 + "a", "output")}


def test_a_graph_inside_itself() -> None:
    loop = graph({}, [("input", "output")])
    loop.nodes["self"] = loop
    refused(loop, "TOO_DEEP")


def test_subgraph_without_ports_but_one_way_through() -> None:
    inner = graph({"a": dense(), "b": lif()}, [("a", "b")], ports=())
    network = load(graph({"g": inner}, [("input", "g"), ("g", "output")]), **GIVEN)
    assert pairs(network) == {("input", "g.a"), ("g.a", "g.b"), ("g.b", "output")}


def test_subgraph_with_two_inputs() -> None:
    two = nir.NIRGraph({"x": nir.Input({"input": np.array([3])}), "y": nir.Input({"input": np.array([3])}),
                        "lif": lif(), "output": nir.Output({"output": np.array([3])})},
                       [("x", "lif"), ("y", "lif"), ("lif", "output")], type_check=False)
    outer = graph({"a": dense(), "g": two}, [("input", "a"), ("a", "g"), ("input", "g"), ("g", "output")])
    refused(outer, "SUBGRAPH_PORTS", "2", "g.x", "g.y")
    outer.edges = [("input", "a"), ("a", "g.x"), ("input", "g.y"), ("g", "output")]
    assert pairs(load(outer, **GIVEN)) == {("input", "a"), ("a", "g.lif"), ("input", "g.lif"), ("g.lif", "output")}


def test_missing_ports_are_added() -> None:
    network = load(graph({"a": dense(), "b": lif()}, [("a", "b")], ports=()), **GIVEN)
    assert pairs(network) == {("input", "a"), ("a", "b"), ("b", "output")}
    assert {"INPUT_ADDED", "OUTPUT_ADDED", "INPUT_SHAPE"} <= codes(network)


def test_several_roots_get_an_input_each() -> None:
    network = load(graph({"a": dense(), "b": dense(), "c": lif()}, [("a", "c"), ("b", "c")], ports=()), **GIVEN)
    assert set(network.inputs) == {"input.a", "input.b"}


def test_a_single_node_is_a_network() -> None:
    network = load(lif(), **GIVEN)
    assert network.shapes["output"] == (3,)


def test_edges_missing_rebuild_the_chain() -> None:
    nodes = {"10": lif(2), "2": dense(2, 3), "1": lif()}
    network = load(graph(nodes, [], ports=("input",)), **GIVEN)
    assert pairs(network) == {("input", "1"), ("1", "2"), ("2", "10"), ("10", "output")}
    assert [e.code for e in network.ledger.of("warning")] == ["EDGES_REBUILT"]


def test_edges_missing_and_no_chain_fits() -> None:
    refused(graph({"1": dense(2, 4), "2": lif()}, []), "EDGES_MISSING", "fit")


def test_duplicate_and_dangling_edges() -> None:
    nodes = {"a": dense()}
    network = load(graph(nodes, [("input", "a"), ("input", "a"), ("a", "output")]), **GIVEN)
    assert pairs(network) == {("input", "a"), ("a", "output")}
    assert "DUPLICATE_EDGE" in codes(network)
    refused(graph(nodes, [("input", "a"), ("a", "nowhere")]), "DANGLING_EDGE", "nowhere")
    refused(graph(nodes, [("input", "a"), ("a", "input")]), "BAD_EDGE")
    refused(graph(nodes, [("input", "a")]), "NO_INPUT", "Output")
    refused(graph({"a": lif(), "b": lif()}, [("a", "b"), ("b", "a")], ports=()), "NO_INPUT", "loop")
    refused(graph({}, [], ports=()), "EMPTY_MODEL")


def test_a_loop_no_input_reaches() -> None:
    nodes = {"a": lif(), "b": dense(), "c": lif()}
    network = load(graph(nodes, [("input", "a"), ("a", "output"), ("b", "c"), ("c", "b")]), **GIVEN)
    assert delays(network) == {("c", "b"): 1}


def test_loop_delay_on_the_edge_that_enters() -> None:
    """rec feeds the loop and a readout, so only the edge back into lif is late."""
    nodes = {"lif": lif(), "rec": dense(), "fwd": dense()}
    edges = [("input", "lif"), ("lif", "rec"), ("rec", "lif"), ("rec", "fwd"), ("fwd", "output")]
    network = load(graph(nodes, edges), **GIVEN, recurrent_delay=3)
    assert delays(network) == {("rec", "lif"): 3}


def test_loop_over_two_populations() -> None:
    nodes = {"a": lif(), "ab": dense(), "b": lif(), "ba": dense()}
    edges = [("input", "a"), ("a", "ab"), ("ab", "b"), ("b", "ba"), ("ba", "a"), ("b", "output")]
    network = load(graph(nodes, edges), **GIVEN)
    assert delays(network) == {("b", "ba"): 1}
    assert [e.node for e in network.ledger.of("assumed") if e.code == "LOOP_DELAY"] == ["b"]


def test_self_loop_without_a_connection() -> None:
    network = load(graph({"a": lif()}, [("input", "a"), ("a", "a"), ("a", "output")]), **GIVEN)
    assert delays(network) == {("a", "a"): 1}


def test_all_delays_of_the_semantics() -> None:
    network = load(recurrent(), **GIVEN, input_delay=1, connection_delay=2, recurrent_delay=1)
    assert delays(network) == {("input", "lif"): 3, ("lif", "rec"): 2}
    shared = graph({"lif": lif(), "rec": dense(), "fwd": lif()},
                   [("input", "lif"), ("lif", "rec"), ("rec", "lif"), ("rec", "fwd"), ("fwd", "output")])
    network = load(shared, **GIVEN, connection_delay=1, recurrent_delay=3)
    assert delays(network) == {("input", "lif"): 1, ("lif", "rec"): 1, ("rec", "lif"): 2}


def test_loop_that_shares_its_way_in_is_warned_about() -> None:
    """w is fed by the earlier a (forward) and by b (back), and also leads on to the output."""
    nodes = {"a": lif(), "w": dense(), "b": lif()}
    edges = [("input", "a"), ("a", "w"), ("b", "w"), ("w", "b"), ("w", "output")]
    network = load(graph(nodes, edges), **GIVEN)
    assert delays(network) == {("w", "b"): 1}
    assert "LOOP_DELAY_SHARED" in codes(network)


def test_loop_without_delay() -> None:
    refused(recurrent(), "LOOP_WITHOUT_DELAY", recurrent_delay=0)


def test_loop_without_neuron() -> None:
    nodes = {"a": dense(), "b": dense()}
    refused(graph(nodes, [("input", "a"), ("a", "b"), ("b", "a"), ("b", "output")]), "LOOP_WITHOUT_DELAY")


def test_unknown_types_and_fields() -> None:
    class Softmax(nir.NIRNode):
        def __init__(self) -> None:
            self.metadata = {}

    error = refused(graph({"s": Softmax()}, [("input", "s"), ("s", "output")]), "UNKNOWN_NODE", "Softmax", "CubaLIF")
    assert error.where == "network: s"
    odd = lif()
    odd.refractory = np.ones(3)
    odd.metadata = {"made": "by hand"}
    network = load(graph({"a": odd}, [("input", "a"), ("a", "output")]), **GIVEN)
    assert {"UNKNOWN_FIELD", "METADATA"} <= codes(network)
    assert "refractory" in network.ledger.to_text()


@pytest.mark.parametrize(("field", "value", "code"), [
    ("tau", 0.0, "TAU_NOT_POSITIVE"), ("tau", -1.0, "TAU_NOT_POSITIVE"), ("tau", np.nan, "NOT_FINITE"),
    ("v_threshold", 0.0, "THRESHOLD_NOT_ABOVE_RESET"), ("v_leak", np.inf, "NOT_FINITE"), ("r", "text", "BAD_DTYPE"),
    ("r", 1j, "BAD_DTYPE"), ("r", None, "MISSING_FIELD"), ("r", object(), "BAD_DTYPE")])
def test_values(field: str, value: Any, code: str) -> None:
    node = lif()
    setattr(node, field, value if value is None or isinstance(value, str) else np.array([1, 1, value]))
    error = refused(graph({"a": node}, [("input", "a"), ("a", "output")]), code, field)
    assert error.where == "network: a"


def test_threshold_below_reset_is_fine_for_subtraction() -> None:
    low = graph({"a": lif(v_reset=2 * np.ones(3))}, [("input", "a"), ("a", "output")])
    refused(low, "THRESHOLD_NOT_ABOVE_RESET", "v_threshold 1 is not above v_reset 2")
    assert load(low, dt=1e-3, reset="subtract").n_neurons == 3


def test_tensors_are_read() -> None:
    class Tensor:
        """What hwsdk uses of a torch tensor."""

        def __init__(self, value: np.ndarray[Any, Any]) -> None:
            self.value = value

        def detach(self) -> Tensor:
            return self

        def cpu(self) -> Tensor:
            return self

        def numpy(self) -> np.ndarray[Any, Any]:
            return self.value

    node = dense()
    node.weight = Tensor(node.weight)
    network = load(graph({"a": node}, [("input", "a"), ("a", "output")]), **GIVEN)
    np.testing.assert_array_equal(network.nodes["a"].weight, np.eye(3))  # type: ignore[attr-defined]


def test_unsettled_semantics_warn_once_or_are_refused() -> None:
    with pytest.warns(SemanticsWarning) as caught:
        load(recurrent())
    assert len(caught) == 1
    assert "--dt" in str(caught[0].message)
    assert "--reset" in str(caught[0].message)
    with pytest.raises(SemanticsError) as error:
        load(recurrent(), strict=True)
    assert error.value.code == "SEMANTICS_UNSETTLED"


def test_time_in_steps() -> None:
    slow = graph({"a": lif(tau=20 * np.ones(3))}, [("input", "a"), ("a", "output")])
    with pytest.warns(SemanticsWarning, match="count in steps"):
        assert load(slow, reset="value").semantics.dt == 1.0


def test_thresholds_alone_need_no_dt() -> None:
    only = graph({"a": nir.Threshold(np.ones(3))}, [("input", "a"), ("a", "output")])
    assert load(only).semantics == Semantics()


def test_norse_needs_every_constant_too_small() -> None:
    mixed = graph({"a": lif(tau=np.array([1e-5, 1e-2, 1e-2]))}, [("input", "a"), ("a", "output")])
    with pytest.warns(SemanticsWarning, match="overshoots"):
        network = load(mixed, preset="norse")
    assert "TAU_RESCALED" not in codes(network)
    assert "DT_LARGE" in codes(network)


@pytest.mark.parametrize(("given", "code"), [
    ({"step": 1}, "UNKNOWN_OPTION"), ({"preset": "brian"}, "BAD_PRESET"), ({"reset": "never"}, "BAD_SEMANTICS"),
    ({"dt": -1}, "BAD_SEMANTICS"), ({"dt": "fast"}, "BAD_SEMANTICS"), ({"input_delay": 0.5}, "BAD_SEMANTICS")])
def test_bad_options(given: dict[str, Any], code: str) -> None:
    with pytest.raises(SemanticsError) as error:
        load(recurrent(), **given)
    assert error.value.code == code


def test_none_means_not_given() -> None:
    assert load(recurrent(), preset="snntorch", dt=None, reset=None).semantics.dt == 1e-4


def test_a_network_comes_back() -> None:
    network = load(recurrent(), **GIVEN)
    assert load(network) is network
    assert load(network, reset="subtract").semantics.reset == "subtract"
    assert load(network, preset="sinabs").semantics.spikes == "multiple"
    assert load(network, name="other").name == "other"
    with pytest.raises(SemanticsError) as error:
        load(network, input_delay=1)
    assert error.value.code == "DELAYS_FIXED"


def test_other_objects() -> None:
    refused(42, "BAD_SOURCE", "int")
