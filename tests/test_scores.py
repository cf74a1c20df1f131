"""Scores on disk: the same whoever wrote them and in whatever pieces; other scores are refused; damage is noticed."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from earwitness.errors import ClusterError, ScoreError, SelectionError, SettingsError, StoreError
from earwitness.evaluation.aggregation_names import AGGREGATIONS
from earwitness.evaluation.score_source import ArrayScores
from earwitness.evaluation.summary import evaluate
from earwitness.experiments.evaluating import evaluate_model, evaluate_scores
from earwitness.inference.probabilities import PatchScorer
from earwitness.labels import LabelSet
from earwitness.models.model_file import digest_weights, save_model
from earwitness.scoring import score_cluster
from earwitness.scoring.clip_scores import score_clips
from earwitness.scoring.score_folder import ScoreFolder, repeated
from earwitness.scoring.score_settings import ScoreSettings, Shard
from earwitness.scoring.score_store import patch_scores_of, score_store
from earwitness.scoring.score_tiles import tile_path, tile_rows_for
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from made_models import untrained

PLAIN = ScoreSettings()


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but its lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def scored(store: Store, folder: Path, **options):
    settings = options.pop("settings", PLAIN)
    score_store(untrained(store), store, folder, settings=settings, device="cpu", **options)
    return ScoreFolder.open(folder)


def slow_patches(store: Store, clip: int, hop_frames: int = 96) -> np.ndarray:
    """Scores of a clip's patches, one at a time."""
    network = untrained(store).network
    with FrameReader(store) as reader, torch.inference_mode():
        frames = torch.from_numpy(reader.read_clip(clip).astype(np.float32))
        starts = range(0, len(frames) - 95, hop_frames)
        return np.stack([torch.sigmoid(network(frames[None, start : start + 96]))[0].numpy() for start in starts])


def test_scores_are_those_of_a_slow_reading(made_store: Store, tmp_path: Path):
    slow = {
        "mean": lambda p: p.mean(axis=0),
        "max": lambda p: p.max(axis=0),
        "top3": lambda p: np.sort(p, axis=0)[-3:].mean(axis=0),
        "linear_softmax": lambda p: (p * p).sum(axis=0) / p.sum(axis=0),
    }
    for name in AGGREGATIONS:
        settings = ScoreSettings(aggregation=name, where="fold > 1", patch_hop_frames=32)
        folder = scored(made_store, tmp_path / name, settings=settings, range_clips=10)
        clips = np.flatnonzero(made_store.clips["fold"].to_numpy() > 1)
        expected = [slow[name](slow_patches(made_store, int(clip), 32)) for clip in clips]
        np.testing.assert_allclose(folder.source.clip_block(0, 24), expected, atol=1e-6)
        np.testing.assert_array_equal(folder.clips["clip_number"].to_numpy(), clips)
        assert folder.clips["clip_id"].to_pylist() == made_store.clips["clip_id"].take(clips).to_pylist()
        np.testing.assert_array_equal(folder.positives.to_dense(), made_store.targets(clips))
        assert folder.details["aggregation"] == name
        assert folder.details["where"] == "fold > 1"


