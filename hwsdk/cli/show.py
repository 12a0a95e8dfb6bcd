"""Results as people read them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np

from hwsdk.backends.base import Program
from hwsdk.cost import si
from hwsdk.ir.data import Stimulus
from hwsdk.ir.ledger import LedgerEntry
from hwsdk.ir.mapping import Usage
from hwsdk.ir.trace import Trace
from hwsdk.targets.description import Figure, Limit, Target

WIDTH, PAD = 150, " " * 6
"""Of the lines that name sources."""
MOST_LAYERS = 24
"""Lines of a table by layer that are shown; --json has all of them."""
WARNED = ("DT_ASSUMED", "RESET_ASSUMED", "DT_LARGE")
"""Ledger warnings that have been printed as a warning already."""


def target_text(target: Target) -> str:
    """A chip, section by section, with the source of every number."""
    lines = [f"{target.name}: {target.title}, description version {target.version}", "", f"  {target.about()}", "",
             target.limits_title()]
    lines += [_row(n, limit_text(f), f.source) for n, f in target.limits.items()]
    for title, figures in (("energy", target.prices()), ("power", target.powers())):
        lines += ["", title] + [_row(p.name, figure_text(p, f" / {p.per}"), _source(p)) for p in figures]
    lines += ["", "time"] + [_row(n, figure_text(f, ""), _source(f)) for n, f in target.times().items()]
    if more := target.figures():
        lines += ["", "figures"] + [_row(n, figure_text(f, ""), _source(f)) for n, f in more.items()]
    lines += ["", "host, only with --boundary host"] if target.host else []
    lines += [_row(h.name, figure_text(h, f" / {h.per}"), _source(h)) for h in target.host]
    lines += ["", "an energy figure includes " + "; ".join(target.boundary.included),
              "and leaves out " + "; ".join(target.boundary.omitted)]
    if target.proxy is not None:
        lines.append(f"proxy {target.proxy.name}: {target.proxy.text}")
    return "\n".join(lines) + "\n"


def _row(name: str, value: str, source: str) -> str:
    return "\n".join([f"  {name:32} {value}", *textwrap.wrap(source, WIDTH, initial_indent=PAD, subsequent_indent=PAD)])


def limit_text(limit: Limit) -> str:
    """A capacity with its unit."""
    return "not published" if limit.value is None else f"{limit.value:,} {limit.unit}"


def figure_text(figure: Figure, per: str) -> str:
    """A number with its range."""
    quantity = figure.quantity()
    if quantity is None:
        return "not published"
    low, high = (_amount(x, figure.unit) for x in quantity.bounds())
    return f"{_amount(quantity.value, figure.unit)}{per}{'' if low == high else f' [{low} to {high}]'}"


def _amount(value: float, unit: str) -> str:
    """A value with its unit; a pure number takes no prefix."""
    return f"{value:g}" if unit == "1" else si(value, unit)


def _source(figure: Figure) -> str:
    """Where a number comes from, and how."""
    how = [n for n in ("measured", "calibrated") if getattr(figure, n)]
    how += ["not in the sum"] if getattr(figure, "boundary", "included") == "omitted" else []
    return "; ".join([figure.source, *how])


def compile_text(program: Program, used: Mapping[str, Usage], listing: bool, output: str | None) -> str:
    """How a program fits, what was changed, and what quantisation cost."""
    lines = [f"{program.name} fits {program.target}"]
    lines += [f"  {name:32} {usage}" for name, usage in used.items()]
    lines += [note(e) for e in program.ledger.of("warning") if e.code not in WARNED]
    lines += _cut(program.losses.splitlines())
    lines += program.to_text().splitlines() if listing else []
    lines.append(f"wrote {output}" if output else "not written (-o P.hwx keeps the program)")
    return "\n".join(lines) + "\n"


def note(entry: LedgerEntry) -> str:
    """A ledger entry that the user should see."""
    return f"  note: {entry.node + ': ' if entry.node else ''}{entry.text} [{entry.code}]"


def _cut(lines: list[str]) -> list[str]:
    """The first lines of a table, and how many more there are."""
    more = len(lines) - MOST_LAYERS
    return lines if more <= 0 else [*lines[:MOST_LAYERS], f"  and {more} more lines (--json has them all)"]


def trace_text(program: Program, trace: Trace, data: Stimulus) -> str:
    """What a run did, layer by layer, and the events that cost time and energy."""
    lag = trace.n_steps - data.n_steps
    lines = [f"{program.name} on {program.target}: {trace.n_samples} sample(s) of {data.n_steps} steps"
             + (f", and {lag} more until the last layer has answered" if lag > 0 else "")]
    lines += [f"  note: {text}" for text in data.notes]
    lines += _cut([_layer(n, e.n, len(e), trace) for n, e in trace.spikes.items() if n not in program.outputs])
    totals = {n: int(np.asarray(c).sum()) for n, c in trace.counts.items()}
    shown = {n: text for n, text in COUNTED.items() if totals.get(n) or (n in ALWAYS and n in totals)}
    lines += [f"  {text:32} {totals[n]:16,}" for n, text in shown.items()]
    lines += [f"  {text:32} {np.asarray(trace.counts[n]).max() * scale:16,.4g}" for n, (text, scale) in PEAKS.items()
              if n in trace.counts]
    lines += [f"  note: {totals[n]:,} {text}" for n, text in OVERFLOWS.items() if totals.get(n)]
    return "\n".join(lines) + "\n"


COUNTED = {"neuron_updates": "neuron updates", "synaptic_operations": "synaptic operations",
           "messages": "messages between cores", "hops_ew": "hops east-west", "hops_ns": "hops north-south",
           "packets_sent": "packets sent", "packets": "packets that reach a PE", "hops": "hops on the chip",
           "chip_crossings": "chip borders crossed", "static_events": "synaptic events, static words",
           "conv_events": "synaptic events, kernels", "plastic_events": "synaptic events, learning",
           "csr_events": "synaptic events, float words", "cycles_low": "active cycles, low level",
           "cycles_high": "active cycles, high level", "deliveries": "pulses that came to cells"}
ALWAYS = {"neuron_updates", "synaptic_operations", "messages", "hops_ew", "hops_ns", "chip_crossings", "packets"}
"""Counts that are shown even if they are 0."""
PEAKS = {"busy_seconds": ("longest work of a PE in a step, us", 1e6),
         "pe_fifo_peak": ("packets in the fullest FIFO", 1.0)}
"""Counts whose largest value is shown, in other units."""
OVERFLOWS = {
    "wraps": "times a synaptic current wrapped round at 24 bits: spikes may be wrong; compile with --calibrate DATA",
    "clips": "times a membrane stayed at the end of its 24 bits (--strict stops at the first)",
    "late_ticks": "times a PE was not done with its tick in time (--strict stops at the first)",
    "lost_ticks": "ticks were lost by PEs that were late: they run behind from then on",
    "late_packets": "packets came too late for their tick and acted one later",
    "dropped_packets": "packets found the input of a PE full and were dropped: spikes may be wrong",
    "forgotten_posts": "post spikes were forgotten that a learning rule could still have needed; compile with a longer "
                       "history (--option history=N)",
    "absorbed": "pulses came too soon after another one and were lost (--strict stops at the first)",
    "timing": "pulses came too soon for what is known of their cells: spikes may be wrong (--strict stops there)",
    "stray": "spikes belong to no frame and are not counted",
    "source_refills": "times a spike source was filled again by the host during a run",
    "record_flushes": "times a recording was read out by the host during a run",
}


def _layer(name: str, neurons: int, events: int, trace: Trace) -> str:
    """Spikes of one layer, or that it is read out."""
    if trace.spikes[name].value is not None:
        return f"  {name:20} {neurons:10,} neurons, read out"
    share = events / (neurons * trace.n_samples * trace.n_steps)
    return f"  {name:20} {neurons:10,} neurons {events:12,} spikes, {share:.2%} of neurons and steps"
