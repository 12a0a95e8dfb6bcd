"""What to do about a stage that is to blame, in a sentence or two."""

from __future__ import annotations

SAME = "Spikes cannot tell weights times x from a threshold divided by x where the reset is 0 and there is no bias."
IMPORT = {
    "weights": "Check the weights{where} and how they were scaled on export. " + SAME,
    "threshold": "Check the threshold{where} and how weights were scaled on export. " + SAME,
    "bias": "Check whether the bias{where} was exported.",
    "delay": "Check the delays{where} and those of inputs (input_delay, connection_delay).",
    "delays": "Check how the delays{where} were rounded, and whether the largest were cut.",
    "preset": "Load the model with that preset.",
}
"""Kind of a hypothesis -> advice; {where}: " of LAYER" or nothing."""
CHIP = {
    "lowering": "the float model does not survive being written as chip neurons; look at the ledger (EARLY_BIAS)",
    "weights": "use more bits (--bits), one scale a channel (--per-channel), or clip outliers among the weights, which "
               "take the range from the others; give calibration data (--calibrate) where ranges come from the worst "
               "case",
    "thresholds": "thresholds or biases are small against the weights, so that rounding moves them; use more bits, "
                  "give calibration data, or scale the layer",
    "decays": "the leak is finer than the chip's decay constants; use a larger dt, or shorter time constants",
    "arithmetic": "the chip's rounding of states in every step adds up; scale the layer up (more bits, calibration "
                  "data), or use fewer steps",
    "registers": "states wrap or saturate; calibrate with data that are as busy as these (--calibrate), or use fewer "
                 "bits",
    "mapping": "the program does not compute what the network in the chip's numbers does: it was changed, damaged, or "
               "compiled from another model or with other options; compile it again, and report a bug if that does "
               "not help",
    "losses": "processors are late or packets are dropped; use a longer --step-time, fewer neurons a processor "
              "(--packing spread), or the high performance level (--option level=high)",
    "timing": "pulses come too soon after each other; make the frame longer (--option frame=PS), keep more margin "
              "(--option margin=PS), or compile again",
    "levels": "cells have too few levels for these weights; use more cells a weight (--option encoding=sliced), or "
              "more levels",
    "write": "writing is too inexact; write with verification, use a larger window, or train with the noise",
    "faults": "cells are stuck; map round them, or use another die",
    "drift": "conductances have drifted since they were written; write again, or read sooner (--option seconds=S)",
    "wires": "wires lose voltage; use smaller blocks, or make it good digitally (--option compensate=yes)",
    "adc": "converters are too coarse, or their range does not fit the currents; use more bits (--option adc_bits=N), "
           "or calibrate the range with data (--calibrate)",
    "read": "reads are noisy; integrate longer, or use a larger window",
}
"""Stage -> advice."""
