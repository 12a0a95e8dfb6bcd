"""A LoihiProgram as a Lava script: plain text that runs with numpy and lava alone, the same for the same program."""

from __future__ import annotations

import io
import keyword
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk import __version__
from hwsdk.backends.lava_conv import WRAP, with_convolutions
from hwsdk.backends.lava_network import Group, Ints, Kernel, LavaNetwork, Link, lava_network, mantissas
from hwsdk.programs.loihi import GRADED, TWO_PORTS, LoihiProgram, Source

WIDTH = 100
INLINE = 2_000
"""Numbers up to which a script carries its arrays as text, without a file beside it."""
GRADED_BITS = 24
"""Width that Lava's models give the spikes of graded neurons (precision of s_out in lava/proc/sdn and graded)."""
STATES: dict[str, dict[str, str]] = {
    "lif": {"u": "u", "v": "v"}, "atrlif": {"u": "i", "v": "v", "theta": "theta", "r": "r"},
    "rf": {"re": "real", "im": "imag"}, "rf_iz": {"re": "real", "im": "imag"},
    "sigma_delta": {name: name for name in ("sigma", "act", "residue", "error")},
    "delta": {name: name for name in ("sigma", "act", "residue", "error")}, "graded": {}, "graded_relu": {},
}
"""Neuron model -> name of a state -> name of the Var in Lava."""
IMPORTS = """\
from lava.proc.atrlif.process import ATRLIF
from lava.proc.conv.process import Conv
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.graded.process import GradedReluVec, GradedVec
from lava.proc.lif.process import LIF, LIFReset
from lava.proc.rf.process import RF
from lava.proc.rf_iz.process import RF_IZ
from lava.proc.sdn.process import ActivationMode, Delta, SigmaDelta
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
""".splitlines()
TAKEN = ("net", "np", "matrix", "delays", "slice", "input")
"""Names that the network function needs for itself."""
READ_OUT = {"lif": "v", "sigma_delta": "act"}
"""Neuron model -> the state that is the output of a population that does not spike (hwsdk.ir.fixed)."""
CLASSES = {"lif": "LIF", "atrlif": "ATRLIF", "rf": "RF", "rf_iz": "RF_IZ", "sigma_delta": "SigmaDelta",
           "delta": "Delta", "graded": "GradedVec", "graded_relu": "GradedReluVec"}


@dataclass(frozen=True, slots=True, eq=False)
class LavaScript:
    """text: the script. numbers: what it loads from the .npz file of its own name, or None if it carries them."""

    text: str
    numbers: bytes | None

    def save(self, path: str | Path) -> tuple[Path, ...]:
        """Write the script, and its numbers beside it; returns the files written."""
        script = Path(path)
        script.write_text(self.text, "utf-8")
        if self.numbers is None:
            return (script,)
        beside = script.with_suffix(".npz")
        beside.write_bytes(self.numbers)
        return script, beside


def lava_script(program: LoihiProgram) -> LavaScript:
    """The script of a program.

    Raises:
        UnsupportedError: NOT_IN_LAVA: a part that Lava's fixed-point models do not have.
    """
    writer = _Writer(program, with_convolutions(lava_network(program)))
    body = writer.network()
    inline = sum(a.size for a in writer.arrays.values()) <= INLINE
    numbers = writer.inline() if inline else ['NUMBERS = np.load(Path(__file__).with_suffix(".npz"))']
    sizes = "{" + ", ".join(f"{s.name!r}: {s.n}" for s in program.inputs) + "}"
    lag = max((s.lag for s in program.populations), default=0)
    parts = [writer.docstring(), run_time(), "", *writer.imports(), "", *numbers, "", "", *body, "", "",
             'if __name__ == "__main__":  # Lava starts processes: without this line they would start more',
             f"    script(network, {sizes}, {lag})"]
    return LavaScript("\n".join(parts) + "\n", None if inline else _npz(writer.arrays))


@cache
def run_time() -> str:
    """The part of lava_child.py that every script carries."""
    text = Path(__file__).with_name("lava_child.py").read_text("utf-8")
    return text.split("# --- run time: begin ---\n")[1].split("# --- run time: end ---\n")[0]


