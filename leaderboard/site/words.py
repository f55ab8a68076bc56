"""Text for pages: Markdown with formulas, and what strangers wrote."""

import re
from collections.abc import Mapping

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

_LINK = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]]|\barXiv[: ]\s?(\d{4}\.\d{4,5})")
# Only these protocols are ever linked: what follows "javascript:" would run.
_ABROAD = ("https://", "http://")


def linked(text: str) -> Markup:
    """Escape what a stranger wrote; addresses and arXiv numbers in it become links."""
    parts, end = [], 0
    for match in _LINK.finditer(text):
        target = f"https://arxiv.org/abs/{match[1]}" if match[1] else match[0]
        parts += [escape(text[end : match.start()]), _anchor(target, match[0])]
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def _anchor(target: str, text: str) -> Markup:
    return Markup('<a href="{}" rel="noopener noreferrer nofollow">{}</a>').format(target, text)


def slug(text: str) -> str:
    """Return a name for files and anchors: lower case, digits, and single hyphens."""
    return re.sub(r"[^a-z0-9.+_]+", "-", text.lower()).strip("-")


class Page:
    """A Markdown document as HTML.

    Attributes:
        title: its first heading.
        html: the rest.
        contents: ``(anchor, text)`` of its second-level headings.
    """

    def __init__(self, text: str, pages: Mapping[str, str]) -> None:
        """Read a document.

        Args:
            text: Markdown, with tables, and formulas in fenced blocks named ``math``. HTML in it is shown, not used.
            pages: by the file name that a document would link to, the page that holds it here. Other relative links
                lose their target and keep their text: not every file of the repository is on the site.
        """
        reader = MarkdownIt("commonmark", {"html": False}).enable("table")
        tokens = reader.parse(text)
        self.title, self.contents = "", []
        for place, token in enumerate(tokens):
            if token.type == "heading_open":
                self._heading(token, tokens[place + 1])
            for child in token.children or ():
                _retarget(child, pages)
        body = tokens[3:] if self.title else tokens
        reader.add_render_rule("fence", lambda _, all_, place, *rest: _fence(all_[place]))
        reader.add_render_rule("table_open", lambda *_: _TABLE)
        reader.add_render_rule("table_close", lambda *_: "</table></div>\n")
        self.html = Markup(reader.renderer.render(body, reader.options, {}))

    def _heading(self, token: Token, inline: Token) -> None:
        token.attrSet("id", slug(inline.content))
        if token.tag == "h1" and not self.title:
            self.title = inline.content
        elif token.tag == "h2":
            self.contents.append((slug(inline.content), inline.content))


_TABLE = '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>\n'


def _retarget(token: Token, pages: Mapping[str, str]) -> None:
    if token.type != "link_open":
        return
    target = str(token.attrGet("href") or "")
    if target.startswith((*_ABROAD, "#")):
        return
    file, _, anchor = target.rpartition("/")[2].partition("#")
    if file in pages:
        token.attrSet("href", pages[file] + (f"#{anchor}" if anchor else ""))
    else:
        del token.attrs["href"]


def _fence(token: Token) -> str:
    if token.info.strip() == "math":
        return f'<div class="formula" role="region" aria-label="Formula" tabindex="0">{formula(token.content)}</div>\n'
    return f'<pre tabindex="0"><code>{escape(token.content)}</code></pre>\n'


def formula(latex: str) -> str:
    """Return a formula as MathML, which browsers draw and read aloud by themselves."""
    return convert(latex.strip(), display="block")


def docstring(text: str | None) -> str:
    """Return a docstring's paragraphs as Markdown, without its sections (Attributes, Raises)."""
    return re.split(r"\n\s*(?:Attributes|Raises|Example|Args):\s*\n", text or "")[0].strip()
