"""A store whose frames are cut into patches of another length: the same frames, and nothing is copied."""

import copy
from dataclasses import replace

from earwitness.store.read import Store


def with_patches(store: Store, *, patch_frames: int) -> Store:
    """The store with patches of so many frames, side by side.

    A clip that was filled up to one of the store's own patches stays as long as that.

    Raises:
        SettingsError: no patch can be that long.
    """
    view = copy.copy(store)
    view.front_end = replace(store.front_end, patch_frames=patch_frames, patch_hop_frames=patch_frames)
    return view
