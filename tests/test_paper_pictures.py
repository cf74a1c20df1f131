"""Pictures of experiments: what they show, what they were made from, and that publishers take them."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from earwitness.cli.main import main
from earwitness.errors import RunError
from earwitness.front_end import FrontEnd
from earwitness.models.model_file import load_model
from earwitness.paper.courses import learning_times, mean_over_windows, read_measured
from earwitness.paper.made_from import earlier_pictures
from earwitness.report import experiment_curves, experiment_plots
from earwitness.report.experiment_curves import Course, plot_courses
from earwitness.report.experiment_plots import Bar, plot_bars
from earwitness.report.figure import PICTURE_SUFFIXES, PRINT_WIDTH_INCHES, drawing, scale_losses
from earwitness.report.timeline_plot import TrueEvent, _rows_with_events_below, plot_timeline
from earwitness.store.read import Store
from earwitness.training.loop import train
from earwitness.training.settings import TrainSettings
from in_process import run


@pytest.fixture(scope="module")
def model_path(made_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that has learnt two steps; the cell `small` of an experiment, as far as its place tells."""
    folder = tmp_path_factory.mktemp("experiments") / "architectures" / "cells" / "small" / "run"
    folder.parent.mkdir(parents=True)
    settings = TrainSettings(
        network="fully_connected", width=0.0625, steps=2, batch_size=8, where="fold <> 1", device="cpu", threads=1
    )
    return train(made_store, folder, settings=settings).model_path


def in_memory(monkeypatch: pytest.MonkeyPatch, module: Any) -> Figure:
    drawn = Figure()
    monkeypatch.setattr(module, "drawing", lambda *_, **__: nullcontext(drawn))
    return drawn


