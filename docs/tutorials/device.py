# %% [markdown]
"""# A device beside its simulator

The firmware for SpiNNaker 2 programs, in C, runs as a process of this computer. It is loaded over the same line as a
board would be, and its spikes are compared with the simulator's.
"""

# %%
import shutil

import hwsdk
from hwsdk.compiler import load_data
from hwsdk.hil import devices, session

network = hwsdk.load("examples/digits.nir", dt=1e-3, reset="value")
program = hwsdk.compile(network, "spinnaker2", data="examples/digits_calibration.npz")
data = load_data("examples/digits_test.npz", network, limit=4)

# %% [markdown]
# `exec:` builds the firmware with the C compiler, once. Without a compiler the simulator stands in.

# %%
url = "exec:" if shutil.which("cc") else "sim:"
with devices.open_device(url) as device:
    report = session.run(program, device, data)
print(url, "equals the simulator:", report.ok)
print(report.to_text())
