"""Calibration and thresholds: the fits against other means, the model file that keeps them, and the command."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from conftest import MadeSounds
from earwitness.decisions import Calibration, FittedOn, Thresholds, logits, sigmoid
from earwitness.errors import ModelError, ScoreError
from earwitness.evaluation import calibration as calibration_module
from earwitness.evaluation.calibration import bin_logits, fit_calibration
from earwitness.evaluation.decision_fits import fit_decisions
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ArrayScores
from earwitness.models.model_file import Model, digest_weights, load_model, save_model
from earwitness.store.read import Store
from in_process import run
from test_cli import FAST, TRAIN, refused
from test_models import model_of

ON = FittedOn(store_fingerprint="0" * 32, where="fold = 2", num_clips=7)
BINS = 0.02
"""What binning by an eighth of a logit may move in alpha and b."""


def made(
    slopes: list[float], offsets: list[float], *, num_clips: int, priors: float = 0.1, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Raw scores and labels [clips, labels] whose calibration is exactly these maps."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(np.log(priors), 2.0, size=(num_clips, len(slopes)))
    truth = rng.random(numbers.shape) < sigmoid(np.array(slopes) * numbers + np.array(offsets))
    return sigmoid(numbers).astype(np.float32), truth


class TestMaps:
    def test_apply_by_hand(self) -> None:
        maps = Calibration(slopes=np.array([1.0, 2.0]), offsets=np.array([0.0, np.log(3)]), fitted_on=ON)
        raw = np.array([[0.25, 0.5], [0.9, 0.25]], dtype=np.float32)
        # odds of 1/3, squared and times 3: 1/3
        np.testing.assert_allclose(maps.apply(raw), [[0.25, 0.75], [0.9, 0.25]], rtol=1e-6)
        assert maps.apply(raw).dtype == np.float32
        np.testing.assert_array_equal(maps.apply(raw[None]), maps.apply(raw)[None])

    def test_all_of_float32_keeps_its_order(self) -> None:
        edges = np.array([0.0, 1e-45, 1e-30, 1e-7, 0.3, 1 - 2**-24, 1.0], dtype=np.float32)
        assert np.isfinite(logits(edges)).all()
        assert (np.diff(logits(edges)) > 0).all()
        np.testing.assert_allclose(sigmoid(logits(edges)), edges, atol=1e-7)
        scores = Calibration(slopes=np.array([0.3]), offsets=np.array([-1.0]), fitted_on=ON).apply(edges[:, None])
        assert (np.diff(scores[:, 0]) > 0).all()
        assert sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]

    def test_many_blocks_are_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        raw = np.random.default_rng(0).random((50, 3), dtype=np.float32)
        maps = Calibration(slopes=np.array([1.0, 2.0, 0.5]), offsets=np.zeros(3), fitted_on=ON)
        whole = maps.apply(raw)
        monkeypatch.setattr("earwitness.decisions._NUMBERS_AT_ONCE", 7)
        np.testing.assert_array_equal(maps.apply(raw), whole)

    def test_bad_numbers(self) -> None:
        with pytest.raises(ModelError, match="slopes must be finite and above 0"):
            Calibration(slopes=np.array([0.0]), offsets=np.array([0.0]), fitted_on=ON)
        with pytest.raises(ModelError, match=r"\(1,\) slopes and \(2,\) offsets"):
            Calibration(slopes=np.ones(1), offsets=np.ones(2), fitted_on=ON)
        for bad in (-0.1, 1.1, -np.inf):
            with pytest.raises(ModelError, match=r"\[0, 1\]"):
                Thresholds(values=np.array([bad]), precision=None, beta=1.0, fitted_on=ON)
        with pytest.raises(ModelError, match="one of the two"):
            Thresholds(values=np.array([0.5]), precision=0.9, beta=1.0, fitted_on=ON)

    def test_defaults(self) -> None:
        values = np.array([0.2, np.nan, np.inf])
        by_f1 = Thresholds(values=values, precision=None, beta=1.0, fitted_on=ON)
        assert by_f1.or_default(0.5).tolist() == [0.2, 0.5, np.inf]
        by_precision = Thresholds(values=values, precision=0.9, beta=None, fitted_on=ON)
        assert by_precision.or_default(0.5).tolist() == [0.2, 0.9, np.inf]


class TestFit:
    def test_many_clips_find_the_maps(self) -> None:
        slopes, offsets = [0.5, 1.0, 1.6], [-1.0, 0.5, 1.0]
        raw, truth = made(slopes, offsets, num_clips=60_000)
        found = fit_calibration(bin_logits(ArrayScores(raw), Positives.from_dense(truth)))
        np.testing.assert_allclose(found[0], slopes, rtol=0.06)
        np.testing.assert_allclose(found[1], offsets, atol=0.12)
        for label in range(3):  # and what logistic regression finds, but for what the labels have in common
            free = LogisticRegression(C=1e6).fit(logits(raw[:, label])[:, None], truth[:, label])
            assert found[0][label] == pytest.approx(free.coef_[0, 0], abs=0.02)
            assert found[1][label] == pytest.approx(free.intercept_[0], abs=0.05)

    def test_against_a_general_minimiser(self) -> None:
        """Where the common distribution is held fixed, it is a sum that anything can minimise."""
        raw, truth = made([0.6, 1.4], [0.5, -0.5], num_clips=300)
        binned = bin_logits(ArrayScores(raw), Positives.from_dense(truth))
        labels = calibration_module._Labels(*binned.without(None))
        mean, inverse = np.array([-0.2, 0.1]), np.array([[9.0, 1.0], [1.0, 4.0]])
        maps = np.zeros((2, 2))
        for _ in range(30):
            maps, _ = labels.step(maps, mean, inverse)
        for label in range(2):
            numbers, own = logits(raw[:, label]), truth[:, label]

            def loss(one: np.ndarray, numbers: np.ndarray = numbers, own: np.ndarray = own) -> float:
                mapped = np.exp(one[0]) * numbers + one[1]
                apart = one - mean
                return float(np.sum(np.logaddexp(0, mapped) - own * mapped) + apart @ inverse @ apart / 2)

            np.testing.assert_allclose(maps[label], minimize(loss, np.zeros(2)).x, atol=BINS)

    def test_few_clips_follow_the_others(self) -> None:
        raw, truth = made([0.6] * 40, [-1.0] * 40, num_clips=4_000)
        truth[:, 7] = False
        truth[3, 7] = True
        slopes, offsets = fit_calibration(bin_logits(ArrayScores(raw), Positives.from_dense(truth)))
        assert slopes[7] == pytest.approx(0.6, abs=0.2), "one clip with it tells little of its slope"
        assert offsets[7] < offsets.mean() - 0.5, "but that it is rarer than it scores"
        alone = fit_calibration(bin_logits(ArrayScores(raw[:, [7]]), Positives.from_dense(truth[:, [7]])))
        assert abs(np.log(slopes[7] / 0.6)) < abs(np.log(alone[0][0] / 0.6))

    @pytest.mark.filterwarnings("error")
    def test_odd_scores(self) -> None:
        """Constant, saturated, upside down, all positive, none positive: finite, and the order stays."""
        rng = np.random.default_rng(0)
        truth = rng.random((200, 6)) < 0.2
        raw = np.tile(rng.random((200, 1)), (1, 6))
        raw[:, 0] = 0.3
        raw[:, 1] = truth[:, 1]
        raw[:, 2] = np.where(truth[:, 2], 0.1, 0.9)
        truth[:, 3], truth[:, 4] = True, False
        raw[:, 5] = 0.0
        slopes, offsets = fit_calibration(bin_logits(ArrayScores(raw), Positives.from_dense(truth)))
        assert np.isfinite(offsets).all()
        assert (slopes > 0).all()
        assert (slopes < 20).all()

    def test_blocks_and_folds_do_not_show(self, monkeypatch: pytest.MonkeyPatch) -> None:
        raw, truth = made([0.6, 1.0, 2.0], [0.0, 1.0, -1.0], num_clips=200)
        positives = Positives.from_dense(truth)
        folds = np.arange(200) % 5
        binned = bin_logits(ArrayScores(raw), positives, folds=folds)
        whole = fit_calibration(bin_logits(ArrayScores(raw), positives))
        np.testing.assert_allclose(fit_calibration(binned), whole, rtol=1e-4)  # sums in float32
        kept = folds != 3
        alone = fit_calibration(bin_logits(ArrayScores(raw[kept]), Positives.from_dense(truth[kept])))
        np.testing.assert_allclose(fit_calibration(binned, without_fold=3), alone, rtol=1e-4)
        monkeypatch.setattr(calibration_module, "MEMORY_BYTES", 1)
        monkeypatch.setattr(calibration_module, "_LABELS_AT_ONCE", 2)
        np.testing.assert_allclose(fit_calibration(bin_logits(ArrayScores(raw), positives)), whole, rtol=1e-9)


class TestWorth:
    def test_unseen_folds_are_calibrated_better(self) -> None:
        rng = np.random.default_rng(1)
        slopes = np.exp(rng.normal(-0.5, 0.2, 30))
        raw, truth = made(slopes.tolist(), (-0.8 + rng.normal(0, 0.4, 30)).tolist(), num_clips=600)
        fits = fit_decisions(ArrayScores(raw), Positives.from_dense(truth), folds=np.arange(600) % 5, beta=1.0)
        assert fits.fitted is not None
        assert fits.fitted.mean_log_loss < fits.raw.mean_log_loss - 0.005
        assert fits.fitted.mean_calibration_error < fits.raw.mean_calibration_error
        own = [one.f1 for one in fits.fitted.decisions if one is not None]
        assert np.mean(own) > np.nanmean([one.f1 for one in fits.raw.decisions if one is not None])
        for one, number in zip(fits.fitted.decisions, truth.sum(axis=0), strict=True):
            assert one is not None
            assert one.num_positives == number, "every clip is judged once"

    def test_thresholds_of_folds_by_hand(self) -> None:
        """Two folds and raw scores: each is judged at the threshold that fits the other."""
        scores = np.concatenate([np.linspace(0, 1, 20), np.linspace(0, 1, 20)]).astype(np.float32)[:, None]
        truth = np.zeros((40, 1), dtype=bool)
        truth[15:20] = truth[30:40] = True  # from 15/19 on in the first fold, from 10/19 in the second
        folds = np.repeat([0, 1], 20)
        fits = fit_decisions(
            ArrayScores(scores), Positives.from_dense(truth), folds=folds, beta=1.0, is_calibrated=False
        )
        assert fits.slopes is None
        assert fits.fitted is not None
        [decisions] = fits.fitted.decisions
        assert decisions is not None
        assert (decisions.true_positives, decisions.false_positives, decisions.false_negatives) == (10, 5, 5)

    def test_nothing_to_fit_to(self) -> None:
        nothing = Positives.from_dense(np.zeros((5, 2), dtype=bool))
        with pytest.raises(ScoreError, match="none of the 5 clips has a label"):
            fit_decisions(ArrayScores(np.zeros((5, 2))), nothing, folds=None, beta=1.0)


class TestModelFile:
    def fitted(self) -> Model:
        maps = Calibration(slopes=np.array([0.1, 1 / 3, 2.0]), offsets=np.array([-1.0, 0.0, 1e-17]), fitted_on=ON)
        own = Thresholds(values=np.array([0.1, np.nan, np.inf]), precision=0.9, beta=None, fitted_on=ON)
        return replace(model_of("fully_connected"), calibration=maps, thresholds=own)

    def test_saved_and_loaded(self, tmp_path: Path) -> None:
        model, path = self.fitted(), tmp_path / "m.safetensors"
        save_model(model, path)
        loaded = load_model(path)
        assert model.calibration is not None
        assert model.thresholds is not None
        assert loaded.calibration is not None
        assert loaded.thresholds is not None
        np.testing.assert_array_equal(loaded.calibration.slopes, model.calibration.slopes)
        np.testing.assert_array_equal(loaded.calibration.offsets, model.calibration.offsets)
        np.testing.assert_array_equal(loaded.thresholds.values, model.thresholds.values)
        assert (loaded.thresholds.precision, loaded.thresholds.beta) == (0.9, None)
        assert loaded.calibration.fitted_on == loaded.thresholds.fitted_on == ON
        assert digest_weights(loaded.network) == digest_weights(model_of("fully_connected").network)
        with safe_open(path, framework="np") as file:
            assert file.metadata()["format_version"] == "1"
            json.loads(file.metadata()["description"], parse_constant=pytest.fail)  # no NaN, no Infinity

    def test_files_without_them(self, tmp_path: Path) -> None:
        save_model(model_of("fully_connected"), tmp_path / "m.safetensors")
        with safe_open(tmp_path / "m.safetensors", framework="np") as file:
            assert not {"calibration", "thresholds"} & set(json.loads(file.metadata()["description"]))
        loaded = load_model(tmp_path / "m.safetensors")
        assert (loaded.calibration, loaded.thresholds) == (None, None)
        assert loaded.thresholds_or(0.5).tolist() == [0.5] * 3
        assert self.fitted().thresholds_or(0.5).tolist() == [0.1, 0.9, np.inf]

    def test_damaged(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="thresholds for 2 labels, but the model has 3"):
            replace(
                model_of("fully_connected"),
                thresholds=Thresholds(values=np.zeros(2), precision=None, beta=1.0, fitted_on=ON),
            )
        model = self.fitted()
        for name, value in (("slopes", [1.0, 0.0, 1.0]), ("slopes", [1.0]), ("offsets", ["x"]), ("fitted_on", None)):
            assert model.calibration is not None
            values = model.calibration.to_dict() | {name: value}
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Calibration, "to_dict", lambda _, values=values: values)
                save_model(model, tmp_path / "m.safetensors")
            with pytest.raises(ModelError, match=r"m\.safetensors: "):
                load_model(tmp_path / "m.safetensors")


@pytest.fixture(scope="module")
def trained(made_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learnt from folds 3 and 4."""
    folder = tmp_path_factory.mktemp("calibrated") / "run"
    run("train", made_store.folder, folder, *TRAIN, *FAST, "--where", "fold >= 3")
    return folder / "model.safetensors"