class TestHeardWhen:
    def test_the_highest_peaks_are_never_left_out(self) -> None:
        heights = np.array([[0.9, 0.8, 0.1, 0.7, 0.2]], dtype=np.float32)
        events = [TrueEvent(label_name=name, start_seconds=0.0, stop_seconds=1.0) for name in ("c", "x", "a", "e", "c")]

        def chosen(top: int) -> list[tuple[str, int, bool]]:
            rows = _rows_with_events_below(heights, list("abcde"), events, top=top)
            return [(row.name, len(row.events), row.is_below) for row in rows]

        assert chosen(2) == [("a", 1, False), ("b", 0, False), ("e", 1, True), ("c", 2, True), ("x", 1, True)]
        whole = [("a", 1, False), ("b", 0, False), ("d", 0, False), ("e", 1, False), ("c", 2, False), ("x", 1, True)]
        assert chosen(5) == chosen(16) == whole

    def test_table_and_picture_agree(
        self, made_store: Store, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        events = tmp_path / "events.csv"
        lines = ["clip_id,label,start_seconds,stop_seconds"]
        lines += [f"clip-01,{label},0.5,1.5" for label in (*made_store.label_set.ids, "siren")]
        events.write_text("\n".join([*lines, "clip-09,click,0,1"]) + "\n")
        pictures: list[dict[str, Any]] = []

        def plot(path: Path, **given: Any) -> Any:
            pictures.append(given)
            return plot_timeline(path, **given)

        monkeypatch.setattr("earwitness.paper.qualitative.plot_timeline", plot)
        more = ("--model", model_path, "--clips", "clip-01", "--labels", 1, "--events", events)
        table = json.loads(
            run("experiment", "qualitative", made_store.folder, *more, "--folder", tmp_path, "--json").stdout
        )
        given = pictures[0]
        rows = _rows_with_events_below(given["scores"], given["names"], given["true_events"], top=given["top"])
        assert [(row["label"], row["peak"]) for row in table["rows"]] == [
            (row.name, None if row.heights is None else pytest.approx(row.peak)) for row in rows
        ]
        assert given["events_below"]
        assert given["width_inches"] == PRINT_WIDTH_INCHES
        assert [row["rank"] for row in table["rows"]] == [1, 2, 3, None]
        assert [row["remark"] for row in table["rows"]] == [None, None, None, "not among the model's labels"]
        assert all(row["is_true"] for row in table["rows"])
        assert "the label with the highest peak," in table["title"]
        assert table["events"]["num_events"] == 4

    def test_what_it_was_made_from(
        self, made_store: Store, model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        model = load_model(model_path)
        folder = tmp_path / "qualitative"

        def draw(*more: object) -> dict[str, Any]:
            command = ("experiment", "qualitative", made_store.folder, "--model", model_path, "--folder", tmp_path)
            table: dict[str, Any] = json.loads(run(*command, "--json", *more).stdout)
            return table

        clips = {
            fold: made_store.read_clips(["clip_id"])["clip_id"].take(made_store.select(f"fold = {fold}")).to_pylist()
            for fold in (1, 2, 3, 4)
        }
        learnt_ids = set(_learnt_ids(made_store, model_path))
        assert not learnt_ids & set(clips[1])
        learnt = sorted(learnt_ids)[0]
        table = draw("--clips", clips[1][0], learnt)
        assert table["title"].startswith("What is heard when: all 3 labels by peak")
        assert table["model"] == {
            "path": str(model_path),
            "digest": model.digest,
            "network": "fully_connected",
            "num_labels": 3,
            "experiment": "architectures",
            "cell": "small",
        }
        assert table["store"]["fingerprint"] == made_store.fingerprint
        assert (table["clips"], table["events"], table["num_learnt"]) == ([clips[1][0], learnt], None, 1)
        assert any("1 of 2 clips was learnt from" in note for note in table["notes"])
        text = (folder / "table.md").read_text()
        assert model.digest[:12] in text
        assert learnt in text
        assert sorted(path.name for path in folder.iterdir() if path.suffix in PICTURE_SUFFIXES) == sorted(
            table["pictures"]
        )

        (folder / "mine.png").write_text("mine")
        table = draw("--clips", clips[1][1])  # pictures of the earlier call go, and no others
        assert sorted(path.name for path in folder.iterdir() if path.suffix in PICTURE_SUFFIXES) == sorted(
            [*table["pictures"], "mine.png"]
        )
        assert any("None of these clips was learnt from" in note for note in table["notes"])

        options = ["--model", str(model_path), "--clips", learnt, "--where", "fold = 1"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["earwitness", "experiment", "qualitative", str(made_store.folder), *options])
            with pytest.raises(SystemExit):
                main()
        assert "--clips names the clips to draw" in capsys.readouterr().err

    def test_earlier_tables(self, tmp_path: Path) -> None:
        path = tmp_path / "table.json"
        assert earlier_pictures(path, experiment="qualitative") == set()
        names = ["a.png", "a.pdf", "../b.png", "sub/c.pdf", "notes.txt", "/etc/d.png"]
        path.write_text(json.dumps({"experiment": "qualitative", "pictures": names}))
        assert earlier_pictures(path, experiment="qualitative") == {"a.png", "a.pdf"}
        assert earlier_pictures(path, experiment="architectures") == set()
        path.write_text("{")
        with pytest.raises(RunError, match="delete it and them"):
            earlier_pictures(path, experiment="qualitative")


def _learnt_ids(store: Store, model_path: Path) -> list[str]:
    from earwitness.experiments.learnt_clips import training_clips

    training = training_clips(load_model(model_path).provenance, store)
    assert not isinstance(training, str)
    ids: list[str] = store.read_clips(["clip_id"])["clip_id"].take(training.train).to_pylist()
    return ids


class TestBars:
    def test_marks_lie_within_their_picture(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The paper's figures of a table may be nearly alike: none is cut in half at the border."""
        drawn = in_memory(monkeypatch, experiment_plots)
        bars = [
            Bar(label=f"row {number}", value=0.8 + number / 100, low=0.7, high=0.9, printed=0.37 + number / 1000)
            for number in range(3)
        ]
        plot_bars(bars, tmp_path / "bars.svg", title="bars")
        for axes, highest in zip(drawn.axes, (0.9, 0.372), strict=True):
            assert axes.get_xlim()[0] == 0
            assert axes.get_xlim()[1] >= 1.04 * highest
            assert axes.get_ylim()[0] < -2
            assert axes.get_ylim()[1] > 0

    def test_chance_is_a_line_and_time_has_panels(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        drawn = in_memory(monkeypatch, experiment_plots)
        name = "the embedding of fully_connected (62 numbers)"
        plot_bars(
            [
                Bar(label=name, value=0.5, low=None, high=None, printed=0.3, in_time={"AUC": 0.8, "F1": 0.0}),
                Bar(label="no time", value=None, low=None, high=None, printed=None, in_time={"AUC": 0.5}),
                Bar(
                    label="chance",
                    value=0.2,
                    low=None,
                    high=None,
                    printed=None,
                    in_time={"AUC": 0.5, "F1": 0.1},
                    is_chance=True,
                ),
            ],
            tmp_path / "bars.svg",
            title="bars",
        )
        panels = {axes.get_xlabel(): axes for axes in drawn.axes}
        assert list(panels) == ["mAP here", "mAP in the paper", "AUC", "F1"]
        labels = [[label.get_text() for label in panels[title].get_yticklabels()] for title in ("mAP here", "AUC")]
        assert [[label.replace("\n", " ") for label in side] for side in labels] == [[name], [name, "no time"]]
        assert max(len(line) for line in labels[0][0].split("\n")) <= 28
        lines = {title: [line for line in axes.lines if line.get_linestyle() == "--"] for title, axes in panels.items()}
        assert {title: [float(line.get_xdata()[0]) for line in some] for title, some in lines.items()} == {  # type: ignore[index,arg-type]
            "mAP here": [0.2],
            "mAP in the paper": [],
            "AUC": [0.5],
            "F1": [0.1],
        }
        assert "chance, without listening" in [text.get_text() for text in drawn.legends[0].get_texts()]


class TestCourses:
    def test_means_over_equal_windows(self) -> None:
        """Stretches of 15, 15, 15, 5, 10 steps; each step has the mean loss of its stretch."""
        rows = [(15.0, 4.0), (30.0, 3.0), (45.0, 2.0), (50.0, 9.0), (60.0, 1.0)]
        by_step = np.repeat([4.0, 3.0, 2.0, 9.0, 1.0], [15, 15, 15, 5, 10])
        found = mean_over_windows(rows)
        assert [step for step, _ in found] == [7.5, 22.5, 37.5, 52.5]
        np.testing.assert_allclose([loss for _, loss in found], by_step.reshape(4, 15).mean(axis=1))
        assert mean_over_windows([(8.0, 0.5)]) == [(4.0, 0.5)]
        many = mean_over_windows([(float(step), float(step % 7)) for step in range(1, 1001)])
        assert len(many) == 40
        np.testing.assert_allclose(np.mean([loss for _, loss in many]), np.mean(np.arange(1, 1001) % 7))

    def test_time_is_that_of_learning(self, tmp_path: Path) -> None:
        """Ten steps of 8 patches at 16 a second are 5 s, however long the looks at clips watched were."""
        header = "step,seconds,kind,loss,one_best_accuracy,mean_average_precision,patches_per_second"
        path = tmp_path / "metrics.csv"
        lines = [
            "10,5,train,2,,,16",
            "10,95,validation,,0.5,0.4,",
            "20,100,train,1,,,32",
            "20,190,validation,,0.6,0.5,",
        ]
        path.write_text("\n".join([header, *lines, "30,200,tra"]))  # the last is being written
        found = read_measured(path, batch_size=8)
        assert found is not None
        assert found.watched == [(10.0, 0.4), (20.0, 0.5)]
        assert found.watched_by_seconds == [(5.0, 0.4), (7.5, 0.5)]
        assert found.loss == [(5.0, 2.0), (15.0, 1.0)]
        assert learning_times([], 8)[-1][1] == 0.0
        assert read_measured(tmp_path / "none.csv", batch_size=8) is None
        path.write_text("\n".join([header, "10,5,train,much,,,16", ""]))
        with pytest.raises(RunError, match="cannot be read"):
            read_measured(path, batch_size=8)

    def test_panels(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def course(label: str, *, dash: int, watched: bool = True) -> Course:
            pairs = [(10.0, 0.4), (20.0, 0.5), (30.0, 0.3)] if watched else []
            loss = [(5.0, 6.1), (15.0, 5.9)]
            return Course(label=label, hue=0, dash=dash, loss=loss, watched=pairs, watched_by_seconds=pairs)

        steps, time = course("a, equal steps", dash=0), course("a, equal time", dash=1)
        drawn = in_memory(monkeypatch, experiment_curves)
        plot_courses([steps], tmp_path / "x.svg", by_time=[time])
        assert [axes.get_xlabel().split(" in ")[0] for axes in drawn.axes] == ["step", "step", "training time"]
        assert [axes.lines[0].get_linestyle() for axes in drawn.axes] == ["-", "-", "--"]
        assert drawn.axes[1].lines[1].get_xydata().tolist() == [[20.0, 0.5]]  # the dot
        said = [text.get_text() for text in drawn.legends[0].get_texts()]
        assert said == ["a, equal steps", "a, equal time", "highest of its course"]
        drawn = in_memory(monkeypatch, experiment_curves)
        plot_courses([course("a", dash=0, watched=False)], tmp_path / "x.svg", loss="training loss per label")
        assert [axes.get_ylabel() for axes in drawn.axes] == ["training loss per label"]

    @pytest.mark.parametrize(
        ("losses", "scale", "ticks"),
        [
            ([6.4, 5.8], "linear", [5.8, 6.0, 6.2, 6.4]),
            ([6.0, 0.3], "log", [0.5, 1.0, 2.0, 5.0]),
            ([20.0, 0.002], "log", [0.01, 0.1, 1.0, 10.0]),
            ([1.0, 0.0], "linear", [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ],
    )
    def test_ticks_are_plain(self, losses: list[float], scale: str, ticks: list[float]) -> None:
        axes = Figure().subplots()
        axes.plot(losses)
        scale_losses(axes)
        low, high = axes.get_ylim()
        assert axes.get_yscale() == scale
        assert [tick for tick in axes.get_yticks() if low <= tick <= high] == pytest.approx(ticks)


def test_publishers_take_the_pdf(tmp_path: Path) -> None:
    """No font of Type 3, and the same picture is the same file."""
    for name in ("a.pdf", "b.pdf"):
        with drawing(tmp_path / name, width_inches=2.0, height_inches=1.0) as figure:
            figure.suptitle("é title")
    content = (tmp_path / "a.pdf").read_bytes()
    assert b"Type3" not in content
    assert b"CIDFontType2" in content
    assert content == (tmp_path / "b.pdf").read_bytes()


def test_text_can_be_read_in_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[float] = []
    savefig = Figure.savefig

    def look(figure: Figure, *args: Any, **kwargs: Any) -> None:
        assert figure.get_figwidth() == PRINT_WIDTH_INCHES
        savefig(figure, *args, **kwargs)
        sizes.extend(text.get_fontsize() for text in figure.findobj(match=lambda a: hasattr(a, "get_fontsize")))

    monkeypatch.setattr(Figure, "savefig", look)
    front_end = FrontEnd()
    plot_timeline(
        tmp_path / "a.pdf",
        frames=np.zeros((300, 64), np.float16),
        front_end=front_end,
        times_seconds=np.arange(3) * front_end.patch_hop_seconds,
        scores=np.full((3, 2), 0.5),
        names=["bell", "dog"],
        title="film.mp4",
        true_events=[TrueEvent(label_name="siren", start_seconds=0.0, stop_seconds=1.0)],
        events_below=True,
        width_inches=PRINT_WIDTH_INCHES,
    )
    plot_bars([Bar(label="a", value=0.5, low=0.4, high=0.6, printed=0.3)], tmp_path / "b.pdf", title="bars")
    course = Course(label="a", hue=7, dash=0, loss=[(5.0, 1.0)], watched=[(5.0, 0.5)], watched_by_seconds=[])
    plot_courses([course], tmp_path / "c.pdf")
    assert min(sizes) >= 7
