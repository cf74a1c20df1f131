"""The option --label-set: a file of labels, a model, or a store, whose labels are taken in their order."""

from pathlib import Path
from typing import TYPE_CHECKING

from earwitness.places import UrlPath, place

if TYPE_CHECKING:
    from earwitness.labels import LabelSet


def read_labels_of(where: str | Path) -> "LabelSet":
    """The label set of a file of labels, of a model, or of a store; behind a URL, of a store.

    Raises:
        LabelError: the file cannot be read, or names no labels.
        StoreError: the folder holds no readable store.
    """
    from earwitness.labels import read_label_set, read_model_labels
    from earwitness.store.header import read_header

    path = place(where)
    if isinstance(path, UrlPath) or path.is_dir():
        return read_header(path).label_set
    return read_model_labels(path) if path.suffix.lower() == ".safetensors" else read_label_set(path)