class TestCommand:
    def test_end_to_end(self, trained: Path, made_store: Store, made_sounds: MadeSounds, tmp_path: Path) -> None:
        out = tmp_path / "new" / "fitted.safetensors"
        fit = ("calibrate", trained, made_store.folder, out, "--where", "fold = 2")
        report = json.loads(run(*fit, "--json").stdout)
        assert (report["num_clips"], report["beta"], report["precision"]) == (8, 1.0, None)
        assert report["is_calibrated"]
        assert [row["num_positives"] for row in report["labels"]] == [4, 2, 4]
        model = load_model(out)
        assert model.thresholds is not None
        assert model.calibration is not None
        assert model.thresholds.fitted_on == FittedOn(
            store_fingerprint=made_store.fingerprint, where="fold = 2", num_clips=8
        )
        said = run(*fit, "--overwrite").stdout
        assert f"{out}: fitted to 8 clips" in said
        assert "calibration error" in said
        assert "thresholds for F1: 3 labels with one" in said
        assert said.endswith(f"  next: earwitness tag {out} FILES\n")

        media = [row["media"] for row in made_sounds.manifest.table.to_pylist() if row["fold"] == 1]
        raw = [json.loads(row) for row in run("tag", trained, *media, "--json", "--top", 3).stdout.splitlines()]
        everything = ("--json", "--top", 3, "--threshold", 0)
        by_file = [json.loads(row) for row in run("tag", out, *media, *everything).stdout.splitlines()]
        names = ("click", "noise", "tone")

        def table(rows: list[dict]) -> np.ndarray:
            scores = [{tag["label_name"]: tag["score"] for tag in row["tags"]} for row in rows]
            return np.array([[row[name] for name in names] for row in scores], dtype=np.float32)

        np.testing.assert_allclose(table(by_file), model.calibration.apply(table(raw)), rtol=1e-6)
        assert (by_file[0]["is_calibrated"], raw[0]["is_calibrated"]) == (True, False)
        assert not by_file[0]["has_own_thresholds"]

        scores = tmp_path / "scores"
        evaluated = json.loads(
            run("evaluate", out, made_store.folder, "--where", "fold = 1", "--report", scores, "--json").stdout
        )
        from earwitness.scoring.score_folder import ScoreFolder

        stored = ScoreFolder.open(scores).source.clip_block(0, 8)
        # what the map makes of the last digits of raw scores, which may differ by 1e-6
        np.testing.assert_allclose(table(by_file), stored, atol=1e-5)
        thresholds = model.thresholds_or(0.5)
        assert [row["threshold"] for row in evaluated["model"]["labels"]] == pytest.approx(thresholds.tolist())
        own = [json.loads(row) for row in run("tag", out, *media, "--json", "--top", 3).stdout.splitlines()]
        for row, all_scores in zip(own, table(by_file), strict=True):
            assert row["has_own_thresholds"]
            expected = {name for name, s, t in zip(names, all_scores, thresholds, strict=True) if s >= t}
            assert {tag["label_name"] for tag in row["tags"]} == expected

        for kind in ("AUC", "mAP"):  # ranks stay
            lines = [
                next(line for line in run("evaluate", path, made_store.folder, "--where", "fold = 1").stdout.split("\n")
                     if line.startswith(f"| {kind}"))
                for path in (trained, out)
            ]  # fmt: skip
            assert lines[0] == lines[1]
        warned = run("evaluate", out, made_store.folder, "--where", "fold <= 2").stderr
        assert "calibration and thresholds were fitted on 8 of these 16 clips" in warned
        by_max = run("evaluate", out, made_store.folder, "--where", "fold = 1", "--aggregation", "max").stderr
        assert "aggregated by max, are raw" in by_max

    def test_timeline_and_text(self, trained: Path, made_store: Store, made_sounds: MadeSounds, tmp_path: Path) -> None:
        out = tmp_path / "fitted.safetensors"
        run("calibrate", trained, made_store.folder, out, "--where", "fold <= 2", "--precision", 0.7)
        media = made_sounds.manifest.table.to_pylist()[0]["media"]
        assert "calibrated scores" in run("tag", out, media).stdout.splitlines()[0]
        assert "calibrated" not in run("tag", trained, media).stdout
        row = json.loads(run("tag", out, media, "--timeline", "--json", "--patch-scores", tmp_path / "p.csv").stdout)
        thresholds = load_model(out).thresholds_or(0.5)
        lines = [line.split(",")[4:] for line in (tmp_path / "p.csv").read_text().splitlines()[1:]]
        with (tmp_path / "p.csv").open(newline="") as file:
            assert {row["is_calibrated"] for row in csv.DictReader(file)} == {"true"}
        run("tag", out, media, "--timeline", "--out", tmp_path / "t.csv", "--threshold", 0.1)
        with (tmp_path / "t.csv").open(newline="") as file:
            scales = {(row["row"], row["is_calibrated"], row["has_own_thresholds"]) for row in csv.DictReader(file)}
        assert ("tag", "true", "false") in scales
        assert {scale[1:] for scale in scales} == {("true", "false")}
        heard = (np.array(lines, dtype=np.float64) >= thresholds).any(axis=0)
        assert {event["label_name"] for event in row["events"]} == {
            name for name, is_heard in zip(("click", "noise", "tone"), heard, strict=True) if is_heard
        }

    def test_nothing_reaches_its_threshold(
        self, trained: Path, made_sounds: MadeSounds, made_store: Store, tmp_path: Path
    ) -> None:
        never = Thresholds(values=np.full(3, np.inf), precision=0.99, beta=None, fitted_on=ON)
        save_model(replace(load_model(trained), thresholds=never), tmp_path / "never.safetensors")
        media = made_sounds.manifest.table.to_pylist()[0]["media"]
        assert "no label reaches its own threshold" in run("tag", tmp_path / "never.safetensors", media).stdout
        assert "no label" not in run("tag", tmp_path / "never.safetensors", media, "--threshold", 0.5).stdout
        evaluated = json.loads(
            run("evaluate", tmp_path / "never.safetensors", made_store.folder, "--where", "fold = 1", "--json").stdout
        )
        assert evaluated["model"]["mean_recall"] == 0.0
        assert evaluated["model"]["labels"][0]["threshold"] == "never"

    def test_without_calibration(self, trained: Path, made_store: Store, tmp_path: Path) -> None:
        out = tmp_path / "fitted.safetensors"
        said = run("calibrate", trained, made_store.folder, out, "--where", "fold <= 2", "--no-calibration").stdout
        assert "calibration:" not in said
        assert "thresholds for F1: 2 labels with one; 1 with too few clips, which go by 0.5" in said
        assert load_model(out).calibration is None

    def test_what_is_not_worth_having_is_said(self, trained: Path, made_store: Store, tmp_path: Path) -> None:
        """What `_doubts` says, held against the figures of the same report."""
        out = tmp_path / "fitted.safetensors"
        fit = ("calibrate", trained, made_store.folder, out, "--overwrite", "--json", "--where")
        for where in ("fold = 2", "fold <= 2", "fold = 1", "fold = 1 and list_contains(labels, 'tone')"):
            report = json.loads(run(*fit, where).stdout)
            said, raw, fitted = " ".join(report["notes"]), report["raw"], report["fitted"]
            for name, sign, words in (
                ("log_loss", 1, "log loss"),
                ("calibration_error", 1, "calibration error"),
                ("mean_f1", -1, "mean f1"),
            ):
                pair = (raw[name], fitted[name]) if fitted is not None else (None, None)
                is_worse = None not in pair and sign * (pair[1] - pair[0]) > 0
                assert is_worse == (f"{words} {pair[0]:.4f}, then {pair[1]:.4f}" in said if is_worse else False), words
                assert is_worse or f"{words} " not in said
            bare = sum(row["num_positives"] in (0, report["num_clips"]) for row in report["labels"])
            assert (f"{bare} of the 3 labels are carried by none of these clips, or by all" in said) == (bare > 0)
            compared = [row for row in report["labels"] if row["raw"]["f1"] is not None]
            with_yes = [row for row in compared if row["raw"]["precision"] is not None]
            if fitted is not None and all(row["fitted"]["f1"] is not None for row in compared):
                assert report["num_labels_in"]["raw"]["mean_precision"] == len(with_yes)
                assert report["num_labels_in"]["raw"]["mean_f1"] == len(compared)
        assert "over labels" in run(*fit[:-2], "--where", "fold = 2").stdout

    def test_scores_by_another_calibration_are_not_mixed(
        self, trained: Path, made_store: Store, tmp_path: Path
    ) -> None:
        scores = ("--where", "fold = 1", "--json")
        run("score", trained, made_store.folder, tmp_path / "scores", *scores)
        out = tmp_path / "fitted.safetensors"
        run("calibrate", trained, made_store.folder, out, "--where", "fold = 2")
        refused(
            *("score", out, made_store.folder, tmp_path / "scores", *scores),
            saying=["by another calibration (None there,"],
        )
        run("score", out, made_store.folder, tmp_path / "calibrated", *scores)
        new = replace(load_model(out), thresholds=None)
        save_model(new, out)
        summary = json.loads(run("score", out, made_store.folder, tmp_path / "calibrated", *scores).stdout)
        assert summary["num_scored"] == 0, "other thresholds make no other scores"
        row = json.loads(run("evaluate", tmp_path / "calibrated", "--json").stdout)["model"]["labels"][0]
        assert row["threshold"] == 0.5

    def test_bad_input(
        self, trained: Path, made_store: Store, made_sounds: MadeSounds, tmp_path: Path, made_tiny: Path
    ) -> None:
        store, out = made_store.folder, tmp_path / "out.safetensors"
        fit = ("calibrate", trained, store)
        where = ("--where", "fold = 2")
        for value in (0, 1, -1, 1.5, "nan"):
            refused(*fit, out, *where, "--precision", value, saying=["precision=", "must lie in (0, 1)"])
        refused(*fit, out, *where, "--f-beta", 0, saying="f_beta=0.0 must be above 0")
        refused(*fit, out, *where, "--precision", 0.9, "--f-beta", 1, saying="two aims; choose one")
        refused(*fit, out, saying=["14 of the 32 clips were learnt from", "--where"])
        refused(*fit, out, "--where", "fold = 9", saying="true for none")
        refused(*fit, trained, *where, saying=["this is the model itself", "--overwrite"])
        refused(*fit, tmp_path, *where, saying="this is a folder")
        refused(*fit, tmp_path / "out.txt", *where, saying="the name of a model file ends in .safetensors")
        refused(*fit, "/proc/out.safetensors", *where, saying="cannot be written")
        refused(*fit, out, *where, "--device", "abacus", saying="unknown device 'abacus'")
        refused("calibrate", trained, made_tiny / "labels", out, saying="only in the store: whistle")
        refused("calibrate", trained, made_tiny / "bare", out, saying="none of the 2 clips has a label")
        refused("tag", trained, "x.wav", "--threshold", 2, saying="threshold=2.0 must lie in [0, 1]")
        assert not out.exists()
        (tmp_path / "there.safetensors").write_text("mine")
        refused(*fit, tmp_path / "there.safetensors", *where, saying="there is such a file already")
        run(*fit, tmp_path / "there.safetensors", *where, "--overwrite")


@pytest.fixture(scope="module")
def made_tiny(made_sounds: MadeSounds, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stores: `labels` with a label more, `bare` without any."""
    folder = tmp_path_factory.mktemp("tiny")
    rows = made_sounds.manifest.table.to_pylist()[:2]
    for name, labels in (("labels", "click;whistle;tone;noise"), ("bare", "")):
        lines = [f"{row['media']},{labels}" for row in rows]
        (folder / f"{name}.csv").write_text("\n".join(["media,labels", *lines]))
        (folder / f"{name}.txt").write_text("click\nnoise\ntone\n" + ("whistle\n" if labels else ""))
        table = ("manifest", "table", folder / f"{name}.csv", "--media-column", "media", "--label-column", "labels")
        run(*table, "--label-separator", ";", "--out", folder / f"{name}.parquet")
        run("prepare", folder / f"{name}.parquet", folder / name, "--label-set", folder / f"{name}.txt")
    return folder
