"""What the demo remembers of itself, without doing it."""

import json
from pathlib import Path

import pytest

from earwitness.demo.record import DemoRecord
from earwitness.errors import RunError


def test_stages_are_timed_until_they_are_done(tmp_path: Path) -> None:
    record = DemoRecord.take_up(tmp_path / "demo")
    with pytest.raises(KeyboardInterrupt), record.stage("training"):
        raise KeyboardInterrupt
    again = DemoRecord.take_up(tmp_path / "demo")
    assert again.stages["training"]["is_done"] is False
    with again.stage("training"):
        pass
    done = DemoRecord.take_up(tmp_path / "demo")
    assert done.stages["training"]["is_done"] is True
    assert done.seconds["training"] >= record.seconds["training"]
    with done.stage("training"):
        pass
    assert done.seconds == again.seconds, "what is done is not timed again"
    done.finish({"summary": "well"})
    assert DemoRecord.take_up(tmp_path / "demo").results == {"summary": "well"}


def test_a_first_attempt_that_was_killed_is_taken_up(tmp_path: Path) -> None:
    (tmp_path / "demo.json.partial").write_text("{")
    assert DemoRecord.take_up(tmp_path).results is None


def test_an_unfinished_demo_stays_where_it_was_begun_and_a_finished_one_may_move(tmp_path: Path) -> None:
    record = DemoRecord.take_up(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.raises(RunError, match=f"was begun in {tmp_path / 'here'} and is not finished"):
        DemoRecord.take_up(tmp_path / "there")
    (tmp_path / "there").rename(tmp_path / "here")
    record.finish({"summary": "well"})
    (tmp_path / "here").rename(tmp_path / "there")
    assert DemoRecord.take_up(tmp_path / "there").results is not None


def test_what_is_no_demo_of_this_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="this is a file"):
        DemoRecord.take_up(tmp_path / "file")
    with pytest.raises(RunError, match="not empty and holds no demo"):
        DemoRecord.take_up(tmp_path)
    DemoRecord.take_up(tmp_path / "demo")
    path = tmp_path / "demo" / "demo.json"
    values = json.loads(path.read_text())
    values["settings"]["training"]["steps"] += 1
    path.write_text(json.dumps(values))
    with pytest.raises(RunError, match="a demo of another version"):
        DemoRecord.take_up(tmp_path / "demo")
    path.write_text("[]")
    with pytest.raises(RunError, match="not a readable record"):
        DemoRecord.take_up(tmp_path / "demo")
    with pytest.raises(RunError, match="cannot be written"):
        DemoRecord.take_up(Path("/proc/no"))
