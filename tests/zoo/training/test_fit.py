import dataclasses
import time

import lightning as L
import numpy as np
import pytest
import torch
from matplotlib.image import imread
from sklearn.metrics import average_precision_score, roc_auc_score

from cfzoo.runtime.errors import EnvironmentProblem, InputError
from cfzoo.zoo.evaluation import fit_temperature
from cfzoo.zoo.objectives import LabelObjective
from cfzoo.zoo.recipe import Augmentation, Recipe
from cfzoo.zoo.training import (
    RunFolder,
    card_of,
    describe,
    fitted,
    hardware,
    journal,
    margins,
    silence_lightning,
    train,
    train_into,
    validation_scores,
)
from cfzoo.zoo.training.batches import Batches
from cfzoo.zoo.training.checkpoint import read_checkpoint
from cfzoo.zoo.training.curves import draw_curves
from cfzoo.zoo.training.fit import predict
from cfzoo.zoo.training.journal import best_of, is_over
from cfzoo.zoo.training.lightning_module import Training
from cfzoo.zoo.weights import read_weights

SMALL = Recipe(
    epochs=2,
    steps=20,
    batch_size=16,
    ema=0.9,
    label_smoothing=0.0,
    augmentation=Augmentation(swap=0, scale=0, stretch=0, photometric=0),
)
TINY = dataclasses.replace(
    SMALL, epochs=5, steps=3, batch_size=8, cube_shape=(4, 8, 8), voxel_size=(6, 6, 6)
)
CPU = {"accelerator": "cpu", "devices": 1, "precision": "32-true"}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Networks so small only wait for a second one."""
    silence_lightning()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(brains, tmp_path_factory):
    """A training that nothing interrupts: run, network, rows."""
    return go(tmp_path_factory.mktemp("whole"), brains)


@pytest.fixture(scope="module")
def brains(labelled_cubes):
    """Two to train on and two to validate with, whose labels are half wrong."""

    def hard(cubes, seed):
        wrong = np.random.default_rng(seed).random(len(cubes)) < 0.4
        return dataclasses.replace(cubes, labels=np.where(wrong, 1 - cubes.labels, cubes.labels))

    made = [labelled_cubes(TINY, 40, seed, f"brain{seed}") for seed in range(4)]
    return made[:2], [hard(cubes, seed) for seed, cubes in enumerate(made[2:])]


class Killed(BaseException):
    pass


def go(path, brains, recipe=TINY, seed=0, tell=None, validated=True, on=CPU, **more):
    cubes, validation = brains[0], brains[1] if validated else []
    run = RunFolder(path, f"{recipe.name}-{recipe.version}")
    run.claim(describe(recipe, seed, cubes, validation, "", on), overwrite=False)
    done = train_into(run, recipe, cubes, validation, seed, recipe.card(), on=on, tell=tell, **more)
    return run, *done


def loss_of(net, validation):
    """Mean over data sets of the cross-entropy without smoothing, in single precision."""
    losses = []
    for cubes in validation:
        margin = margins(net, TINY, cubes)
        losses.append(np.logaddexp(0, np.where(cubes.labels == 1, -margin, margin)).mean())
    return np.mean(losses)


def killed_after(epoch):
    def tell(row):
        if row["epoch"] == epoch:
            raise Killed

    return tell


def test_overfits_16_cubes(labelled_cubes):
    made = labelled_cubes(SMALL)
    net, log = train(SMALL, [made], seed=0)
    assert [row["epoch"] for row in log] == [1, 2]
    assert log[1]["loss"] < log[0]["loss"]
    logits = predict(net, SMALL, made.cubes())
    assert logits.shape == (16, 2)
    assert (logits.argmax(1) == made.labels).all()
    assert not net.training


def test_same_seed_same_weights(labelled_cubes):
    short = dataclasses.replace(SMALL, epochs=1, steps=3)
    two = [labelled_cubes(short), labelled_cubes(short, seed=1)]
    nets = [train(short, two, seed)[0].state_dict() for seed in (0, 0, 1)]
    assert all(torch.equal(nets[0][k], nets[1][k]) for k in nets[0])
    assert not torch.equal(nets[0]["head.weight"], nets[2]["head.weight"])


def test_the_recipe_says_what_is_normalised():
    for rule in ("none", "cube"):
        assert dataclasses.replace(SMALL, normalisation=rule).card().normalisation == rule
    cubes = np.random.default_rng(0).normal(1000, 100, (4, 1, 8, 24, 24)).astype(np.float32)
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, x):
            seen.append(x)
            return x.flatten(1)[:, :2]

    predict(Spy(), dataclasses.replace(SMALL, normalisation="none"), cubes)
    predict(Spy(), dataclasses.replace(SMALL, normalisation="cube"), cubes)
    np.testing.assert_array_equal(seen[0].numpy(), cubes)
    assert abs(float(seen[1].mean())) < 1e-3


@pytest.mark.parametrize(("schedule", "last"), [("cosine", 0.0), ("constant", 1.0)])
def test_the_rate_rises_and_then_keeps_its_schedule(brains, schedule, last):
    recipe = dataclasses.replace(TINY, schedule=schedule, warmup=0.2, lr=0.5)
    found = Training(brains[0], recipe, 0).configure_optimizers()
    adam, course = found["optimizer"], found["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(recipe.epochs * recipe.steps):
        rates.append(adam.param_groups[0]["lr"] / recipe.lr)
        adam.step()
        course.step()
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert rates[-1] == pytest.approx(last, abs=0.02)


def test_the_log_measures_the_network_that_is_kept(brains, whole):
    """That is the running mean, of the best epoch; the figures are those of the whole sets."""
    run, net, rows = whole
    best = rows[best_of(rows)]
    assert best["val_ap"] == max(row["val_ap"] for row in rows)
    assert len({row["val_ap"] for row in rows}) > 1
    found = [(c.labels, margins(net, TINY, c)) for c in brains[1]]
    assert best["val_ap"] == pytest.approx(np.mean([average_precision_score(*f) for f in found]))
    assert best["val_auc"] == pytest.approx(np.mean([roc_auc_score(*f) for f in found]))
    assert best["val_loss"] == pytest.approx(loss_of(net, brains[1]), rel=1e-5)
    state = read_checkpoint(run.last)["state_dict"]
    assert not torch.equal(state["net.head.weight"], state["mean_net.module.head.weight"])
    metrics = validation_scores(net, TINY, brains[1], rows)
    far = validation_scores(net, TINY, brains[1], rows, threshold=1e9)
    assert {row["f1"] for row in far["validation"].values()} == {0}
    assert metrics["validation"]["mean"]["average_precision"] == pytest.approx(best["val_ap"])
    assert metrics["epoch"] == best["epoch"]


def test_temperature_and_threshold_are_those_of_the_validation_data(brains, whole):
    _, net, _ = whole
    found, threshold = fitted(net, TINY, brains[1])
    assert threshold == 0.5
    margin = np.concatenate([margins(net, TINY, c) for c in brains[1]])
    labels = np.concatenate([c.labels for c in brains[1]])
    groups = np.repeat([0, 1], [len(c) for c in brains[1]])
    assert found == pytest.approx(fit_temperature(labels, margin, groups), abs=1e-4)
    _, threshold = fitted(net, TINY, brains[1], "recall=1")
    probability = 1 / (1 + np.exp(-margin / found))
    assert threshold < probability[labels == 1].min()
    assert threshold > probability[probability < probability[labels == 1].min()].max(initial=0)


def test_the_log_is_a_table_of_all_epochs(whole):
    run, _, rows = whole
    head, *lines = run.metrics.read_text().splitlines()
    assert head == "epoch,loss,accuracy,val_loss,val_ap,val_auc"
    assert [line.split(",")[0] for line in lines] == ["1", "2", "3", "4", "5"]
    assert float(lines[2].split(",")[1]) == pytest.approx(rows[2]["loss"], rel=1e-5)


def test_tensorboard_has_the_same_figures(brains, tmp_path, monkeypatch):
    """Each once, also that of an epoch which was told to it, but not to the checkpoint."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    saved, save = [], L.Trainer.save_checkpoint

    def fail(trainer, path):
        saved.append(path)
        if len(saved) == 3:
            raise Killed
        save(trainer, path)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(L.Trainer, "save_checkpoint", fail)
        go(tmp_path / "run", brains)
    # TensorBoard reads files in the order of their names: seconds, then a count as text (10 < 9).
    time.sleep(1)
    run, _, rows = go(tmp_path / "run", brains)
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    shown = [(e.step, e.value) for e in events.Scalars("val_ap")]
    assert shown == [(row["epoch"], pytest.approx(row["val_ap"])) for row in rows]