def _npz(arrays: dict[str, NDArray[Any]]) -> bytes:
    """An .npz file: the same bytes for the same arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


@dataclass(slots=True)
class _Writer:
    """Writes the network of one program; arrays too long for a line are collected."""

    program: LoihiProgram
    network_: LavaNetwork
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    variables: dict[tuple[str, int | None], str] = field(default_factory=dict)

    def docstring(self) -> str:
        """What the script is and where it comes from."""
        p = self.program
        counts = f"{p.n_neurons:,} neurons, {p.n_synapses:,} synapses on {p.n_cores} cores of {p.target}"
        lines = [f'"""The network {_plain(p.name)} for Lava 0.10.0, written by hwsdk {__version__}.', "", f"{counts}.",
                 f"Program {p.digest()},", f"of model {p.model_digest}.", "",
                 "usage: python SCRIPT --input DATA.npz [--output TRACE.npz] [--probes all] [--hardware]", "",
                 "Integers of Lava's fixed-point models. network() at the end puts the processes together; what stands",
                 'between runs them. On Loihi 2 (--hardware) it needs the Lava extension of INRC members.', '"""']
        return "\n".join(lines)

    def imports(self) -> list[str]:
        """The processes that are used."""
        found = []
        for line in IMPORTS:
            module, names = line.split(" import ")
            wanted = [n for n in names.split(", ") if n in self.used]
            if wanted:
                found.append(f"{module} import {', '.join(wanted)}")
        return found

    def inline(self) -> list[str]:
        """The collected arrays as text."""
        if not self.arrays:
            return ["NUMBERS: dict[str, np.ndarray] = {}"]
        lines = ["NUMBERS = {name: np.array(values) for name, values in {"]
        for name, array in self.arrays.items():
            lines += [f'    "{name}": [', *(f"        {row}," for row in _packed(map(str, array.tolist()))), "    ],"]
        return [*lines, "}.items()}"]

    def network(self) -> list[str]:
        """The function that puts the processes together."""
        lines = ["def network(net: Net) -> None:",
                 '    """Every process, connected; net gives the inputs and records the populations."""']
        heard = {link.source[0] for link in self.network_.links}
        for s in self.program.inputs:
            if s.name in heard:
                ids = f"ids {s.first} to {s.first + s.n - 1}"
                lines += ["", f"    # Input {_plain(s.name)} {list(s.shape)}: {s.n} values a step ({ids})",
                          f"    {self._name(s.name, None)} = net.source({self._source(s.name)})"]
        for s in self.program.populations:
            lines += ["", *("    " + line for line in self._population(s))]
        for k, link in enumerate(self.network_.links):
            lines += ["", *("    " + line for line in self._link(k, link))]
        return lines

    def _source(self, name: str) -> str:
        """Arguments of net.source."""
        g = self.network_.inputs[name]
        return repr(name) if g.shape is None else \
            f"{name!r}, {self._array(f'{self._name(name, None)}_index', g.index)}, {g.shape}"

    def _name(self, sender: str, number: int | None) -> str:
        """The variable of a process, chosen once."""
        if (sender, number) not in self.variables:
            base = re.sub(r"\W", "_", sender, flags=re.ASCII).strip("_").lower() or "population"
            base = f"n_{base}" if base[0].isdigit() or keyword.iskeyword(base) else base
            base = base if number is None or len(self.network_.groups[sender]) == 1 else f"{base}_{number}"
            taken, name, k = {*self.variables.values(), *TAKEN}, base, 2
            while name in taken or re.fullmatch(r"w\d+", name):
                name, k = f"{base}_{k}", k + 1
            self.variables[sender, number] = name
        return self.variables[sender, number]

    def _population(self, s: Source) -> Iterator[str]:
        """The processes of a population."""
        groups = self.network_.groups[s.name]
        several = f", {len(groups)} processes because their parameters differ" if len(groups) > 1 else ""
        yield (f"# Population {_plain(s.name)} {list(s.shape)}: {s.n} {s.model} neurons (ids {s.first} to "
               f"{s.first + s.n - 1}){'' if s.fires else ' that are read out'}{several}"
               f"{', in the order (width, height, channels)' if any(g.shape for g in groups) else ''}")
        parts = []
        for g in groups:
            name = self._name(s.name, g.number)
            yield from self._process(name, g)
            parts.append(f"({name}, {self._which(name, g)})")
        reads_out = "" if s.fires else f', reads_out="{READ_OUT[s.model]}"'
        bits = f", message_bits={GRADED_BITS}" if s.model in GRADED else ""
        states = "{" + ", ".join(f'"{k}": "{v}"' for k, v in STATES[s.model].items()) + "}"
        yield from _call("net.population", [repr(s.name), str(s.n), f"[{', '.join(parts)}]", states + reads_out + bits])

    def _which(self, name: str, g: Group) -> str:
        """Which elements of the population a process holds, as an index."""
        low = int(g.index[0])
        if not np.array_equal(g.index, np.arange(low, low + len(g.index))):
            return self._array(f"{name}_index", g.index)
        return "slice(None)" if len(g.index) == g.population.n else f"slice({low}, {low + len(g.index)})"

    def _process(self, name: str, g: Group) -> Iterator[str]:
        """The process of a group."""
        model, p = g.population.model, g.shared
        shape = (len(g.index),) if g.shape is None else g.shape
        fields = {"shape": str(shape)}
        after: dict[str, str] = {}
        if model in ("lif", "atrlif"):
            mantissa, exponent = mantissas(g.own["bias"], g.population.name)
            own = {"bias_mant": mantissa, "bias_exp": exponent, ("u" if model == "lif" else "i"): g.own["u_init"],
                   "v": g.own["v_init"]}
            fields |= self._lif(p) if model == "lif" else _atrlif(p)
            fields |= {k: self._numbers(f"{name}_{k}", v, shape) for k, v in own.items()}
        elif model in ("rf", "rf_iz"):
            fields |= {"period": "1", "alpha": "0", "decay_bits": str(p["decay_bits"]),
                       "state_exp": str(p["state_exp"])}
            after = {"sin_decay": str(p["sin"]), "cos_decay": str(p["cos"]), "vth": str(p["vth"]),
                     "real": self._numbers(f"{name}_real", g.own["u_init"], shape, True),
                     "imag": self._numbers(f"{name}_imag", g.own["v_init"], shape, True)}
        elif model in ("sigma_delta", "delta"):
            fields |= {k: str(p[k]) for k in ("vth", "spike_exp", "state_exp")}
            fields["cum_error"] = str(bool(p["cum_error"]))
            if model == "sigma_delta":
                fields["act_mode"] = f"ActivationMode.{'RELU' if p['relu'] else 'UNIT'}"
                self.used.add("ActivationMode")
                after = {"bias": self._numbers(f"{name}_bias", g.own["bias"], shape, True)}
        else:
            fields["vth"] = str(p["vth"])
        cls = "LIFReset" if model == "lif" and p["reset_interval"] else CLASSES[model]
        self.used.add(cls)
        yield f"# core{'s' if len(g.cores) > 1 else ''} {_ranges(g.cores)}"
        yield from _call(f"{name} = {cls}", [f"{k}={v}" for k, v in fields.items()])
        for var, value in after.items():  # what the constructor would compute from floats is set as it is
            yield f"{name}.{var}.init = {value}"

    def _lif(self, p: dict[str, int]) -> dict[str, str]:
        """Arguments of LIF or LIFReset."""
        names = ("du", "dv", "vth", *(("reset_interval", "reset_offset") if p["reset_interval"] else ()))
        return {k: str(p[k]) for k in names}

    def _numbers(self, name: str, values: Ints, shape: tuple[int, ...], full: bool = False) -> str:
        """One number where all are equal (as an array, if ``full``), else a collected array of that shape."""
        if len(np.unique(values)) == 1:
            return f"np.full({shape}, {int(values[0])})" if full else str(int(values[0]))
        return self._array(name, values) + ("" if len(shape) == 1 else f".reshape({shape})")

    def _array(self, name: str, values: Ints) -> str:
        """Collect an array under a name, in the smallest type that holds it."""
        low, high = int(values.min(initial=0)), int(values.max(initial=0))
        self.arrays[name] = values.astype(np.promote_types(np.min_scalar_type(low), np.min_scalar_type(high)))
        return f'NUMBERS["{name}"]'

    def _link(self, k: int, link: Link) -> Iterator[str]:
        """A connection process and its two ends."""
        name = f"w{k}"
        low, high = int(link.delay.min()), int(link.delay.max())
        delay = f"delay {low} step{'s' if low > 1 else ''}" if low == high else f"delays of {low} to {high} steps"
        yield (f"# {_plain(link.source[0])} -> {_plain(link.target[0])}: {len(link.weight)} synapses, {link.bits}-bit "
               f"weights times 2^{link.exponent}, {delay}; rows of core{'s' if len(link.cores) > 1 else ''} "
               f"{_ranges(link.cores)}")
        yield from self._matrix(name, link) if link.kernel is None else self._convolution(name, link, link.kernel)
        source, target = self.network_.end(*link.source), self.network_.end(*link.target)
        ports = ("a_real_in", "a_imag_in") if target.population.model in TWO_PORTS else ("a_in",)
        out, into = self._name(*link.source) + ("" if link.source[1] is None else ".s_out"), f"{name}.a_out"
        flat = link.kernel is None
        yield f"{out}{'.flatten()' if flat and source.shape else ''}.connect({name}.s_in)"
        yield (f"{into}{f'.reshape({target.shape})' if flat and target.shape else ''}"
               f".connect({self._name(*link.target)}.{ports[link.port]})")

    def _matrix(self, name: str, link: Link) -> Iterator[str]:
        """A link as Dense or Sparse, with delays of its own if they are longer than a step."""
        longest, full = int(link.delay.max()), 2 * len(link.weight) >= link.shape[0] * link.shape[1]
        cls = ("Delay" if longest > 1 else "") + ("Dense" if full else "Sparse")
        self.used |= {cls, "SignMode"}
        for part, values in (("target", link.post), ("source", link.pre), ("weight", link.weight)):
            self._array(f"{name}_{part}", values)
        of = f'(NUMBERS, "{name}", {link.shape}){".toarray()" if full else ""}'
        fields = [f"weights=matrix{of}"]
        if longest > 1:
            self._array(f"{name}_delay", link.delay)
            fields += [f"delays=delays{of}", f"max_delay={longest - 1}"]
        fields += [f"weight_exp={link.exponent}", f"num_weight_bits={link.bits}", f"sign_mode=SignMode.{link.mode}"]
        yield from _call(f"{name} = {cls}", [*fields, f"num_message_bits={self._message_bits(link.source[0])}"])

    def _convolution(self, name: str, link: Link, kernel: Kernel) -> Iterator[str]:
        """A link as Conv; its weights are (C_out, width, height, C_in), turned because Lava's is a true convolution."""
        weight = kernel.weight[:, :, ::-1, ::-1].transpose(0, 3, 2, 1)
        source = self.network_.end(*link.source)
        self.used.add("Conv")
        self._array(f"{name}_weight", weight.ravel())
        if source.population.model in (*GRADED, ""):
            limit = (WRAP - 1) // kernel.reach
            yield f"net.keep_below({link.source[0]!r}, {limit})  # beyond, Conv's sums of 24 bits could wrap"
        yield from _call(f"{name} = Conv", [
            f'**net.kernel(NUMBERS["{name}_weight"].reshape{weight.shape}, {link.exponent}, {link.bits})',
            f"input_shape={source.shape}", f"padding={kernel.padding[::-1]}", f"stride={kernel.stride[::-1]}",
            f"groups={kernel.groups}", f"num_message_bits={self._message_bits(link.source[0])}"])

    def _message_bits(self, sender: str) -> str:
        """num_message_bits of a connection."""
        if sender not in self.network_.groups:
            return f"net.bits({sender!r})"
        return str(GRADED_BITS if self.network_.groups[sender][0].population.model in GRADED else 0)


