"""Energy and area of an analog-to-digital converter, by two published models that disagree.

survey: a fit to Murmann's survey of measured converters (hwcomponents-adc, arXiv 2404.06553). neurosim: the SAR
converter of NeuroSim in 45 nm, with the current of the column that it senses. The second gives about a sixth of the
first at six bits, so that a result is a band and never one number alone.
"""

from __future__ import annotations

import math

from hwsdk.errors import TargetError
from hwsdk.quantity import Quantity

MODELS = ("band", "murmann", "neurosim")
"""band: the survey's fit, down to NeuroSim's model; or one of them alone."""
LEAST_BITS = 4
"""Of the survey's fit; a converter of fewer bits is taken as one of these, which it does not exceed."""
NEUROSIM_NM, NEUROSIM_VOLTS = 45.0, 0.51
NM_EXPONENT = 1.8800369
"""Of the energy of a conversion over the technology, in the survey's fit."""
SURVEY = "fit to Murmann's survey of measured ADCs (hwcomponents-adc, arXiv 2404.06553)"
NEUROSIM = "SAR converter of NeuroSim in 45 nm LSTP, current of the column included"


def survey_joules(bits: int, nm: float, rate: float) -> float:
    """J of a conversion at ``rate`` samples/s in a technology of ``nm``, by the fit to the survey."""
    _require(bits, nm, rate)
    b = max(bits, LEAST_BITS)
    sndr = 6.0206 * b + 1.76
    merit = min(213.7806687 - 2.8719031 * math.log(rate), 128.3068287 + 3.2205414 * math.ceil(b))
    scale = math.exp(26.0496216 + NM_EXPONENT * math.log(nm) - 2.8291256 * math.log(b) - 1.4702022)
    return float(scale / (2 * 10 ** ((merit - sndr) / 10)) * 1e-12)


def survey_area(nm: float, rate: float, joules: float) -> float:
    """m2 of a converter that takes ``joules`` a conversion at ``rate`` samples/s, by the fit to the survey."""
    if joules <= 0:
        raise TargetError(f"an ADC of {joules!r} J a conversion", code="BAD_ADC", fix="give more than 0")
    _require(LEAST_BITS, nm, rate)
    um2 = math.exp(0.9932795 * math.log(nm) + 0.1807154 * math.log(rate) + 0.2991243 * math.log(joules * 1e12)
                   + 1.3461916)
    return um2 * 1e-12


def neurosim_joules(bits: int, column_ohm: float, nm: float = NEUROSIM_NM, volts: float = NEUROSIM_VOLTS) -> float:
    """J of a conversion by NeuroSim's model: power x (bits + 1) ns.

    Args:
        column_ohm: of the column that is sensed.
        nm: a technology other than the model's own 45 nm; scaled as the survey's fit scales, which NeuroSim does not
            say.
        volts: of the read; 0.51 V in the model's technology.
    """
    _require(bits, nm, 1.0)
    if column_ohm <= 0 or volts <= 0:
        raise TargetError(f"a column of {column_ohm!r} ohm at {volts!r} V", code="BAD_ADC", fix="give more than 0")
    watts = (2.1691 * bits + 16.693) * 1e-6 + 0.100225 * math.exp(-2.303 * math.log10(column_ohm / (2 * volts)))
    return float(watts * (bits + 1) * 1e-9 * (nm / NEUROSIM_NM) ** NM_EXPONENT)


def conversion(bits: int, nm: float, rate: float, column_ohm: float, model: str = "band") -> Quantity:
    """J of a conversion with its band.

    Args:
        model: one of MODELS.

    Raises:
        TargetError: no such model, or numbers for which there is none.
    """
    require_model(model)
    other = neurosim_joules(bits, column_ohm, nm)
    scaled = NEUROSIM if nm == NEUROSIM_NM else f"{NEUROSIM}, scaled to {nm:g} nm by the exponent {NM_EXPONENT:.2f}"
    if model == "neurosim":
        return Quantity(other, "J", scaled)
    value = survey_joules(bits, nm, rate)
    source = f"{SURVEY}, {max(bits, LEAST_BITS)} bits, {nm:g} nm, {rate / 1e6:g} MS/s"
    if model == "murmann":
        return Quantity(value, "J", source)
    return Quantity(value, "J", f"{source}; the other end: {scaled}", False, min(value, other), max(value, other))


def require_model(model: str) -> None:
    """Raise TargetError unless it is one of MODELS."""
    if model not in MODELS:
        raise TargetError(f"adc_model {model!r}", code="BAD_OPTION", fix=f"use one of {', '.join(MODELS)}")


def _require(bits: int, nm: float, rate: float) -> None:
    """Refuse what has no logarithm."""
    if bits < 1 or not all(0 < x < math.inf for x in (nm, rate)):
        raise TargetError(f"an ADC of {bits!r} bits in {nm!r} nm at {rate!r} samples/s", code="BAD_ADC",
                          fix="give at least 1 bit, and more than 0 nm and samples/s")