@pytest.mark.parametrize("moment", [1, 3, 5])
def test_a_stopped_training_ends_as_if_it_had_not_been(brains, whole, tmp_path, moment):
    run, net, rows = whole
    with pytest.raises(Killed):
        go(tmp_path / "cut", brains, tell=killed_after(moment))
    (tmp_path / "cut").rename(tmp_path / "moved")
    told = []
    cut, again, more = go(tmp_path / "moved", brains, tell=told.append)
    assert more == rows
    assert [row["epoch"] for row in told] == [*range(moment + 1, 6)]
    for name in ("best", "last", "metrics"):
        assert getattr(run, name).read_bytes() == getattr(cut, name).read_bytes()
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in net.state_dict().items())


def test_killed_at_the_best_weights_they_are_written_again(brains, whole, tmp_path, monkeypatch):
    run, _, rows = whole
    better = [i for i in range(len(rows)) if best_of(rows[: i + 1]) == i]
    written, write = [], journal.atomic_write

    def fail(path, mode="w"):
        written.append(path.name)
        if written.count(run.best.name) == len(better):
            raise Killed
        return write(path, mode)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(journal, "atomic_write", fail)
        go(tmp_path / "cut", brains)
    cut, *_ = go(tmp_path / "cut", brains)
    assert cut.best.read_bytes() == run.best.read_bytes()


