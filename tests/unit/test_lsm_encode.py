"""Encoders of liquid state machines: sounds, images, event cameras, tactile series."""

from __future__ import annotations

import numpy as np
import pytest

from hwsdk.errors import DataError
from hwsdk.ir.formats.data_events import address_events
from hwsdk.lsm.encode import centres, chosen, cochlea, dvs, fire, images, send_on_delta, stimulus


def tone(hz: float, samples: int = 2000) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(samples) / 8000)


def test_a_tone_drives_the_channel_of_its_frequency() -> None:
    at = centres(16, 100, 3700)
    found = cochlea([tone(f) for f in at], 8000, channels=16, bins=40).inputs["in"]
    assert (found.n_samples, found.n_steps, found.shape) == (16, 40, (16,))
    loudest = found.counts().argmax(axis=1)
    assert np.abs(loudest - np.arange(16)).max() <= 1, loudest


def test_centres_are_equally_spaced_for_the_ear() -> None:
    at = centres(5, 100, 3700)
    assert (at[0], at[-1]) == pytest.approx((100, 3700), rel=1e-12)
    assert np.diff(np.log10(1 + 0.00437 * at)) == pytest.approx(np.full(4, np.log10(17.169 / 1.437) / 4), rel=1e-9)


def test_loudness_and_type_of_samples_do_not_matter() -> None:
    sound = np.rint(1000 * tone(440) * np.linspace(0.2, 1, 2000)).astype(np.int16)
    kinds = [sound, sound.astype(np.float64), 16 * sound.astype(np.int32)]
    spikes = cochlea(kinds, 8000).inputs["in"].dense()
    assert spikes.sum() > 0
    assert (spikes == spikes[0]).all()
    assert (cochlea(sound, 8000).inputs["in"].dense() == spikes[:1]).all()


def test_short_and_silent_recordings() -> None:
    found = cochlea([tone(300, 100), np.zeros(900)], 8000, labels=[3, 4])
    spikes = found.inputs["in"].dense()
    assert spikes[0].sum() > 0
    assert spikes[1].sum() == 0
    assert spikes[0, 40:].sum() < spikes[0, :40].sum(), "the padding of 412 samples is nearly silent"
    assert found.labels is not None and found.labels.tolist() == [3, 4]


@pytest.mark.parametrize(("sounds", "rate", "code"), [
    ([tone(300)], 6000, "OUT_OF_RANGE"), ([], 8000, "NO_DATA"), ([np.zeros(0)], 8000, "NOT_FINITE"),
    ([np.full(9, np.nan)], 8000, "NOT_FINITE"), ([np.zeros((9, 2))], 8000, "BAD_DTYPE"), (["a"], 8000, "BAD_DTYPE"),
])
def test_sounds_that_cannot_be_used(sounds: list, rate: float, code: str) -> None:
    with pytest.raises(DataError) as error:
        cochlea(sounds, rate)
    assert error.value.code == code


def test_fire_by_hand() -> None:
    drive = np.array([0.3, 0.3, 1.5, 0.0, 0.0, 0.0]).reshape(1, 6, 1)
    assert fire(drive, 0.5)[0, :, 0].tolist() == [0, 1, 1, 1, 1, 0], "1.6 takes three steps to leave"
    assert fire(drive, 0.5, keep=0.5)[0, :, 0].tolist() == [0, 1, 1, 1, 0, 0], "0.5 is kept"
    assert fire(drive, 0.5, takes=1.0)[0, :, 0].tolist() == [0, 1, 1, 0, 0, 0]


def test_a_full_pixel_fires_in_every_second_step_and_half_of_it_in_every_fourth() -> None:
    pixels = np.array([[[16, 8], [4, 0]]])
    found = images(pixels, 32, labels=[7])
    assert found.inputs["in"].counts().tolist() == [[16, 8, 4, 0]]
    assert found.inputs["in"].dense()[0, :8, 0].tolist() == [0, 1] * 4
    assert images(pixels, 32, white=32).inputs["in"].counts().tolist() == [[8, 4, 2, 0]]
    with pytest.raises(DataError, match="a pixel is -1"):
        images([[-1.0, 2.0]], 4)


def recording(**changes: object) -> dict:
    """Two recordings of a 6 x 6 sensor, of which the centre 2 x 2 is (2..3, 2..3); the second one is one event."""
    given = {"x": [2, 3, 0, 2, 3], "y": [2, 3, 2, 3, 2], "p": [1, 0, 1, 1, 1], "t": [100, 140, 150, 199, 5],
             "offset": [0, 4, 5], "label": [8, 9]}
    return {k: np.asarray(v) for k, v in {**given, **changes}.items()}


