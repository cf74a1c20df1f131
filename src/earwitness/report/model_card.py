"""The model card: what a model is, what it learnt from, what it is for, how good it is and where it fails.

Only facts: from the model's file and from an evaluation. What is not known is said to be unknown. To be added to by
people who know more.

References: Mitchell et al. 2019, Model Cards for Model Reporting.
"""

import shlex
from collections.abc import Mapping
from typing import Any

from earwitness.decisions import FittedOn
from earwitness.report.evaluation_facts import EvaluationFacts, ModelFacts
from earwitness.report.evaluation_summary import label_table
from earwitness.report.evaluation_tables import (
    ANSWERS,
    DEFINITIONS,
    headline_rows,
    headline_table,
    markdown_cell,
    markdown_table,
)
from earwitness.report.label_ends import label_ends
from earwitness.report.words import counted

_LISTED_LABELS = 10
_UNKNOWN = "unknown"


def model_card(facts: EvaluationFacts, model: ModelFacts) -> str:
    """The card as Markdown."""
    evaluation = facts.evaluation
    sections = [
        f"# Model card: {markdown_cell(model.path)}",
        "Written by `earwitness evaluate` from the model's file and from what was measured. What is not known here is "
        "called unknown; whoever knows should add it.",
        "## What it is",
        _what_it_is(facts, model),
        "## What it learnt from",
        _training(model.provenance),
        "## What it is for",
        _INTENDED_USE,
        "## How good it is",
        f"Measured: {markdown_cell(facts.title)}.",
        headline_table(evaluation, facts.baseline),
        *(f"**{markdown_cell(note)}**" for note in facts.notes),
        "At the thresholds, and as probabilities:",
        markdown_table(headline_rows(evaluation, facts.baseline, measures=ANSWERS)),
        DEFINITIONS,
    ]
    ends = label_ends(evaluation.labels, most=_LISTED_LABELS)
    if ends.worst:
        sections += ["### Heard worst", label_table(ends.worst), "### Heard best", label_table(ends.best)]
    elif ends.best:
        sections += ["### Label by label, worst first", label_table(ends.best[::-1])]
    sections += ["## Where it fails", _limits(facts), "## How to use it", _commands(facts, model)]
    return "\n\n".join(sections) + "\n"


_INTENDED_USE = (
    "Naming the sounds in soundtracks: tags of whole clips, timelines of what sounds when, embeddings, and a start for "
    "training on other labels. Not for decisions about people, nor where a missed or invented sound does harm, unless "
    "that use has been measured: figures on one corpus say little about another."
)


def _what_it_is(facts: EvaluationFacts, model: ModelFacts) -> str:
    front_end = model.front_end
    first = ", ".join(markdown_cell(label.name) for label in facts.evaluation.labels[:10])
    more = facts.evaluation.num_labels - 10
    return _list(
        {
            "Network": f"{model.network}, {model.num_weights:,} weights",
            "Hears": f"patches of {front_end.patch_seconds:g} s, {front_end.num_bands} mel bands from "
            f"{front_end.min_hz:g} to {front_end.max_hz:g} Hz, mono at {front_end.sample_rate_hz:,} Hz; a clip's score "
            "is the mean of its patches' probabilities unless it is said otherwise below",
            **_decisions(model),
            "Says": f"{facts.evaluation.num_labels:,} labels: {first}" + (f" and {more:,} more" if more > 0 else ""),
        }
    )


def _decisions(model: ModelFacts) -> dict[str, str]:
    """What makes probabilities of its scores, and yeses of these."""
    calibration, thresholds = model.calibration, model.thresholds
    if thresholds is None:
        aim = "none of its own: 0.5 is usual"
    elif thresholds.beta is not None:
        aim = f"for each label that with the largest F{thresholds.beta:g}, {_fitted_on(thresholds.fitted_on)}"
    else:
        aim = (
            f"for each label that with the largest recall at a precision of {thresholds.precision:g}, "
            f"{_fitted_on(thresholds.fitted_on)}"
        )
    calibrated = f"yes, {_fitted_on(calibration.fitted_on)}" if calibration is not None else "no"
    return {"Scores calibrated": calibrated, "Thresholds": aim}


