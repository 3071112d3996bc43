"""The plots of a report."""

import re

from cfzoo.analysis.report import plots


def test_each_model_has_its_own_line_in_all_plots(report):
    svg = plots.draw_roc(report["models"])
    for number in range(4):
        assert f'class="series-{number}"' in svg
    lines = [str(plots.line_of_model(n)) for n in range(30)]
    assert len(set(lines)) == 30
    report["models"][0]["robustness"] = None  # the other models keep their lines
    for _, svg in plots.draw_robustness(report["models"], report["robustness_units"]):
        assert "series-0" not in svg and "series-3" in svg


def test_plots_take_their_colours_and_font_from_the_page(report):
    reliability = plots.draw_reliability(report["models"][0], 0)
    losses = plots.draw_losses(report["models"][0], 0)
    for svg in (plots.draw_roc(report["models"]), reliability, losses):
        assert not re.search(r"#[0-9a-f]{6}", svg)
        colours = set(re.findall(r"(?:stroke|fill): ([^;\"]+)", svg))
        assert colours == {"currentColor", "none"}
        assert "currentColor" in svg and "DejaVu" not in svg


def test_numbers_on_axes_are_not_rounded_with_the_drawing(report):
    for model in report["models"]:
        model["robustness"] = {"as it is": 0.9, "blur 0.125": 0.8}
    [(kind, svg)] = plots.draw_robustness(report["models"], {})
    assert kind == "blur" and ">0.125<" in svg


def test_unchanged_data_are_placed_by_their_level(report):
    by_kind = dict(plots.draw_robustness(report["models"], report["robustness_units"]))
    ticks = {kind: re.findall(r">([\d.]+)</text>", svg) for kind, svg in by_kind.items()}
    assert ticks["gain"][:5] == ["0.25", "0.5", "1", "2", "4"]
    assert ticks["offset"][:4] == ["0", "100", "500", "2000"]
