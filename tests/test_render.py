import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import Whisper

from benchmark.episodes import canvas, render
from benchmark.episodes.canvas import Canvas, text_width
from benchmark.episodes.render import ansi, rgb_array
from benchmark.tasks.board import hex_board, square_board
from benchmark.tasks.perturb import Slip
from benchmark.tasks.picture import Bar, Mark, Picture, ladder
from benchmark.tasks.registry import make_task, task_ids
from benchmark.tasks.streams import episode_keys

BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
PLAIN = [255, 255, 255]


@dataclass(frozen=True)
class Shown(Whisper):
    """A toy that shows whatever picture it is given."""

    shown: Picture | None = None

    def picture(self, state, episode=0):
        return self.shown


def show(cells, **parts):
    task = Shown(shown=Picture(parts.pop("title", ""), cells, **parts))
    return rgb_array(task, task.initial_state(episode_keys("user", 0, 1)))


def pixels_of(image, colour):
    """Rows and columns of the pixels in this colour."""
    return np.argwhere((abs(image - 255 * np.array(colour)) <= 1).all(2))


def area(shape, radius=40.0):
    page = Canvas(120, 120, WHITE)
    page.shape(shape, 60, 60, radius, BLACK)
    return float((1 - page.pixels[..., 0]).sum()) / radius**2


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("disc", np.pi),
        ("square", 4.0),
        ("hexagon", 2 * 3**0.5),
        ("diamond", 2 * 1.15**2),
        ("ring", np.pi * (1 - 0.7**2)),
        ("star", 5 * 0.45 * np.sin(np.pi / 5)),  # ten triangles between radii 1 and 0.45
    ],
)
def test_shapes_cover_their_area(shape, expected):
    assert area(shape) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("shape", sorted(set(canvas._SHAPES) - {"diamond", "hexagon"}))
def test_shapes_keep_within_their_radius(shape):
    page = Canvas(120, 120, WHITE)
    page.shape(shape, 60, 60, 40, BLACK)
    outside = np.ones((120, 120), bool)
    outside[19:101, 19:101] = False
    assert page.pixels[outside].min() == 1.0
    assert page.pixels[~outside].min() == 0.0


def test_shapes_over_the_edge_are_cut_off():
    page = Canvas(20, 10, WHITE)
    page.shape("disc", 0, 0, 8, BLACK)
    page.shape("disc", 100, 100, 8, BLACK)
    assert page.pixels[0, 0].tolist() == [0, 0, 0]
    assert page.pixels[9, 19].tolist() == [1, 1, 1]


def test_letters_are_drawn_pixel_by_pixel():
    page = Canvas(11, 5, WHITE)
    page.text("a7?", 0, 0, 1, BLACK)
    rows = ["".join("#" if value == 0 else "." for value in row) for row in page.pixels[..., 0]]
    assert rows == [
        ".#..###.###",
        "#.#...#...#",
        "###...#..#.",
        "#.#..#.....",
        "#.#..#...#.",
    ]
    assert text_width("a7?", 2) == 22
    assert text_width("", 3) == 0


def test_every_glyph_is_its_own():
    glyphs = canvas._GLYPHS
    assert len(set(glyphs.values())) == len(glyphs)
    assert all(re.fullmatch("[0-7]{5}", rows) for rows in glyphs.values())
    assert set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:;-+()[]") <= set(glyphs)


def test_agents_stand_where_they_are_and_y_grows_upwards():
    image = show(square_board(5, 5, ()).cells, agents=((0, 0), (4, 3)))
    board = image[render._TITLE :, : render._MARGIN + 5 * 64]
    low, high = (pixels_of(board, colour).mean(0) / 64 for colour in render.AGENTS[:2])
    # Row 0 is at the top; a margin lies to the left.
    assert low.tolist() == pytest.approx([4.5, 0.5 + 16 / 64], abs=0.05)
    assert high.tolist() == pytest.approx([1.5, 4.5 + 16 / 64], abs=0.05)


def test_hexagonal_neighbours_are_equally_far():
    cells = hex_board(2, ()).cells
    board = render._Board(Picture("", cells, hexagonal=True))
    centre = np.array(board.pixel((0, 0)))
    gaps = [np.hypot(*(board.pixel(cell) - centre)) for cell in ((0, 1), (1, 0), (1, 1), (-1, 0), (0, -1), (-1, -1))]
    assert gaps == pytest.approx([board.size] * 6)
    assert board.pixel((0, 1))[1] < centre[1]


def test_every_agent_of_a_crowd_is_visible():
    image = show(square_board(3, 3, ()).cells, agents=((1, 1),) * 8)
    board = image[:, : render._MARGIN + 3 * 64]
    for colour in render.AGENTS:
        assert len(pixels_of(board, colour)) > 20


