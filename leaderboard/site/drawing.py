"""Figures inside pages: matplotlib's SVG in the colours of the page, and small curves."""

import io
import re
from itertools import count

import matplotlib
import numpy as np
from markupsafe import Markup, escape

from leaderboard import plots
from leaderboard.figures import Picture
from leaderboard.palette import LIGHT, darker
from leaderboard.statistics import Estimate

# What is drawn in these colours follows the page's theme.
_THEME = {
    **{darker(colour): f"var(--t{place})" for place, colour in enumerate(LIGHT)},
    **{colour: f"var(--s{place})" for place, colour in enumerate(LIGHT)},
    **{plots.INK: "var(--ink)", plots.FAINT: "var(--muted)", "#999999": "var(--muted)"},
    **{plots.GRID: "var(--line)", plots.PAPER: "var(--surface)"},
}


def inline(picture: Picture, prefix: str) -> Markup:
    """Return a picture as an ``<svg>`` element that takes the width it is given and the page's colours.

    Args:
        picture: to draw.
        prefix: of its ids; no two figures of a page may share it.
    """
    file = io.StringIO()
    # Text stays text: it can be read aloud, searched and copied, and takes the page's font.
    with plots.style(), matplotlib.rc_context({"svg.fonttype": "none"}):
        picture.figure.savefig(
            file, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    text = file.getvalue()
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)[0]
    body = text[text.index("<defs>") : text.rindex("</svg>")]
    body = re.sub(r"#[0-9a-f]{6}\b", lambda match: _THEME.get(match[0], match[0]), body)
    body = re.sub(r"font: ((?:bold |\d00 )?[\d.]+px) [^;\"]*", r"font: \1 var(--sans)", body)
    body = re.sub(r"-?\d+\.\d{3,}", lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), body)
    body = _own_names(body.replace("xlink:href", "href"), prefix)
    return Markup(
        f'<svg class="plot" viewBox="0 0 {width} {height}" style="--natural:{float(width) * 4 / 3:.0f}px" role="img" '
        f'aria-label="{escape(picture.alt)}">{body}</svg>'
    )


def _own_names(body: str, prefix: str) -> str:
    """Give every id a name that no other figure of the page has."""
    numbers = count()
    names = {name: f"{prefix}-{next(numbers)}" for name in dict.fromkeys(re.findall(r'\bid="([^"]+)"', body))}
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', body))
    body = re.sub(r' id="([^"]+)"', lambda match: f' id="{names[match[1]]}"' if match[1] in used else "", body)
    return re.sub(r'(url\(|href=")#([^")]+)', lambda match: f"{match[1]}#{names[match[2]]}", body)


def small_curve(estimate: Estimate, scored: bool) -> Markup:
    """Return a curve and its band as a small ``<svg>``, with lines at scores 0 and 1; decoration beside its numbers."""
    points = [np.asarray(values, dtype=float) for values in estimate]
    shown = np.concatenate([values[np.isfinite(values)] for values in points])
    low, high = (min(0.0, shown.min()), max(1.0, shown.max())) if scored else (shown.min(), shown.max())
    span = (high - low) or 1.0

    def path(values: np.ndarray) -> list[str]:
        xs = np.linspace(0, 200, len(values))
        return [f"{x:.0f} {60 - 56 * (y - low) / span - 2:.1f}" for x, y in zip(xs, values, strict=True)]

    lines = "".join(
        f'<path class="level" d="M0 {60 - 56 * (level - low) / span - 2:.1f}H200"/>' for level in (0.0, 1.0) if scored
    )
    band = ""
    if np.isfinite(points[1]).all():
        band = f'<path class="band" d="M{"L".join(path(points[1]) + path(points[2])[::-1])}z"/>'
    return Markup(
        f'<svg class="small-curve" viewBox="0 0 200 60" preserveAspectRatio="none" aria-hidden="true">{lines}{band}'
        f'<path class="mean" d="M{"L".join(path(points[0]))}"/></svg>'
    )
