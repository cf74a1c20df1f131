"""`earwitness labels`: other labels for the same clips."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from earwitness.cli.manifest_option import read_given_manifest
from earwitness.cli.manifest_output import first_few, listed
from earwitness.cli.output import counted, print_json, remark, require_separate_files

if TYPE_CHECKING:
    from earwitness.subsets.relabelling import Relabelled


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Change the labels of clips: add ancestors, apply rules, keep the most frequent; in this order."""

    manifest: Annotated[Positional[Path], arg(metavar="MANIFEST")]
    """A table of clips."""
    out: Path
    """The manifest to write: .parquet, .csv or .jsonl."""
    ontology: Path | None = None
    """Audio Set's ontology.json: every label brings all its ancestors along."""
    with_restricted: bool = False
    """Add ancestors that the ontology marks abstract or blacklisted, too. Without, they are passed over."""
    rules: Path | None = None
    """A table with the columns from and to: renames, merges (several from, one to), drops (to is empty), splits (one
    from, several to)."""
    most_frequent: int | None = None
    """Keep so many labels, those on most clips; of equal ones, the first by id."""
    drop_unlabelled: bool = False
    """Leave out clips that have no label in the end."""
    labels_out: Path | None = None
    """A label set to write (.csv), most frequent first: what `prepare --label-set` takes."""
    names: Path | None = None
    """A .csv of labels with their names, such as Audio Set's class_labels_indices.csv. None: the ontology's names."""
    json: bool = False
    """Report as JSON."""

    def __post_init__(self) -> None:
        require_separate_files(
            {"--out": self.out, "--labels-out": self.labels_out},
            inputs=[self.manifest, self.ontology, self.rules, self.names],
        )

    def run(self) -> int:
        """Change the labels, write, and say what became of them."""
        from earwitness.labels import LabelSet, read_label_set, write_label_set
        from earwitness.manifest import write_manifest
        from earwitness.subsets.ontology import read_ontology
        from earwitness.subsets.relabelling import read_rules, relabel

        ontology = None if self.ontology is None else read_ontology(self.ontology)
        names = dict(ontology.names) if ontology is not None else {}
        if self.names is not None:
            named = read_label_set(self.names)
            names |= zip(named.ids, named.names, strict=True)
        found = relabel(
            read_given_manifest(self.manifest),
            ontology=ontology,
            with_restricted=self.with_restricted,
            rules=None if self.rules is None else read_rules(self.rules),
            most_frequent=self.most_frequent,
            drop_unlabelled=self.drop_unlabelled,
        )
        write_manifest(found.manifest, self.out)
        if self.labels_out is not None:
            ids = tuple(found.counts)
            write_label_set(LabelSet(ids, tuple(names.get(label, label) for label in ids)), self.labels_out)
        if self.json:
            print_json(
                {
                    "schema_version": 1,
                    "manifest": str(self.out),
                    "num_clips": len(found.manifest),
                    "num_unlabelled": found.num_unlabelled,
                    "num_dropped": found.num_dropped,
                    "num_labels_to_choose_from": found.num_labels_to_choose_from,
                    "label_counts": dict(found.counts),
                    "label_counts_before": dict(found.counts_before),
                    "idle_rules": list(found.idle_rules),
                    "not_in_ontology": list(found.not_in_ontology),
                    "tied": list(found.tied),
                }
            )
            return 0
        self._say(found, names)
        return 0

    def _say(self, found: "Relabelled", names: dict[str, str]) -> None:
        num_pairs, before = sum(found.counts.values()), sum(found.counts_before.values())
        print(
            f"{self.out}: {counted(len(found.manifest), 'clip')}, {counted(len(found.counts), 'label')} (before: "
            f"{len(found.counts_before):,}), {num_pairs / len(found.manifest):.2f} a clip (before: "
            f"{before / (len(found.manifest) + found.num_dropped):.2f})"
        )
        if len(found.counts) < found.num_labels_to_choose_from:
            print(f"  the most frequent of {counted(found.num_labels_to_choose_from, 'label')}")
        most = [f"{names.get(label, label)} {count:,}" for label, count in list(found.counts.items())[:8]]
        print(f"  clips a label: {listed(most)}{', ...' if len(found.counts) > 8 else ''}")
        if found.counts == found.counts_before and not found.num_dropped:
            remark(
                "Nothing changed: the labels are what they were. --ontology, --rules and --most-frequent change them."
            )
        if self.labels_out is not None:
            print(f"  labels: {self.labels_out}")
        if found.num_unlabelled:
            fate = "They were left out." if found.num_dropped else "They stay, as clips of no label."
            remark(f"{counted(found.num_unlabelled, 'clip')} of no label. {fate}")
        if found.idle_rules:
            remark(f"{counted(len(found.idle_rules), 'rule')} met no clip: {first_few(found.idle_rules)}.")
        if found.not_in_ontology:
            remark(
                f"The ontology does not know {counted(len(found.not_in_ontology), 'label')}, which have no ancestors: "
                f"{first_few(found.not_in_ontology)}."
            )
        if found.tied:
            remark(
                f"{counted(len(found.tied), 'label')} left out by the order of ids alone, on as many clips as the last "
                f"one kept: {first_few(found.tied)}."
            )
