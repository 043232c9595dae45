"""Training curves as a picture: a small panel for each quantity, logarithmic where it stays above zero."""

from __future__ import annotations

import math

import cv2
import numpy as np

PANEL_WIDTH, PANEL_HEIGHT = 360, 220
COLUMNS = 4
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 58, 12, 30, 24
# sRGB
PAPER, INK, FAINT, LINE, SMOOTH = (255, 255, 255), (40, 40, 40), (225, 225, 225), (170, 195, 230), (20, 80, 190)
# share of the points that the smooth line averages over
SMOOTHING = 0.05
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_curves(curves: dict[str, list[tuple[int, float]]]) -> np.ndarray:
    """Draw quantities over training steps.

    Args:
        curves: name -> (step, value) in the order of steps; finite values.

    Returns:
        (H,W,3) uint8 sRGB.
    """
    columns = min(COLUMNS, len(curves))
    rows = math.ceil(len(curves) / columns)
    sheet = np.full((rows * PANEL_HEIGHT, columns * PANEL_WIDTH, 3), PAPER, np.uint8)
    last_step = max(points[-1][0] for points in curves.values())
    for number, (name, points) in enumerate(curves.items()):
        row, column = divmod(number, columns)
        top, left = row * PANEL_HEIGHT, column * PANEL_WIDTH
        panel = np.ascontiguousarray(sheet[top : top + PANEL_HEIGHT, left : left + PANEL_WIDTH])
        _draw_panel(panel, name, np.array(points, np.float64), last_step)
        sheet[top : top + PANEL_HEIGHT, left : left + PANEL_WIDTH] = panel
    return sheet


def _draw_panel(panel: np.ndarray, name: str, points: np.ndarray, last_step: int) -> None:
    steps, values = points.T
    logarithmic = bool((values > 0).all())
    shown = np.log10(values) if logarithmic else values
    # the first values may be far off; the rest fills the panel
    low, high = float(shown.min()), float(np.percentile(shown, 99.5))
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    right, bottom = PANEL_WIDTH - MARGIN_RIGHT, PANEL_HEIGHT - MARGIN_BOTTOM

    def place(step: np.ndarray, value: np.ndarray) -> np.ndarray:
        x = MARGIN_LEFT + step / max(1, last_step) * (right - MARGIN_LEFT)
        y = bottom - (value - low) / (high - low) * (bottom - MARGIN_TOP)
        return np.stack([x, y.clip(MARGIN_TOP, bottom)], -1).round().astype(np.int32)

    cv2.putText(panel, name, (8, 19), FONT, 0.45, INK, 1, cv2.LINE_AA)
    for level in np.linspace(low, high, 5):
        y = int(place(np.zeros(1), np.array([level]))[0, 1])
        cv2.line(panel, (MARGIN_LEFT, y), (right, y), FAINT, 1)
        cv2.putText(panel, f"{10**level if logarithmic else level:.3g}", (4, y + 4), FONT, 0.36, INK, 1, cv2.LINE_AA)
    cv2.putText(panel, f"{last_step}", (right - 42, PANEL_HEIGHT - 7), FONT, 0.36, INK, 1, cv2.LINE_AA)
    cv2.polylines(panel, [place(steps, shown)], False, LINE, 1, cv2.LINE_AA)
    cv2.polylines(panel, [place(steps, _smoothed(shown))], False, SMOOTH, 2, cv2.LINE_AA)


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Running mean over a share of the values, shorter at both ends."""
    reach = max(0, int(len(values) * SMOOTHING / 2))
    total = np.concatenate([[0.0], values.cumsum()])
    index = np.arange(len(values))
    first, last = (index - reach).clip(0), (index + reach + 1).clip(max=len(values))
    return (total[last] - total[first]) / (last - first)
