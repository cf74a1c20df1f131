"""The scores of a file's patches, written while they stream by.

.csv   media, start_seconds, stop_seconds, then a column for each label id
.npz   start_seconds [patches], scores float32 [patches, labels], label_ids, label_names, patch_seconds, hop_seconds
"""

import csv
import io
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from earwitness.errors import SettingsError
from earwitness.files import replacing
from earwitness.labels import LabelSet

FORMATS = ("csv", "npz")


class PatchScoreFile:
    """One file of patch scores: nothing of it is there before it is complete."""

    def __init__(
        self, path: Path, *, media: str, label_set: LabelSet, patch_seconds: float, hop_seconds: float
    ) -> None:
        """Begin.

        Raises:
            SettingsError: there is no such format, or the folder cannot be written to.
        """
        require_scores_format(path)
        self._path, self._media, self._label_set = path, media, label_set
        self._patch_seconds, self._hop_seconds = patch_seconds, hop_seconds
        self._num_patches = 0
        self._first_seconds = 0.0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: Any = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 (closed by __exit__)
        except OSError as error:
            raise SettingsError(f"{path}: the scores cannot be written ({error.strerror or error})") from error
        if path.suffix.lower() == ".csv":
            self._row(["media", "start_seconds", "stop_seconds", *label_set.ids])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def push(self, start_seconds: npt.NDArray[np.float64], scores: npt.NDArray[np.float32]) -> None:
        """Add the next patches: start_seconds [patches], scores [patches, labels]."""
        if not self._num_patches and len(start_seconds):
            self._first_seconds = float(start_seconds[0])
        self._num_patches += len(scores)
        if self._path.suffix.lower() == ".npz":
            self._file.write(np.ascontiguousarray(scores, dtype="<f4").data)
            return
        for start, of_patch in zip(start_seconds.tolist(), scores.tolist(), strict=True):
            span = (f"{start:.3f}", f"{start + self._patch_seconds:.3f}")
            self._row([self._media, *span, *(f"{score:.7g}" for score in of_patch)])

    def finish(self) -> None:
        """Put the file in its place.

        Raises:
            SettingsError: it cannot be written.
        """
        try:
            self._file.seek(0)
            with replacing(self._path) as out:
                if self._path.suffix.lower() == ".csv":
                    shutil.copyfileobj(self._file, out)
                else:
                    self._write_arrays(out)
        except OSError as error:
            raise SettingsError(f"{self._path}: the scores cannot be written ({error.strerror or error})") from error

    def _row(self, values: list[str]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerow(values)
        self._file.write(text.getvalue().encode("utf-8", errors="surrogateescape"))

    def _write_arrays(self, out: Any) -> None:
        starts = self._first_seconds + np.arange(self._num_patches) * self._hop_seconds
        small = {
            "start_seconds": starts,
            "label_ids": np.array(self._label_set.ids),
            "label_names": np.array(self._label_set.names),
            "patch_seconds": np.array(self._patch_seconds),
            "hop_seconds": np.array(self._hop_seconds),
        }
        with zipfile.ZipFile(out, "w", allowZip64=True) as archive:
            for name, array in small.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array)
            shape = (self._num_patches, len(self._label_set))
            with archive.open("scores.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": shape})
                shutil.copyfileobj(self._file, member)


def require_scores_format(path: Path) -> None:
    """Refuse another suffix.

    Raises:
        SettingsError: it is none of `FORMATS`.
    """
    if path.suffix.lower().removeprefix(".") not in FORMATS:
        raise SettingsError(f"{path}: patch scores are written as .csv or .npz, by the suffix")
