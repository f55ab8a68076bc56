"""A little drawing in NumPy: smooth shapes and a 3x5 font on a float image. Pixels are ``(x, y)`` from the top left."""

import numpy as np

Colour = tuple[float, float, float]  # red, green, blue in [0, 1]

# A character, then its five rows of three pixels, one octal digit per row.
_FONT = """
0 75557  1 26227  2 71747  3 71717  4 55711  5 74717  6 74757  7 71122  8 75757  9 75717
A 25755  B 65656  C 34443  D 65556  E 74647  F 74644  G 34553  H 55755  I 72227  J 11152  K 55655  L 44447  M 57755
N 65555  O 25552  P 65644  Q 25563  R 65655  S 34216  T 72222  U 55557  V 55552  W 55775  X 55255  Y 55222  Z 71247
. 00002  - 00700  + 02720  : 02020  / 11244  = 07070  # 57575  , 00024  ( 12221  ) 42224  _ 00007  * 05250  < 12421
> 42124  [ 64446  ] 31113  % 51245  ! 22202  ? 71202  ' 22000  | 22222  @ 75747  ; 02024  $ 27627
"""
_GLYPHS = {" ": "00000", **{entry[0]: entry[2:] for entry in _FONT.replace("\n", "  ").strip().split("  ")}}


def _disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.hypot(x, y) - 1


def _box(x: np.ndarray, y: np.ndarray, width: float = 1.0, height: float = 1.0) -> np.ndarray:
    return np.maximum(np.abs(x) - width, np.abs(y) - height)


def _hexagon(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    # A corner above and below; the radius is half its width, so that neighbours touch.
    return np.maximum(np.abs(x), np.abs(x) / 2 + np.abs(y) * 0.75**0.5) - 1


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    angle = np.abs((np.arctan2(x, -y) + np.pi / 5) % (np.pi * 0.4) - np.pi / 5)
    radius = np.hypot(x, y)
    # The edge from an outer corner (radius 1, angle 0) to an inner one (radius 0.45, angle 36 degrees).
    return 0.45 * np.sin(np.pi / 5) * (radius * np.cos(angle) - 1) + (1 - 0.45 * np.cos(np.pi / 5)) * radius * np.sin(
        angle
    )


def _key(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    bow = np.abs(np.hypot(x + 0.5, y) - 0.34) - 0.15
    teeth = np.minimum(_box(x - 0.85, y - 0.2, 0.13, 0.3), _box(x - 0.45, y - 0.16, 0.12, 0.26))
    return np.minimum(np.minimum(bow, _box(x - 0.42, y, 0.56, 0.14)), teeth)


# Signed distances: negative inside, in units of the shape's radius.
_SHAPES = {
    "disc": _disc,
    "ring": lambda x, y: np.abs(np.hypot(x, y) - 0.85) - 0.15,
    "square": lambda x, y: _box(x, y),
    "frame": lambda x, y: np.abs(_box(x, y) + 0.06) - 0.06,
    "diamond": lambda x, y: (np.abs(x) + np.abs(y) - 1.15) * 0.7,
    "triangle": lambda x, y: np.maximum(y - 0.75, np.abs(x) * 0.87 - (y + 1) * 0.5),
    "star": _star,
    "key": _key,
    "door": lambda x, y: np.maximum(_box(x, y, 0.62), 0.14 - np.hypot(x - 0.32, y - 0.1)),
    "hexagon": _hexagon,
}


class Canvas:
    """A float image ``[height, width, 3]`` to draw on."""

    def __init__(self, width: int, height: int, background: Colour) -> None:
        self.pixels = np.empty((height, width, 3))
        self.pixels[:] = background

    def shape(self, name: str, x: float, y: float, radius: float, colour: Colour) -> None:
        """Draw a shape around a centre, its edges smoothed over one pixel."""
        reach = int(1.2 * radius) + 2
        height, width = self.pixels.shape[:2]
        left, right = max(0, int(x) - reach), min(width, int(x) + reach + 1)
        top, bottom = max(0, int(y) - reach), min(height, int(y) + reach + 1)
        if left >= right or top >= bottom:
            return
        rows, columns = np.mgrid[top:bottom, left:right]
        distance = _SHAPES[name]((columns + 0.5 - x) / radius, (rows + 0.5 - y) / radius) * radius
        self._blend(self.pixels[top:bottom, left:right], np.clip(0.5 - distance, 0, 1), colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill whole pixels of a rectangle."""
        self.pixels[round(top) : round(bottom), round(left) : round(right)] = colour

    def text(self, text: str, left: float, top: float, scale: int, colour: Colour) -> None:
        """Write one line in capitals, ``5 * scale`` pixels high; unknown characters become ``?``."""
        for position, character in enumerate(text.upper()):
            rows = _GLYPHS.get(character, _GLYPHS["?"])
            glyph = np.array([[int(row) >> shift & 1 for shift in (2, 1, 0)] for row in rows], float)
            glyph = np.kron(glyph, np.ones((scale, scale)))
            x, y = max(0, round(left) + 4 * scale * position), max(0, round(top))
            area = self.pixels[y : y + glyph.shape[0], x : x + glyph.shape[1]]
            self._blend(area, glyph[: area.shape[0], : area.shape[1]], colour)

    def centred(self, text: str, x: float, y: float, scale: int, colour: Colour) -> None:
        """Write one line around a point."""
        self.text(text, x - text_width(text, scale) / 2, y - 2.5 * scale, scale, colour)

    def image(self) -> np.ndarray:
        """Return the picture as uint8 ``[height, width, 3]``."""
        return (self.pixels * 255 + 0.5).astype(np.uint8)

    @staticmethod
    def _blend(area: np.ndarray, coverage: np.ndarray, colour: Colour) -> None:
        area += coverage[..., None] * (np.array(colour) - area)


def text_width(text: str, scale: int) -> int:
    """Return the pixels that one line takes."""
    return max(0, 4 * len(text) - 1) * scale
