# %% [markdown]
"""# Bits against accuracy and energy

How few bits do the weights need, and on which chip? Every combination is compiled, run on its simulator and priced; the
front holds the designs that no other beats.
"""

# %%
from hwsdk import compiler
from hwsdk.explore.engines import Crew
from hwsdk.explore.points import Axis, Space
from hwsdk.explore.run import explore

network = compiler.load("examples/digits.nir", dt=1e-3, reset="value")
data = compiler.load_data("examples/digits_test.npz", network, limit=50)
space = Space((network.name,), ("loihi1", "loihi2"), (Axis("bits", (2, 4, 8)),))
found = explore(network, data, space, crew=Crew("serial"))
print(found.to_text())

# %% [markdown]
# A price that is not published makes a lower bound, which beats nothing on another chip.

# %%
for result in found.front.results:
    print(result.point, result.accuracy)
