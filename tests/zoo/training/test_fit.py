import dataclasses
import time

import lightning as L
import numpy as np
import pytest
import torch
from matplotlib.image import imread
from sklearn.metrics import average_precision_score, roc_auc_score

from cfzoo.runtime.cubes import MEASURES
from cfzoo.runtime.errors import EnvironmentProblem, InputError
from cfzoo.zoo.evaluation import fit_temperature
from cfzoo.zoo.objectives import LabelObjective
from cfzoo.zoo.recipe import Augmentation, Recipe
from cfzoo.zoo.training import (
    RunFolder,
    Start,
    TrainingPlan,
    choose_hardware,
    describe_training,
    draft_card,
    fit_temperature_and_threshold,
    journal,
    predict,
    predict_margins,
    score_validation,
    silence_lightning,
    train,
    train_in_folder,
)
from cfzoo.zoo.training.batches import TrainingBatches
from cfzoo.zoo.training.checkpoint import read_checkpoint
from cfzoo.zoo.training.curves import draw_curves
from cfzoo.zoo.training.journal import find_best, is_over
from cfzoo.zoo.training.lightning_module import TrainingModule
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
    """Networks this small gain nothing from a second thread."""
    silence_lightning()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(brains, tmp_path_factory):
    """Folder, network and rows of a training that is not interrupted."""
    return run(tmp_path_factory.mktemp("whole"), brains)


@pytest.fixture(scope="module")
def brains(labelled_cubes):
    """Two data sets to train on, and two with 40 % wrong labels to validate with."""

    def add_errors(cubes, seed):
        wrong = np.random.default_rng(seed).random(len(cubes)) < 0.4
        return dataclasses.replace(cubes, labels=np.where(wrong, 1 - cubes.labels, cubes.labels))

    brains = [labelled_cubes(TINY, 40, seed, f"brain{seed}") for seed in range(4)]
    return brains[:2], [add_errors(cubes, seed) for seed, cubes in enumerate(brains[2:])]


class Killed(BaseException):
    pass


def run(
    path, brains, recipe=TINY, *, on_epoch=None, has_validation=True, hardware=CPU, weights=None
):
    """Train in a folder, and return the folder, the network and the rows."""
    cubes, validation = brains[0], brains[1] if has_validation else []
    folder = RunFolder(path, f"{recipe.name}-{recipe.version}")
    description = describe_training(recipe, 0, cubes, validation, "", hardware)
    folder.claim(description, overwrite=False)
    start, card = Start(recipe, weights), recipe.card()
    plan = TrainingPlan(start, 0, cubes, validation, hardware, folder, card, description)
    return folder, *train_in_folder(plan, on_epoch=on_epoch)


def mean_loss(net, validation):
    """Return the mean over data sets of the cross-entropy without smoothing."""
    losses = []
    for cubes in validation:
        margin = predict_margins(net, TINY, cubes)
        losses.append(np.logaddexp(0, np.where(cubes.labels == 1, -margin, margin)).mean())
    return np.mean(losses)


def kill_after(epoch):
    def on_epoch(row):
        if row["epoch"] == epoch:
            raise Killed

    return on_epoch


def test_overfits_16_cubes(labelled_cubes):
    brain = labelled_cubes(SMALL)
    net, rows = train(SMALL, [brain], seed=0)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[1]["loss"] < rows[0]["loss"]
    logits = predict(net, SMALL, brain.cubes())
    assert logits.shape == (16, 2)
    assert (logits.argmax(1) == brain.labels).all()
    assert not net.training


def test_same_seed_same_weights(labelled_cubes):
    short = dataclasses.replace(SMALL, epochs=1, steps=3)
    cubes = [labelled_cubes(short), labelled_cubes(short, seed=1)]
    nets = [train(short, cubes, seed)[0].state_dict() for seed in (0, 0, 1)]
    assert all(torch.equal(nets[0][k], nets[1][k]) for k in nets[0])
    assert not torch.equal(nets[0]["head.weight"], nets[2]["head.weight"])