def test_ranges_do_not_show(made_store: Store, tmp_path: Path):
    whole = scored(made_store, tmp_path / "whole").source.clip_block(0, 32)
    for size in (1, 5, 31, 32):
        parts = scored(made_store, tmp_path / str(size), range_clips=size)
        assert parts.header.num_tiles == -(-32 // size)
        np.testing.assert_allclose(parts.source.clip_block(0, 32), whole, atol=1e-6)
    scorer = PatchScorer(untrained(made_store).network, device=torch.device("cpu"))
    with FrameReader(made_store) as reader:
        at_once = score_clips(scorer, reader, np.arange(32), front_end=made_store.front_end)
    np.testing.assert_allclose(at_once, whole, atol=1e-6)


def test_shards_in_any_order_make_the_same_folder(made_store: Store, tmp_path: Path):
    options = {"settings": PLAIN, "device": "cpu", "range_clips": 5}
    model = untrained(made_store)
    whole = score_store(model, made_store, tmp_path / "whole", **options)
    assert (whole.num_ranges, whole.num_scored, whole.is_complete) == (7, 7, True)
    for number, scores, there in ((3, 2, 2), (1, 3, 5)):
        part = score_store(model, made_store, tmp_path / "parts", shard=Shard(number, 3), **options)
        assert (part.num_scored, part.num_finished, part.is_complete) == (scores, there, False)
    with pytest.raises(ScoreError, match=r"unfinished \(5 of 7 ranges of clips are there\)"):
        ScoreFolder.open(tmp_path / "parts")
    del options["range_clips"]  # what the folder has goes on
    assert score_store(model, made_store, tmp_path / "parts", shard=Shard(2, 3), **options).is_complete
    assert content(tmp_path / "parts") == content(tmp_path / "whole")
    again = score_store(model, made_store, tmp_path / "parts", **options)
    assert (again.num_scored, again.is_complete) == (0, True)


def test_tiles_without_their_header_are_nobody_s(made_store: Store, tmp_path: Path):
    """Whoever removes scores.json to begin anew must not get the old scores under the new model's name."""
    whole = scored(made_store, tmp_path / "whole", range_clips=8)
    other = untrained(made_store)
    with torch.no_grad():
        other.network.head.bias += 1
    (whole.path / "scores.json").unlink()
    summary = score_store(other, made_store, whole.path, settings=PLAIN, device="cpu", range_clips=8)
    assert summary.num_scored == 4
    again = score_store(other, made_store, tmp_path / "other", settings=PLAIN, device="cpu", range_clips=8)
    assert again.is_complete
    assert content(whole.path) == content(tmp_path / "other")


@pytest.mark.parametrize("text", ["", "2", "0/2", "3/2", "1/0", "a/b", "-1/2", "1/2/3"])
def test_shards_that_are_none(text):
    with pytest.raises(SettingsError, match="must be NUMBER/COUNT, such as 2/4"):
        Shard.parse(text)


def test_stopped_anywhere_and_taken_up(made_store: Store, tmp_path: Path):
    """Ctrl-C between any two pieces leaves whole tiles, and the same bytes in the end."""
    model = untrained(made_store)
    options = {"settings": PLAIN, "device": "cpu", "range_clips": 4}
    score_store(model, made_store, tmp_path / "whole", **options)
    lefts = []
    for last in range(9):
        calls = itertools.count()

        def stop(*_: int, calls=calls, last=last):
            if next(calls) == last:
                raise KeyboardInterrupt

        folder = tmp_path / str(last)
        try:
            score_store(model, made_store, folder, on_patches=stop, **options)
        except KeyboardInterrupt:
            lefts.append(len(list((folder / "tiles").iterdir())))
        score_store(model, made_store, folder, **options)
        assert content(folder) == content(tmp_path / "whole")
    assert lefts == sorted(lefts)
    assert lefts[0] == 0
    assert lefts[-1] >= 5


def test_other_scores_are_refused(made_store: Store, tmp_path: Path):
    folder = tmp_path / "scores"
    model = untrained(made_store)
    scored(made_store, folder, range_clips=8)
    before = content(folder)

    def refused(match: str, other=model, settings: ScoreSettings = PLAIN, **options):
        with pytest.raises(ScoreError, match=match):
            score_store(other, made_store, folder, settings=settings, device="cpu", **options)

    stranger = untrained(made_store, seed=1)
    both = rf"digest {digest_weights(model.network)[:12]} there, .*digest {digest_weights(stranger.network)[:12]} now"
    refused(rf"{folder}: the scores there are of another model.*{both}\); choose", stranger)
    refused(
        "of other clips.*32 clips, where None.*there, 8 clips, where fold = 1", settings=ScoreSettings(where="fold = 1")
    )
    refused("at another hop.*96 frames there, 48 frames now", settings=ScoreSettings(patch_hop_frames=48))
    refused(r"aggregated otherwise \(mean there, max now\)", settings=ScoreSettings(aggregation="max"))
    refused(r"at another level \(clip there, patch now\)", settings=ScoreSettings(level="patch"))
    refused("ranges of another size.*8 rows there, 9 rows now", range_clips=9)
    assert content(folder) == before
    assert scored(made_store, folder, settings=ScoreSettings(where="fold > 0")).num_clips == 32, "the same clips"

    values = json.loads((folder / "scores.json").read_text())
    for changes, match in (
        ({"store_fingerprint": "f" * 32}, "of another store.*fingerprint ffffffffffff there"),
        ({"version": 2}, "format version 2, this earwitness reads 1"),
        ({"format": "soup"}, "describes no earwitness scores"),
        ({"num_rows": "many", "soup": 1}, "damaged"),
    ):
        (folder / "scores.json").write_text(json.dumps({**values, **changes}))
        refused(match)
    (folder / "scores.json").write_text("{")
    refused("not JSON")


def test_folders_that_are_no_place_for_scores(made_store: Store, tmp_path: Path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "my.txt").write_text("x")
    for name, match in (("file", "is, or lies in, a file"), ("file/in", "in, a file"), ("full", "holds no scores")):
        with pytest.raises(ScoreError, match=match):
            scored(made_store, tmp_path / name)
    with pytest.raises(ScoreError, match="no folder of scores; `earwitness score` makes one"):
        ScoreFolder.open(tmp_path / "full")


def test_a_disk_that_is_full(made_store: Store, tmp_path: Path, monkeypatch):
    def fails(*_: object, **__: object):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("earwitness.scoring.score_store.write_tile", fails)
        with pytest.raises(
            ScoreError, match=r"cannot be written \(No space left on device\); once it can be, the same"
        ):
            scored(made_store, tmp_path / "scores")
    scored(made_store, tmp_path / "scores")


def test_damage_is_noticed_and_mended(made_store: Store, tmp_path: Path):
    folder = scored(made_store, tmp_path / "scores", range_clips=8)
    before = content(folder.path)
    path = tile_path(folder.path, 2)
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    with pytest.raises(ScoreError, match=rf"00002\.npy: damaged, it has {len(whole) - 4} bytes of {len(whole)}"):
        ScoreFolder.open(folder.path)
    with pytest.raises(ScoreError, match="it ends too early"):
        folder.source.label_block(2, 3)
    scored(made_store, folder.path)
    assert content(folder.path) == before
    path.unlink()
    with pytest.raises(ScoreError, match="cannot be read"):
        folder.source.label_block(0, 1)
    path.write_bytes(whole)
    (folder.path / "clips.parquet").write_bytes(b"PAR1")
    with pytest.raises(ScoreError, match="table of the clips cannot be read"):
        ScoreFolder.open(folder.path).positives  # noqa: B018 (it is read here)


def test_what_a_killed_process_left_is_removed(made_store: Store, tmp_path: Path):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    scored(made_store, tmp_path)
    host = os.uname().nodename
    for pid in (ended.stdout.strip(), os.getpid()):
        (tmp_path / "tiles" / f"00000.npy.{host}-{pid}.partial").write_bytes(b"x")
    scored(made_store, tmp_path)
    assert [path.name for path in (tmp_path / "tiles").glob("*.partial")] == [f"00000.npy.{host}-{os.getpid()}.partial"]


def test_weights_that_are_no_numbers(made_store: Store, tmp_path: Path):
    model = untrained(made_store)
    with torch.no_grad():
        model.network.head.bias[1] = float("nan")
    for level in ("clip", "patch"):
        with pytest.raises(ScoreError, match="clip 'clip-00', label 'noise': the score is nan; the model's weights"):
            score_store(model, made_store, tmp_path / level, settings=ScoreSettings(level=level), device="cpu")


def test_a_store_that_does_not_fit(made_store: Store, tmp_path: Path):
    model = untrained(made_store)
    other = replace(model, label_set=LabelSet.of(["click", "noise", "horse"]))
    with pytest.raises(StoreError, match="only in the store: tone; only in the model: horse"):
        score_store(other, made_store, tmp_path / "x", settings=PLAIN)
    with pytest.raises(SelectionError, match="true for none"):
        score_store(model, made_store, tmp_path / "x", settings=ScoreSettings(where="fold = 9"))
    with pytest.raises(SettingsError, match="must not exceed"):
        score_store(model, made_store, tmp_path / "x", settings=ScoreSettings(patch_hop_frames=97))
    with pytest.raises(SettingsError, match="aggregation=max is for level=clip"):
        ScoreSettings(level="patch", aggregation="max")
    assert not (tmp_path / "x").exists()


def test_blocks_of_the_source(made_store: Store, tmp_path: Path):
    for name, where in (("all", None), ("some", "md5_number_lower(clip_id) % 3 < 2"), ("fold", "fold = 2")):
        folder = scored(made_store, tmp_path / "scores", range_clips=5)
        whole = folder.source.clip_block(0, 32)
        folder = ScoreFolder.open(tmp_path / "scores", where=where)
        rows = made_store.select(where)
        assert (folder.num_clips, folder.source.num_clips, folder.source.num_labels) == (len(rows), len(rows), 3), name
        for first, stop in ((0, 0), (0, 3), (2, 3), (1, 3)):
            block = folder.source.label_block(first, stop)
            assert block.flags.c_contiguous
            np.testing.assert_array_equal(block, whole[rows, first:stop].T)
        for first in range(len(rows)):
            for stop in range(first, len(rows) + 1, 4):
                np.testing.assert_array_equal(folder.source.clip_block(first, stop), whole[rows[first:stop]])
        np.testing.assert_array_equal(folder.positives.to_dense(), made_store.targets(rows))
        found = evaluate_scores(folder, resamples=0).model
        dense = evaluate(whole[rows], made_store.targets(rows), label_set=made_store.label_set)
        assert found.to_dict() == dense.to_dict()


def test_patches_as_rows(made_store: Store, tmp_path: Path):
    settings = ScoreSettings(level="patch", where="fold > 1")
    folder = scored(made_store, tmp_path / "scores", settings=settings, range_clips=7)
    clips = made_store.select("fold > 1")
    slow = [slow_patches(made_store, int(clip)) for clip in clips]
    np.testing.assert_allclose(folder.source.clip_block(0, folder.source.num_clips), np.concatenate(slow), atol=1e-6)
    counts = [len(patches) for patches in slow]
    assert folder.rows_per_clip.tolist() == counts
    targets = np.repeat(made_store.targets(clips), counts, axis=0)
    np.testing.assert_array_equal(folder.positives.to_dense(), targets)
    some = ScoreFolder.open(folder.path, where="fold = 3")
    is_some = np.repeat(made_store.clips["fold"].to_numpy()[clips] == 3, counts)
    np.testing.assert_array_equal(some.source.label_block(0, 3), folder.source.label_block(0, 3)[:, is_some])
    np.testing.assert_array_equal(some.positives.to_dense(), targets[is_some])
    outcome = evaluate_scores(folder, resamples=None)
    assert outcome.model.num_clips == sum(counts)
    assert outcome.model.intervals is None
    assert f"the {sum(counts)} patches of 24 clips" in outcome.notes[-1]
    with pytest.raises(SettingsError, match="resamples=9: intervals are over clips drawn anew"):
        evaluate_scores(folder, resamples=9)
    none = repeated(folder.positives, np.zeros(sum(counts), dtype=np.int64))
    assert (none.num_clips, len(none.clips)) == (0, 0)


def test_patch_scores_of_a_clip(made_store: Store):
    found = patch_scores_of(untrained(made_store), made_store, 5, patch_hop_frames=48, device="cpu")
    np.testing.assert_allclose(found.scores, slow_patches(made_store, 5, 48), atol=1e-6)
    np.testing.assert_allclose(found.start_seconds, 0.48 * np.arange(len(found.scores)))


def test_evaluated_from_disk_and_from_memory(made_store: Store, tmp_path: Path):
    model = untrained(made_store)
    kept = evaluate_model(model, made_store, folder=tmp_path / "scores", resamples=20, device="cpu")
    held = evaluate_model(model, made_store, resamples=20, device="cpu")
    assert kept.folder is not None
    assert held.folder is None
    assert isinstance(held.source, ArrayScores)
    assert kept.model == held.model == evaluate_scores(ScoreFolder.open(tmp_path / "scores"), resamples=20).model
    assert kept.model.resamples == 20
    np.testing.assert_array_equal(kept.scores, held.scores)
    np.testing.assert_array_equal(kept.targets, made_store.targets(np.arange(32)))
    assert evaluate_scores(kept.folder, resamples=None).model.resamples == 1_000


@pytest.mark.parametrize(
    ("num_rows", "num_patches", "num_labels", "expected"),
    [
        (1, 1, 3, 2_048),  # the last range ends with the clips
        (2_000, 10_000, 50, 512),
        (100_000, 1_000_000, 527, 2_048),
        (1_000_000, 10_000_000, 3_087, 4_096),
        (1_000_000, 10_000_000, 30_871, 512),
        (1_000_000, 287_000_000, 30_871, 512),
        (10, 10, 100_000_000, 1),
    ],
)
def test_sizes_of_ranges(num_rows, num_patches, num_labels, expected):
    rows = tile_rows_for(num_rows=num_rows, num_patches=num_patches, num_labels=num_labels)
    assert rows == expected
    assert rows * num_labels * 4 <= 64 * 2**20 or rows == 1


# Through the command line, and killed.


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "earwitness", "score", *map(str, arguments)]


