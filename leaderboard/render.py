"""Write tables out: terminal, Markdown, CSV, LaTeX and HTML."""

import re
from collections.abc import Callable, Sequence

import jinja2
import rich.box
import rich.table
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from benchmark.tasks.registry import did_you_mean
from leaderboard.tables import Table

_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": r"$<$",
    ">": r"$>$",
}

_HTML = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<figure class="table">
<table>
<caption>{{ table.title }}</caption>
<thead>
<tr>
{%- for name in header %}<th scope="col"{% if name in words %} class="words"{% endif %}>{{ name }}</th>{% endfor -%}
</tr>
</thead>
<tbody>
{% for row in rows %}
<tr>
{%- for name, cell in row %}<td{% if name in words %} class="words"{% endif %}>{{ cell }}</td>{% endfor -%}
</tr>
{% endfor %}
</tbody>
</table>
{% if table.notes %}
<figcaption>
{% for note in table.notes %}
<p>{{ note }}</p>
{% endfor %}
</figcaption>
{% endif %}
</figure>
""")


def terminal(table: Table) -> RenderableType:
    """Return what a rich console prints: the table and, dimmed, its notes."""
    grid = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in table.cells:
        left = name in table.words
        grid.add_column(str(name), justify="left" if left else "right", no_wrap=name != "missing")
    for row in table.cells.itertuples(index=False):
        grid.add_row(*(Text(cell) for cell in row))
    title = Text(table.title, style="bold")  # a table's own title would be broken where a narrow table ends
    return Group(title, grid, *(Padding(Text(note, style="dim"), (0, 0, 0, 1)) for note in table.notes), Text())


def markdown(tables: Sequence[Table], below: bool = False) -> str:
    """Return GitHub Markdown, aligned so that the source reads well too.

    Args:
        tables: the first gets the heading of the page, unless there is one.
        below: whether they stand below a heading.
    """
    levels = ["##" if below or place else "#" for place in range(len(tables))]
    return "\n\n".join(map(_markdown, tables, levels)) + "\n"


def _markdown(table: Table, level: str) -> str:
    rows = [list(map(_plain, row)) for row in [tuple(table.cells), *table.cells.itertuples(index=False)]]
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    sides = ["<" if name in table.words else ">" for name in table.cells]
    rule = [":".rjust(w, "-") if side == ">" else ":".ljust(w, "-") for w, side in zip(widths, sides, strict=True)]
    lines = [
        f"| {' | '.join(f'{c:{s}{w}}' for c, s, w in zip(row, sides, widths, strict=True))} |"
        for row in (rows[0], rule, *rows[1:])
    ]
    return "\n".join([f"{level} {_plain(table.title)}", "", *lines, "", *(f"- {_plain(note)}" for note in table.notes)])


def _plain(text: str) -> str:
    """Escape what Markdown would take for markup."""
    return re.sub(r"([\\|*<>_`])", r"\\\1", text)


def csv(table: Table) -> str:
    """Return the table's numbers, six significant digits each."""
    return table.data.to_csv(index=False, float_format="%.6g")


def latex(table: Table) -> str:
    """Return a LaTeX table; needs the package booktabs."""
    columns = "".join("l" if name in table.words else "r" for name in table.cells)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_tex(table.title)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        *_tex_rows([list(map(str, table.cells))]),
        r"\midrule",
        *_tex_rows(table.cells.itertuples(index=False)),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\smallskip\footnotesize {_tex(note)}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def html(table: Table) -> str:
    """Return a ``<figure>`` with everything escaped; style it through ``figure.table`` and ``td.words``."""
    header = list(map(str, table.cells))
    rows = [list(zip(header, row, strict=True)) for row in table.cells.itertuples(index=False)]
    return _HTML.render(table=table, header=header, rows=rows, words=table.words)


def _tex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)


def _tex_rows(rows: object) -> list[str]:
    return [" & ".join(map(_tex, row)) + r" \\" for row in rows]  # type: ignore[union-attr]


# What a report is written as, by format and by file suffix.
_WRITERS: dict[str, Callable[[Sequence[Table]], str]] = {
    "md": markdown,
    "csv": lambda tables: "\n".join(map(csv, tables)),
    "latex": lambda tables: "\n".join(map(latex, tables)),
    "html": lambda tables: "\n".join(map(html, tables)),
}
_WRITERS["tex"] = _WRITERS["latex"]


def write(tables: Sequence[Table], style: str) -> str:
    """Return a report in one of the formats md, csv, latex (tex) and html.

    Args:
        tables: as ``tables.report`` returns them.
        style: the format, or a file suffix such as ``".md"``.

    Raises:
        ValueError: if the format is unknown.
    """
    name = style.removeprefix(".").lower()
    if name not in _WRITERS:
        raise ValueError(f"format={style!r} is unknown{did_you_mean(name, _WRITERS)}; allowed: {', '.join(_WRITERS)}")
    return _WRITERS[name](tables)
