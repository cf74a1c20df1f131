"""`earwitness subset balanced`: an evaluation set with about so many clips of every label."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from earwitness.cli.manifest_option import read_given_manifest
from earwitness.cli.manifest_output import first_few
from earwitness.cli.output import counted, print_json, remark, require_separate_files
from earwitness.errors import ManifestError, SettingsError

if TYPE_CHECKING:
    from earwitness.subsets.balanced import BalancedSet

_REPORT_SUFFIXES = (".csv", ".json")


@dataclass(frozen=True, kw_only=True)
class Balanced:
    """A balanced evaluation set: about so many clips of every label, in as few clips as possible.

    Labels with fewer clips give all they have. It prints how many clips such a set needs at least.
    """

    manifest: Annotated[Positional[Path], arg(metavar="MANIFEST")]
    """A table of clips."""
    out: Path
    """The evaluation set to write: .parquet, .csv or .jsonl."""
    per_label: int = 33
    """Clips of every label; the paper has about 33."""
    most_frequent: int | None = None
    """Balance over so many labels, those on most clips; of equal ones, the first by id."""
    labels: Path | None = None
    """Balance over the labels of this file, model or store. None: over all labels of the manifest."""
    rest_out: Path | None = None
    """A manifest to write of the clips to learn from: the others, without those that share a group or a recording with
    a clip of the evaluation set."""
    report_out: Path | None = None
    """A table to write (.csv or .json): for every label its clips in the manifest and in the set, and whether it is
    filled."""
    seed: int = 0
    """Another seed decides otherwise between clips that serve as well."""
    json: bool = False
    """Report as JSON, without the table of labels."""

    def __post_init__(self) -> None:
        require_separate_files(
            {"--out": self.out, "--rest-out": self.rest_out, "--report-out": self.report_out},
            inputs=[self.manifest, self.labels],
        )
        if self.labels is not None and self.most_frequent is not None:
            raise SettingsError("--labels and --most-frequent both say what to balance over; give one of them")
        if self.most_frequent is not None and self.most_frequent < 1:
            raise SettingsError(f"most_frequent={self.most_frequent} must be at least 1")
        if self.report_out is not None and self.report_out.suffix.lower() not in _REPORT_SUFFIXES:
            raise SettingsError(f"--report-out {self.report_out}: its suffix must be {' or '.join(_REPORT_SUFFIXES)}")

    def run(self) -> int:
        """Choose, write, and say how near the smallest set it is."""
        from earwitness.cli.label_set_option import read_labels_of
        from earwitness.manifest import write_manifest
        from earwitness.subsets.balanced import balanced_set, report_rows, rest_of

        manifest = read_given_manifest(self.manifest)
        labels, names = None, {}
        if self.labels is not None:
            label_set = read_labels_of(self.labels)
            labels, names = list(label_set.ids), dict(zip(label_set.ids, label_set.names, strict=True))
        elif self.most_frequent is not None:
            labels = list(manifest.label_counts())[: self.most_frequent] or None
        found = balanced_set(manifest, per_label=self.per_label, labels=labels, seed=self.seed)
        rest = None if self.rest_out is None else rest_of(manifest, found.rows)
        write_manifest(found.manifest, self.out)
        if rest is not None and self.rest_out is not None:
            write_manifest(rest.manifest, self.rest_out)
        summary = _summary(found)
        if self.report_out is not None:
            _write_report(self.report_out, summary, report_rows(found, names))
        outputs: dict[str, Any] = {"manifest": str(self.out)}
        if rest is not None:
            outputs |= {
                "rest": str(self.rest_out),
                "num_rest": len(rest.manifest),
                "num_of_same_groups": rest.num_of_same_groups,
            }
        if self.json:
            print_json(summary | outputs)
            return 0
        self._say(found, summary)
        if rest is not None:
            print(f"{self.rest_out}: {counted(len(rest.manifest), 'clip')} to learn from")
            if rest.num_of_same_groups:
                remark(
                    f"{counted(rest.num_of_same_groups, 'clip')} in neither: of the same group or recording as a clip "
                    "of the evaluation set."
                )
        return 0

    def _say(self, found: "BalancedSet", summary: dict[str, Any]) -> None:
        print(
            f"{self.out}: {counted(summary['num_clips'], 'clip')}; {summary['lower_bound']:,} are needed at least "
            f"({summary['above_lower_bound']:.2%} more)"
        )
        least, median, most = (summary["clips_per_label"][name] for name in ("min", "median", "max"))
        print(
            f"  {counted(summary['num_labels'], 'label')}, {summary['num_filled']:,} with {self.per_label} clips or "
            f"more; clips a label: {least:,} at least, {median:,} in the middle, {most:,} at most"
        )
        if self.report_out is not None:
            print(f"  label by label: {self.report_out}")
        few = [label for label, is_filled in zip(found.labels, found.is_filled, strict=True) if not is_filled]
        if few:
            remark(
                f"{counted(len(few), 'label')} with fewer than {self.per_label} clips in the manifest, all of them "
                f"taken: {first_few(few)}."
            )
        if summary["num_absent"]:
            remark(f"{counted(summary['num_absent'], 'label')} of these on no clip of the manifest.")


def _summary(found: "BalancedSet") -> dict[str, Any]:
    import numpy as np

    counts = found.num_in_set
    return {
        "schema_version": 1,
        "num_clips": len(found.rows),
        "lower_bound": found.lower_bound,
        "above_lower_bound": len(found.rows) / found.lower_bound - 1.0,
        "per_label": found.per_label,
        "num_labels": len(found.labels),
        "num_filled": int(found.is_filled.sum()),
        "num_absent": int((found.num_in_corpus == 0).sum()),
        "clips_per_label": {
            "min": int(counts.min()),
            "median": int(np.percentile(counts, 50, method="lower")),
            "max": int(counts.max()),
        },
    }


def _write_report(path: Path, summary: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    from earwitness.files import replacing

    if path.suffix.lower() == ".json":
        text = json.dumps(summary | {"labels": rows}, indent=2, ensure_ascii=False)
    else:
        lines = io.StringIO(newline="")
        table = csv.DictWriter(lines, fieldnames=list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        text = lines.getvalue()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise ManifestError(f"{path}: the report cannot be written ({error.strerror or error})") from error
