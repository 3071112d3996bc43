"""The learner: a logistic head that starts from an artifact's own and moves as far as labels ask.

The margin of a candidate with standardised features z is z . w + b. The fit minimises

    sum over labels of log(1 + exp(margin)) - label * margin
    + strength / 2 * |scale * u|^2 + TEMPERATURE / 2 * a^2 + INTERCEPT / 2 * (b - prior b)^2
    for w = (1 + a) * prior w + u

where scale is the root mean square of each feature over all candidates, 1 at least: a feature with
a few huge values may move many candidates far, so it has to pay more. The sum is minimised by
Newton steps, once for each strength of a fixed grid. The taught head is the mean of these heads,
weighted by the root of exp(-log-loss in cross-validation): one whose log-loss on labels that it has
not seen is greater by 6 counts 1/20 (compare pseudo-Bayesian model averaging, Yao et al. 2018,
Bayesian Analysis 13). A mean does not jump from label to label, as the best of the grid would.

Few labels may teach a head that ranks the other candidates worse than the prior does. So the lesson
lies between the start, which is the prior with another temperature and intercept, and the taught
head, as far as `weigh_evidence` says. Nothing is drawn at random.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .evidence import weigh_evidence
from .prior import Prior, logistic

# Standard deviations of the margin of a typical candidate, z ~ (+-1, ..., +-1), that the penalty
# allows: from hardly any change to a head that forgets the prior. The strength is F / deviation^2,
# so that the grid means the same for 9 features as for 2048.
DEVIATIONS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
INTERCEPT = 0.1  # precision of the intercept: stains shift it by some logits
TEMPERATURE = 8.0  # precision of a: the factor of the prior's margins is about 1 +- 1/3
LOWEST_FACTOR = 0.1  # of the prior's margins in the start, whose order has to stay
ROOT = 0.5  # power of the likelihood in cross-validation, by which the strengths are weighted
MOST_FOLDS, FEW_LABELS, FEWEST_FOLDS = 10, 40, 5
LEAST_PER_CLASS = 2  # labels, below which the weights stay: cross-validation needs two
_TOLERANCE, _MOST_STEPS, _HALVINGS = 1e-6, 50, 30
_ROWS = 2**16  # candidates at a time


@dataclass(frozen=True, eq=False)
class Lesson(Prior):
    """A head that labels have taught, and what cross-validation saw on the way.

    Attributes
    ----------
    out_of_fold : (n,) float64
        Logit of each label from the heads that were fitted without its fold; without two labels of
        each class, that of the prior.
    ranking : (n,) float64
        The same with the intercept of the fit to all labels. Without a cell the others' intercept
        falls, so that each label would rank below its rivals in ``out_of_fold``.
    folds : (n,) int
        Number of the fold of each label.
    weights : (n,) float64
        How much each label counts as evidence.
    shares : (len(DEVIATIONS),) float64
        What each strength counts in the mean; what they lack of 1 is what the start counts. All 0
        if only the intercept moved.
    """

    out_of_fold: np.ndarray
    ranking: np.ndarray
    folds: np.ndarray
    weights: np.ndarray
    shares: np.ndarray


def measure_scale(*standard: np.ndarray) -> np.ndarray:
    """Return the root mean square of standardised features, 1 at least, as (F,) float64.

    Parameters
    ----------
    *standard : (N, F)
        Features of the candidates of each volume; a row with NaN does not count.
    """
    squares, count = np.zeros(standard[0].shape[1]), 0
    for table in standard:
        for start in range(0, len(table), _ROWS):
            part = table[start : start + _ROWS]
            part = part[np.isfinite(part.sum(axis=1))].astype(np.float64)
            squares += np.einsum("ij,ij->j", part, part)
            count += len(part)
    return np.maximum(1, np.sqrt(squares / max(1, count)))


def fit_head(
    standard: np.ndarray,
    labels: np.ndarray,
    prior: Prior,
    scale: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> Lesson:
    """Fit a head to labels.

    Parameters
    ----------
    standard : (n, F)
        Standardised features of the labelled candidates.
    labels : (n,) bool
        Whether each is a cell.
    prior : Prior
    scale : (F,) float64, optional
        From `measure_scale` of all candidates; 1 by default.
    weights : (n,), optional
        How much each label counts as evidence: from `weigh_labels` of the prior's logits of the
        labels and of all candidates; the same by default.

    Returns
    -------
    Lesson
        Without labels the prior itself. With fewer than `LEAST_PER_CLASS` labels of a class, the
        weights are the prior's and only the intercept moves.

    Raises
    ------
    InputError
        The shapes do not fit, or a feature is not finite.
    """
    z = np.asarray(standard, np.float64)
    y = np.asarray(labels, bool)
    if z.ndim != 2 or z.shape != (len(y), len(prior.weight)):
        raise InputError(
            f"The features are {z.shape} and the labels {y.shape}; expected (n, "
            f"{len(prior.weight)}) and (n,)."
        )
    if not np.isfinite(z).all():
        row = int(np.argmin(np.isfinite(z).all(axis=1)))
        raise InputError(f"The features of label {row + 1} are not finite. Leave it out.")
    margin = z @ prior.weight + prior.bias
    folds = assign_folds(y)
    weights = np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)
    if min(y.sum(), (~y).sum()) < LEAST_PER_CLASS:
        step = fit_offset(np.zeros((len(y), 0)), y, margin, np.ones((1, len(y))), 1.0)[0]
        bias = prior.bias + float(step[0])
        shares = np.zeros(len(DEVIATIONS))
        return Lesson(prior.weight, bias, margin, margin, folds, weights, shares)
    widths = np.ones(z.shape[1]) if scale is None else np.asarray(scale, np.float64)
    axes, places = _reduce(z / widths)
    places = np.column_stack([places, margin - prior.bias])  # the last turns the temperature
    held_out = _leave_out(folds)
    start = fit_offset(places[:, -1:], y, margin, held_out, TEMPERATURE)
    start[:, 0] = np.maximum(start[:, 0], LOWEST_FACTOR - 1)
    start_margins = _predict(places[:, -1:], margin, start, folds)
    heads = np.empty((len(DEVIATIONS), places.shape[1] + 1))
    margins, ranking = np.empty((2, len(DEVIATIONS), len(y)))
    solution = np.zeros((len(held_out), places.shape[1] + 1))
    for i, deviation in enumerate(DEVIATIONS):
        strengths = np.full(places.shape[1], z.shape[1] / deviation**2)
        strengths[-1] = TEMPERATURE
        solution = fit_offset(places, y, margin, held_out, strengths, solution)
        heads[i] = solution[-1]
        margins[i], ranking[i] = _predict(places, margin, solution, folds)
    losses = log_losses(margins, y).sum(axis=1)
    shares = np.exp(ROOT * (losses.min() - losses))
    shares /= shares.sum()
    evidence = weigh_evidence(margin, shares @ ranking, y, weights)
    shares *= evidence
    mean = shares @ heads
    mean[-2:] += (1 - evidence) * start[-1]
    out_of_fold, ranks = (1 - evidence) * start_margins + (shares @ margins, shares @ ranking)
    return Lesson(
        (1 + mean[-2]) * prior.weight + axes @ mean[:-2] / widths,
        prior.bias + float(mean[-1]),
        out_of_fold,
        ranks,
        folds,
        weights,
        shares,
    )


def _leave_out(folds: np.ndarray) -> np.ndarray:
    """Return how often each label counts, (k + 1, n): without each fold in turn, then once each."""
    numbers = np.arange(int(folds.max()) + 1).reshape(-1, 1)
    left_out: np.ndarray = np.equal(folds, numbers)
    return np.concatenate([~left_out, np.ones((1, len(folds)))]).astype(np.float64)


def _predict(
    places: np.ndarray, margin: np.ndarray, solution: np.ndarray, folds: np.ndarray
) -> np.ndarray:
    """Return (2, n): logits by heads that have not seen the label; with the last one's intercept.

    See `Lesson.out_of_fold` and `Lesson.ranking`.
    """
    rest = solution[folds]
    ranking = margin + (places * rest[:, :-1]).sum(axis=1) + solution[-1, -1]
    return np.stack([ranking - solution[-1, -1] + rest[:, -1], ranking])


def assign_folds(labels: np.ndarray) -> np.ndarray:
    """Deal labels (n,) bool into folds in their order, class by class; return (n,) int.

    There are as many folds as labels up to `MOST_FOLDS`, and `FEWEST_FOLDS` of more than
    `FEW_LABELS` labels, whose folds are large enough.
    """
    n = len(labels)
    count = max(1, min(n, MOST_FOLDS)) if n <= FEW_LABELS else FEWEST_FOLDS
    folds = np.empty(n, np.int64)
    folds[np.argsort(~labels, kind="stable")] = np.arange(n) % count  # cells first
    return folds


def log_losses(margins: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the log-loss of each logit (..., n) against labels (n,) bool."""
    return np.logaddexp(0, np.where(labels, -margins, margins))


