"""Every error that earwitness raises for its users.

    EarwitnessError
    ├── ManifestError         a table of clips that cannot be used; names file, row or clip
    ├── SelectionError        a --where expression that cannot be evaluated or selects nothing
    ├── LabelError            a label or label set that does not fit
    ├── SettingsError         a setting outside what is allowed, or settings that contradict each other
    ├── MediaError            a media file that gives no sound; `kind` says how (one of FAILURE_KINDS)
    │   ├── NoAudioError          opened, but holds no audio stream
    │   ├── NoSamplesError        has an audio stream, but not one sample came out
    │   ├── MissingError          there is no such file
    │   ├── UndecodableError      not media, refused, or broken beyond use
    │   ├── TooLargeError         asks for more memory than there is, or than is allowed
    │   └── TransientError        its disk or network failed; another time it may be read
    ├── CorpusError           a made corpus that cannot be written, or a folder that holds something else
    ├── StoreError            a store that cannot be read or written, or does not fit the model
    ├── ClusterError          a cluster that does not answer, or cannot do the work
    ├── DownloadError         a file that cannot be fetched, or is not the one expected
    ├── ModelError            an unknown network, a damaged or foreign model file
    ├── RunError              a run folder that cannot be started, resumed or read
    │   └── DivergedError         a training whose loss or weights are no longer numbers
    ├── RecordError           a TFRecord file that is damaged or of another layout; names file and record
    ├── ScoreError            scores that cannot be evaluated
    ├── ToldElsewhereError    another process of the same work has met an error, and tells it
    └── MissingExtraError     an optional dependency that is not installed; names the install command

A message says what was wrong, what came, what is allowed and what to do. The command line prints it alone,
without a traceback, and exits with status 1.
"""

from typing import ClassVar

FAILURE_KINDS = (
    *("missing", "no_audio", "no_samples", "undecodable", "transient"),
    *("time_limit", "memory_limit", "crash"),
    *("dropped", "damaged"),
)
"""Why a clip is in the failures table and not in the store. The first five are given by the decoder itself, the next
three by the process that watches over it, the last two by `earwitness store drop` and `store verify --repair`."""


class EarwitnessError(Exception):
    """Base of all errors meant for users; its text is a complete sentence."""


class ManifestError(EarwitnessError):
    """A table of clips cannot be used."""


class SelectionError(EarwitnessError):
    """A selection of clips cannot be made."""


class LabelError(EarwitnessError):
    """A label or label set does not fit."""


class SettingsError(EarwitnessError):
    """A setting is outside what is allowed."""


class MediaError(EarwitnessError):
    """A media file gives no usable sound."""

    kind: ClassVar[str] = "undecodable"


class NoAudioError(MediaError):
    """The file opened but holds no audio stream."""

    kind = "no_audio"


class NoSamplesError(MediaError):
    """There is an audio stream, but no sample came out of it (or none in the range asked for)."""

    kind = "no_samples"


class MissingError(MediaError):
    """There is no such file."""

    kind = "missing"


class UndecodableError(MediaError):
    """The file is no media file, was refused, or is broken beyond use."""

    kind = "undecodable"


class TransientError(MediaError):
    """The disk or the network that the media lie on failed while they were read."""

    kind = "transient"


class TooLargeError(MediaError):
    """The file asks for more memory than there is, or than is allowed."""

    kind = "memory_limit"


class CorpusError(EarwitnessError):
    """A made corpus cannot be written."""


class StoreError(EarwitnessError):
    """A store cannot be read, written or used with this model."""


class ClusterError(EarwitnessError):
    """A cluster does not answer, or cannot do the work."""


class DownloadError(EarwitnessError):
    """A file cannot be fetched, or is not the one expected."""


class ModelError(EarwitnessError):
    """A network name or model file cannot be used."""


class RunError(EarwitnessError):
    """A run folder cannot be started, resumed or read."""


class DivergedError(RunError):
    """Loss or weights of a training are no longer numbers."""


class RecordError(EarwitnessError):
    """A TFRecord file cannot be read."""


class ScoreError(EarwitnessError):
    """Scores cannot be evaluated."""


class ToldElsewhereError(EarwitnessError):
    """Another process of the same work has met an error, and tells it: this one can end without a word."""


class MissingExtraError(EarwitnessError):
    """An optional dependency is not installed."""
