"""What is random in made sounds: numbers drawn from ranges, and noise, fast and slow.

Everything is drawn from the generator that is passed in, so the same generator gives the same samples.
"""

import numpy as np

from earwitness.synth.signals import SAMPLE_RATE_HZ, Waveform, lines, num_samples


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between two, as likely in each octave."""
    return float(low * (high / low) ** rng.random())


def uniform_each(rng: np.random.Generator, *ranges: tuple[float, float]) -> list[float]:
    """A number from each range, evenly."""
    return [float(rng.uniform(low, high)) for low, high in ranges]


def white(rng: np.random.Generator, seconds: float) -> Waveform:
    """White noise of standard deviation one."""
    return rng.standard_normal(num_samples(seconds))


def slow_noise(rng: np.random.Generator, num: int, *, changes_per_second: float = 10.0) -> Waveform:
    """Noise of standard deviation one that wanders between a few new values a second; [num] samples."""
    steps = max(2, round(num * changes_per_second / SAMPLE_RATE_HZ) + 1)
    return lines(np.linspace(0, num - 1, steps), rng.standard_normal(steps), num)
