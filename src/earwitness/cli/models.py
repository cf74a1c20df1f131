"""`earwitness models`: the networks and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from earwitness.cli.output import print_json
from earwitness.errors import SettingsError
from earwitness.models.registry import NETWORKS, NetworkEntry, Release

if TYPE_CHECKING:
    from earwitness.models.costs import NetworkCosts

_PAPER = {"num_labels": 3087, "width": 1.0, "patch_frames": 96, "bottleneck": None}
"""What the paper's figures are for."""


@dataclass(frozen=True, kw_only=True)
class Models:
    """List the networks: weights, multiply-adds of a patch, embedding size, and the paper's figures beside them.

    Networks whose weights were published follow at the size of their release; `earwitness pull` fetches them.
    """

    num_labels: int = 3087
    """Outputs (paper: 3,087)."""
    width: float = 1.0
    """Multiplies the units or channels of every hidden layer; 1 is the paper's size."""
    patch_frames: int = 96
    """Frames of a patch (paper: 96, 0.96 s)."""
    bottleneck: int | None = None
    """Units of a layer before the output (paper: 128, in some of its experiments). None: there is none."""
    json: bool = False
    """Print as JSON."""

    def run(self) -> int:
        """List them; a network that this size is too small for is listed with the reason."""
        from earwitness.models.costs import network_costs

        size = {key: getattr(self, key) for key in _PAPER}
        costs: dict[str, NetworkCosts | SettingsError] = {}
        for name in NETWORKS:
            try:
                costs[name] = network_costs(name, **size)
            except SettingsError as error:
                costs[name] = error
        refusals = [outcome for outcome in costs.values() if isinstance(outcome, SettingsError)]
        if len(refusals) == len(NETWORKS):
            raise refusals[0]
        if self.json:
            rows = [_row(name, entry, costs[name], is_paper=size == _PAPER) for name, entry in NETWORKS.items()]
            print_json({"schema_version": 1, **size, "networks": rows})
            return 0
        self._print(costs, is_paper=size == _PAPER)
        return 0

    def _print(self, costs: dict[str, NetworkCosts | SettingsError], *, is_paper: bool) -> None:
        size = f"{self.num_labels:,} labels, patches of {self.patch_frames} frames, width {self.width:g}"
        print(size if self.bottleneck is None else f"{size}, a bottleneck of {self.bottleneck:,}")
        _print_line(
            "network", "weights", "paper" if is_paper else "", "mult.-adds", "paper" if is_paper else "", "embedding"
        )
        for name, outcome in costs.items():
            if isinstance(outcome, SettingsError):
                print(f"{name:<16} {outcome}")
                continue
            entry = NETWORKS[name]
            _print_line(
                name,
                _rounded(outcome.num_weights, digits=4),
                _rounded(entry.paper_num_weights, digits=3) if is_paper else "",
                _rounded(outcome.num_multiply_adds, digits=4),
                _rounded(entry.paper_num_multiply_adds, digits=3) if is_paper else "",
                f"{outcome.embedding_size:,}",
            )
        if is_paper:
            for name, entry in NETWORKS.items():
                if entry.remark is not None:
                    print(f"{name}: {entry.remark}")
            _print_released()


def _print_released() -> None:
    print("\nwith published weights, as released")
    _print_line("network", "labels", "weights", "published", "mult.-adds", "published", "embedding")
    for name, entry in NETWORKS.items():
        if entry.released is None:
            continue
        costs = _released_costs(name, entry.released)
        _print_line(
            name,
            f"{entry.released.num_labels:,}" if entry.released.num_labels else "none",
            _rounded(costs.num_weights, digits=4),
            _rounded(entry.released.num_weights, digits=3),
            _rounded(costs.num_multiply_adds, digits=4),
            _rounded(entry.released.num_multiply_adds, digits=3),
            f"{costs.embedding_size:,}",
        )


def _released_costs(name: str, released: Release) -> NetworkCosts:
    """Of the network as it was published: where that was up to the embedding, without the output."""
    from earwitness.models.costs import NetworkCosts, network_costs

    costs = network_costs(name, num_labels=max(1, released.num_labels))
    if released.num_labels:
        return costs
    return NetworkCosts(
        num_weights=costs.num_weights - costs.embedding_size - 1,
        num_multiply_adds=costs.num_multiply_adds - costs.embedding_size,
        embedding_size=costs.embedding_size,
    )


def _print_line(name: str, *cells: str) -> None:
    print(f"{name:<16}" + "".join(f"{cell:>12}" for cell in cells if cell))


def _row(name: str, entry: NetworkEntry, outcome: NetworkCosts | SettingsError, *, is_paper: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"network": name, "learning_rate": entry.learning_rate}
    if isinstance(outcome, SettingsError):
        return {**row, "impossible": str(outcome)}
    row.update(vars(outcome))
    if is_paper:
        row.update(paper_num_weights=entry.paper_num_weights, paper_num_multiply_adds=entry.paper_num_multiply_adds)
        row.update(remark=entry.remark)
        if entry.released is not None:
            printed = {f"published_{key}": value for key, value in vars(entry.released).items()}
            row.update(released={**vars(_released_costs(name, entry.released)), **printed})
    return row


def _rounded(number: int | None, *, digits: int) -> str:
    """`37.35 M`, `1.856 G`, to so many digits; a dash where there is no figure."""
    if number is None:
        return "-"
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{float(f'{number / size:.{digits}g}'):g}{unit}"
    return f"{number:g}"