def test_killed_and_taken_up_by_two_at_a_time(made_store: Store, tmp_path: Path):
    model = tmp_path / "model.safetensors"
    save_model(untrained(made_store), model)
    killed = command(model, made_store.folder, tmp_path / "killed", "--range-clips", 1, "--patch-hop-frames", 1)
    with subprocess.Popen(killed, stderr=subprocess.PIPE) as scoring:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "killed").glob("tiles/*.npy")):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        scoring.send_signal(signal.SIGKILL)
        scoring.communicate()
    assert 0 < len(list((tmp_path / "killed").glob("tiles/*.npy"))) < 32
    with pytest.raises(ScoreError, match="unfinished"):
        ScoreFolder.open(tmp_path / "killed")
    two = [subprocess.Popen([*killed, "--device", "cpu", "--json"], stdout=subprocess.PIPE) for _ in range(2)]
    answers = [json.loads(process.communicate()[0]) for process in two]
    assert any(answer["is_complete"] for answer in answers)
    options = {"settings": ScoreSettings(patch_hop_frames=1), "model_path": model, "device": "cpu", "range_clips": 1}
    score_store(untrained(made_store), made_store, tmp_path / "whole", **options)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


# By a cluster.


def work_of(store: Store, model_path: Path, folder: Path, **changes: object) -> score_cluster._Work:
    work = score_cluster._Work(
        model_path, digest_weights(untrained(store).network), str(store.folder), store.fingerprint, folder, "cpu"
    )
    return replace(work, **changes)


