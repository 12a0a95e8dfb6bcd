"""Speed of the link and of the firmware behind it: bytes a second up and down, round trips, steps a second.

    python benchmarks/hil_link.py [URL ...]      default: exec: unicorn: qemu:

The layer has 256 inputs and 128 LIF neurons, all connected; a tenth of the inputs spike in a step. Figures depend on
the machine and on what else it does: compare them within one run only.
"""

from __future__ import annotations

import sys
import time

import numpy as np

import hwsdk
from hwsdk.errors import HwsdkError
from hwsdk.hil.link_device import LinkDevice
from hwsdk.ir.build import NetworkBuilder
from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.semantics import Semantics

N_IN, N, RATE = 256, 128, 0.1
BYTES, STEPS, TRIPS = {"exec": 64 << 20}, {"exec": 100_000}, 200
"""By scheme; emulators get less."""
FEW_BYTES, FEW_STEPS = 256 << 10, 2000


def layer() -> object:
    """The program."""
    zero, rng = np.zeros(N, int), np.random.default_rng(0)
    cell = FixedLIF(du=zero + 4095, dv=zero + 400, vth=zero + 2000, bias_mant=zero, bias_exp=zero, reset_by=zero,
                    u_init=zero, v_init=zero, scale=np.ones(N), v_offset=np.zeros(N), reset="value")
    network = (NetworkBuilder().input("in", N_IN).population("p", cell)
               .connect("in", "p", weight=2 * rng.integers(-40, 60, (N, N_IN))).output("out", "p").build(Semantics()))
    return hwsdk.compile(network, "loihi2")


def stimulus(steps: int) -> Stimulus:
    """One sample."""
    events = np.random.default_rng(1).random((1, steps, N_IN)) < RATE
    return Stimulus({"in": events_from_dense(events, (N_IN,))})


def measure(url: str, program: object) -> None:
    """One line of figures."""
    scheme = url.partition(":")[0]
    size, steps = BYTES.get(scheme, FEW_BYTES), STEPS.get(scheme, FEW_STEPS)
    data, warm = stimulus(steps), stimulus(50)
    begin = time.perf_counter()
    with LinkDevice(url) as device:
        hello = time.perf_counter() - begin
        link = device.link
        link.sink(1 << 12)
        link.source(1 << 12)
        up, down = size / link.sink(size) / 1e6, size / link.source(size) / 1e6
        begin = time.perf_counter()
        for _ in range(TRIPS):
            link.echo(bytes(64))
        trip = (time.perf_counter() - begin) / TRIPS * 1e6
        device.load(program)
        device.run(warm)
        begin = time.perf_counter()
        trace = device.run(data)
        rate = steps / (time.perf_counter() - begin)
    spikes = len(trace.spikes["p"]) / steps
    print(f"{url:18} HELLO {hello * 1e3:6.1f} ms, up {up:8.2f} MB/s, down {down:8.2f} MB/s, 64 bytes there and back "
          f"{trip:7.1f} us, {rate:9,.0f} steps/s ({spikes:.1f} spikes a step)", flush=True)


def main() -> None:
    """All URLs."""
    program = layer()
    for url in sys.argv[1:] or ("exec:", "unicorn:", "qemu:", "qemu:?link=pty"):
        try:
            measure(url, program)
        except HwsdkError as error:
            print(f"{url:24} {error}")


if __name__ == "__main__":
    main()
