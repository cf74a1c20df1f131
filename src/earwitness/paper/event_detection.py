"""The paper's experiment on event detection: does what a network has learnt help with other, acoustic labels?

A shallow fully connected classifier on short log-mel patches, and the same on the embedding of a trained network, both
from the labels of whole clips. Where true times are known, also how well each finds events in time.

References: Hershey et al. 2017, the section on Audio Set.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earwitness.datasets.events import digest_of_events
from earwitness.evaluation.detection import require_sed_eval
from earwitness.models.description import require_network
from earwitness.models.model_file import load_model
from earwitness.paper import printed as paper
from earwitness.paper.detecting import read_true_events
from earwitness.paper.plan import Cell, Plan
from earwitness.paper.sizing import Sizing
from earwitness.paper.study import Result, Study
from earwitness.paper.table import Column, Row, Table, rounded, three_decimals
from earwitness.paper.table_parts import (
    chance_row,
    columns_of_measures,
    columns_of_training,
    columns_printed,
    common_facts,
    common_notes,
    overlap_words,
    row_of,
)
from earwitness.report.words import counted
from earwitness.scoring.clip_scores import require_same_frames
from earwitness.store.read import Store
from earwitness.training.settings import CLASSIFIER_LEARNING_RATE

NAME = "event-detection"

_IN_TIME = {
    "within_clips_auc": "when: AUC in clips",
    "frame_map": "frame mAP",
    "segment_f1": "segment F1",
    "event_f1": "event F1",
    "onset_f1": "onset F1",
}
_IN_FILES = ("segment_precision", "segment_recall", "segment_error_rate", "event_precision", "event_recall")
"""In CSV and JSON alone."""


def model_of(folder: Path) -> Path | None:
    """The model whose embedding is read by the experiment that a folder of experiments holds; None where there is none.

    Raises:
        RunError: the experiment there is damaged, or another one.
    """
    study = Study(folder / NAME)
    return study.plan().cell("embedding").settings.from_model if study.record_path.exists() else None


def plan(sizing: Sizing, store: Store, *, model_path: Path, events_path: Path | None) -> Plan:
    """The two classifiers.

    Args:
        sizing: of the trainings.
        store: with the labels to be learnt.
        model_path: a trained model, whose embedding the second classifier reads.
        events_path: a table of true events. None: nothing is asked of time.

    Raises:
        ModelError: there is no such model, or it has no network to put a classifier on.
        StoreError: its frames are not those of the store.
        ManifestError, ScoreError: the table of events cannot be used.
        MissingExtraError: what scores events is not installed.
    """
    model = load_model(model_path)
    require_network(model)
    require_same_frames(store, front_end=model.front_end)
    digest = None
    if events_path is not None:
        require_sed_eval()
        read_true_events(events_path, store, store.select(sizing.sides.test_where, option="--test-where"))
        digest = digest_of_events(events_path)
    common: dict[str, Any] = {
        "num_layers": paper.CLASSIFIER_LAYERS,
        "num_units": paper.CLASSIFIER_UNITS,
        "learning_rate": CLASSIFIER_LEARNING_RATE,
    }
    logmel = Cell(
        name="logmel",
        settings=sizing.settings(NAME, network="fully_connected", **{**common, "width": 1.0}),
        patch_frames=paper.SHORT_PATCH_FRAMES,
        facts={"input": "logmel"},
    )
    embedding = Cell(
        name="embedding",
        settings=sizing.settings(
            NAME,
            **{**common, "network": None, "width": None},
            from_model=model_path.resolve(),
            freeze=True,
        ),
        facts={
            "input": "embedding",
            "network": model.architecture.name,
            "embedding_size": model.network.embedding_size,
            "digest": model.digest,
        },
    )
    return Plan(
        experiment=NAME,
        cells=(logmel, embedding),
        test_where=sizing.sides.test_where,
        events=str(events_path.resolve()) if events_path is not None else None,
        events_digest=digest,
    )


def table(plan: Plan, results: Mapping[str, Result | None]) -> Table:
    """Log-mel, the embedding, what the better of them knows without time, chance."""
    rows = [
        row_of(
            cell,
            results[cell.name],
            values={"input": _words(cell), **_in_time(results[cell.name], "model")},
            figures=paper.EVENT_DETECTION[cell.facts["input"]],
            label=_words(cell),
        )
        for cell in plan.cells
    ]
    in_order = list(results.values())
    rows_beside = chance_row(in_order, first_column="input")
    if plan.events is not None:
        rows_beside = [
            *(
                Row(
                    values={"input": f"{words}, without time", **_in_time(results[name], "without_time")},
                    cell=None,
                    label=f"{words}, without time",
                )
                for name, words in (("logmel", "log-mel"), ("embedding", "embedding"))
                if _in_time(results[name], "without_time")
            ),
            *(Row(values={**row.values, **_first_chance(in_order)}, cell=None, label=row.label) for row in rows_beside),
        ]
    columns_in_time = [Column(name=name, title=title, shown=three_decimals) for name, title in _IN_TIME.items()]
    columns_in_time += [Column(name=name, title="") for name in _IN_FILES]
    return Table(
        title="Do embeddings help event detection? As with Audio Set in Hershey et al. 2017",
        columns=(
            Column(name="input", title="a shallow classifier on"),
            Column(name="num_weights", title="weights", shown=rounded),
            *columns_of_training(),
            *columns_of_measures(),
            *(columns_in_time if plan.events is not None else ()),
            *columns_printed(),
            Column(name="state", title=""),
        ),
        rows=[*rows, *rows_beside],
        findings=_findings(rows, results),
        notes=[*common_notes(plan, in_order, with_settings=False), *_notes(plan, in_order)],
        facts={**common_facts(plan), "embedding": dict(plan.cell("embedding").facts)},
    )


def _words(cell: Cell) -> str:
    if cell.facts["input"] == "logmel":
        return f"log-mel, {cell.patch_frames} x 64"
    return f"the embedding of {cell.facts['network']} ({cell.facts['embedding_size']} numbers)"


def _in_time(result: Result | None, which: str) -> dict[str, float | None]:
    if result is None or not result.get("detection"):
        return {}
    return {name: result["detection"][which][name] for name in (*_IN_TIME, *_IN_FILES)}


def _first_chance(results: Sequence[Result | None]) -> dict[str, float | None]:
    return next((values for result in results if (values := _in_time(result, "chance"))), {})


def _findings(rows: Sequence[Row], results: Mapping[str, Result | None]) -> list[str]:
    findings = []
    sides = [figure for row in rows if (figure := row.values.get("mean_average_precision"))]
    if len(sides) == 2:
        findings.append(
            "The paper's mAP is 0.137 on log-mel and 0.314 on the embedding, 2.3 times as much. Here it is "
            f"{sides[0]:.3f} and {sides[1]:.3f}, {sides[1] / sides[0]:.1f} times{overlap_words(rows)}."
        )
    embedding = results["embedding"]
    times = embedding.get("detection") if embedding is not None else None
    if times is not None and times["model"]["within_clips_auc"] is not None:
        model, still, chance = (times[which] for which in ("model", "without_time", "chance"))
        findings.append(
            "Learnt from the labels of whole clips alone, the scores on the embedding find events in time so: in "
            f"{model['within_clips_auc']:.0%} of pairs of moments of a clip, one with the sound and one without, they "
            f"are higher where it sounds (chance: 50 %); F1 over seconds is {model['segment_f1']:.3f} (without time "
            f"{still['segment_f1']:.3f}, chance {chance['segment_f1']:.3f}), over events with borders within 0.2 s "
            f"{model['event_f1']:.3f} ({still['event_f1']:.3f}, {chance['event_f1']:.3f})."
        )
    return findings


def _passes(plan: Plan, results: Sequence[Result | None]) -> str:
    """How often each goes through its patches: shorter ones are more, and as many batches hear less of the sound."""
    if any(result is None or result["state"] == "failed" for result in results):
        return ""
    settings = plan.cells[0].settings
    times = [settings.steps * settings.batch_size / result["num_patches"] for result in results if result is not None]
    return " So many batches are {:.2g} times all log-mel patches, and {:.2g} times all embeddings.".format(*times)


def _notes(plan: Plan, results: Sequence[Result | None]) -> list[str]:
    settings, facts = plan.cells[0].settings, plan.cell("embedding").facts
    notes = [
        f"Both classifiers have one hidden layer of {settings.num_units:,} units and learn {settings.steps:,} batches "
        f"of {settings.batch_size} patches, seed {settings.seed}, learning rate {settings.learning_rate:g}; one "
        f"training each. Log-mel patches are {paper.SHORT_PATCH_FRAMES / 100:g} s long, those of the embedding as long "
        f"as {facts['network']}'s, which were embedded before: the time is that of the classifier. The paper does not "
        f"print the size of its classifiers.{_passes(plan, results)}",
    ]
    notes.append(
        "The weights of the embedding's row include those of the network that makes the embedding; only its classifier "
        "learns here."
    )
    if again := next((result["num_learnt_again"] for result in results if result and "num_learnt_again" in result), 0):
        notes.append(
            f"The network of the embedding has learnt from {counted(again, 'clip')} of those that the classifiers "
            "learn from, too, by labels of which "
            f"{next(result['num_known_labels'] for result in results if result and 'num_known_labels' in result):,} "
            "are the same. In the paper the classifiers learn other labels from other clips than the network."
        )
    known = next((result["num_learnt_before"] for result in results if result and result.get("num_learnt_before")), 0)
    if known:
        notes.append(
            f"{known:,} of the clips evaluated on were learnt from by the network of the embedding, so its figures say "
            "little about new sound."
        )
    notes += next((result["doubts_of_learnt"] for result in results if result and result.get("doubts_of_learnt")), ())
    if plan.events is not None:
        notes.append(
            "In time: every 0.2 s, by the patch around it. AUC in clips compares moments of the same clip only. "
            "Segment F1 (1 s), event F1 (both borders within 0.2 s, or 20 % of the length at the end) and onset F1 are "
            "sed_eval's, over all events together, with one threshold for all labels, chosen on the other half of the "
            "clips held out. Without time: the clip's score at every moment. Chance: the frequency of labels."
        )
    return notes
