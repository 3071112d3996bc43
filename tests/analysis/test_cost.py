import numpy as np
import pytest

from cfzoo.analysis import cost
from cfzoo.analysis.cost import count_flop, measure_costs
from cfzoo.runtime.artifact import bundled, read_artifact, read_model


def test_flop_by_hand(make_artifact):
    artifact = read_artifact(make_artifact())  # one product of 192 voxels with 192 x 2 weights
    assert count_flop(artifact) == 2 * 192 * 2


def test_flop_of_convolutions_is_what_torch_counts():
    """Compare the released networks with torch's own counter."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from cfzoo.zoo.registry import build
    from cfzoo.zoo.weights import find_bundled_weights, read_weights

    for name in ("attention3d", "wavemix3d"):
        state, card = read_weights(find_bundled_weights(name))
        network = build(card).eval()
        network.load_state_dict(state)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(1, len(card.channels), *card.cube_shape))
        counted = count_flop(read_artifact(bundled()[name]))
        assert counted == pytest.approx(counter.get_total_flops(), rel=0.05), name


@pytest.mark.slow
def test_costs_of_an_artifact_and_of_an_ensemble(make_artifact, tmp_path):
    from cfzoo.runtime.artifact import Ensemble, ensemble_json

    path = make_artifact(tmp_path)
    pair = Ensemble.of([read_artifact(path), read_artifact(bundled()["attention3d"])])
    named = Ensemble(pair.members, name="both", version="1.0.0")
    (tmp_path / "both.json").write_text(
        ensemble_json(named, [path.name, bundled()["attention3d"].name])
    )
    messages, block = [], np.ones(2**27, np.uint8)  # this process' memory must not count
    assert block.all()
    files = {"small": str(path), "both": str(tmp_path / "both.json")}
    models = {name: read_model(file) for name, file in files.items()}
    costs = measure_costs(models, files, threads=1, say=messages.append)
    small, large = costs["small"], costs["both"]
    assert small.parameters == 384 and large.parameters > 400_000
    assert small.file_mb == pytest.approx(path.stat().st_size / 1e6)
    assert small.points_per_s["low"] <= small.points_per_s["value"] <= small.points_per_s["high"]
    assert small.points_per_s["value"] > 5 * large.points_per_s["value"]
    assert 20 < small.peak_mb < large.peak_mb < 300
    assert np.isfinite(large.mflop) and any("memory" in line for line in messages)


def test_memory_is_none_where_the_system_does_not_report_it(monkeypatch, make_artifact):
    script = cost._MEMORY.replace('"linux"', '"win32"').replace('"darwin"', '"win32"')
    assert script.count("win32") == 2
    monkeypatch.setattr(cost, "_MEMORY", script)
    assert cost._measure_peak(str(make_artifact()), 1, 4) is None