def test_the_recipe_determines_the_normalisation():
    for rule in ("none", "cube"):
        assert dataclasses.replace(SMALL, normalisation=rule).card().normalisation == rule
    cubes = np.random.default_rng(0).normal(1000, 100, (4, 1, 8, 24, 24)).astype(np.float32)
    inputs = []

    class Spy(torch.nn.Module):
        def forward(self, x):
            inputs.append(x)
            return x.flatten(1)[:, :2]

    predict(Spy(), dataclasses.replace(SMALL, normalisation="none"), cubes)
    predict(Spy(), dataclasses.replace(SMALL, normalisation="cube"), cubes)
    np.testing.assert_array_equal(inputs[0].numpy(), cubes)
    assert abs(float(inputs[1].mean())) < 1e-3


@pytest.mark.parametrize(("rule", "last"), [("cosine", 0.0), ("constant", 1.0)])
def test_the_rate_rises_and_then_follows_its_schedule(brains, rule, last):
    recipe = dataclasses.replace(TINY, schedule=rule, warmup=0.2, lr=0.5)
    module = TrainingModule(brains[0], recipe, 0)
    optimisers = module.configure_optimizers()
    adam, schedule = optimisers["optimizer"], optimisers["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(recipe.epochs * recipe.steps):
        rates.append(adam.param_groups[0]["lr"] / recipe.lr)
        adam.step()
        schedule.step()
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert rates[-1] == pytest.approx(last, abs=0.02)


def test_the_log_measures_the_network_that_is_saved(brains, whole):
    """That is the running mean of the best epoch, measured on the whole data sets."""
    folder, net, rows = whole
    best = rows[find_best(rows)]
    assert best["val_ap"] == max(row["val_ap"] for row in rows)
    assert len({row["val_ap"] for row in rows}) > 1
    answers = [(c.labels, predict_margins(net, TINY, c)) for c in brains[1]]
    assert best["val_ap"] == pytest.approx(np.mean([average_precision_score(*a) for a in answers]))
    assert best["val_auc"] == pytest.approx(np.mean([roc_auc_score(*a) for a in answers]))
    assert best["val_loss"] == pytest.approx(mean_loss(net, brains[1]), rel=1e-5)
    state = read_checkpoint(folder.checkpoint)["state_dict"]
    assert not torch.equal(state["net.head.weight"], state["mean_net.module.head.weight"])
    metrics = score_validation(net, TINY, brains[1], rows)
    no_cells = score_validation(net, TINY, brains[1], rows, threshold=1e9)
    assert {row["f1"] for row in no_cells["validation"].values()} == {0}
    assert metrics["validation"]["mean"]["average_precision"] == pytest.approx(best["val_ap"])
    assert metrics["epoch"] == best["epoch"]


def test_temperature_and_threshold_are_fitted_to_the_validation_data(brains, whole):
    _, net, _ = whole
    divisor, threshold = fit_temperature_and_threshold(net, TINY, brains[1])
    assert threshold == 0.5
    margin = np.concatenate([predict_margins(net, TINY, c) for c in brains[1]])
    labels = np.concatenate([c.labels for c in brains[1]])
    groups = np.repeat([0, 1], [len(c) for c in brains[1]])
    assert divisor == pytest.approx(fit_temperature(labels, margin, groups), abs=1e-4)
    _, threshold = fit_temperature_and_threshold(net, TINY, brains[1], "recall=1")
    probability = 1 / (1 + np.exp(-margin / divisor))
    assert threshold < probability[labels == 1].min()
    assert threshold > probability[probability < probability[labels == 1].min()].max(initial=0)


def test_the_log_is_a_table_of_all_epochs(whole):
    folder, _, rows = whole
    head, *lines = folder.metrics.read_text().splitlines()
    assert head == "epoch,loss,accuracy,val_loss,val_ap,val_auc"
    assert [line.split(",")[0] for line in lines] == ["1", "2", "3", "4", "5"]
    assert float(lines[2].split(",")[1]) == pytest.approx(rows[2]["loss"], rel=1e-5)


def test_tensorboard_has_the_same_figures(brains, tmp_path, monkeypatch):
    """Each figure once, even if the epoch was logged but is not in the checkpoint."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    paths, save = [], L.Trainer.save_checkpoint

    def fail(trainer, path):
        paths.append(path)
        if len(paths) == 3:
            raise Killed
        save(trainer, path)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(L.Trainer, "save_checkpoint", fail)
        run(tmp_path / "run", brains)
    # TensorBoard reads files in the order of their names: seconds, then a count as text (10 < 9).
    time.sleep(1)
    folder, _, rows = run(tmp_path / "run", brains)
    events = EventAccumulator(str(folder.path / "tensorboard"))
    events.Reload()
    figures = [(e.step, e.value) for e in events.Scalars("val_ap")]
    assert figures == [(row["epoch"], pytest.approx(row["val_ap"])) for row in rows]


@pytest.mark.parametrize("moment", [1, 3, 5])
def test_a_killed_and_moved_training_ends_with_the_same_bytes(brains, whole, tmp_path, moment):
    folder, net, rows = whole
    with pytest.raises(Killed):
        run(tmp_path / "killed", brains, on_epoch=kill_after(moment))
    (tmp_path / "killed").rename(tmp_path / "moved")
    new_rows = []
    resumed, resumed_net, all_rows = run(tmp_path / "moved", brains, on_epoch=new_rows.append)
    assert all_rows == rows
    assert [row["epoch"] for row in new_rows] == [*range(moment + 1, 6)]
    for name in ("best_weights", "checkpoint", "metrics"):
        assert getattr(folder, name).read_bytes() == getattr(resumed, name).read_bytes()
    assert all(torch.equal(v, resumed_net.state_dict()[k]) for k, v in net.state_dict().items())


def test_best_weights_are_written_again_after_a_kill_while_writing(
    brains, whole, tmp_path, monkeypatch
):
    folder, _, rows = whole
    improvements = [i for i in range(len(rows)) if find_best(rows[: i + 1]) == i]
    names, write = [], journal.atomic_write

    def fail(path, mode="w"):
        names.append(path.name)
        if names.count(folder.best_weights.name) == len(improvements):
            raise Killed
        return write(path, mode)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(journal, "atomic_write", fail)
        run(tmp_path / "killed", brains)
    resumed, *_ = run(tmp_path / "killed", brains)
    assert resumed.best_weights.read_bytes() == folder.best_weights.read_bytes()


def test_stopping_early_is_decided_once(brains, tmp_path):
    """Also if the training is killed between the decision and the end."""
    recipe = dataclasses.replace(TINY, epochs=12, patience=2)
    _, _, rows = run(tmp_path / "whole", brains, recipe)
    assert len(rows) < 12
    assert len(rows) - 1 - find_best(rows) == 2
    with pytest.raises(Killed):
        run(tmp_path / "killed", brains, recipe, on_epoch=kill_after(len(rows)))
    new_rows = []
    assert run(tmp_path / "killed", brains, recipe, on_epoch=new_rows.append)[2] == rows
    assert not new_rows


def test_is_over_after_all_epochs_or_without_patience():
    recipe = dataclasses.replace(TINY, epochs=6, patience=2)
    rows = [{"val_ap": v} for v in (0.5, 0.7, 0.7, 0.6)]
    assert find_best(rows) == 1  # the first of equals
    assert [is_over(rows[:n], recipe) for n in range(5)] == [False, False, False, False, True]
    assert not is_over(rows, dataclasses.replace(recipe, patience=0))
    assert is_over(rows, dataclasses.replace(recipe, patience=0, epochs=4))
    unvalidated = [{"loss": 1.0}] * 4
    assert find_best(unvalidated) == 3
    assert not is_over(unvalidated, recipe)


def test_a_step_does_not_depend_on_earlier_random_numbers(brains, whole, tmp_path):
    """This includes the dropout of plain3d, which draws from torch's global generator."""
    folder, *_ = run(tmp_path / "run", brains, on_epoch=lambda row: torch.rand(7))
    assert folder.checkpoint.read_bytes() == whole[0].checkpoint.read_bytes()


def test_every_epoch_has_its_own_batches(brains, tmp_path, monkeypatch):
    """This includes the first epoch after a stop."""
    batches = []
    item = TrainingBatches.__getitem__

    def spy(self, step):
        batches.append((self.key, step))
        return item(self, step)

    monkeypatch.setattr(TrainingBatches, "__getitem__", spy)
    with pytest.raises(Killed):
        run(tmp_path / "run", brains, on_epoch=kill_after(2))
    run(tmp_path / "run", brains)
    expected = [((0, epoch, 0), step) for epoch in range(5) for step in range(3)]
    assert list(dict.fromkeys(batches)) == expected


def test_only_the_network_computes_in_half_precision(brains, tmp_path, monkeypatch):
    """As on a GPU: neither raw intensities nor measured logits may be rounded to 8 bits."""
    calls = {"32-true": [], "bf16-mixed": []}
    for precision, views in calls.items():
        call, step, logits = LabelObjective.__call__, TrainingModule.validation_step, []

        def spy(self, net, inputs, *rest, views=views, call=call):
            views.append(inputs[0])
            views.append(net(inputs[0]).dtype)
            return call(self, net, inputs, *rest)

        def keep_logits(self, batch, number, logits=logits, step=step):
            step(self, batch, number)
            logits.append(self.validation_logits[-1][1])

        with monkeypatch.context() as patched:
            patched.setattr(LabelObjective, "__call__", spy)
            patched.setattr(TrainingModule, "validation_step", keep_logits)
            recipe = dataclasses.replace(TINY, epochs=1, steps=1)
            _, net, _ = run(
                tmp_path / precision, brains, recipe, hardware={**CPU, "precision": precision}
            )
        expected = np.concatenate([predict(net, TINY, cubes.cubes()) for cubes in brains[1]])
        np.testing.assert_allclose(torch.cat(logits).numpy(), expected, rtol=1e-5, atol=1e-6)
    (single_view, single), (half_view, half) = calls.values()
    assert torch.equal(single_view, half_view)
    assert (single, half) == (torch.float32, torch.bfloat16)


def test_without_validation_the_last_epoch_is_saved(brains, tmp_path):
    recipe = dataclasses.replace(TINY, patience=1)
    folder, net, rows = run(tmp_path / "run", brains, recipe, has_validation=False)
    assert len(rows) == 5
    assert "val_ap" not in rows[0]
    state = read_checkpoint(folder.checkpoint)["state_dict"]
    assert torch.equal(net.head.weight, state["mean_net.module.head.weight"])


def test_the_best_weights_can_be_used_alone(whole):
    folder, net, _ = whole
    state, card = read_weights(folder.best_weights)
    assert (card.name, card.cube_shape) == (TINY.name, (4, 8, 8))
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())


