"""Behavioural Verilog of the cells of a library, made from their tables; it keeps time as the pulse simulator does.

Two pulses on one net at the same femtosecond are two toggles that cancel; of all cells only a soma can give such.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from hwsdk.backends.sfq_names import plain
from hwsdk.errors import UnsupportedError
from hwsdk.ir.cells import CellType, SomaModel

DEAD = -1
"""DELAY of a cell whose bias is out of range: no pulse comes out."""
SLOTS = 8
"""Pulses that may be on their way out of a soma at once."""


def module(cell: CellType) -> str:
    """The model of a type with inputs, and of a SINK one without outputs.

    Raises:
        UnsupportedError: NO_MODEL: a soma without its model's tables, or a type without inputs.
    """
    if not cell.inputs:
        raise UnsupportedError("a cell without inputs is a port and has no model", where=cell.name, code="NO_MODEL",
                               fix="leave it out")
    lines = [f"// {cell.name}: {cell.role}, {cell.jj} junctions", f"module {plain(cell.name)} #(",
             *_parameters(cell), ") (", *_ports(cell), ");", *_outputs(cell), *_arrivals(cell),
             *(_table_body(cell) if cell.soma is None else _soma_body(cell, cell.soma)), *_specify(cell), "endmodule"]
    return "\n".join(lines) + "\n"


def order(pins: int, first: list[int] | None = None) -> str:
    """The parameter ORDER: inputs in the order in which pulses of the same time are taken."""
    return "{" + ", ".join(f"8'd{p}" for p in reversed(first or range(pins))) + "}"


def number(value: float) -> str:
    """A real as Verilog reads it back to the bit."""
    text = repr(float(value))
    mantissa, e, exponent = text.partition("e")
    return (mantissa if "." in mantissa else f"{mantissa}.0") + e + exponent


def _parameters(cell: CellType) -> list[str]:
    """DELAY or the soma's currents, and ORDER."""
    n, rows = len(cell.inputs), []
    if cell.soma is not None:
        rows += ["  parameter real BIAS = 0.0,  // A",
                 f"  parameter real LATE = 1.0,  // factor on the latency; {DEAD}: dead"]
        rows += ["  parameter real EXCITING = 0.0,  // A, sum of all W above 0"]
        rows += [f"  parameter real W{j} = 0.0, TAU{j} = 1.0, LOSS{j} = 0.0,  // A, fs, A" for j in range(n)]
    elif cell.outputs:
        delay = cell.delay_at()
        rows += [f"  parameter integer DELAY = {DEAD if delay is None else delay},  // fs; {DEAD}: dead"]
    return [*rows, f"  parameter [{8 * n - 1}:0] ORDER = {order(n)}  // inputs; of pulses of the same time, the last "
            "of these comes first"]


def _ports(cell: CellType) -> list[str]:
    """Ports in pin order."""
    word = "reg" if cell.soma is None else "wire"
    rows = [f"input wire {p}" for p in cell.inputs] + [f"output {word} {p}" for p in cell.outputs]
    return [f"  {row}{',' if i + 1 < len(rows) else ''}" for i, row in enumerate(rows)]


def _outputs(cell: CellType) -> list[str]:
    """Levels of the outputs: a pulse is a toggle."""
    return [f"  reg next_{p} = 1'b0; initial {p} = 1'b0;" for p in cell.outputs if cell.soma is None]


def _arrivals(cell: CellType) -> list[str]:
    """Toggles are collected, and taken in ORDER when all of that time are there."""
    n = len(cell.inputs)
    edges = [f"    if ({p} !== 1'bx && {p} !== level[{i}]) begin level[{i}] = {p}; due[{i}] = 1'b1; end"
             for i, p in enumerate(cell.inputs)]
    return [f"  reg [{n - 1}:0] level = 0, due = 0; reg go = 1'b0;",
            "  integer turn, pin;",
            f"  always @({', '.join(cell.inputs)}) begin", *edges, "    if (due != 0) go <= ~go;", "  end",
            f"  always @(go) for (turn = 0; turn < {n}; turn = turn + 1) begin",
            "    pin = ORDER[8 * turn +: 8];",
            "    if (due[pin]) begin due[pin] = 1'b0; arrive(pin); end", "  end"]