def test_a_range_on_a_node(made_store: Store, tmp_path: Path):
    model = tmp_path / "model.safetensors"
    save_model(untrained(made_store), model)
    whole = scored(made_store, tmp_path / "scores", range_clips=8)
    before, versions = content(whole.path), score_cluster._versions(model)
    tile_path(whole.path, 1).unlink()
    work = work_of(made_store, model, whole.path)
    for _ in range(2):  # the second finds it there
        assert score_cluster._score_range(1, work, versions) is None
        assert content(whole.path) == before
    score_cluster._opened(work)[2].close()
    score_cluster._opened.cache_clear()
    for changes, message in (
        ({"model_digest": "f" * 32}, "sees another model at"),
        ({"store_fingerprint": "f" * 32}, "sees another store at"),
        ({"folder": tmp_path / "unseen"}, f"sees no file {tmp_path / 'unseen' / 'scores.json'}: all nodes must see"),
        ({"model_path": tmp_path / "gone"}, f"sees no file {tmp_path / 'gone'}"),
    ):
        error = score_cluster._score_range(1, replace(work, **changes), versions)
        assert isinstance(error, ClusterError)
        assert message in str(error)
    error = score_cluster._score_range(1, work, {**versions, "torch": "0.1"})
    assert isinstance(error, ClusterError)
    assert "and not 0.1; install the same versions" in str(error)


