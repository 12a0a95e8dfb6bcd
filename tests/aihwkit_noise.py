"""Runs in an environment with aihwkit: what its noise models give, with every normal number 1, and drawn.

aihwkit_noise.py OUT.npz: writes named arrays of float64, conductances in uS. With normal numbers of 1 the difference of
result and target is the standard deviation, exactly.
"""

from __future__ import annotations

import sys

import aihwkit
import numpy as np
import torch
from aihwkit.inference.noise import pcm, reram

DAY = 86400.0
SHARES = torch.linspace(0.02, 0.98, 49, dtype=torch.float64)


def ones(tensor):
    return torch.ones_like(tensor)


def wan(found):
    for g_max in (40.0, 25.0, 10.0):
        model, g = reram.ReRamWan2022NoiseModel(g_max=g_max), SHARES * g_max
        found[f"wan.write.{g_max:g}"] = model.apply_programming_noise_to_conductance(g) - g
        for days in (1, 2):
            found[f"wan.day{days}.{g_max:g}"] = model.apply_drift_noise_to_conductance(g, g, DAY * days) - g


def phase_change(found):
    for g_max in (25.0, 10.0):
        g = SHARES * g_max
        model = pcm.PCMLikeNoiseModel(g_max=g_max)
        found[f"pcm.write.{g_max:g}"] = model.apply_programming_noise_to_conductance(g.clone()) - g
        nu = found[f"pcm.nu.{g_max:g}"] = model.generate_drift_coefficients(g)
        for seconds in (1.0, DAY):
            quiet = pcm.PCMLikeNoiseModel(g_max=g_max, read_noise_scale=0.0)
            later = found[f"pcm.drift.{g_max:g}.{seconds:g}"] = quiet.apply_drift_noise_to_conductance(g, nu, seconds)
            found[f"pcm.read.{g_max:g}.{seconds:g}"] = model.apply_drift_noise_to_conductance(g, nu, seconds) - later


def metal_oxide(found):
    g = 9 + SHARES * 79.2
    for name, accepted in (("2", 2), ("0.2", 0.2), ("default", 2e-2)):
        model = reram.ReRamCMONoiseModel(g_max=1e3, g_min=0.0, acceptance_range=accepted)
        found[f"cmo.write.{name}"] = model.apply_programming_noise_to_conductance(g) - g
    for seconds in (10.0, DAY):
        quiet = reram.ReRamCMONoiseModel(g_max=1e3, g_min=0.0, read_noise_scale=0.0)
        later = found[f"cmo.drift.{seconds:g}"] = quiet.apply_drift_noise_to_conductance(g, g, seconds)
        found[f"cmo.read.{seconds:g}"] = model.apply_drift_noise_to_conductance(g, g, seconds) - later


def drawn(found):
    """The same models with their own normal numbers, at one conductance each."""
    torch.manual_seed(0)
    half = torch.full((20000,), 12.5, dtype=torch.float64)
    model = pcm.PCMLikeNoiseModel(g_max=25.0)
    found["drawn.pcm.write"] = model.apply_programming_noise_to_conductance(half)
    found["drawn.pcm.nu"] = model.generate_drift_coefficients(half * 0.2)
    found["drawn.wan.write"] = reram.ReRamWan2022NoiseModel(g_max=40.0).apply_programming_noise_to_conductance(half)
    cmo = reram.ReRamCMONoiseModel(g_max=1e3, g_min=0.0, acceptance_range=2, read_noise_scale=0.0)
    found["drawn.cmo.drift"] = cmo.apply_drift_noise_to_conductance(half * 4, half, DAY)


def main():
    found = {}
    drawn(found)
    pcm.randn_like = reram.randn_like = ones
    wan(found)
    phase_change(found)
    metal_oxide(found)
    np.savez(sys.argv[1], version=aihwkit.__version__, shares=SHARES.numpy(),
             **{name: np.asarray(value, np.float64) for name, value in found.items()})


if __name__ == "__main__":
    main()
