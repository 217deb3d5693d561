"""The report's learning curves: accuracy, or another score, and loss by epoch."""

from __future__ import annotations

from collections.abc import Sequence

from codesign.report.svg import Axis, chart, element, grid, text, titled
from models.training.history import Epoch, kept_epoch

WIDTH, HEIGHT = 600, 430
LEFT, RIGHT = 64, 580
_ACCURACY = (250, 40)
"""Coordinates of the lowest and the highest accuracy."""
_LOSS = (390, 300)
_SHARE = "accuracy"
"""The score that is shown in percent."""
_MOST_DOTS = 40
"""Most epochs that have a dot each; more are shown by lines alone."""


def legend(history: Sequence[Epoch]) -> str:
    """Return markup that says what lines, shade and ring are, and which epoch was kept."""
    lines = [("blue", "validation")]
    if any(one.training_accuracy is not None for one in history):
        lines.append(("orange", "training, batch by batch"))
    keys = "".join(
        f'<span class="key"><i class="legend" style="background:var(--{colour})"></i> {name}</span>'
        for colour, name in lines
    )
    kept = kept_epoch(history)
    of = f"Ring: epoch {kept} of {len(history)}, whose weights are kept. " if kept else ""
    early = "Grey: before the network computes as hardware does."
    grey = "" if all(one.quantised for one in history) else early
    return f"{keys}<br>{of}{grey}".removesuffix("<br>")


def draw(history: Sequence[Epoch], score: str = _SHARE) -> str:
    """Draw accuracy on validation and training data over epochs, and below it the loss, as SVG.

    history: at least one epoch. score: what their validation score is, if no accuracy.
    """
    name = score.replace("_", " ")
    x = Axis(min(1, len(history) - 1), max(len(history), 2), LEFT, RIGHT)
    accuracies = [one.accuracy for one in history]
    running = [one.training_accuracy for one in history if one.training_accuracy is not None]
    y = _axis([*accuracies, *running], *_ACCURACY, least=0.01)
    loss = _axis([one.loss for one in history], *_LOSS, least=1e-6)
    shade = "".join(_floating(history, x, *ends) for ends in (_ACCURACY, _LOSS))
    parts = [
        shade,
        grid(x, y, "", name, percent=score == _SHARE),
        grid(x, loss, "epoch", "training loss"),
        _line(x, y, [one.training_accuracy for one in history], "training"),
        _line(x, y, accuracies, "validation"),
        _line(x, loss, [one.loss for one in history], "loss"),
        *(
            _dot(x, y, at, one, score)
            for at, one in enumerate(history, 1)
            if len(history) <= _MOST_DOTS
        ),
    ]
    kept = kept_epoch(history)
    if kept:
        best = history[kept - 1].accuracy
        right = x(kept) > (LEFT + RIGHT) / 2
        parts.append(element("circle", cx=x(kept), cy=y(best), r=6, class_="ring"))
        label = _told(best, score)
        anchor = "end" if right else "start"
        at_x = x(kept) + (-10 if right else 10)
        parts.append(text(at_x, y(best) - 8, label, "strong", anchor=anchor))
    return chart(WIDTH, HEIGHT, f"Learning curve: {name} and loss over epochs", "".join(parts))


def _axis(values: Sequence[float], low: float, high: float, least: float) -> Axis:
    """Return an axis between two coordinates that shows all values with a margin."""
    span = max(max(values) - min(values), least)
    return Axis(min(values) - 0.06 * span, max(values) + 0.1 * span, low, high)


def _line(x: Axis, y: Axis, values: Sequence[float | None], kind: str) -> str:
    points = " ".join(
        f"{x(at):.1f},{y(value):.1f}" for at, value in enumerate(values, 1) if value is not None
    )
    return element("polyline", points=points, class_=f"curve {kind}") if points else ""


def _told(value: float, score: str) -> str:
    return f"{100 * value:.2f} %" if score == _SHARE else f"{value:.4g}"


def _dot(x: Axis, y: Axis, at: int, one: Epoch, score: str) -> str:
    trained = one.training_accuracy
    more = "" if trained is None else f", training {100 * trained:.2f} %"
    tip = f"epoch {at}: validation {_told(one.accuracy, score)}{more}, loss {one.loss:.4g}"
    return titled("circle", tip, cx=x(at), cy=y(one.accuracy), r=3.5, class_="dot front")


def _floating(history: Sequence[Epoch], x: Axis, bottom: float, top: float) -> str:
    """Shade the epochs in floating point, which are the first ones; return "" if there are none."""
    last = sum(not one.quantised for one in history)
    if not last:
        return ""
    end = min(x(last + 0.5), RIGHT)
    return element("rect", x=LEFT, y=top, width=end - LEFT, height=bottom - top, class_="float")