def test_training_starts_from_the_initial_weights(brains, tmp_path):
    slow = dataclasses.replace(TINY, epochs=1, steps=1, lr=1e-9)
    _, net, _ = run(tmp_path / "a", brains, slow)
    initial = {k: v + 1 if v.is_floating_point() else v for k, v in net.state_dict().items()}
    _, tuned, _ = run(tmp_path / "b", brains, slow, weights=initial)
    assert torch.allclose(tuned.head.weight, net.head.weight + 1, atol=1e-6)


def test_stops_at_a_loss_that_is_not_finite_and_keeps_the_last_good_epoch(brains, tmp_path):
    cubes, validation = brains
    float_cubes = [dataclasses.replace(c, crops=c.crops.astype(np.float32)) for c in cubes]

    def spoil(row):
        if row["epoch"] == 2:
            for c in float_cubes:
                c.crops[:] = np.nan

    with pytest.raises(InputError, match="loss is nan at step 1 of epoch 3"):
        run(tmp_path / "run", (float_cubes, validation), on_epoch=spoil)
    good = tmp_path / "good"
    with pytest.raises(Killed):
        run(good, brains, on_epoch=kill_after(2))
    paths = (tmp_path / "run" / "checkpoints" / "last.ckpt", good / "checkpoints" / "last.ckpt")
    states = [read_checkpoint(path) for path in paths]
    assert states[0]["epoch"] == 1
    weights = [state["state_dict"]["net.head.weight"] for state in states]
    assert torch.equal(*weights)