def test_what_agents_see_is_tinted_and_darker_where_they_overlap():
    cells = square_board(3, 1, ()).cells
    image = show(cells, seen=(((0, 0), (1, 0)), ((1, 0),)))
    row, first = render._TITLE + 32, render._MARGIN + 32
    seen, both, unseen = (image[row, first + 64 * x].astype(int) for x in range(3))
    assert unseen.tolist() == PLAIN
    assert seen.sum() < 3 * 255
    assert both.sum() < seen.sum()
    assert show(cells)[row, first].tolist() == PLAIN


def test_the_legend_names_each_kind_once():
    def legend(*marks, agents=0):
        return [mark.meaning for mark in render._legend(Picture("", ((0, 0),), ((0, 0),) * agents, marks))]

    box, other = Mark((0, 0), "square", "gold", "", "right box"), Mark((0, 0), "square", "grey", "", "wrong box")
    silent = Mark((0, 0), "square", "grey")
    assert legend(box, other, box, silent) == ["right box", "wrong box"]
    assert legend(box, agents=2) == ["agent 0", "agent 1", "right box"]
    assert legend(agents=9) == ["agents 0 to 8"]


def test_bars_are_as_long_as_their_value():
    def length(value):
        image = show(((0, 0),), bars=(Bar("group", value, 8, "green"),))
        return np.ptp(pixels_of(image, render.COLOURS["green"])[:, 1]) + 1

    assert [length(value) / length(8) for value in (2, 4, 6)] == pytest.approx([0.25, 0.5, 0.75], abs=0.02)
    assert length(9) == length(8)


def test_a_ladder_fills_up_to_its_level():
    picture = ladder("firm", 2, ("none", "low", "middle", "high"))
    assert [mark.place for mark in picture.marks if mark.shape == "square"] == [(0, 0), (0, 1), (0, 2)]
    assert [mark.label for mark in picture.marks if mark.shape == "text"] == ["none", "low", "middle", "high"]


def test_names_beside_the_board_and_long_titles_widen_the_picture():
    plain = show(((0, 0),)).shape[1]
    assert show(((0, 0),), marks=(Mark((0, 0), "text", "dark", "x" * 10),)).shape[1] == plain + 78
    assert show(((0, 0),), title="x" * 100).shape[1] == 2 * render._MARGIN + 798


def test_a_task_without_a_picture_is_shown_by_its_text():
    task = Whisper()
    image = rgb_array(task, task.initial_state(episode_keys("user", 0, 1)))
    assert image.shape == (2 * 16 + 14, 2 * 16 + text_width(task.draw(task.initial_state(KEYS[:1])), 2), 3)
    assert (image < 100).any()


KEYS = episode_keys("user", 0, 4)


def test_text_tells_what_each_agent_sees():
    task = Whisper()
    state = task.initial_state(KEYS)._replace(heard=torch.tensor([[0, 1]] * 4), time=torch.arange(4))
    assert ansi(task, state, 3).splitlines()[-2:] == ["agent_0 sees heard=0 time=3", "agent_1 sees heard=1 time=3"]


def test_long_vectors_are_told_by_what_is_not_zero():
    task = make_task("escape-room-v0")
    state = task.initial_state(KEYS)
    assert task.draw(state, 1) in ansi(task, state, 1)
    line = ansi(task, state, 1).splitlines()[-1]
    assert re.fullmatch(r"agent_1 sees room=\{(\d+: \d(, )?)+\} positions=\[5, 5, 5, 5\]", line), line
    assert "55: 4" in line


SMALL = [task_id for task_id in task_ids() if not re.search(r"-\d\d+-v0", task_id)]


@pytest.mark.parametrize("task_id", [*SMALL, "organization-full-100-v0"])
def test_every_task_is_drawn_alone_as_in_a_batch(task_id):
    task = make_task(task_id)
    state = task.initial_state(KEYS)
    actions = torch.zeros(4, task.agents, dtype=torch.int64)
    for step in range(2):
        image = rgb_array(task, state, 2)
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert max(image.shape) < 1200
        assert np.unique(image @ np.array([1, 256, 65536])).size > 5
        alone = type(state)(*(entry[2:3] for entry in state))
        assert np.array_equal(rgb_array(Slip(task, 0.1), alone), image)
        assert ansi(task, alone) == ansi(task, state, 2)
        assert ansi(task, alone).count(" sees ") == task.agents
        state = task.transition(state, actions, KEYS, step).state


def test_the_renderer_knows_no_task_by_name():
    source = Path(render.__file__).read_text() + Path(canvas.__file__).read_text()
    for family in ("oracle", "gathering", "escape", "honeycomb", "organization"):
        assert family not in source.lower()