def _table_body(cell: CellType) -> Iterator[str]:
    """State machine, windows and outputs of a cell with a table."""
    n = len(cell.inputs)
    yield f"  // states: {', '.join(f'{i} {s}' for i, s in enumerate(cell.states))}"
    yield f"  integer state = 0, prev, worst; integer at [0:{n - 1}]; longint last [0:{n - 1}], now, slack;"
    yield f"  reg [{n - 1}:0] seen = 0; reg lost;"
    yield from _names(cell)
    yield from _limits("absorb", "integer first, integer second", [
        (f"first == {i} && second == {j}", int(cell.absorb_fs[i, j]), f"{p} -> {q}")
        for i, p in enumerate(cell.inputs) for j, q in enumerate(cell.inputs)])
    yield from _limits("critical", "integer was, integer first, integer second", [
        (f"was == {s} && first == {i} && second == {j}", int(cell.critical_fs[s, i, j]), f"{p} in {name}, {q}")
        for s, name in enumerate(cell.states) for i, p in enumerate(cell.inputs) for j, q in enumerate(cell.inputs)])
    yield "  task arrive(input integer pin);"
    yield "    begin"
    yield from _checks(n)
    yield "      if (!lost) begin"
    yield from _fire(cell)
    yield "        at[pin] = state; last[pin] = now; seen[pin] = 1'b1;"
    yield from _moves(cell)
    yield "      end"
    yield "    end"
    yield "  endtask"


def _names(cell: CellType) -> Iterator[str]:
    """A function from pin to name, for messages."""
    width = 8 * max(len(p) for p in cell.inputs)
    yield f"  function [{width - 1}:0] called(input integer pin);"
    yield "    case (pin)"
    yield from (f'      {i}: called = "{p}";' for i, p in enumerate(cell.inputs))
    yield '      default: called = "?";'
    yield "    endcase"
    yield "  endfunction"


def _limits(name: str, arguments: str, rows: list[tuple[str, int, str]]) -> Iterator[str]:
    """A function of times in fs, 0 where there is no limit."""
    yield f"  function integer {name}({', '.join(f'input {a}' for a in arguments.split(', '))});  // fs"
    yield "    begin"
    yield f"      {name} = 0;"
    yield from (f"      if ({where}) {name} = {value};  // {text}" for where, value, text in rows if value)
    yield "    end"
    yield "  endfunction"


CHECK = """\
      for (prev = 0; prev < {n}; prev = prev + 1)
        if (!lost && seen[prev] && now - last[prev] - {limit} < slack) begin
          slack = now - last[prev] - {limit}; worst = prev;
        end
      if (!lost && slack < 0) begin
        $display("VIOLATION {kind} %m prev=%0s pin=%0s time=%0d slack=%0d",
                 called(worst), called(pin), now, slack);
"""


def _checks(n: int) -> Iterator[str]:
    """Both windows. A line tells of the input with the least slack; a pulse that is lost breaks nothing else."""
    yield "      now = $time; slack = 0; lost = 1'b0;"
    yield CHECK.format(n=n, limit="absorb(prev, pin)", kind="absorbed") + "        lost = 1'b1;\n      end"
    yield CHECK.format(n=n, limit="critical(at[prev], prev, pin)", kind="timing") + "      end"


def _fire(cell: CellType) -> Iterator[str]:
    """Outputs by state and input. With HWSDK_SPECIFY the delay is that of the specify block."""
    for o, name in enumerate(cell.outputs):
        when = [f"state == {s} && pin == {i}" for s in range(len(cell.states)) for i in range(len(cell.inputs))
                if cell.fires[s, i] >> o & 1]
        if when:
            yield f"        if (DELAY >= 0 && ({' || '.join(when)})) begin"
            yield f"          next_{name} = ~next_{name};"
            yield "`ifdef HWSDK_SPECIFY"
            yield f"          {name} <= next_{name};"
            yield "`else"
            yield f"          {name} <= #(DELAY) next_{name};"
            yield "`endif"
            yield "        end"


def _moves(cell: CellType) -> Iterator[str]:
    """Transitions that change the state."""
    word = "if"
    for s, name in enumerate(cell.states):
        for i, pin in enumerate(cell.inputs):
            if int(cell.next[s, i]) != s:
                yield f"        {word} (state == {s} && pin == {i}) state = {int(cell.next[s, i])};  // {pin} in {name}"
                word = "else if"


def paths(cell: CellType) -> list[tuple[str, str]]:
    """(input, output) where a pulse can come out at the output because of one at the input."""
    return [(p, q) for i, p in enumerate(cell.inputs) for o, q in enumerate(cell.outputs)
            if cell.soma is not None or any(int(cell.fires[s, i]) >> o & 1 for s in range(len(cell.states)))]