def test_refuses_a_damaged_checkpoint(brains, tmp_path):
    with pytest.raises(Killed):
        run(tmp_path / "run", brains, on_epoch=kill_after(1))
    checkpoint = RunFolder(tmp_path / "run", "plain3d-1.0.0").checkpoint
    data = checkpoint.read_bytes()
    checkpoint.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="not a complete checkpoint"):
        run(tmp_path / "run", brains)


def test_the_curves_are_drawn(whole, tmp_path):
    folder, _, rows = whole
    assert imread(folder.curves).std() > 0.05
    draw_curves(rows, tmp_path / "same.png")
    assert (tmp_path / "same.png").read_bytes() == folder.curves.read_bytes()
    draw_curves([*rows[:-1], rows[-1] | {"val_ap": 0.1}], tmp_path / "other.png")
    assert (tmp_path / "other.png").read_bytes() != folder.curves.read_bytes()
    draw_curves([{"epoch": 1, "loss": 0.5}], tmp_path / "one.png")
    assert imread(tmp_path / "one.png").shape[0] < imread(folder.curves).shape[0]


def test_the_card_describes_the_training(brains):
    cubes, validation = brains
    card = draft_card(
        TINY, cubes, validation, [{"name": "brain0"}], 7, parent="x-1.0.0", command="c"
    )
    assert card.training["seed"] == 7
    assert list(card.training["counts"]) == ["brain0", "brain1", "brain2", "brain3"]
    assert card.training["counts"]["brain0"] == {"cells": 20, "no_cells": 20}
    for low, high in card.appearance.values():
        assert -10 < low < high < 10
    assert card.appearance.keys() == MEASURES.keys()
    assert "trained on brain0, brain1; the epoch" in card.training["split"]
    assert "brain2, brain3" in card.training["split"]
    assert card.parent == "x-1.0.0"
    assert Recipe.from_dict(card.training["recipe"]) == TINY