def _atrlif(p: dict[str, int]) -> dict[str, str]:
    """Arguments of ATRLIF, whose decays are floats: n / 4096 is exact."""
    names = {"delta_i": "du", "delta_v": "dv", "delta_theta": "dtheta", "delta_r": "dr"}
    return {k: f"{p[v]} / 4096" for k, v in names.items()} | {"theta_0": str(p["vth"]),
                                                              "theta_step": str(p["theta_step"])}


def _call(function: str, arguments: list[str]) -> Iterator[str]:
    """A call, over as many lines as it needs."""
    rows = _packed(arguments)
    if len(rows) == 1:
        yield f"{function}({rows[0]})"
        return
    yield f"{function}("
    yield from (f"    {row}," for row in rows)
    yield ")"


def _packed(items: Iterable[str]) -> list[str]:
    """Items joined by commas, in rows of about a line; no item is broken."""
    rows: list[str] = []
    for item in items:
        if rows and len(rows[-1]) + len(item) < WIDTH:
            rows[-1] += f", {item}"
        else:
            rows.append(item)
    return rows


def _plain(name: str) -> str:
    """A name without what would end a comment or a docstring."""
    return re.sub(r'[^\w .,:;()\[\]/+*-]', "?", name)


def _ranges(numbers: tuple[int, ...]) -> str:
    """For example 0-3, 7."""
    found: list[list[int]] = []
    for n in numbers:
        if found and found[-1][1] == n - 1:
            found[-1][1] = n
        else:
            found.append([n, n])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)
