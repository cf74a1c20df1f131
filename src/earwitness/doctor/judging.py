"""From what was measured of a clip to what is wrong with it, in sentences."""

from dataclasses import dataclass

import numpy as np

from earwitness.audio.decode import ENDS_EARLY
from earwitness.audio.native import ENDS_BEFORE_HEADER, ENDS_UNMARKED
from earwitness.doctor.clips import ClipMeasures
from earwitness.doctor.settings import InspectSettings
from earwitness.doctor.sound import SoundMeasures

TRUNCATION_WARNINGS = (ENDS_EARLY, ENDS_BEFORE_HEADER, ENDS_UNMARKED)
MAX_OFFSET = 0.03
"""-30 dBFS: offsets of sound cards lie below a tenth of it."""
DEAD_SHARE = 1e-5
"""A channel 50 dB below the other; recordings with one silent microphone have -60 dB and less there."""
CANCELLING_SHARE = 0.05
"""The mean of two channels holds half of their mean power where they are unrelated, all of it where they are equal."""

LOUDEST_SECONDS = 0.1
"""What the loudest tenth of a second of a clip is."""

UNSEEN_IN_FRAMES = ("clipped", "constant_offset", "dead_channel", "cancelling_channels")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A flaw, without the clip that it is of."""

    kind: str
    detail: str
    value: float | None = None
    at_seconds: float | None = None


def dbfs(power: float) -> float:
    """A power relative to full scale in dB, -120 at the least."""
    return float(10 * np.log10(max(power, 1e-12)))


def is_silent(clip: ClipMeasures, settings: InspectSettings) -> bool:
    """Whether its loudest tenth of a second, in any channel, lies below the threshold."""
    if clip.sound is None and clip.seconds < LOUDEST_SECONDS:  # most of a tenth of a second is then filled up
        return clip.frames.num_quiet == clip.frames.num_frames
    power = clip.sound.loudest_power if clip.sound is not None else clip.frames.loudest_power
    return dbfs(power) < settings.silent_dbfs


def is_silent_in_frames(clip: ClipMeasures, settings: InspectSettings) -> bool:
    """Whether networks see nothing of it: silence, channels that cancel, sound outside the bands."""
    return dbfs(clip.frames.loudest_power) < settings.silent_dbfs


def judge(clip: ClipMeasures, settings: InspectSettings) -> list[Verdict]:
    """All that is wrong with a clip in itself."""
    verdicts = _of_decoding(clip)
    if clip.seconds < settings.min_seconds:
        detail = f"it is {clip.seconds:.2f} s long, below {settings.min_seconds:g} s"
        verdicts.append(Verdict(kind="very_short", detail=detail, value=clip.seconds))
    if is_silent(clip, settings):  # of silence nothing else can be said
        return [*verdicts, _of_silence(clip)]
    if band := _of_band(clip, settings):
        verdicts.append(band)
    if clip.sound is not None:
        verdicts += _of_sound(clip.sound)
    quiet = clip.frames.num_quiet / max(1, clip.frames.num_frames)
    is_cancelled = any(verdict.kind == "cancelling_channels" for verdict in verdicts)
    if quiet > settings.max_quiet_share and not (clip.is_padded or is_cancelled):
        detail = f"{quiet:.0%} of its {clip.seconds:.1f} s are silence"
        verdicts.append(Verdict(kind="mostly_silent", detail=detail, value=quiet))
    return verdicts


def _of_silence(clip: ClipMeasures) -> Verdict:
    if clip.sound is None:
        level = dbfs(clip.frames.loudest_power)
        words = f"its frames are nearly those of silence: the loudest tenth of a second has {level:.0f} dBFS"
        if clip.frames.num_quiet == clip.frames.num_frames:
            words = "its frames are those of silence; whether its media are, `earwitness inspect MANIFEST` tells"
    else:
        level, peak = dbfs(clip.sound.loudest_power), clip.sound.peak
        words = "nothing but zeros"
        if peak:
            words = (
                f"its loudest tenth of a second has {level:.0f} dBFS, its highest sample {20 * np.log10(peak):.0f} dBFS"
            )
    return Verdict(kind="silent", detail=words, value=level)


def _of_decoding(clip: ClipMeasures) -> list[Verdict]:
    """One verdict at most: where a file was cut through, its last packet is broken as well."""
    if any(warning in TRUNCATION_WARNINGS for warning in clip.warnings):
        detail = f"{'; '.join(clip.warnings)}: {clip.seconds:.1f} s came"
        return [Verdict(kind="truncated", detail=detail, value=clip.seconds, at_seconds=clip.seconds)]
    return [Verdict(kind="partly_decoded", detail="; ".join(clip.warnings))] if clip.warnings else []


def _of_band(clip: ClipMeasures, settings: InspectSettings) -> Verdict | None:
    edge = clip.edge
    if clip.media_rate_hz and clip.media_rate_hz / 2 < settings.min_band_hz:
        detail = (
            f"its sample rate is {clip.media_rate_hz:,} Hz, so there is nothing above {clip.media_rate_hz / 2:,.0f} Hz"
        )
        return Verdict(kind="band_limited", detail=detail, value=clip.media_rate_hz / 2)
    if edge is not None and edge.hz < settings.min_band_hz:
        detail = f"next to nothing above {edge.hz:,.0f} Hz: there it falls by {edge.drop_db:.0f} dB at once"
        return Verdict(kind="band_limited", detail=detail, value=edge.hz)
    return None


def _of_sound(sound: SoundMeasures) -> list[Verdict]:
    verdicts = []
    if sound.clipping.is_clipped:
        clipping = sound.clipping
        detail = f"{clipping.flat_share:.2%} of its samples lie in tops cut off at {dbfs(clipping.level**2):.1f} dBFS"
        verdicts.append(
            Verdict(kind="clipped", detail=detail, value=clipping.flat_share, at_seconds=clipping.at_seconds)
        )
    if sound.offset > MAX_OFFSET:
        detail = f"its waveform swings round {sound.offset:.3f} of full scale instead of zero"
        verdicts.append(Verdict(kind="constant_offset", detail=detail, value=sound.offset))
    if sound.num_channels == 2:
        quieter, louder = sorted(sound.channel_powers)
        both = 0.5 * (quieter + louder)
        if quieter < DEAD_SHARE * louder:
            number = 1 + sound.channel_powers.index(quieter)
            detail = f"channel {number} has {dbfs(quieter):.0f} dBFS, the other {dbfs(louder):.0f} dBFS"
            verdicts.append(Verdict(kind="dead_channel", detail=detail, value=dbfs(quieter)))
        elif sound.mean_power < CANCELLING_SHARE * both:
            drop = dbfs(both) - dbfs(sound.mean_power)
            detail = f"the mean of its channels is {drop:.0f} dB quieter than they are"
            verdicts.append(Verdict(kind="cancelling_channels", detail=detail, value=drop))
    return verdicts