def test_the_card_refuses_a_report_of_another_recipe(brains):
    report = {"recipe": TINY.to_dict(), "temperature": 1.5, "network": {"a": {"auc": 0.9}}}
    renamed = dataclasses.replace(TINY, name="other", version="2.0.0")
    card = draft_card(renamed, *brains, [], 0, report=report)
    assert card.temperature == 1.5
    assert card.metrics == {"network": {"a": {"auc": 0.9}}}
    changed = dataclasses.replace(TINY, lr=0.01)
    with pytest.raises(InputError, match=r"another recipe \(lr\)"):
        draft_card(changed, *brains, [], 0, report=report)
    with pytest.raises(InputError, match="temperature"):
        draft_card(TINY, *brains, [], 0, report={**report, "temperature": -1})


def test_hardware(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_hardware() == CPU
    assert choose_hardware("cpu", 2)["devices"] == 2
    with pytest.raises(EnvironmentProblem, match="0 GPUs"):
        choose_hardware("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert choose_hardware() == {"accelerator": "cuda", "devices": 2, "precision": "bf16-mixed"}
    assert choose_hardware("cuda", 1)["devices"] == 1
    assert choose_hardware("cpu") == CPU
    with pytest.raises(EnvironmentProblem, match="2 GPUs"):
        choose_hardware("auto", 3)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert choose_hardware()["precision"] == "16-mixed"
