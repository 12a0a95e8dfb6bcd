# %% [markdown]
"""# One network on four chips

The same network, compiled for every family of chips and run on the same images. The network has whole weights, so that
pulse logic can hold it too.
"""

# %%
from hwsdk import compiler
from hwsdk.backends.base import CompileOptions
from hwsdk.report.compare import compare

network = compiler.load("examples/digits_sfq.nir", dt=1.0, reset="subtract")
data = compiler.load_data("examples/digits_sfq_test.npz", network, limit=40)
found = compare(network, data, targets=["loihi2", "spinnaker2", "sfq", "memristor"], common=CompileOptions(bits=4))
print(found.to_text())

# %% [markdown]
# Energies of different chips hold different things, and most of them miss a price that nobody published ("at least").
# The lines under the table say which. Accuracy and agreement are of the same samples and can be compared.

# %%
for row in found.rows:
    print(f"{row.target:12} {row.accuracy:.1%} right, {row.same:.1%} decided as the float model does")
