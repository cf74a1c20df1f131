"""`earwitness experiment`: the paper's experiments, each ending in a table beside the paper's."""

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg, subcommand

from earwitness.cli.experiment_bars import bars
from earwitness.cli.experiment_common import OnStore, Training
from earwitness.cli.output import print_json, remark
from earwitness.errors import SettingsError, StoreError
from earwitness.paper.presets import PRESETS

if TYPE_CHECKING:
    from earwitness.paper.experiment import Outcome
    from earwitness.paper.plan import Plan
    from earwitness.paper.qualitative import Pictures
    from earwitness.paper.sizing import Sides, Sizing
    from earwitness.store.read import Store
    from earwitness.synth.settings import SynthSettings


@dataclass(frozen=True, kw_only=True)
class _Experiment(Training, ABC):
    """One that trains networks by a plan, and ends in a table."""

    def run(self) -> int:
        """Run it; 130 if stopped before the end."""
        outcome = self.do()
        if outcome is None:
            return 130
        if self.json:
            print_json(_as_json(outcome))
        else:
            _print(outcome)
        return 0

    def do(self) -> "Outcome | None":
        """The outcome; None if it was stopped before the end."""
        from earwitness.paper.experiment import run_experiment

        self.check()
        try:
            store = self.open_store()
        except StoreError as error:
            if (outcome := self._kept()) is None:
                raise
            remark(f"{error}; all was done before, and the table is made from {self.folder_of_all() / self._name()}")
            return outcome
        plan = self.plan(store)
        with bars() as told:
            outcome = run_experiment(
                plan,
                store,
                self.folder_of_all() / self._name(),
                device=self.device,
                threads=self.threads,
                only=self.only,
                told=told,
            )
        if not outcome.is_finished:
            remark("stopped; the same command goes on from there")
            return None
        return outcome

    def check(self) -> None:
        """Refuse, before a corpus is made, what needs none to be refused."""
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise SettingsError(
                "experiment is not run under torchrun: start the same command once for each GPU, with --device cuda:0, "
                "cuda:1 ..., and they share the work"
            )
        from earwitness.models.precision import choose_device
        from earwitness.paper.sizing import Sides

        choose_device(self.device)
        self._sizing(Sides(where="true", test_where="true")).settings(self._name())

    def plan(self, store: "Store") -> "Plan":
        """What is to be trained and evaluated on a store."""
        from earwitness.paper.sizing import choose_sides

        return self._plan(self._sizing(choose_sides(store, where=self.where, test_where=self.test_where)), store)

    def _kept(self) -> "Outcome | None":
        """Of an experiment that is done; None where it is not."""
        from earwitness.paper.experiment import Outcome, make_table
        from earwitness.paper.study import RECORD_FILE

        folder = self.folder_of_all() / self._name()
        if not (folder / RECORD_FILE).exists():
            return None
        table, paths = make_table(folder)
        return Outcome(table=table, paths=tuple(paths), is_finished=True) if table.is_complete else None

    def _sizing(self, sides: "Sides") -> "Sizing":
        from earwitness.paper.sizing import size

        return size(
            self.preset,
            experiment=self._name(),
            sides=sides,
            seed=self.seed,
            width=self.width,
            steps=self.steps,
            batch_size=self.batch_size,
        )

    @abstractmethod
    def _name(self) -> str:
        """Of the experiment, and of its folder."""

    @abstractmethod
    def _plan(self, sizing: "Sizing", store: "Store") -> "Plan":
        """What is to be trained and evaluated."""


@dataclass(frozen=True, kw_only=True)
class Architectures(_Experiment):
    """The five networks at equal steps, in equal time, and ResNet-50 trained long: the paper's table 2."""

    networks: tuple[str, ...] = ("fully_connected", "alexnet", "vgg", "inception_v3", "resnet50")
    """Which; equal time is that of resnet50, or of the last."""

    def _name(self) -> str:
        return "architectures"

    def _plan(self, sizing: "Sizing", store: "Store") -> "Plan":
        from earwitness.paper.architectures import plan

        return plan(sizing, networks=self.networks)


@dataclass(frozen=True, kw_only=True)
class LabelSetSize(_Experiment):
    """All labels, many and few, with and without a bottleneck, evaluated on the few: the paper's table 3."""

    many: int | None = None
    """The K most frequent labels (paper: 3,087 of 30,871). None: the preset's."""
    few: int | None = None
    """The k most frequent, on which all are evaluated (paper: 400). None: the preset's."""
    bottleneck: int | None = None
    """Its units. None: the paper's 128 times the width."""
    network: str = "resnet50"
    """Of all trainings."""

    def _name(self) -> str:
        return "label-set-size"

    def _plan(self, sizing: "Sizing", store: "Store") -> "Plan":
        from earwitness.paper.label_set_size import plan

        return plan(sizing, store, many=self.many, few=self.few, bottleneck=self.bottleneck, network=self.network)


@dataclass(frozen=True, kw_only=True)
class TrainingSetSize(_Experiment):
    """The same network and steps on ever fewer clips, and where it begins to overfit: the paper's table 4."""

    shares: tuple[float, ...] = ()
    """Of the clips to learn from; the smaller lie in the larger. None named: the preset's."""
    network: str = "resnet50"
    """Of all trainings."""

    def _name(self) -> str:
        return "training-set-size"

    def _plan(self, sizing: "Sizing", store: "Store") -> "Plan":
        from earwitness.paper.training_set_size import plan

        return plan(sizing, store, shares=self.shares, network=self.network)