def _fitted_on(on: FittedOn) -> str:
    where = f" where {markdown_cell(on.where)}" if on.where is not None else ""
    return f"fitted on {counted(on.num_clips, 'clip')}{where} of the store with fingerprint {on.store_fingerprint}"


def _training(provenance: Mapping[str, Any]) -> str:
    if not provenance:
        return "The model's file does not say: what it learnt from is unknown, and so is the licence of that data."
    clips, settings = provenance.get("clips") or {}, provenance.get("settings") or {}
    fingerprint, store = (provenance.get(name, _UNKNOWN) for name in ("store_fingerprint", "store"))
    details = {
        "Corpus": f"fingerprint {fingerprint}, store {store}",
        "Clips": f"{clips['num_train']:,} learnt from, {clips.get('num_validation', 0):,} watched"
        if "num_train" in clips
        else _UNKNOWN,
        "Selection": f"`{settings['where']}`" if settings.get("where") else "all clips of the store",
        "Licence of the data": str(provenance.get("licence") or provenance.get("license") or _UNKNOWN),
        "Steps": f"{provenance['step']:,}" if "step" in provenance else f"{settings.get('steps', _UNKNOWN)}",
        "Learning rate": str((provenance.get("resolved") or {}).get("learning_rate", _UNKNOWN)),
        "Batch": f"{settings.get('batch_size', _UNKNOWN)} patches",
        "Seed": str(settings.get("seed", _UNKNOWN)),
    }
    if origin := provenance.get("origin"):
        details["Began from"] = f"another model, digest {origin.get('digest', _UNKNOWN)}"
    environments = provenance.get("environments") or []
    if environments:
        versions = environments[-1].get("versions") or {}
        details["Trained by"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    return _list(details)


def _limits(facts: EvaluationFacts) -> str:
    evaluation = facts.evaluation
    limits = [
        "Labels of whole clips taught it: it was never told when a sound sounds, and labels of such corpora are often "
        "missing or wrong.",
        "It knows its labels only: any other sound gets the scores of what it resembles.",
        f"Figures rest on {evaluation.num_clips:,} clips; for rare labels on few, as the intervals show."
        if evaluation.resamples
        else f"Figures rest on {evaluation.num_clips:,} clips, for rare labels on few; `--resamples` gives intervals.",
    ]
    if evaluation.num_undefined_labels:
        limits.append(f"{evaluation.num_undefined_labels:,} of its labels could not be measured at all.")
    if (evaluation.calibration_error or 0.0) > 0.05:
        limits.append(
            f"Its scores are no probabilities (calibration error {evaluation.calibration_error:.3f}); "
            "`earwitness calibrate` mends that."
        )
    return "\n".join(f"- {limit}" for limit in limits)


def _commands(facts: EvaluationFacts, model: ModelFacts) -> str:
    path = shlex.quote(model.path)
    commands = {
        "what sounds in media files": f"tag {path} FILE...",
        "and when": f"tag {path} FILE... --timeline",
        "embeddings, for other tasks": f"embed {path} STORE OUT",
    }
    if not model.path.lower().endswith(".onnx"):  # an exported model has no network to learn on
        commands["other labels, from what it learnt"] = f"train STORE RUN --from {path}"
    if (store := facts.details.get("store_path")) is not None:
        where = facts.details.get("where")
        selection = f" --where {shlex.quote(str(where))}" if where else ""
        commands["these figures"] = f"evaluate {path} {shlex.quote(str(store))}{selection} --report DIR"
    lines = [line for what, command in commands.items() for line in (f"# {what}", f"earwitness {command}")]
    return "\n".join(["```sh", *lines, "```"])


def _list(details: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {' '.join(value.split())}" for name, value in details.items())