def fit_offset(
    places: np.ndarray,
    labels: np.ndarray,
    start: np.ndarray,
    counts: np.ndarray,
    strength: float | np.ndarray,
    solution: np.ndarray | None = None,
) -> np.ndarray:
    """Fit what is added to given logits, for several selections of labels.

    Parameters
    ----------
    places : (n, r) float64
    labels : (n,) bool
    start : (n,) float64
        Logits to which ``places @ u + v`` is added.
    counts : (k, n) float64
        How often each label counts in each of k fits.
    strength : float or (r,)
        Precision of u; that of v is `INTERCEPT`.
    solution : (k, r + 1) float64, optional
        Where to start.

    Returns
    -------
    (k, r + 1) float64
        u and v of each fit.
    """
    x = np.column_stack([places, np.ones(len(places))])
    precision = np.append(np.broadcast_to(strength, places.shape[1]), INTERCEPT)
    y = labels.astype(np.float64)
    results = np.zeros((len(counts), x.shape[1])) if solution is None else solution.copy()
    for theta, count in zip(results, counts, strict=True):
        cost = _cost(x @ theta + start, y, count, precision, theta)
        for _ in range(_MOST_STEPS):
            probability = logistic(x @ theta + start)
            slope: np.ndarray = x.T @ (count * (probability - y)) + precision * theta
            root = x * np.sqrt(count * probability * (1 - probability))[:, None]
            curvature: np.ndarray = root.T @ root  # of one array, which halves the work
            curvature.flat[:: len(theta) + 1] += precision
            step = np.asarray(np.linalg.solve(curvature, slope), np.float64)
            gain = float(slope @ step)
            ahead, next_cost = theta - step, np.inf
            for _ in range(_HALVINGS):  # where the curvature is flat, a whole step is too long
                next_cost = _cost(x @ ahead + start, y, count, precision, ahead)
                if next_cost <= cost + 1e-12 * abs(cost):
                    break
                ahead = (theta + ahead) / 2
            theta[:], cost = ahead, next_cost
            if gain < _TOLERANCE:  # the step that was just taken squares what is left
                break
    return results


def _cost(
    margin: np.ndarray,
    y: np.ndarray,
    count: np.ndarray,
    precision: np.ndarray,
    theta: np.ndarray,
) -> float:
    losses = np.logaddexp(0, margin) - y * margin
    return float(count @ losses + 0.5 * (precision * theta) @ theta)


def _reduce(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return axes (F, r) and places (n, r) such that z @ axes @ u is places @ u.

    The penalised weights are sums of the labels' features, so fewer labels than features need no
    more than an axis each: the fit is the same, and its time follows the labels.
    """
    if len(z) >= z.shape[1]:
        return np.eye(z.shape[1]), z
    axes, triangle = np.linalg.qr(z.T)
    return axes, triangle.T
