"""What a reader of a comparison must know of either side: by the report that holds its scores, or by these alone."""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earwitness.scoring.score_folder import ScoreFolder


def notes_of_sides(a: "ScoreFolder", b: "ScoreFolder") -> list[str]:
    """Sentences about either side or both.

    A report that was made with the model at hand has looked at what the model learnt from: its notes are quoted.
    """
    from earwitness.experiments.evaluating import notes_of_scores

    quoted = {name: _notes_of_report(side) for name, side in (("A", a), ("B", b))}
    notes: list[str] = []
    for note in dict.fromkeys(note for own in quoted.values() for note in own or ()):
        names = [name for name, own in quoted.items() if note in (own or ())]
        notes.append(f"{' and '.join(names)}, by {'its report' if len(names) == 1 else 'their reports'}: {note}")
    unquoted = [side for side, own in zip((a, b), quoted.values(), strict=True) if own is None]
    return [*notes, *dict.fromkeys(note for side in unquoted for note in notes_of_scores(side))]


def _notes_of_report(side: "ScoreFolder") -> list[str] | None:
    """The notes of the report that holds these scores; None where there is none, or it was made without the model."""
    from earwitness.report.evaluation_report import JSON_FILE
    from earwitness.scoring.score_folder import REPORT_FOLDER

    path = side.path.parent / JSON_FILE
    if side.path.name != REPORT_FOLDER or not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        details, notes = document["details"], [str(note) for note in document["notes"]]
        same = all(details[name] == side.details[name] for name in ("source_digest", "store_fingerprint", "where"))
        return notes if same and "is_same_corpus" in details else None
    except (OSError, ValueError, KeyError, TypeError):  # written by another version, or by hand
        return None
