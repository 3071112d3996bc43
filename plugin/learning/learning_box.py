"""The controls of learning: what the labels have taught, when they are enough, and their files."""

from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path

from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QGroupBox,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ...runtime.adapt import Adaptation
from ...runtime.artifact import ADAPTABLE_MODEL
from ...runtime.errors import InputError
from ...runtime.files import atomic_write
from ...runtime.labelling import describe_quality, read_steps
from ..curation import Curation
from .live_curation import LiveCuration
from .quality_curve import QualityCurve

HINT = (
    f"Tick {ADAPTABLE_MODEL} alone, or another model whose features feed a head, and classify: "
    "then the model learns from each label."
)
_ENOUGH = "background: #1b7837; color: white; border-radius: 3px; padding: 4px; font-weight: bold"


class LearningBox(QGroupBox):
    """What a `LiveCuration` has learned; a hint if the results are of another kind.

    Parameters
    ----------
    state : callable
        Returns the curation of the results layer, or None.
    changed : callable
        Called after the labels have changed here.
    show_message, run_guarded, start : callable
        See `panel.ResultsPanel`.
    add_model : callable
        Offers the file of a new artifact among the models.
    """

    def __init__(
        self,
        state: Callable[[], Curation | None],
        changed: Callable[[], object],
        show_message: Callable[[str], None],
        run_guarded: Callable[..., bool],
        start: Callable[..., None],
        add_model: Callable[[Path], object],
    ):
        super().__init__("Teach the model: each label counts at once")
        self._state, self._changed = state, changed
        self._show_message, self._run_guarded, self._start = show_message, run_guarded, start
        self._add_model = add_model
        self.hint = _text(HINT)
        self.curve, self.headline, self.verdict = QualityCurve(), _text(), _text()
        self.model = QPushButton("Save model…")
        self.labels, self.open = QPushButton("Save labels…"), QPushButton("Open labels…")
        self.model.clicked.connect(self._save_model)
        self.labels.clicked.connect(self._save_labels)
        self.open.clicked.connect(self._open_labels)
        self._controls = QWidget()
        grid = QGridLayout(self._controls)
        grid.setContentsMargins(0, 0, 0, 0)
        for row, widget in enumerate((self.headline, self.curve, self.verdict, self.model)):
            grid.addWidget(widget, row, 0, 1, 2)
        grid.addWidget(self.labels, 4, 0)
        grid.addWidget(self.open, 4, 1)
        layout = QVBoxLayout(self)
        layout.addWidget(self.hint)
        layout.addWidget(self._controls)
        self.show_state(None)

    def show_state(self, state: Curation | None) -> None:
        """Show what a curation has learned."""
        is_live = isinstance(state, LiveCuration)
        self.hint.setVisible(not is_live)
        self.hint.setText(escape((state and state.hint) or HINT))
        self._controls.setVisible(is_live)
        if not isinstance(state, LiveCuration):
            return
        session = state.session
        headline, details = describe_quality(session.estimate)
        self.headline.setText(headline)
        self.headline.setToolTip(details)
        self.curve.setToolTip(details)
        self.curve.show_points({n: each.auc for n, each in session.curve.items()})
        verdict = session.verdict
        self.verdict.setText(f"✔ {verdict.text}" if verdict.is_enough else verdict.text)
        self.verdict.setStyleSheet(_ENOUGH if verdict.is_enough else "")
        self.verdict.setVisible(bool(verdict.text))
        file = session.history.file
        self.labels.setToolTip(f"Each label is at once in {file.path}." if file else "")

    def _live(self) -> LiveCuration:
        state = self._state()
        if not isinstance(state, LiveCuration):
            raise InputError(HINT)
        return state

    def _save_model(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save model", "lab.onnx", "Artifact (*.onnx)")
        if path:
            self._run_guarded(partial(self._start_saving, Path(path)))

    def _start_saving(self, path: Path) -> None:
        path = _with_suffix(path, ".onnx")
        session = self._live().session

        def save(report: Callable[[int, int], None]) -> Adaptation:
            adaptation = session.adapt(source=path.name)
            report(1, 1)
            with atomic_write(path, "wb") as file:
                file.write(adaptation.content)
            return adaptation

        self._start("Saving the model", save, partial(self._tell, path), lasting=True)

    def _tell(self, path: Path, adaptation: Adaptation) -> None:
        self._add_model(path)
        estimate = adaptation.estimate
        self._show_message(
            f"{estimate.cells} cells and {estimate.no_cells} no cells taught "
            f"{adaptation.artifact.card.name}, threshold {estimate.threshold:.3f} -> {path}"
        )

    def _save_labels(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save labels", "labels.csv", "Table (*.csv)")
        if path:
            self._run_guarded(partial(self._write_labels, Path(path)))

    def _write_labels(self, path: Path) -> None:
        path = _with_suffix(path, ".csv")
        session = self._live().session
        session.save_labels(path)
        self._show_message(f"{len(session.labels.rows)} labels -> {path}")

    def _open_labels(self) -> None:
        kinds = "Labels (*.json *.csv *.xml *.yml *.yaml)"
        paths, _ = QFileDialog.getOpenFileNames(self, "Open labels", "", kinds)
        for path in paths:
            self._run_guarded(partial(self._read_labels, Path(path)))

    def _read_labels(self, path: Path) -> None:
        state = self._live()
        shape: tuple[int, ...] = tuple(state.volumes[0].shape)
        count = state.take(read_steps(path, state.session, shape))
        self._changed()
        self._show_message(f"{count} labels taken from {path.name}. Undo takes them back at once.")


def _text(text: str = "") -> QLabel:
    label = QLabel(escape(text))
    label.setWordWrap(True)
    return label


def _with_suffix(path: Path, suffix: str) -> Path:
    """Return the path with a suffix, if it has none; the dialog has not asked about that file."""
    if path.suffix:
        return path
    path = path.with_name(path.name + suffix)
    if path.exists():
        raise InputError(f"{path} exists. Choose it in the dialog to replace it.")
    return path
