"""Figures as files: PNG and SVG, the same bytes for the same data."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

INCHES = (4.2, 3.0)
"""Small, so that the letters can be read on a phone, where a figure is as wide as the page."""
PNG_DPI = 200

# Okabe and Ito 2008, Color Universal Design: told apart by colour-blind readers, and in grey.
COHORT, CANDIDATES, LEAKED, BAND = "#8c8c8c", "#0072b2", "#d55e00", "#d9d9d9"
OTHERS = ("#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("--", "-.", ":")


@dataclass(frozen=True)
class FigureFile:
    """One figure. name: of its files; title and caption: plain words for the page."""

    name: str
    title: str
    caption: str
    png: bytes
    svg: bytes

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        source = base64.b64encode(self.png).decode()
        title, caption = escape(self.title), escape(self.caption)
        return (
            f'<figure><img src="data:image/png;base64,{source}" alt="{title}" style="max-width: 40em">'
            f"<figcaption><strong>{title}</strong> {caption}</figcaption></figure>"
        )


def files_of(figures: Iterable[FigureFile], prefix: str) -> dict[str, bytes]:
    """Path -> content of each figure as PNG and as SVG."""
    files: dict[str, bytes] = {}
    for figure in figures:
        files |= {f"{prefix}/{figure.name}.png": figure.png, f"{prefix}/{figure.name}.svg": figure.svg}
    return files


@contextmanager
def drawing() -> Iterator[None]:
    """matplotlib as it comes, with our sizes, whatever the user's own settings are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "axes.grid": True,
                "axes.spines.right": False,
                "axes.spines.top": False,
                "font.size": 9,
                "grid.alpha": 0.3,
                "legend.fontsize": 8,
                "svg.fonttype": "path",
                "svg.hashsalt": "idleak",
                "text.parse_math": False,
            }
        )
        yield


def new_figure(height: float = 1.0) -> Figure:
    """An empty figure. height: in units of the usual one."""
    return Figure(figsize=(INCHES[0], INCHES[1] * height), layout="constrained")


def label(axis: Axes, x: str, y: str) -> None:
    axis.set_xlabel(x)
    axis.set_ylabel(y)


def log_axis(axis: Axes, which: str) -> None:
    """Logarithmic, its ticks as plain numbers."""
    getattr(axis, f"set_{which}scale")("log")
    ticks = getattr(axis, f"{which}axis")
    ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    ticks.set_minor_formatter(NullFormatter())


def add_legend(figure: Figure) -> None:
    """Above the axes, where it hides nothing."""
    figure.legend(loc="outside upper left", ncols=2, frameon=False)


def encode(name: str, title: str, caption: str, figure: Figure) -> FigureFile:
    """The figure's bytes, without a date and without the version of what drew it."""
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return FigureFile(name, title, caption, png.getvalue(), svg.getvalue())
