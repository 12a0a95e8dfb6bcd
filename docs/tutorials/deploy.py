# %% [markdown]
"""# Deploy a trained network

A network of handwritten digits goes to Loihi 2: what the file leaves open, whether it fits, what quantisation costs,
what the chip computes, and what that takes in time and energy.
"""

# %%
import numpy as np

import hwsdk
from hwsdk.compiler import load_data, summary

network = hwsdk.load("examples/digits.nir", dt=1e-3, reset="value")
print(network.ledger.to_text())

# %% [markdown]
# A NIR file says neither the time step nor the kind of reset; both are given here, and the ledger lists them with all
# that was read, assumed or changed. Compilation quantises weights and neurons, with registers sized by calibration
# data, and refuses what does not fit.

# %%
program = hwsdk.compile(network, "loihi2", data="examples/digits_calibration.npz")
for resource, used in summary(program).items():
    print(f"{resource:30} {used}")

# %% [markdown]
# The simulator executes what the cores' memories hold, in the chip's own integers.

# %%
data = load_data("examples/digits_test.npz", network, limit=100)
trace = hwsdk.simulate(program, data)
(layer,) = next(iter(program.outputs.values()))
counts = trace.counts_of(layer, data.n_steps)
print(f"{np.mean(counts.argmax(1) == data.labels):.0%} of {trace.n_samples} images are right")

# %% [markdown]
# Time and energy are counted events times published prices. Nobody has published what an event costs on Loihi 2: so the
# dynamic energy is unknown, and the total is a lower bound.

# %%
print(hwsdk.estimate(program, trace).to_text())

# %% [markdown]
# At last the float model, the integer reference and the chip are run on the same data and compared, spike by spike. The
# chip equals the reference; what differs from the float model is the price of quantisation.

# %%
print(hwsdk.verify(network, "loihi2", data).to_text())