def _specify(cell: CellType) -> list[str]:
    """Path delays for tools that read them or an SDF file. A simulator may join pulses that are closer than a delay."""
    delay = cell.delay_at()
    if cell.soma is not None or not paths(cell) or delay is None:
        return []
    return ["`ifdef HWSDK_SPECIFY", "  specify", *(f"    ({p} => {q}) = {delay};" for p, q in paths(cell)),
            "  endspecify", "`endif"]


def _soma_body(cell: CellType, soma: SomaModel) -> Iterator[str]:
    """Branch currents that decay, and a threshold on their sum."""
    n = len(cell.inputs)
    yield f"  real current [0:{n - 1}], sum, rate, bare, theta, fast, over; longint past, now; integer j;"
    yield "  // a later pulse may overtake: each has a toggle of its own, in turn"
    yield f"  reg [{SLOTS - 1}:0] after = 0, toggle = 0; reg [{(SLOTS - 1).bit_length() - 1}:0] slot = 0;"
    yield f"  assign {cell.outputs[0]} = ^toggle;"
    yield f"  initial begin past = 0; for (j = 0; j < {n}; j = j + 1) current[j] = 0.0; end"
    for name in ("W", "TAU", "LOSS"):
        yield f"  function real {name.lower()}_of(input integer branch);"
        yield "    case (branch)"
        yield from (f"      {j}: {name.lower()}_of = {name}{j};" for j in range(n))
        yield f"      default: {name.lower()}_of = 1.0;"
        yield "    endcase"
        yield "  endfunction"
    yield from _latency(soma)
    yield from _soma_arrive(cell, soma, n)


def _latency(soma: SomaModel) -> Iterator[str]:
    """The latency's table, linear in between and flat outside."""
    x, y = [number(v) for v in soma.overdrive_a.tolist()], [number(v) for v in soma.latency_fs.tolist()]
    yield "  function real latency(input real over);  // fs"
    yield "    begin"
    yield f"      if (over <= {x[0]}) latency = {y[0]};"
    for (x0, x1), (y0, y1) in zip(pairwise(x), pairwise(y), strict=True):
        yield f"      else if (over <= {x1}) latency = {y0} + (over - {x0}) / ({x1} - {x0}) * ({y1} - {y0});"
    yield f"      else latency = {y[-1]};"
    yield "    end"
    yield "  endfunction"


def _soma_arrive(cell: CellType, soma: SomaModel, n: int) -> Iterator[str]:
    """A pulse at a branch."""
    if not all(map(math.isfinite, (soma.alpha, soma.ic_eff_a, soma.load, soma.relief, soma.critical_fs))):
        raise UnsupportedError("its threshold is not known", where=cell.name, code="NO_MODEL",
                               fix="characterise the cell first")
    yield "  task arrive(input integer pin);"
    yield "    begin"
    yield "      now = $time; sum = 0.0; rate = 0.0;"
    yield f"      for (j = 0; j < {n}; j = j + 1) begin"
    yield "        current[j] = current[j] * $exp(-(now - past) / tau_of(j));"
    yield "        if (j == pin) current[j] = current[j] + w_of(j);"
    yield "        sum = sum + current[j]; rate = rate + current[j] / tau_of(j);"
    yield "      end"
    yield "      past = now;"
    yield f"      bare = {number(soma.ic_eff_a)} - {number(soma.alpha)} * BIAS;"
    yield f"      theta = bare + ({number(soma.load)} - {number(soma.relief)} * BIAS) * EXCITING; over = sum - theta;"
    yield "      if (over >= 0.0 && rate > 0.0 && theta > 0.0) begin"
    yield f"        fast = {number(soma.critical_fs)} * rate; over = over - $pow(theta * fast * fast, {number(1 / 3)});"
    yield "      end"
    yield "      if (over >= 0.0) begin"
    yield f"        for (j = 0; j < {n}; j = j + 1) current[j] = current[j] - loss_of(j);"
    yield "        if (LATE >= 0.0 && bare > 0.0) begin  // else dead, or switching by its bias alone"
    yield "          after[slot] = ~after[slot];"
    yield "          toggle[slot] <= #($rtoi(latency(over) * LATE + 0.5)) after[slot]; slot = slot + 1;"
    yield "        end"
    yield "      end"
    yield "    end"
    yield "  endtask"
