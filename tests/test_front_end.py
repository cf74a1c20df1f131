"""The front end's arithmetic, checks and identities."""

import json
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
import pytest

from earwitness.errors import SettingsError
from earwitness.front_end import FrontEnd

DEFAULT = FrontEnd()


def test_hand_values() -> None:
    assert DEFAULT.min_patch_samples == 15_600  # 95 hops of 160 and a window of 400
    assert DEFAULT.samples_to_frames(399) == 0
    assert DEFAULT.samples_to_frames(400) == 1
    assert DEFAULT.samples_to_frames(160_000) == 998
    assert [DEFAULT.frames_to_patches(DEFAULT.samples_to_frames(n)) for n in (0, 15_599, 15_600)] == [0, 0, 1]
    assert DEFAULT.frames_to_patches(998) == 10
    assert (DEFAULT.frame_seconds, DEFAULT.patch_seconds, DEFAULT.patch_hop_seconds) == (0.01, 0.96, 0.96)


@pytest.mark.parametrize("front_end", [DEFAULT, replace(DEFAULT, patch_frames=20, patch_hop_frames=7)])
def test_counts_agree_with_windows_laid_one_by_one(front_end: FrontEnd) -> None:
    rng = np.random.default_rng(0)
    for num_samples in rng.integers(0, 40_000, 40):
        starts = range(0, num_samples, front_end.hop_samples)
        num_frames = sum(start + front_end.window_samples <= num_samples for start in starts)
        patch_starts = range(0, num_frames, front_end.patch_hop_frames)
        num_patches = sum(start + front_end.patch_frames <= num_frames for start in patch_starts)
        assert front_end.samples_to_frames(int(num_samples)) == num_frames
        assert front_end.frames_to_patches(num_frames) == num_patches
        assert (num_patches > 0) == (num_samples >= front_end.min_patch_samples)


CHANGES: dict[str, Any] = {
    "sample_rate_hz": 32_000,
    "window_samples": 401,
    "hop_samples": 161,
    "fft_length": 1_024,
    "num_bands": 96,
    "min_hz": 126.0,
    "max_hz": 7_499.0,
    "log_offset": 0.02,
    "patch_frames": 98,
    "patch_hop_frames": 48,
    "fill_last_patch": True,
}


def test_every_field_but_the_fixed_one_is_tried() -> None:
    assert {f.name for f in fields(FrontEnd)} == {*CHANGES, "recipe"}


@pytest.mark.parametrize("name", CHANGES)
def test_identity_differs_with_every_field(name: str) -> None:
    other = replace(DEFAULT, **{name: CHANGES[name]})
    assert other != DEFAULT
    assert other.identity != DEFAULT.identity
    is_of_patches = name.startswith("patch")
    assert (other.frames_identity == DEFAULT.frames_identity) == is_of_patches
    assert other.differences(DEFAULT) == f"{name}: {CHANGES[name]} / {getattr(DEFAULT, name)}"


def test_equal_front_ends_are_one() -> None:
    same = FrontEnd(min_hz=125, max_hz=7_500, fill_last_patch=False)
    assert same == DEFAULT
    assert same.identity == DEFAULT.identity
    assert same.differences(DEFAULT) == ""
    assert len(DEFAULT.identity) == 16
    assert DEFAULT.identity != DEFAULT.frames_identity


def test_identities_never_change() -> None:
    # stores and models on disk carry them
    assert (DEFAULT.identity, DEFAULT.frames_identity) == ("12106a35223a8d3a", "35b0c4924cc6fd01")


def test_json_round_trip() -> None:
    changed = replace(DEFAULT, patch_frames=20, patch_hop_frames=10, log_offset=0.001)
    assert FrontEnd.from_dict(json.loads(json.dumps(changed.to_dict()))) == changed


def test_fields_added_later_are_written_only_where_they_say_something_new() -> None:
    """So that what earlier versions wrote means the same, and they can read what means the same to them."""
    assert "fill_last_patch" not in DEFAULT.to_dict()
    assert FrontEnd.from_dict({**DEFAULT.to_dict(), "fill_last_patch": False}) == DEFAULT
    filling = replace(DEFAULT, fill_last_patch=True)
    assert filling.to_dict()["fill_last_patch"] is True
    assert FrontEnd.from_dict(filling.to_dict()) == filling


@pytest.mark.parametrize(("num_samples", "seconds"), [(1, 0.975), (15_600, 0.975), (15_601, 1.455), (80_000, 5.295)])
def test_silence_behind_completes_the_last_patch(num_samples: int, seconds: float) -> None:
    """By hand, of YAMNet: a first patch of 0.975 s, and 0.48 s for each further one."""
    yamnet = FrontEnd(log_offset=0.001, patch_hop_frames=48, fill_last_patch=True)
    assert (num_samples + yamnet.samples_of_silence_behind(num_samples)) / 16_000 == seconds
    assert DEFAULT.samples_of_silence_behind(num_samples) == max(0, 15_600 - num_samples)


def test_filled_frames_are_those_of_their_patches() -> None:
    filling = replace(DEFAULT, fill_last_patch=True)
    assert filling.frames_identity != DEFAULT.frames_identity
    assert replace(filling, patch_hop_frames=48).frames_identity != filling.frames_identity


@pytest.mark.parametrize("name", sorted(asdict(DEFAULT).keys() - {"fill_last_patch"}))
def test_from_dict_wants_exactly_the_fields(name: str) -> None:
    values = asdict(DEFAULT)
    with pytest.raises(SettingsError, match="expected exactly the fields"):
        FrontEnd.from_dict({k: v for k, v in values.items() if k != name})
    with pytest.raises(SettingsError, match=r"came .*mel"):
        FrontEnd.from_dict({**values, "mel": 1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *(
            ({name: value}, f"{name}={value!r} must be a whole number, at least 1")
            for name in ("sample_rate_hz", "window_samples", "hop_samples", "fft_length", "num_bands", "patch_frames")
            for value in (0, 1.5, "16", True)
        ),
        ({"sample_rate_hz": 10**12}, "sample_rate_hz=1000000000000 must not exceed 1,048,576"),
        ({"fft_length": 2**20, "num_bands": 4_096}, "num_bands=4096 times fft_length=1048576 must not exceed"),
        ({"patch_frames": 2**20}, "patch_frames=1048576 makes patches of 167,772,400 samples"),
        ({"patch_hop_frames": 0}, "patch_hop_frames=0 must be a whole number"),
        ({"fft_length": 256}, r"fft_length=256 must not be below window_samples \(400\)"),
        ({"min_hz": 8_000.0}, r"min_hz=8000.0 must lie in \[0, max_hz=7500.0\)"),
        ({"min_hz": -1.0}, "min_hz=-1.0 must lie in"),
        ({"min_hz": float("nan")}, "min_hz=nan must be a finite number"),
        ({"max_hz": 8_001.0}, r"max_hz=8001.0 must not exceed half the sample rate \(8000 Hz\)"),
        ({"max_hz": "7500"}, "max_hz='7500' must be a finite number"),
        ({"log_offset": 0.0}, "log_offset=0.0 must be positive"),
        ({"log_offset": float("inf")}, "log_offset=inf must be a finite number"),
        ({"fill_last_patch": 1}, "fill_last_patch=1 must be true or false"),
        ({"recipe": "other"}, "recipe='other' is unknown to this version"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        replace(DEFAULT, **change)


def test_hop_beyond_the_patch_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"patch_hop_frames=96 must not exceed patch_frames=48"):
        FrontEnd(patch_frames=48)
