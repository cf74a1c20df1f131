"""`earwitness compare`: two models on the same clips, side by side."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from earwitness.cli.comparison_notes import notes_of_sides
from earwitness.cli.output import print_json, progress_bar, remark
from earwitness.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Compare the scores of two models on the same clips: how much better is one, and is that more than chance?

    Differences are A - B, with 95 % intervals over draws of the clips that are the same for both.
    """

    a: Annotated[Positional[Path], arg(metavar="A")]
    """A folder of scores (`earwitness score`), or of a report (`earwitness evaluate --report`)."""
    b: Annotated[Positional[Path], arg(metavar="B")]
    """The other one."""
    common: bool = False
    """Compare the clips and labels that both have, where they do not have the same."""
    resamples: int = 200
    """How often clips are drawn anew for the intervals."""
    seed: int = 0
    """Of these draws."""
    report: Path | None = None
    """Folder for compare.html (label against label, to search), compare.json and compare.csv."""
    memory_mib: int = 512
    """What measuring may hold of scores at a time."""
    json: bool = False
    """Print the comparison as JSON."""

    def __post_init__(self) -> None:
        for name, value, least in (
            ("resamples", self.resamples, 2),
            ("seed", self.seed, 0),
            ("memory_mib", self.memory_mib, 1),
        ):
            if value < least:
                raise SettingsError(f"{name}={value} must be at least {least}")

    def run(self) -> int:
        """Compare and report."""
        from earwitness.evaluation.paired import compare_scores
        from earwitness.experiments.aligning import align_scores
        from earwitness.report.comparison_facts import ComparisonFacts
        from earwitness.report.comparison_report import comparison_values, write_comparison_report
        from earwitness.report.comparison_tables import quick_comparison
        from earwitness.report.evaluation_report import require_report_folder
        from earwitness.scoring.score_folder import ScoreFolder

        folders = ScoreFolder.open(self.a), ScoreFolder.open(self.b)
        aligned = align_scores(*folders, common=self.common)
        if self.report is not None:
            require_report_folder(self.report)
        with progress_bar(total=len(aligned.label_set), unit="label", title="compare") as bar:
            comparison = compare_scores(
                aligned.a,
                aligned.b,
                aligned.positives,
                label_set=aligned.label_set,
                thresholds_a=aligned.thresholds_a,
                thresholds_b=aligned.thresholds_b,
                resamples=self.resamples,
                seed=self.seed,
                memory_bytes=self.memory_mib * 2**20,
                on_labels=bar.update,
            )
        facts = ComparisonFacts(
            name_a=str(self.a),
            name_b=str(self.b),
            comparison=comparison,
            details_a=folders[0].details,
            details_b=folders[1].details,
            notes=(*aligned.notes, *notes_of_sides(*folders)),
        )
        if self.json:
            print_json(comparison_values(facts))
        else:
            print(quick_comparison(facts))
        for note in facts.notes:
            remark(note)
        if self.report is not None:
            remark(f"report: {write_comparison_report(self.report, facts)[0]}")
        return 0