def test_what_a_cluster_is_asked_for(made_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """All but Ray itself: the ranges that are missing, in tasks that write their tiles, and progress."""
    save_model(untrained(made_store), tmp_path / "model.safetensors")
    asked = []

    @contextlib.contextmanager
    def connected(address, workers):
        asked.append((address, workers))
        yield SimpleNamespace(cluster_resources=dict)

    def run_on_cluster(_, function, tasks, *arguments, workers, name_of, num_gpus):
        asked.append((tasks, workers, name_of(tasks[0]), num_gpus))
        for task in tasks:
            yield task, function(task, *arguments)

    monkeypatch.setattr(score_cluster, "connected", connected)
    monkeypatch.setattr(score_cluster, "run_on_cluster", run_on_cluster)
    whole = scored(made_store, tmp_path / "whole", model_path=tmp_path / "model.safetensors", range_clips=6)
    options = {"settings": PLAIN, "model_path": tmp_path / "model.safetensors", "address": "local", "workers": 2}
    done = []
    for _ in range(2):  # the second finds all there
        summary = score_cluster.score_on_cluster(
            untrained(made_store),
            made_store,
            tmp_path / "ray",
            range_clips=6,
            shard=Shard(1, 2),
            on_patches=lambda *patches: done.append(patches),
            **options,
        )
        assert (summary.num_finished, summary.is_complete) == (3, False)
    score_cluster._opened.cache_clear()
    assert asked == [("local", 2), ([0, 2, 4], 2, "range 0", 0)]
    assert [patches for patches, _ in done] == sorted({patches for patches, _ in done})
    assert done[-1][0] == done[-1][1]
    ours, theirs = content(tmp_path / "ray"), content(whole.path)
    assert ours == {name: theirs[name] for name in ours}


@pytest.mark.slow  # Ray takes its time to begin
def test_a_cluster_of_this_machine_makes_the_same_scores(made_store: Store, tmp_path: Path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'earwitness[ray]'")
    model = tmp_path / "model.safetensors"
    save_model(untrained(made_store), model)
    arguments = (model, made_store.folder, tmp_path / "ray", "--range-clips", 6)
    ray = command(*arguments, "--engine", "ray", "--workers", 2, "--json")
    done = subprocess.run(ray, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["num_scored"] == 6
    assert "ray" not in done.stderr.lower()
    options = {"settings": PLAIN, "model_path": model, "device": "cpu", "range_clips": 6}
    score_store(untrained(made_store), made_store, tmp_path / "local", **options)
    ours, local = content(tmp_path / "ray"), content(tmp_path / "local")
    assert ours.keys() == local.keys()
    assert {name for name in ours if ours[name] != local[name]} <= {f"tiles/{n:05d}.npy" for n in range(6)}
    np.testing.assert_allclose(
        ScoreFolder.open(tmp_path / "ray").source.label_block(0, 3),
        ScoreFolder.open(tmp_path / "local").source.label_block(0, 3),
        atol=1e-6,
    )