def test_stopping_early_is_decided_once(brains, tmp_path):
    """Also when it was killed between the decision and the end."""
    recipe = dataclasses.replace(TINY, epochs=12, patience=2)
    _, _, rows = go(tmp_path / "whole", brains, recipe)
    assert len(rows) < 12
    assert len(rows) - 1 - best_of(rows) == 2
    with pytest.raises(Killed):
        go(tmp_path / "cut", brains, recipe, tell=killed_after(len(rows)))
    told = []
    assert go(tmp_path / "cut", brains, recipe, tell=told.append)[2] == rows
    assert not told


def test_what_ends_a_training():
    recipe = dataclasses.replace(TINY, epochs=6, patience=2)
    rows = [{"val_ap": v} for v in (0.5, 0.7, 0.7, 0.6)]
    assert best_of(rows) == 1  # the first of equals
    assert [is_over(rows[:n], recipe) for n in range(5)] == [False, False, False, False, True]
    assert not is_over(rows, dataclasses.replace(recipe, patience=0))
    assert is_over(rows, dataclasses.replace(recipe, patience=0, epochs=4))
    unvalidated = [{"loss": 1.0}] * 4
    assert best_of(unvalidated) == 3
    assert not is_over(unvalidated, recipe)


def test_a_step_draws_nothing_from_what_was_drawn_before(brains, whole, tmp_path):
    """Dropout included: it is in plain3d, and takes numbers from torch's own generator."""
    run, *_ = go(tmp_path / "run", brains, tell=lambda row: torch.rand(7))
    assert run.last.read_bytes() == whole[0].last.read_bytes()


def test_every_epoch_has_batches_of_its_own(brains, tmp_path, monkeypatch):
    """Also the first after a stop."""
    used = []
    item = Batches.__getitem__

    def spy(self, step):
        used.append((self.key, step))
        return item(self, step)

    monkeypatch.setattr(Batches, "__getitem__", spy)
    with pytest.raises(Killed):
        go(tmp_path / "run", brains, tell=killed_after(2))
    go(tmp_path / "run", brains)
    expected = [((0, epoch, 0), step) for epoch in range(5) for step in range(3)]
    assert list(dict.fromkeys(used)) == expected


def test_half_precision_is_for_the_network_alone(brains, tmp_path, monkeypatch):
    """As on a GPU: neither raw intensities nor what is measured may be rounded to 8 bits."""
    seen = {"32-true": [], "bf16-mixed": []}
    for precision, views in seen.items():
        call, step, logits = LabelObjective.__call__, Training.validation_step, []

        def spy(self, net, given, *rest, views=views, call=call):
            views.append(given[0])
            views.append(net(given[0]).dtype)
            return call(self, net, given, *rest)

        def look(self, batch, number, logits=logits, step=step):
            step(self, batch, number)
            logits.append(self.margins[-1][1])

        with monkeypatch.context() as patched:
            patched.setattr(LabelObjective, "__call__", spy)
            patched.setattr(Training, "validation_step", look)
            recipe = dataclasses.replace(TINY, epochs=1, steps=1)
            _, net, _ = go(tmp_path / precision, brains, recipe, on={**CPU, "precision": precision})
        expected = np.concatenate([predict(net, TINY, cubes.cubes()) for cubes in brains[1]])
        np.testing.assert_allclose(torch.cat(logits).numpy(), expected, rtol=1e-5, atol=1e-6)
    (one, single), (two, half) = seen.values()
    assert torch.equal(one, two)
    assert (single, half) == (torch.float32, torch.bfloat16)


def test_without_validation_the_last_epoch_is_kept(brains, tmp_path):
    recipe = dataclasses.replace(TINY, patience=1)
    run, net, rows = go(tmp_path / "run", brains, recipe, validated=False)
    assert len(rows) == 5
    assert "val_ap" not in rows[0]
    state = read_checkpoint(run.last)["state_dict"]
    assert torch.equal(net.head.weight, state["mean_net.module.head.weight"])


