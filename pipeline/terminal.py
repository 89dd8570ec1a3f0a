"""What a reader sees: tables, and text of the web that cannot play tricks on a terminal."""

import contextlib
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Invisible characters that reorder or hide what stands around them (Unicode TR 36, UTS 39):
# zero-width and bidi marks, embeddings and overrides, isolates, tag characters, line separators.
_HIDDEN = [
    0x00AD, 0x061C, 0x180E, *range(0x200B, 0x2010), *range(0x2028, 0x202F),
    *range(0x2060, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFC), *range(0xE0000, 0xE0080),
]  # fmt: skip
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_VISIBLE: dict[int, str] = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    0x7F: "\N{SYMBOL FOR DELETE}",
    **dict.fromkeys([*range(0x80, 0xA0), *_HIDDEN, *range(0xD800, 0xE000)], _REPLACEMENT),
    0x09: " ",
    0x0A: " ",
    0x0D: " ",
}
# Joiners are letters' business in many scripts and emoji; they reorder nothing.
for _joiner in (0x200C, 0x200D):
    del _VISIBLE[_joiner]
_LINES = {code: text for code, text in _VISIBLE.items() if code != 0x0A}


def clean(text: Any, lines: bool = False) -> str:
    """`text` with every control, bidi and hidden character made visible.

    Args:
      lines: line feeds stay; without it they become blanks.
    """
    return str(text).translate(_LINES if lines else _VISIBLE)


def output_console() -> Console:
    """A console on standard output; it interprets no markup and colours no numbers."""
    return _console(stderr=False)


def error_console() -> Console:
    return _console(stderr=True)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Who reads has seen enough, as `head` has: no failure."""
        with contextlib.suppress(SystemExit):
            super().on_broken_pipe()
        raise SystemExit(0)


def _console(stderr: bool) -> Console:
    wraps = (sys.stderr if stderr else sys.stdout).isatty()
    return _Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=not wraps)


# The least width of a column whose cells may take several lines.
FOLDED = 20


@dataclass(frozen=True)
class Column:
    """Attributes:
    right: numbers stand at the right.
    style: of its cells.
    fold: its cells may take several lines where the terminal is narrow.
    """

    name: str
    right: bool = False
    style: str = ""
    fold: bool = False


def print_table(
    console: Console, columns: Sequence[Column], rows: Iterable[Sequence[Any]], title: str = ""
) -> None:
    """A table with rules on a terminal, aligned plain text elsewhere."""
    cells = [["" if cell is None else clean(cell) for cell in row] for row in rows]
    if title:
        console.print(Text(title, style="bold"))
    # A number that was cut is a wrong number: too wide a table is left to the terminal to wrap.
    widths = [max([cell_len(c.name), *(cell_len(row[i]) for row in cells)])
              for i, c in enumerate(columns)]  # fmt: skip
    needed = sum(FOLDED if c.fold else w for c, w in zip(columns, widths, strict=True))
    if not console.is_terminal or needed + 2 * (len(columns) - 1) > console.width:
        _print_plain(console, columns, cells, widths)
        return
    table = Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="dim",
        border_style="dim",
    )
    for column, width in zip(columns, widths, strict=True):
        table.add_column(
            Text(column.name),
            justify="right" if column.right else "left",
            style=column.style,
            no_wrap=not column.fold,
            min_width=None if column.fold else width,
            overflow="fold",
        )
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
    console.print()


def _print_plain(
    console: Console,
    columns: Sequence[Column],
    cells: Sequence[Sequence[str]],
    widths: Sequence[int],
) -> None:
    for line in [[column.name for column in columns], *cells]:
        padded = []
        for cell, width, column in zip(line, widths, columns, strict=True):
            blanks = " " * (width - cell_len(cell))
            padded.append(blanks + cell if column.right else cell + blanks)
        console.print(Text("  ".join(padded).rstrip()), soft_wrap=True)
    console.print()


def print_json(data: Any) -> None:
    """Printable ASCII, so that nothing in it reaches a terminal raw."""
    text = json.dumps(data, indent=1).replace("\x7f", "\\u007f")
    sys.stdout.write(text + "\n")
