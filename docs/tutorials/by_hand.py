# %% [markdown]
"""# A network by hand

A detector of a sequence: three inputs, each with its own delay, meet in one neuron, which fires only if the inputs
spike in the right order. The network is in the chip's own integers, so nothing is quantised.
"""

# %%
import numpy as np

import hwsdk
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.semantics import Semantics

builder = NetworkBuilder("sequence").input("in", 3)
builder.population("detector", neuron(FixedLIF, 1, du=4095, dv=4095, vth=150))
builder.connect("in", "detector", weight=np.full((1, 3), 64), delay_ticks=np.array([[5, 3, 1]]))
builder.output("spikes", "detector")
network = builder.build(Semantics())
print(network.to_text())

# %% [markdown]
# A spike of one input adds 64 to the neuron's current; the threshold of 150 takes three of them in one step. Both the
# current and the membrane forget within a step (a decay of 4095 out of 4096).
#
# Two samples of 10 steps: in the first, inputs 0, 1 and 2 spike in steps 0, 2 and 4 and all arrive in step 5; in the
# second the order is the other way round.

# %%
spikes = np.zeros((2, 10, 3))
for i in range(3):
    spikes[0, 2 * i, i] = spikes[1, 2 * i, 2 - i] = 1
data = Stimulus.dense({"in": spikes}, {"in": (3,)})
program = hwsdk.compile(network, "loihi1")
trace = hwsdk.simulate(program, data, probes=[("detector", "u")])
print("spikes a sample:", trace.counts_of("detector", data.n_steps).ravel())
print(trace.states["detector", "u"][..., 0])

# %% [markdown]
# The probe shows the current u of the neuron after every step. The network is in integers already: the
# reference and the chip agree in every spike and every state.

# %%
print(hwsdk.verify(network, "loihi1", data).to_text())