@dataclass(frozen=True, kw_only=True)
class EventDetection(_Experiment):
    """Other, acoustic labels: a shallow classifier on short log-mel patches, and one on a network's embedding."""

    embedding_from: Path | None = None
    """A trained model, whose embedding is read. None: that of the experiment begun there, or else the best of
    `architectures` in the same folder."""
    events: Path | None = None
    """A table of what truly sounds when: how well each finds that in time. None: of a made corpus its own."""

    def _name(self) -> str:
        return "event-detection"

    def made_corpus(self) -> "tuple[str, SynthSettings]":
        return "events-", PRESETS[self.preset].events_corpus

    def do(self) -> "Outcome | None":
        self._model_path()
        return super().do()

    def check(self) -> None:
        super().check()
        if self.true_events(self.events) is not None:
            from earwitness.evaluation.detection import require_sed_eval

            require_sed_eval()

    def _plan(self, sizing: "Sizing", store: "Store") -> "Plan":
        from earwitness.paper.event_detection import plan

        return plan(sizing, store, model_path=self._model_path(), events_path=self.true_events(self.events))

    def _model_path(self) -> Path:
        from earwitness.paper.event_detection import model_of
        from earwitness.paper.qualitative import best_model

        folder = self.folder_of_all()
        return self.embedding_from or model_of(folder) or best_model(folder, option="--embedding-from")


@dataclass(frozen=True, kw_only=True)
class Qualitative(OnStore):
    """The spectrogram of clips above what is heard in them patch by patch: the paper's figure 3."""

    model: Path | None = None
    """A trained model. None: the best of `architectures` in the same folder."""
    clips: tuple[str, ...] = ()
    """Their ids. None named: of the clips to evaluate on those with the most labels."""
    number: int = 3
    """How many, where none is named."""
    labels: int = 16
    """Of the highest peaks, so many are drawn (paper: 16)."""
    hop_frames: int | None = None
    """Frames of 10 ms from one scored patch to the next. None: half a patch."""
    events: Path | None = None
    """A table of what truly sounds when, to be drawn below. None: of a made corpus its own."""

    def run(self) -> int:
        """Draw."""
        outcome = self.do()
        if self.json:
            print_json(_as_json(outcome))
        else:
            _print(outcome)
        return 0

    def do(self) -> "Pictures":
        """What was drawn."""
        from earwitness.errors import SelectionError
        from earwitness.inference.any_model import open_model
        from earwitness.paper.qualitative import NAME, best_model, draw_clips
        from earwitness.paper.sizing import choose_sides

        if self.clips and (self.where is not None or self.test_where is not None):
            raise SettingsError("--clips names the clips to draw; --where and --test-where are for where none is named")
        path = self.model if self.model is not None else best_model(self.folder_of_all())
        model = open_model(path)
        store = self.open_store()
        where = None
        if not self.clips:
            try:
                where = choose_sides(store, where=self.where, test_where=self.test_where).test_where
            except SelectionError:
                remark("the store has no split of its own: clips are chosen from all, learnt from or not")
        return draw_clips(
            model,
            store,
            self.folder_of_all() / NAME,
            model_path=path,
            clip_ids=self.clips,
            number=self.number,
            where=where,
            labels=self.labels,
            patch_hop_frames=self.hop_frames,
            events_path=self.true_events(self.events),
            device=self.device,
        )


@dataclass(frozen=True, kw_only=True)
class All(Training):
    """All of them, one after the other, each as it is by default."""

    def __post_init__(self) -> None:
        if self.only:
            raise SettingsError(
                f"--only {' '.join(self.only)}: parts are those of one experiment; name it instead of all"
            )

    def run(self) -> int:
        """Run them; 130 if stopped before the end."""
        common = {field.name: getattr(self, field.name) for field in fields(self)}
        trained = Architectures(**common), LabelSetSize(**common), TrainingSetSize(**common), EventDetection(**common)
        for experiment in trained:  # what does not fit is said now, not after hours
            experiment.check()
        for experiment in trained[:3]:  # the last needs a network of the first
            experiment.plan(experiment.open_store())
        outcomes: list[Outcome | Pictures] = []
        for experiment in trained:
            outcome = experiment.do()
            if outcome is None:
                return 130
            outcomes.append(outcome)
            if not self.json:
                _print(outcome)
        outcomes.append(Qualitative(**{field.name: getattr(self, field.name) for field in fields(OnStore)}).do())
        if not self.json:
            _print(outcomes[-1])
        else:
            print_json({"schema_version": 1, "experiments": [_as_json(outcome) for outcome in outcomes]})
        return 0


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One of the paper's experiments on a store of yours or a made one, ending in its table beside the paper's."""

    kind: Annotated[
        Annotated[Architectures, subcommand("architectures")]
        | Annotated[LabelSetSize, subcommand("label-set-size")]
        | Annotated[TrainingSetSize, subcommand("training-set-size")]
        | Annotated[EventDetection, subcommand("event-detection")]
        | Annotated[Qualitative, subcommand("qualitative")]
        | Annotated[All, subcommand("all")],
        arg(name=""),
    ]

    def run(self) -> int:
        """Run the chosen one."""
        return self.kind.run()


def _as_json(outcome: "Outcome | Pictures") -> dict[str, Any]:
    return {**outcome.table.to_dict(), "files": [str(path) for path in outcome.paths]}


def _print(outcome: "Outcome | Pictures") -> None:
    print(outcome.table.to_markdown())
    print("\n".join(str(path) for path in outcome.paths))