def cells(stimulus_: object, name: str = "in") -> list:
    e = stimulus_.inputs[name]  # type: ignore[attr-defined]
    return list(zip(e.sample.tolist(), e.step.tolist(), e.index.tolist(), strict=True))


def test_event_camera_by_hand() -> None:
    found = dvs(recording(), 10, sensor=(6, 6), crop=(2, 2))
    assert cells(found) == [(0, 0, 0), (0, 9, 2), (1, 0, 1)]
    assert found.labels is not None and found.labels.tolist() == [8, 9]
    off = dvs(recording(), 10, sensor=(6, 6), crop=(2, 2), polarity=0)
    assert cells(off) == [(0, 4, 3)]
    both = dvs(recording(), 10, sensor=(6, 6), crop=(2, 2), polarity=None)
    assert both.inputs["in"].shape == (8,)
    assert cells(both) == [(0, 0, 4), (0, 4, 3), (0, 9, 6), (1, 0, 5)]


def test_differences_of_time_and_recordings_without_events() -> None:
    times = recording(dt_us=[100, 40, 10, 49, -194])
    del times["t"]
    assert cells(dvs(times, 10, sensor=(6, 6), crop=(2, 2))) == cells(dvs(recording(), 10, sensor=(6, 6), crop=(2, 2)))
    empty = dvs(recording(offset=[0, 4, 4, 5], label=[8, 7, 9]), 10, sensor=(6, 6), crop=(2, 2))
    assert cells(empty) == [(0, 0, 0), (0, 9, 2), (2, 0, 1)]
    assert empty.inputs["in"].n_samples == 3


def test_the_whole_sensor_in_equal_bins_is_what_address_events_are() -> None:
    rng = np.random.default_rng(3)
    n = 400
    t = np.concatenate([[0], np.sort(rng.integers(0, 40_000, n - 2)), [39_999]])
    given = recording(x=rng.integers(0, 6, n), y=rng.integers(0, 6, n), p=rng.integers(0, 2, n), t=t, offset=[0, n],
                      label=[1])
    found = dvs(given, 40, sensor=(6, 6), crop=None, polarity=None)
    assert cells(found) == cells(address_events(given, "in", (2, 6, 6), 1e-3, None, 40))


@pytest.mark.parametrize(("changes", "code"), [
    ({"x": [2, 3, 0, 2]}, "RAGGED"), ({"offset": [0, 4]}, "RAGGED"), ({"offset": [1, 4, 5]}, "RAGGED"),
    ({"offset": [0, 6, 5]}, "RAGGED"), ({"x": [2, 3, 0, 2, 6]}, "OUT_OF_RANGE"),
    ({"p": [1, 0, 1, 1, 2]}, "OUT_OF_RANGE"), ({"y": [-1, 3, 2, 3, 2]}, "OUT_OF_RANGE"),
    ({"t": [0.5, 1, 2, 3, 4]}, "BAD_DTYPE"),
])
def test_recordings_that_cannot_be_used(changes: dict, code: str) -> None:
    with pytest.raises(DataError) as error:
        dvs(recording(**changes), 10, sensor=(6, 6), crop=(2, 2))
    assert error.value.code == code


def test_send_on_delta_by_hand() -> None:
    series = np.array([[5.0, 0.0], [6.0, 0.0], [7.0, -9.0], [6.0, -9.0], [5.0, -8.0], [9.5, -7.0]])
    found = send_on_delta(series, 2.0, labels=[2])
    assert found.inputs["in"].shape == (4,)
    assert cells(found) == [(0, 2, 0), (0, 2, 3), (0, 4, 2), (0, 5, 0), (0, 5, 1)]
    with pytest.raises(DataError, match="threshold 0"):
        send_on_delta(series, 0)
    with pytest.raises(DataError, match="NaN"):
        send_on_delta(series * np.nan, 1)


def test_chosen_samples_keep_order_and_labels() -> None:
    spikes = (np.random.default_rng(1).random((5, 4, 3)) < 0.4) * np.array([1.0, 2.0, 3.0])
    data = stimulus(spikes, [0, 1, 2, 3, 4])
    some = chosen(data, [3, 0, 3])
    assert (some.inputs["in"].dense() == spikes[[3, 0, 3]]).all()
    assert some.labels is not None and some.labels.tolist() == [3, 0, 3]
    mask = np.array([False, True, False, False, True])
    assert (chosen(data, mask).inputs["in"].dense() == spikes[mask]).all()
    for bad in ([5], [-1], []):
        with pytest.raises(DataError, match="samples 0 to 4"):
            chosen(data, bad)
