"""`earwitness subset`: clips chosen from a manifest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg, subcommand

from earwitness.cli.manifest_option import read_given_manifest
from earwitness.cli.manifest_output import first_few
from earwitness.cli.output import counted, print_json, remark, require_separate_files
from earwitness.cli.subset_balanced import Balanced
from earwitness.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Nested:
    """Random subsets, the smaller within the larger: 1, 1/10, 1/100 ... of the clips.

    Every clip draws a number from its id and the seed, so a corpus that grows keeps its choice.
    """

    manifest: Annotated[Positional[Path], arg(metavar="MANIFEST")]
    """A table of clips."""
    out: Path
    """The manifest to write, with a column `draw` for --where. With {} in its name, one manifest for each subset
    instead: train_{}.parquet becomes train_0.1.parquet ..."""
    fractions: tuple[float, ...] = ()
    """Shares of the clips: 0.1 0.01. They come out about so large, and keep their clips in a corpus that grows."""
    sizes: tuple[int, ...] = ()
    """Numbers of clips: 7000000 700000. They come out exactly, and change some clips in a corpus that grows."""
    seed: int = 0
    """Another seed draws other clips."""
    whole_groups: bool = False
    """Draw clips of one `group`, or cut from one recording, together. A size is then not exceeded."""
    json: bool = False
    """Report as JSON."""

    def __post_init__(self) -> None:
        require_separate_files({"--out": self.out}, inputs=[self.manifest])

    def run(self) -> int:
        """Draw, write, and say how to use it."""
        from earwitness.manifest import write_manifest
        from earwitness.subsets.nested import DRAW_COLUMN, nested_subsets

        found = nested_subsets(
            read_given_manifest(self.manifest),
            fractions=self.fractions,
            sizes=self.sizes,
            seed=self.seed,
            whole_groups=self.whole_groups,
        )
        is_pattern = "{}" in self.out.name
        rows = []
        for subset in found.subsets:
            path = self.out.with_name(self.out.name.replace("{}", subset.name)) if is_pattern else self.out
            require_separate_files({"--out": path}, inputs=[self.manifest])
            if is_pattern:
                write_manifest(found.take(subset), path)
            condition = f"{DRAW_COLUMN} < {subset.below!r}"
            rows.append(
                {"subset": subset.name, "manifest": str(path), "num_clips": subset.num_clips, "where": condition}
            )
        if not is_pattern:
            write_manifest(found.manifest, self.out)
        if self.json:
            print_json({"schema_version": 1, "num_clips": len(found.manifest), "seed": self.seed, "subsets": rows})
            return 0
        if is_pattern:
            for row in rows:
                print(f"{row['manifest']}: {row['num_clips']:,} of {counted(len(found.manifest), 'clip')}")
            return 0
        print(f"{self.out}: {counted(len(found.manifest), 'clip')}, each with its draw. The subsets are had by")
        for row in rows:
            print(f"  --where '{row['where']}'   {row['num_clips']:,} clips")
        return 0


@dataclass(frozen=True, kw_only=True)
class Split:
    """Parts such as train and test: groups stay on one side, and every label is dealt out by the shares."""

    manifest: Annotated[Positional[Path], arg(metavar="MANIFEST")]
    """A table of clips; those of one `group` (without one: of one recording) stay together."""
    out: Path
    """The manifest to write, with a column of parts: .parquet, .csv or .jsonl."""
    parts: tuple[str, ...]
    """Names and shares: train=0.8 validation=0.1 test=0.1."""
    column: str = "split"
    """The name of the new column."""
    seed: int = 0
    """Another seed deals otherwise, as evenly."""
    json: bool = False
    """Report as JSON."""

    def __post_init__(self) -> None:
        require_separate_files({"--out": self.out}, inputs=[self.manifest])

    def run(self) -> int:
        """Deal, write, and say how even it is."""
        from earwitness.manifest import write_manifest
        from earwitness.subsets.splits import split_manifest

        shares = _shares(self.parts)
        found = split_manifest(read_given_manifest(self.manifest), shares, column=self.column, seed=self.seed)
        write_manifest(found.manifest, self.out)
        if self.json:
            print_json(
                {
                    "schema_version": 1,
                    "manifest": str(self.out),
                    "column": self.column,
                    "num_clips": dict(found.num_clips),
                    "num_groups": dict(found.num_groups),
                    "label_error": found.label_error,
                    "missing": dict(found.missing),
                    "num_labels_with_too_few_groups": found.num_too_few,
                }
            )
            return 0
        print(f"{self.out}: {counted(len(found.manifest), 'clip')}")
        for name, num_clips in found.num_clips.items():
            share = num_clips / len(found.manifest)
            print(
                f"  {self.column} = '{name}': {counted(num_clips, 'clip')} ({share:.1%}) of "
                f"{counted(found.num_groups[name], 'group')}"
            )
        print(f"  a part's share of a label's clips is off by {found.label_error:.2%} of them on average")
        if found.num_too_few:
            remark(
                f"{counted(found.num_too_few, 'label')} with fewer groups than there are parts: some parts have "
                "nothing of them."
            )
        if found.missing:
            missing = [f"{label} in {', '.join(parts)}" for label, parts in found.missing.items()]
            remark(
                f"{counted(len(missing), 'label')} missing somewhere although there are groups enough, because these "
                f"are needed elsewhere for other labels: {first_few(missing)}."
            )
        return 0


@dataclass(frozen=True, kw_only=True)
class Subset:
    """Choose clips: nested random subsets, a balanced evaluation set, or parts that keep groups together."""

    kind: Annotated[
        Annotated[Nested, subcommand("nested")]
        | Annotated[Balanced, subcommand("balanced")]
        | Annotated[Split, subcommand("split")],
        arg(name=""),
    ]

    def run(self) -> int:
        """Run the chosen one."""
        return self.kind.run()


def _shares(parts: tuple[str, ...]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for part in parts:
        name, _, text = part.partition("=")
        try:
            share = float(text)
        except ValueError:
            share = None
        if not name or share is None:
            raise SettingsError(f"--parts {part}: a part is a name and a share, such as train=0.8")
        if name in shares:
            raise SettingsError(f"--parts: {name!r} is named twice")
        shares[name] = share
    return shares
