"""The face of earwitness in Python: a model that listens.

    import earwitness
    listener = earwitness.load("model.safetensors")
    listener.tag("film.mp4").tags
    listener.timeline(samples, sample_rate_hz=44_100).events
    listener.embed(file).vectors

Anything that sounds goes in: a path, a URL, the bytes of a file, a binary file object, or an array of samples with its
rate (`audio.samples` says which arrays). The scores are those that `earwitness tag` and `earwitness timeline` give.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from earwitness.audio.frames import FrameStream, media_frames
from earwitness.audio.samples import Samples
from earwitness.audio.source import source_name
from earwitness.errors import MediaError, ModelError, SettingsError
from earwitness.front_end import FrontEnd
from earwitness.inference.any_model import AnyModel, open_model, patch_embedder
from earwitness.inference.embedder import SILENT
from earwitness.inference.patch_runner import PatchRunner
from earwitness.inference.tag_settings import TagSettings, require_number
from earwitness.inference.tagger import ClipTally, PatchScores, Tagger, is_silence
from earwitness.inference.tagging import TagMaker
from earwitness.labels import NO_LABELS, LabelSet
from earwitness.listening.results import Embeddings, ScoredLabel, Tags, Timeline
from earwitness.listening.shared_batches import Clip, in_shared_batches
from earwitness.listening.sounds import Sound, source_of
from earwitness.listening.timeline import TimelineMaker
from earwitness.listening.timeline_settings import TimelineSettings, hop_frames

Result = TypeVar("Result")

Failures = Literal["raise", "return"]
"""Of many inputs: raise the error of one that gives no sound, or put it in the place of the result and go on."""


def load(path: str | PathLike[str], *, device: str = "auto") -> "Listener":
    """A trained model, ready to listen.

    Args:
        path: a model file (model.safetensors of a run), or an exported model (.onnx).
        device: auto, cpu, cuda, cuda:1 ..., mps. auto: a CUDA GPU where there is one, else the CPU.

    Raises:
        ModelError: it is missing, damaged or something else.
        SettingsError: there is no such device, or the model does not run there.
        MissingExtraError: it is exported, and the extra `onnx` is not installed.
    """
    if not isinstance(path, str | PathLike) or not str(path):
        raise ModelError("load: no model is named; give the path of a model file, or of an exported model (.onnx)")
    return Listener(open_model(Path(path)), device=device)


class Listener:
    """A model that names what it hears; made by `load`.

    Wherever an input gives no sound, `MediaError` says why in one sentence; an input or a setting that makes no sense
    raises `SettingsError`. Both are `earwitness.errors.EarwitnessError`.
    """

    def __init__(self, model: AnyModel, *, device: str = "auto") -> None:
        """Use `load`.

        Raises:
            SettingsError: there is no such device, or the model does not run there.
        """
        if not isinstance(device, str):
            raise SettingsError(f"device={device!r} must be text, such as 'auto', 'cpu' or 'cuda:1'")
        self.model = model
        self.device = device
        _ = self._embedder if model.label_set == NO_LABELS else self._tagger  # say now what is wrong with the device

    def __repr__(self) -> str:
        return f"Listener({self.model.architecture.name}, {len(self.labels):,} labels, device={self.device!r})"

    @property
    def labels(self) -> LabelSet:
        """Ids and names of what it can hear."""
        return self.model.label_set

    @property
    def front_end(self) -> FrontEnd:
        """How sound becomes what it hears: the rate, frames and patches."""
        return self.model.front_end

    def tag(
        self,
        sound: Sound,
        *,
        sample_rate_hz: float | None = None,
        start_seconds: float | None = None,
        stop_seconds: float | None = None,
        top: int = 5,
        min_score: float = 0.0,
        threshold: float | Literal["own"] = "own",
    ) -> Tags:
        """Name what is heard in one input.

        Args:
            sound: path, URL, bytes, binary file object or array.
            sample_rate_hz: of an array; files state their own.
            start_seconds: where to begin; None is the beginning.
            stop_seconds: where to end, exclusive; None is the end.
            top: at most so many labels, best first.
            min_score: only labels with at least this score.
            threshold: "own": only labels that reach the model's own threshold, where it has any; a number: all do.

        Raises:
            MediaError, SettingsError: see the class.
            ModelError: the model names nothing: it was published up to its embedding.
        """
        settings = TagSettings(top=top, min_score=min_score, threshold=threshold)
        return _only(self._tags([(sound, start_seconds, stop_seconds)], sample_rate_hz, settings))

    def tag_many(
        self,
        sounds: Iterable[Sound],
        *,
        sample_rate_hz: float | None = None,
        top: int = 5,
        min_score: float = 0.0,
        threshold: float | Literal["own"] = "own",
        failures: Failures = "raise",
    ) -> Iterator[Tags | MediaError]:
        """Name what is heard in many inputs, read one after the other as results are taken; short ones share batches.

        An array may come with its own rate, as a pair; `sample_rate_hz` is that of all other arrays. An input that
        gives no sound raises its error, or with failures="return" the error stands in the place of the result.
        """
        settings = TagSettings(top=top, min_score=min_score, threshold=threshold)
        return _raising(self._tags(_whole(sounds), sample_rate_hz, settings), failures)

    def timeline(
        self,
        sound: Sound,
        *,
        sample_rate_hz: float | None = None,
        start_seconds: float | None = None,
        stop_seconds: float | None = None,
        hop_seconds: float | None = None,
        threshold: float | Literal["own"] = "own",
        keep_share: float = TimelineSettings.keep_share,
        min_seconds: float = TimelineSettings.min_seconds,
        max_gap_seconds: float = TimelineSettings.max_gap_seconds,
        labels: tuple[str, ...] | list[str] = (),
    ) -> Timeline:
        """Say what is heard when in one input. All scores are held: `earwitness timeline` streams those of long films.

        The sound is given as to `tag`; times are those of the whole file. For the rest see `TimelineSettings`.

        Raises:
            MediaError, SettingsError: see the class.
            LabelError: one of `labels` is not the model's.
            ModelError: the model names nothing.
        """
        settings = TimelineSettings(
            hop_seconds=hop_seconds,
            threshold=threshold,
            keep_share=keep_share,
            min_seconds=min_seconds,
            max_gap_seconds=max_gap_seconds,
            labels=tuple(labels) if isinstance(labels, list) else labels,
        )
        return _only(self._timelines([(sound, start_seconds, stop_seconds)], sample_rate_hz, settings))

    def timeline_many(
        self,
        sounds: Iterable[Sound],
        *,
        sample_rate_hz: float | None = None,
        settings: TimelineSettings | None = None,
        failures: Failures = "raise",
    ) -> Iterator[Timeline | MediaError]:
        """Say what is heard when in many inputs; see `tag_many`."""
        return _raising(self._timelines(_whole(sounds), sample_rate_hz, settings or TimelineSettings()), failures)

    def embed(
        self,
        sound: Sound,
        *,
        sample_rate_hz: float | None = None,
        start_seconds: float | None = None,
        stop_seconds: float | None = None,
        hop_seconds: float | None = None,
    ) -> Embeddings:
        """The embeddings of one input's patches: the layer before the model's output.

        The sound is given as to `tag`; `hop_seconds` is from one patch to the next, None the model's own.

        Raises:
            MediaError, SettingsError: see the class.
            ModelError: an exported model gives none.
        """
        return _only(self._embeddings([(sound, start_seconds, stop_seconds)], sample_rate_hz, hop_seconds))

    def embed_many(
        self,
        sounds: Iterable[Sound],
        *,
        sample_rate_hz: float | None = None,
        hop_seconds: float | None = None,
        failures: Failures = "raise",
    ) -> Iterator[Embeddings | MediaError]:
        """The embeddings of many inputs; see `tag_many`."""
        return _raising(self._embeddings(_whole(sounds), sample_rate_hz, hop_seconds), failures)

    @cached_property
    def _tagger(self) -> Tagger:
        return Tagger(self.model, device=self.device)

    @cached_property
    def _embedder(self) -> PatchRunner:
        return patch_embedder(self.model, device=self.device)

    def _tags(
        self, asked: Iterable["_Asked"], sample_rate_hz: float | None, settings: TagSettings
    ) -> Iterator[Tags | MediaError]:
        ids, names = self.labels.ids, self.labels.names

        def clip(name: str, start: float | None, frames: FrameStream) -> Clip[Tags]:
            tally = ClipTally(self._tagger.scorer, self.front_end, start_seconds=start)

            def finish() -> Tags:
                found = TagMaker(self.model, settings).finish(name, tally.finish(frames), start_seconds=start)
                return Tags(
                    media=found.media,
                    seconds=found.seconds,
                    scored_seconds=found.scored_seconds,
                    num_patches=found.num_patches,
                    warnings=found.warnings,
                    is_padded=found.is_padded,
                    tags=tuple(
                        ScoredLabel(label_id=ids[tag.label], label_name=names[tag.label], score=tag.score)
                        for tag in found.tags
                    ),
                    is_calibrated=found.is_calibrated,
                    has_own_thresholds=found.has_own_thresholds,
                    label_set=self.labels,
                    scores=found.scores,
                )

            return Clip(frames=frames, take=tally.add, finish=finish)

        return _through(clip, asked, sample_rate_hz, runner=self._tagger.scorer, front_end=self.front_end)

    def _timelines(
        self, asked: Iterable["_Asked"], sample_rate_hz: float | None, settings: TimelineSettings
    ) -> Iterator[Timeline | MediaError]:
        front_end = self._tagger.front_end(TimelineMaker(self.model, settings).patch_hop_frames)

        def clip(name: str, start: float | None, frames: FrameStream) -> Clip[Timeline]:
            maker = TimelineMaker(self.model, settings)
            starts: list[npt.NDArray[np.float64]] = []
            scores: list[npt.NDArray[np.float32]] = []

            def take(patches: PatchScores) -> None:
                maker.take(patches)
                starts.append(patches.start_seconds)
                scores.append(maker.chosen(patches.scores))

            tally = ClipTally(self._tagger.scorer, front_end, start_seconds=start, on_patches=take)

            def finish() -> Timeline:
                return Timeline(
                    **vars(maker.finish(name, tally.finish(frames), start_seconds=start)),
                    label_set=maker.label_set,
                    start_seconds=np.concatenate(starts),
                    scores=np.concatenate(scores),
                )

            return Clip(frames=frames, take=tally.add, finish=finish)

        return _through(clip, asked, sample_rate_hz, runner=self._tagger.scorer, front_end=front_end)

    def _embeddings(
        self, asked: Iterable["_Asked"], sample_rate_hz: float | None, hop_seconds: float | None
    ) -> Iterator[Embeddings | MediaError]:
        own = self.front_end
        front_end = own if hop_seconds is None else replace(own, patch_hop_frames=hop_frames(hop_seconds, own))

        def clip(name: str, start: float | None, frames: FrameStream) -> Clip[Embeddings]:
            vectors: list[npt.NDArray[np.float32]] = []
            loudest: list[float] = []

            def take(patches: npt.NDArray[np.float16], outputs: npt.NDArray[np.float32]) -> None:
                vectors.append(outputs)
                loudest.append(float(patches.max()))

            def finish() -> Embeddings:
                joined = np.concatenate(vectors)
                covered = (len(joined) - 1) * front_end.patch_hop_seconds + front_end.patch_seconds
                seconds = frames.num_samples / front_end.sample_rate_hz
                return Embeddings(
                    media=name,
                    seconds=seconds,
                    scored_seconds=min(seconds, covered),
                    num_patches=len(joined),
                    warnings=(*frames.warnings, *([SILENT] if is_silence(max(loudest), front_end) else [])),
                    is_padded=frames.is_padded,
                    hop_seconds=front_end.patch_hop_seconds,
                    patch_seconds=front_end.patch_seconds,
                    start_seconds=(start or 0.0)
                    + np.arange(len(joined), dtype=np.float64) * front_end.patch_hop_seconds,
                    vectors=joined,
                )

            return Clip(frames=frames, take=take, finish=finish)

        return _through(clip, asked, sample_rate_hz, runner=self._embedder, front_end=front_end)


_Asked = tuple[Sound, float | None, float | None]
"""A sound, where to begin in it and where to end."""


def _whole(sounds: Iterable[Sound]) -> Iterator[_Asked]:
    """Each from its beginning to its end.

    Raises:
        SettingsError: it is one sound, whose letters, lines or samples nobody wants to hear.
    """
    is_array = getattr(sounds, "ndim", None) == 1 or (
        isinstance(sounds, tuple) and len(sounds) == 2 and hasattr(sounds[0], "ndim") and not hasattr(sounds[1], "ndim")
    )
    if (
        is_array
        or isinstance(sounds, str | bytes | bytearray | PathLike)
        or hasattr(sounds, "read")
        or not isinstance(sounds, Iterable)
    ):
        raise SettingsError("one sound came where many are taken: put it in a list, or use the method for one")
    return ((sound, None, None) for sound in sounds)


def _through(
    clip: Callable[[str, float | None, FrameStream], Clip[Result]],
    asked: Iterable[_Asked],
    sample_rate_hz: float | None,
    *,
    runner: PatchRunner,
    front_end: FrontEnd,
) -> Iterator[Result | MediaError]:
    def opened() -> Iterator[Clip[Result] | MediaError]:
        for sound, start, stop in asked:
            for name, value in (("start_seconds", start), ("stop_seconds", stop)):
                if value is not None:
                    require_number(name, value)
            try:
                source = source_of(sound, sample_rate_hz=sample_rate_hz)
                name = source.name if isinstance(source, Samples) else source_name(source)
                yield clip(
                    name, start, media_frames(source, front_end=front_end, start_seconds=start, stop_seconds=stop)
                )
            except MediaError as error:
                yield error

    return in_shared_batches(opened(), runner=runner, front_end=front_end)


def _only(results: Iterator[Result | MediaError]) -> Result:
    return next(_raising(results, "raise"))  # type: ignore[return-value]


def _raising(results: Iterator[Result | MediaError], failures: Failures) -> Iterator[Result | MediaError]:
    if failures not in ("raise", "return"):
        raise SettingsError(f"failures={failures!r} must be 'raise' or 'return'")
    return (_raised(result) for result in results) if failures == "raise" else results


def _raised(result: Result | MediaError) -> Result:
    if isinstance(result, MediaError):
        raise result
    return result
