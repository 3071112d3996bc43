import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from safetensors.torch import save_file

from cfzoo.runtime.errors import InputError
from cfzoo.zoo.explain import render_prototypes
from cfzoo.zoo.explain.prototypes import (
    CELL_FRAME,
    NO_CELL_FRAME,
    PATCH_FRAME,
    draw_prototypes,
    find_prototypes,
    format_sheet,
)
from cfzoo.zoo.figure import png_bytes
from cfzoo.zoo.recipe import recipe_for
from cfzoo.zoo.registry import build


@pytest.fixture
def cubes(labelled_cubes):
    return [labelled_cubes(recipe_for("pipnet3d"), seed=s, name=f"synthetic-{s}") for s in (0, 1)]


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = build(recipe_for("pipnet3d").card()).eval()
    with torch.no_grad():
        net.weights.zero_()
        net.weights[1, 7], net.weights[0, 3] = 2.0, 0.5
        net.features[-1].bias[7] += 2
    return net


def test_shows_weighted_prototypes_weightiest_first(net, cubes):
    prototypes = find_prototypes(net, cubes, patch_count=4)
    assert prototypes.number.tolist() == [7, 3]
    np.testing.assert_allclose(prototypes.sheet, [[0, 2], [0.5, 0]])
    assert [len(p) for p in prototypes.patches] == [4, 4]
    table = format_sheet(prototypes).splitlines()
    assert table[1].split()[:3] == ["7", "0.000", "2.000"]
    assert table[-1] == "Of 64 weights each, 63 for no cell and 63 for cell are 0."


def test_the_fixed_contrast_has_a_line_of_its_own(net, cubes):
    prototypes = find_prototypes(net, cubes)
    with torch.inference_mode():
        added = torch.cat([net.contrast(torch.from_numpy(data.cubes())) for data in cubes]).numpy()
    labels = np.concatenate([data.labels for data in cubes])
    name, no_cell, cell, *means = format_sheet(prototypes).splitlines()[3].split()
    assert (name, float(no_cell), float(cell)) == ("contrast", -3.0, 3.0)
    for label, mean in enumerate(map(float, means)):
        # Weight times mean is what is added to the logits of both classes.
        expected = added[labels == label].mean(0)
        np.testing.assert_allclose([mean * -3, mean * 3], expected, atol=2e-3)


def test_patches_have_largest_presence_at_their_position(net, cubes):
    patches = find_prototypes(net, cubes, patch_count=5).patches[0]
    with torch.inference_mode():
        maps = [net.prototypes(torch.from_numpy(data.cubes())) * net.window for data in cubes]
        all_present = torch.cat([m[:, 7].amax((1, 2, 3)) for m in maps])
    expected = all_present.sort(descending=True).values[:5]
    np.testing.assert_allclose([p[2] for p in patches], expected, rtol=1e-5)
    for dataset, row, presence, (z, y, x) in patches:
        # (4, 8, 8) positions with a stride of (2, 2, 2) voxels
        place = tuple(int((v - 0.5) // 2) for v in (z, y, x))
        assert float(maps[dataset][row, 7][place]) == pytest.approx(presence)


def test_draws_png_and_refuses_network_without_weights(net, cubes, tmp_path):
    path = tmp_path / "a.png"
    draw_prototypes(find_prototypes(net, cubes), cubes, path)
    assert path.read_bytes()[:4] == b"\x89PNG"
    with torch.no_grad():
        net.weights.zero_()
    with pytest.raises(InputError, match="Train longer"):
        draw_prototypes(find_prototypes(net, cubes), cubes, tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize("count", [1, 8])
def test_the_legend_explains_frames_and_numbers_and_covers_no_picture(
    net, cubes, tmp_path, monkeypatch, count
):
    figures = []
    monkeypatch.setattr("cfzoo.zoo.figure.png_bytes", lambda f: figures.append(f) or png_bytes(f))
    draw_prototypes(find_prototypes(net, cubes, count), cubes, tmp_path / "a.png")
    [figure] = figures
    [legend] = figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert words == ["labelled cell", "labelled no cell", "the prototype"]
    edges = [tuple(frame.get_edgecolor()) for frame in legend.get_patches()]
    assert edges == [to_rgba(c) for c in (CELL_FRAME, NO_CELL_FRAME, PATCH_FRAME)]
    title = " ".join(legend.get_title().get_text().split())
    assert title.startswith("Prototypes, all 2.") and "presence of the prototype" in title
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
    for axis in figure.axes:
        assert not box.overlaps(axis.get_tightbbox())
    assert [text.get_text() for text in figure.axes[0].texts] == ["10 um"]


def test_refuses_model_without_prototypes(tmp_path):
    card = recipe_for("attention3d").card()
    save_file(build(card).state_dict(), tmp_path / "a.safetensors")
    (tmp_path / "a.json").write_text(card.to_json())
    with pytest.raises(InputError, match="attention3d, which has no prototypes"):
        render_prototypes(str(tmp_path / "a.safetensors"), [], tmp_path / "a.png")
