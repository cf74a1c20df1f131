"""Which clips hold the same sound: candidates by equal keys, decided by fingerprints, joined to groups.

Clips that share a key are candidates. The table of keys is sorted once, and within a run of equal keys only neighbours
are paired, so the work grows with the number of keys, not of pairs: a sound that a thousand clips hold makes a chain,
and a chain is a group. A key that a clip holds several times counts once.

A candidate is decided where the fingerprints lie over each other at the shifts that the keys ask for: by the share of
bits that differ. For unrelated sounds it is one half, give or take the less the longer both are, so the shorter they
are, the fewer bits may differ. Over 80,000 pairs of real clips the best of all shifts was above 0.27.

Memory: 53 bytes a second of sound for the fingerprints, and the keys, of which half (chosen by the key, so that copies
keep the same ones) are dropped whenever they are more than `max_keys`: 12 bytes each, 770 MB at most.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earwitness.doctor.fingerprints import NUM_BITS, Fingerprint

MAX_KEYS = 64_000_000
NEIGHBOURS = 8
"""Clips after it in a run of equal keys that a clip is paired with."""
SHIFTS_TRIED = 3
"""The shifts that most keys ask for, each give or take one step."""
MAX_ERROR_RATE = 0.22
"""Copies by codecs at 32 kbit/s lie below 0.16; white noise 20 dB below the sound brings them to 0.25."""
MIN_SHARED_STEPS = 8

_CLIPS_PER_BLOCK = 256
_SORTED_PARTS = 16
"""Keys are sorted in so many parts, one after another, because sorting needs several times their memory."""
_KEY_DTYPE = np.dtype([("key", "<u4"), ("clip", "<u4"), ("step", "<u4")])
_BIT_COUNTS = np.array([bin(word).count("1") for word in range(256)], np.uint8)

Keys = NDArray[np.void]


@dataclass(frozen=True, kw_only=True)
class Match:
    """Two clips that hold the same sound."""

    first: int
    second: int
    """Numbers of clips, the first below the second."""
    error_rate: float
    """Of bits, 0 where all frames are equal."""
    shift_steps: int
    """Where the second begins in the first; negative where it begins earlier."""
    shared_steps: int
    """Steps that lie over each other; 0 where the clips are too short or steady for fingerprints, but are equal."""


class CopyFinder:
    """Takes in fingerprints of clips by number, in any order; then finds copies."""

    def __init__(self, *, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._density = 1
        self._blocks: list[Keys] = []
        self._waiting: list[Keys] = []  # of single clips, to be joined to a block
        self._num_keys = 0
        self._words = bytearray()
        self._valid = bytearray()
        self._places: dict[int, tuple[int, int, int]] = {}  # clip: first word, number of words, first byte of valid
        self._clips_by_digest: dict[bytes, list[int]] = {}

    def add(self, clip: int, fingerprint: Fingerprint, *, digest: bytes) -> None:
        """Take in a clip; clips of equal digests are the same, however short or steady. Silence is not to be given: all
        of it is the same.
        """
        self._clips_by_digest.setdefault(digest, []).append(clip)
        self._places[clip] = (len(self._words) // 2, len(fingerprint.words), len(self._valid))
        self._words += fingerprint.words.astype("<u2").tobytes()
        self._valid += np.packbits(fingerprint.is_valid).tobytes()
        keys = np.empty(len(fingerprint.keys), _KEY_DTYPE)
        keys["key"], keys["clip"], keys["step"] = fingerprint.keys, clip, fingerprint.key_steps
        self._waiting.append(self._thinned(keys))
        self._num_keys += len(self._waiting[-1])
        if len(self._waiting) == _CLIPS_PER_BLOCK:
            self._blocks.append(np.concatenate(self._waiting))
            self._waiting = []
        if self._num_keys > self._max_keys:
            self._density *= 2
            self._blocks = [self._thinned(block) for block in self._blocks]
            self._waiting = [self._thinned(keys) for keys in self._waiting]
            self._num_keys = sum(map(len, self._all_blocks()))

    def matches(self) -> list[Match]:
        """All matches found, by first and second clip."""
        found: dict[tuple[int, int], Match] = {}
        for clips in self._clips_by_digest.values():
            clips.sort()
            for first, second in itertools.pairwise(clips):
                shared = self._places[first][1]
                found[first, second] = Match(
                    first=first, second=second, error_rate=0.0, shift_steps=0, shared_steps=shared
                )
        for first, second, shifts in self._candidates():
            if (first, second) not in found and (match := self._decide(first, second, shifts)):
                found[first, second] = match
        return [found[pair] for pair in sorted(found)]

    def _thinned(self, keys: Keys) -> Keys:
        if self._density == 1:
            return keys
        mixed = keys["key"] * np.uint32(0x9E3779B1) >> np.uint32(12)
        kept: Keys = keys[mixed & np.uint32(self._density - 1) == 0]
        return kept

    def _candidates(self) -> Iterator[tuple[int, int, list[int]]]:
        """Pairs of clips, each with the shifts that most of their common keys ask for."""
        pairs = [np.empty((0, 3), np.int64)]
        for part in range(_SORTED_PARTS):
            keys = np.concatenate([np.empty(0, _KEY_DTYPE), *(_part_of(block, part) for block in self._all_blocks())])
            pairs += _neighbours(keys[np.lexsort((keys["clip"], keys["key"]))])
        rows = np.concatenate(pairs)
        rows = rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))]
        is_new = np.append(True, (rows[1:] != rows[:-1]).any(axis=1))[: len(rows)]
        starts = np.flatnonzero(is_new)
        votes, rows = np.diff(np.append(starts, len(rows))), rows[starts]
        order = np.lexsort((rows[:, 2], -votes, rows[:, 1], rows[:, 0]))
        rows = rows[order]
        is_other = np.append(True, (rows[1:, :2] != rows[:-1, :2]).any(axis=1))[: len(rows)]
        starts = np.flatnonzero(is_other)
        for start, stop in zip(starts, np.append(starts, len(rows))[1:], strict=True):
            shifts = rows[start : min(stop, start + SHIFTS_TRIED), 2]
            yield int(rows[start, 0]), int(rows[start, 1]), shifts.tolist()

    def _all_blocks(self) -> list[Keys]:
        return [*self._blocks, *self._waiting]

    def _decide(self, first: int, second: int, shifts: Sequence[int]) -> Match | None:
        words = self._words_of(first), self._words_of(second)
        best: Match | None = None
        for shift in sorted({shift + by for shift in shifts for by in (-1, 0, 1)}):
            start, stop = max(0, shift), min(len(words[0][0]), shift + len(words[1][0]))
            if stop - start < MIN_SHARED_STEPS:
                continue
            mine, theirs = slice(start, stop), slice(start - shift, stop - shift)
            both = words[0][1][mine] & words[1][1][theirs]
            num_valid = int(np.count_nonzero(both))
            differences = (words[0][0][mine] ^ words[1][0][theirs])[both].view(np.uint8)
            if num_valid < MIN_SHARED_STEPS:
                continue
            rate = int(_BIT_COUNTS[differences].sum()) / (NUM_BITS * num_valid)
            if rate <= max_error_rate(num_valid) and (best is None or rate < best.error_rate):
                best = Match(first=first, second=second, error_rate=rate, shift_steps=shift, shared_steps=stop - start)
        return best

    def _words_of(self, clip: int) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        first, count, first_byte = self._places[clip]
        words = np.frombuffer(self._words, "<u2", count, 2 * first)
        packed = np.frombuffer(self._valid, np.uint8, -(-count // 8), first_byte)
        return words, np.unpackbits(packed, count=count).astype(np.bool_)


def _part_of(keys: Keys, part: int) -> Keys:
    found: Keys = keys[keys["key"] % _SORTED_PARTS == part]
    return found


def _neighbours(keys: Keys) -> list[NDArray[np.int64]]:
    """Clips with a key in common, and how many steps apart: int64 [pairs, 3]. Keys come sorted by key, then clip."""
    pairs = []
    for distance in range(1, NEIGHBOURS + 1):
        first, second = keys[:-distance], keys[distance:]
        places = np.flatnonzero(first["key"] == second["key"])
        first, second = first[places], second[places]
        shift = first["step"].astype(np.int64) - second["step"].astype(np.int64)
        pairs.append(np.stack([first["clip"].astype(np.int64), second["clip"].astype(np.int64), shift], axis=1))
    return pairs


def max_error_rate(num_steps: int) -> float:
    """The share of bits up to which so many valid steps are taken for the same sound."""
    return min(MAX_ERROR_RATE, 0.30 - 0.75 / float(np.sqrt(num_steps)))


def groups(matches: Sequence[Match]) -> list[tuple[list[int], list[Match]]]:
    """Connected clips, ascending in each, and what connects them; the largest group first, then by its first clip."""
    leader: dict[int, int] = {}

    def lead(clip: int) -> int:
        while leader.setdefault(clip, clip) != clip:
            leader[clip] = leader[leader[clip]]
            clip = leader[clip]
        return clip

    for match in matches:
        first, second = sorted((lead(match.first), lead(match.second)))
        leader[second] = first
    members: dict[int, tuple[list[int], list[Match]]] = {}
    for clip in sorted(leader):
        members.setdefault(lead(clip), ([], []))[0].append(clip)
    for match in matches:
        members[lead(match.first)][1].append(match)
    return sorted(members.values(), key=lambda group: (-len(group[0]), group[0][0]))
