"""The measures of a timeline against true events, as people read them: a table, two lines, and what they mean."""

import math

from earwitness.evaluation.timelines import TimelineEvaluation
from earwitness.report.words import measure

TIMELINE_DEFINITIONS = (
    "Within clips, the patches of one clip are ranked by the score of a label, in every clip in which it sounds in "
    "some patches but not in all: AUC says how often a patch in which it sounds scores above one in which it does "
    "not, ties counting one half. Means are over a label's clips, then over labels with equal weight; chance is "
    "patches in random order. The baseline, loudness, ranks patches by the mean of their log-mel values, and so "
    "knows when something sounds, but not what. Over all patches of all clips, scores that tell clips apart rank "
    "well without knowing when: without time, each patch has its clip's score."
)
"""What the measures mean, for readers of a summary or a page."""


def timeline_rows(timeline: TimelineEvaluation) -> list[list[str]]:
    """The measures beside those of scores without time and chance, header first."""
    within, loudness = timeline.within_clips, timeline.loudness_within_clips
    own, without = timeline.over_patches, timeline.over_patches_without_time
    return [
        ["timeline", "model", "loudness", "without time", "chance"],
        ["AUC within clips", measure(within.mean_auc), measure(loudness.mean_auc), "0.5000", "0.5000"],
        [
            "AP within clips",
            measure(within.mean_average_precision),
            measure(loudness.mean_average_precision),
            "–",
            measure(within.chance_mean_average_precision),
        ],
        [
            "mAP over all patches",
            measure(own.mean_average_precision),
            "–",
            measure(without.mean_average_precision),
            measure(own.chance.mean_average_precision),
        ],
    ]


def timeline_basis(timeline: TimelineEvaluation) -> str:
    """What the measures rest on, and how many labels had to be left out of those within clips, in a sentence."""
    within = timeline.within_clips
    left_out = ""
    if within.num_undefined_labels:
        left_out = f"; {within.num_undefined_labels:,} of them left out within clips, never sounding in part of one"
    return (
        f"{timeline.num_patches:,} patches of {timeline.num_clips:,} clips, in {within.num_clips:,} of which a label "
        f"sounds part of the time; {within.num_labels:,} labels{left_out}."
    )


def timeline_lines(timeline: TimelineEvaluation) -> str:
    """The measures in two lines of text."""
    within, loudness = timeline.within_clips, timeline.loudness_within_clips
    own, without = timeline.over_patches, timeline.over_patches_without_time
    return (
        f"Timeline, within clips: AUC {_short(within.mean_auc)} (chance 0.5, loudness {_short(loudness.mean_auc)}), "
        f"average precision {_short(within.mean_average_precision)} "
        f"(chance {_short(within.chance_mean_average_precision)}, loudness {_short(loudness.mean_average_precision)})\n"
        f"Timeline, over all patches: mAP {_short(own.mean_average_precision)} "
        f"(chance {_short(own.chance.mean_average_precision)}, "
        f"clip scores without time {_short(without.mean_average_precision)})"
    )


def _short(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"
