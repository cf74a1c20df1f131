"""Every file of the media collection over HTTP: the scores of the command line, or its sentences."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

import earwitness
from earwitness.errors import MediaError
from hostile_files import BAIT_FILE, Bait, binaries, texts
from made_media import encode, sweep
from running_service import Running, running
from running_service import model as model
from test_hostile_media import Watch

TOLERANCE = 1e-5
"""Between scores of two routes; different batches of the same patches, perhaps by other kernels."""


@pytest.fixture(scope="module")
def service(model: Path) -> Iterator[Running]:
    with running(model) as one:
        yield one


def media(data_dir: Path) -> list[Path]:
    folder = data_dir / "media"
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "expected.csv")


def test_scores_and_failures_are_those_of_the_command_line(service: Running, model: Path, data_dir: Path) -> None:
    listener = earwitness.load(model)
    paths = media(data_dir)
    assert len(paths) > 180
    for path, wanted in zip(paths, listener.tag_many(paths, top=1_000, failures="return"), strict=True):
        got = service.post(f"/v1/tag?top=1000&name={quote(path.name)}", path.read_bytes())
        if isinstance(wanted, MediaError):
            assert (got.status, got.json["failure_kind"]) == (422, wanted.kind), path
            assert got.problem == str(wanted).replace(str(path), path.name), path
            continue
        assert got.status == 200, path
        assert got.json["warnings"] == list(wanted.warnings), path
        assert (got.json["seconds"], got.json["num_patches"]) == (round(wanted.seconds, 3), wanted.num_patches), path
        ours = {tag.label_id: tag.score for tag in wanted.tags}
        theirs = {tag["label_id"]: tag["score"] for tag in got.json["tags"]}
        assert theirs == pytest.approx(ours, abs=TOLERANCE), path


@pytest.mark.slow
def test_mutated_media_crash_nothing(service: Running, data_dir: Path) -> None:
    rng = np.random.default_rng(11)
    for path in media(data_dir):
        content = bytearray(path.read_bytes()[:300_000])
        for _ in range(10):
            for place in rng.integers(0, max(len(content), 1), size=12) if content else ():
                content[place] = rng.integers(256)
            got = service.post(f"/v1/tag?name={quote(path.name)}", bytes(content))
            assert got.status == 200 or got.problem
            assert got.status in (200, 422), path
            assert got.status == 200 or got.json["failure_kind"] != "crash", (path, got.problem)
    assert service.get("/health").status == 200


def test_uploads_that_name_others_reach_nothing(service: Running, tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    try:
        mp3 = encode(tmp_path / "small.mp3", "mp3", 44_100, sweep(44_100, 0.5)).read_bytes()
        bait = Bait(watch.bait.folder, watch.bait.port)
        watch.seen()
        for name, content in {**texts(bait), **binaries(bait, mp3)}.items():
            for called in (name, "film.mp4", str(tmp_path / BAIT_FILE), bait.targets["http"], "%03d.png", "-"):
                got = service.post(f"/v1/tag?name={quote(called, safe='')}", content)
                if name in texts(bait):
                    assert got.status == 422, (name, called, json.loads(got.content))
                else:
                    assert got.status in (200, 422)
        assert watch.seen() == set()
    finally:
        watch.close()
