"""Random numbers as functions of (seed, purpose, step, position in the batch), with no state to keep.

So a resumed run, and any number of processes that share a batch, draw the same. The generator is SplitMix64
(Steele, Lea and Flood 2014), whose n-th number can be computed directly.
"""

import hashlib

import numpy as np
import numpy.typing as npt

from earwitness.store.order import GOLDEN, mix


def uniform_draws(
    *, seed: int, purpose: str, step: int, positions: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.float64]:
    """Numbers in [0, 1), float64 [positions, count]: a row for each position in the batch of that step."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{step}".encode()).digest()
    state = np.uint64(int.from_bytes(digest[:8], "little"))
    places = positions.astype(np.uint64)[:, None] * np.uint64(count) + np.arange(1, count + 1, dtype=np.uint64)
    numbers = (state + places * GOLDEN).astype(np.uint64)
    bits = mix(numbers) >> np.uint64(11)  # the 53 bits that a float64 holds
    return (bits * 2.0**-53).astype(np.float64)
