# %% [markdown]
"""# A liquid on a noisy crossbar

A liquid of random, fixed weights needs no training but that of its readout. Its weights are conductances of a resistive
memory, which is written with errors; what a readout that was trained on the float model loses on such a die, one that
is trained on the die wins back.
"""

# %%
from hwsdk.backends.base import CompileOptions
from hwsdk.compiler import load_data
from hwsdk.lsm import accuracy, chosen, ridge
from hwsdk.lsm.calibrate import calibrate
from hwsdk.lsm.liquid import liquid
from hwsdk.lsm.states import states

network = liquid(64, 128, seed=1)
data = load_data("examples/digits_test.npz", network)
train, test = chosen(data, range(140)), chosen(data, range(140, 200))

# %% [markdown]
# In floats: the liquid's spikes are counted in two windows, and a ridge regression reads the digit from the counts.

# %%
readout = ridge(states(network, train, windows=2), train.labels, windows=2)
right = accuracy(readout, states(network, test, windows=2), test.labels)
print(f"float model: {right:.0%} of the test images")

# %% [markdown]
# A die of the target `memristor`: conductances of 16 levels, each of which misses its target by 10 % of the window.

# %%
devices = {"topology": "driven", "scale": "source", "write": 0.1, "stages": "levels,write", "die": 3}
options = CompileOptions(bits=4, target_options=devices)
for how in ("transfer", "in_situ"):
    made = calibrate(network, "memristor", train, windows=2, how=how, options=options)
    print(f"readout trained by {how}: {made.accuracy(test):.0%} on the die")

# %% [markdown]
# 60 test images tell apart what differs by ten points or so, not more. The same with recordings of spoken digits, wires
# and larger liquids: `examples/spoken_digits_lsm.py`.
