"""Sounds for tests of the doctor: lively broadband noise, and what spoils it."""

from itertools import pairwise

import numpy as np
from scipy.signal import butter, sosfilt


def lively(seed, *, seconds=4.0, rate=44_100, peak=0.4):
    """Float32 [samples]: noise in ten bands up to 9 kHz, each with its own gusts; every seed is another sound."""
    rng = np.random.default_rng(seed)
    count = round(seconds * rate)
    edges = np.geomspace(100, min(9_000, 0.45 * rate), 11)
    sound = np.zeros(count)
    for low, high in pairwise(edges):
        band = sosfilt(butter(2, (low, high), "bandpass", fs=rate, output="sos"), rng.standard_normal(count))
        points = rng.normal(size=int(6 * seconds) + 2)
        gusts = np.exp(0.6 * np.interp(np.linspace(0, len(points) - 1, count), np.arange(len(points)), points))
        sound += gusts * band / band.std()
    return (sound * peak / np.abs(sound).max()).astype(np.float32)


def clipped(sound, *, over_db, level=1.0):
    """Amplified to `over_db` above full scale, cut off there, and turned to a level."""
    loud = sound * (10 ** (over_db / 20) / np.abs(sound).max())
    return (level * loud.clip(-1, 1)).astype(np.float32)


def int16(sound):
    """As 16-bit samples."""
    return np.rint(32_767 * np.clip(sound, -1, 1)).astype(np.int16)