def test_the_best_weights_can_be_used_alone(whole):
    run, net, _ = whole
    state, card = read_weights(run.best)
    assert (card.name, card.cube_shape) == (TINY.name, (4, 8, 8))
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())


def test_training_begins_with_the_weights_it_is_given(brains, tmp_path):
    slow = dataclasses.replace(TINY, epochs=1, steps=1, lr=1e-9)
    _, net, _ = go(tmp_path / "a", brains, slow)
    begun = {k: v + 1 if v.is_floating_point() else v for k, v in net.state_dict().items()}
    _, after, _ = go(tmp_path / "b", brains, slow, start=begun)
    assert torch.allclose(after.head.weight, net.head.weight + 1, atol=1e-6)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_epoch(brains, tmp_path):
    cubes, validation = brains
    spoilt = [dataclasses.replace(c, crops=c.crops.astype(np.float32)) for c in cubes]

    def spoil(row):
        if row["epoch"] == 2:
            for c in spoilt:
                c.crops[:] = np.nan

    with pytest.raises(InputError, match="loss is nan at step 1 of epoch 3"):
        go(tmp_path / "run", (spoilt, validation), tell=spoil)
    good = tmp_path / "good"
    with pytest.raises(Killed):
        go(good, brains, tell=killed_after(2))
    kept = [
        read_checkpoint(p / "checkpoints" / "last.safetensors") for p in (tmp_path / "run", good)
    ]
    assert kept[0]["epoch"] == 1
    weights = [state["state_dict"]["net.head.weight"] for state in kept]
    assert torch.equal(*weights)


def test_a_damaged_checkpoint_is_refused(brains, tmp_path):
    with pytest.raises(Killed):
        go(tmp_path / "run", brains, tell=killed_after(1))
    run = RunFolder(tmp_path / "run", "plain3d-1.0.0")
    data = run.last.read_bytes()
    run.last.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="no whole checkpoint"):
        go(tmp_path / "run", brains)


def test_the_curves_are_drawn(whole, tmp_path):
    run, _, rows = whole
    assert imread(run.curves).std() > 0.05
    draw_curves(rows, tmp_path / "same.png")
    assert (tmp_path / "same.png").read_bytes() == run.curves.read_bytes()
    draw_curves([*rows[:-1], rows[-1] | {"val_ap": 0.1}], tmp_path / "other.png")
    assert (tmp_path / "other.png").read_bytes() != run.curves.read_bytes()
    draw_curves([{"epoch": 1, "loss": 0.5}], tmp_path / "one.png")
    assert imread(tmp_path / "one.png").shape[0] < imread(run.curves).shape[0]


def test_the_card_says_what_was_trained(brains):
    cubes, validation = brains
    card = card_of(TINY, cubes, validation, [{"name": "brain0"}], 7, parent="x-1.0.0", command="c")
    assert card.training["seed"] == 7
    assert list(card.training["counts"]) == ["brain0", "brain1", "brain2", "brain3"]
    assert card.training["counts"]["brain0"] == {"cells": 20, "no_cells": 20}
    assert "trained on brain0, brain1; the epoch" in card.training["split"]
    assert "brain2, brain3" in card.training["split"]
    assert card.parent == "x-1.0.0"
    assert Recipe.from_dict(card.training["recipe"]) == TINY


def test_the_card_takes_a_report_of_the_same_recipe_alone(brains):
    report = {"recipe": TINY.to_dict(), "temperature": 1.5, "network": {"a": {"auc": 0.9}}}
    renamed = dataclasses.replace(TINY, name="other", version="2.0.0")
    card = card_of(renamed, *brains, [], 0, report=report)
    assert card.temperature == 1.5
    assert card.metrics == {"network": {"a": {"auc": 0.9}}}
    changed = dataclasses.replace(TINY, lr=0.01)
    with pytest.raises(InputError, match=r"another recipe \(lr\)"):
        card_of(changed, *brains, [], 0, report=report)
    with pytest.raises(InputError, match="temperature"):
        card_of(TINY, *brains, [], 0, report={**report, "temperature": -1})


def test_hardware(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert hardware() == CPU
    assert hardware("cpu", 2)["devices"] == 2
    with pytest.raises(EnvironmentProblem, match="0 GPUs"):
        hardware("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert hardware() == {"accelerator": "cuda", "devices": 2, "precision": "bf16-mixed"}
    assert hardware("cuda", 1)["devices"] == 1
    assert hardware("cpu") == CPU
    with pytest.raises(EnvironmentProblem, match="2 GPUs"):
        hardware("auto", 3)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert hardware()["precision"] == "16-mixed"
