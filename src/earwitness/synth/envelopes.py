"""How loud a sound is from its beginning to its end: levels to multiply it by, and ends without clicks."""

import numpy as np

from earwitness.synth.signals import SAMPLE_RATE_HZ, Waveform, num_samples


def fade(t: Waveform, *, attack_seconds: float, decay_seconds: float) -> Waveform:
    """Rises over the attack, falls to 1/e in the decay, and ends at nought."""
    return np.asarray(
        np.minimum(t / attack_seconds, 1.0) * np.exp(-t / decay_seconds) * np.minimum((t[-1] - t) / 0.01, 1.0)
    )


def held(num: int, *, ramp_seconds: float) -> Waveform:
    """A level of one, [num] samples, that rises from nought in the ramp and falls to it again at the end."""
    steps = np.arange(num)
    return np.asarray(np.minimum(np.minimum(steps, steps[::-1]) / (ramp_seconds * SAMPLE_RATE_HZ), 1.0))


def faded_out(waveform: Waveform, seconds: float) -> Waveform:
    """The waveform, its last so many seconds falling evenly to nought; changed in place."""
    num = min(len(waveform), num_samples(seconds))
    waveform[-num:] *= np.linspace(1, 0, num)
    return waveform
