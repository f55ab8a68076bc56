"""Colours can be seen and told apart, by everybody."""

from itertools import combinations

import numpy as np
import pytest

from leaderboard import palette

# Machado, Oliveira & Fernandes (2009), "A Physiologically-based Model for Simulation of Color Vision Deficiency",
# severity 1.0; they act on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2."""
    dark, light = sorted(linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in (one, other))
    return float((light + 0.05) / (dark + 0.05))


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
    f = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize(("shades", "paper"), [(palette.LIGHT, "#ffffff"), (palette.DARK, "#171a21")])
def test_every_colour_stands_out_from_its_background(shades, paper):
    assert min(contrast(colour, paper) for colour in shades) >= 3


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("shades", [palette.LIGHT, palette.DARK])
def test_colours_differ_for_every_vision(vision, shades):
    seen = [lab(np.asarray(VISION[vision]) @ linear(colour)) for colour in shades]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 9  # 2.3 is just noticeable side by side


def test_words_in_their_own_shade_can_be_read():
    assert palette.darker("#ff8040", 0.5) == "#804020"
    assert palette.lighter("#ff8040", 0.5) == "#ffc0a0"
    assert min(contrast(palette.darker(colour), "#ffffff") for colour in palette.LIGHT) >= 4.5
    assert min(contrast(palette.lighter(colour), "#171a21") for colour in palette.DARK) >= 4.5


def test_an_unpublished_submission_takes_no_colour_away():
    names = palette.order(["zebra", "ant", "bee"], published=["zebra", "cat"])
    assert names == ["cat", "zebra", "ant", "bee"]
    assert palette.colours(names)["zebra"] == palette.colours(["cat", "zebra"])["zebra"]


def test_colour_and_dash_together_tell_forty_submissions_apart():
    looks = palette.colours([f"s{n}" for n in range(40)])
    assert len({(colour, str(palette.dash(looks, name))) for name, colour in looks.items()}) == 40
