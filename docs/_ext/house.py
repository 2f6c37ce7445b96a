"""The house as a drawing: floors from the import contract, arrows from the imports that the code makes."""

from __future__ import annotations

import html
import itertools
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import grimp

_PACKAGE = "lsst_commtools"
# Nearly every room stands on these: a mark in the room says so, an arrow would only hide the others.
_GROUND = ("errors", "ids", "site", "instrument")
_WIDTH, _ROOM, _HEIGHT, _FLOOR, _MARGIN = 960, 106, 56, 112, 12
# A room that has its floor for itself stands aside, so that arrows pass it.
_ASIDE = (0.12, 0.72, 0.28, 0.88, 0.5)


@dataclass(frozen=True)
class House:
    """Rooms by floor, the highest first, and how many modules of one import how many of another."""

    floors: tuple[tuple[str, ...], ...]
    arrows: dict[tuple[str, str], int]


def read_house(pyproject: Path) -> House:
    """Read the floors from the contract of import-linter, and the arrows from the code."""
    contracts = tomllib.loads(pyproject.read_text())["tool"]["importlinter"]["contracts"]
    layers = next(c for c in contracts if c["type"] == "layers" and c["containers"] == [_PACKAGE])["layers"]
    graph = grimp.build_graph(_PACKAGE, cache_dir=None)
    there = {child.rpartition(".")[2] for child in graph.find_children(_PACKAGE)}
    floors = tuple(
        tuple(room for room in layer.replace("(", "").replace(")", "").split(" : ") if room in there)
        for layer in layers
    )
    arrows: Counter[tuple[str, str]] = Counter()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            arrow = _room(module), _room(imported)
            if "" not in arrow and arrow[0] != arrow[1]:
                arrows[arrow] += 1
    return House(tuple(floor for floor in floors if floor), dict(arrows))


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def draw(house: House) -> str:
    """Draw the house as SVG, in the colours of the page around it."""
    places = _places(house)
    height = len(_floors(house)) * _FLOOR - (_FLOOR - _HEIGHT) + 2 * _MARGIN
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
            'aria-labelledby="house-title" style="width:100%;height:auto;font-family:inherit">'
        ),
        '<title id="house-title">The rooms of lsst_commtools by floor, and which imports which</title>',
        (
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" '
            'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="currentColor"/></marker></defs>'
        ),
    ]
    for (above, below), count in sorted(house.arrows.items()):
        if below not in _GROUND and above in places and below in places:
            parts.append(_arrow(places[above], places[below], f"{above} imports {below} ({count})"))
    parts += [_box(house, room, place) for room, place in places.items()]
    return "\n".join([*parts, "</svg>\n"])


def _floors(house: House) -> list[tuple[str, ...]]:
    """Give the floors as they are drawn: the ground is one."""
    above = [floor for floor in house.floors if not set(floor) <= set(_GROUND)]
    return [*above, tuple(room for floor in house.floors for room in floor if room in _GROUND)]


def _places(house: House) -> dict[str, tuple[float, float]]:
    """Give the upper left corner of each room."""
    places = {}
    aside = itertools.cycle(_ASIDE)
    for number, floor in enumerate(_floors(house)):
        y = _MARGIN + number * _FLOOR
        if len(floor) == 1:
            places[floor[0]] = (_MARGIN + next(aside) * (_WIDTH - 2 * _MARGIN - _ROOM), y)
            continue
        gap = (_WIDTH - 2 * _MARGIN - len(floor) * _ROOM) / (len(floor) + 1)
        places.update({room: (_MARGIN + gap + i * (_ROOM + gap), y) for i, room in enumerate(floor)})
    return places


def _arrow(above: tuple[float, float], below: tuple[float, float], title: str) -> str:
    x1, y1, x2, y2 = above[0] + _ROOM / 2, above[1] + _HEIGHT, below[0] + _ROOM / 2, below[1] - 2
    bend = (y2 - y1) / 2
    return (
        '<path fill="none" stroke="currentColor" stroke-opacity="0.35" stroke-width="1.2" marker-end="url(#tip)" '
        f'd="M{x1:.0f} {y1:.0f} C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2:.0f}">'
        f"<title>{html.escape(title)}</title></path>"
    )


def _box(house: House, room: str, place: tuple[float, float]) -> str:
    x, y = place
    stands_on = [g for g in _GROUND if (room, g) in house.arrows]
    text = '<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" font-size="{size}" fill="currentColor">{words}</text>'
    lines = [text.format(x=x + _ROOM / 2, y=y + 20, size=14, words=room)]
    for number, pair in enumerate((stands_on[:2], stands_on[2:])):
        lines.append(text.format(x=x + _ROOM / 2, y=y + 36 + 13 * number, size=10, words=" · ".join(pair)))
    return (
        f"<g><title>{room} stands on {', '.join(stands_on) or 'nothing'}</title>"
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{_ROOM}" height="{_HEIGHT}" rx="6" '
        f'style="fill:var(--color-background-primary,#fff)" stroke="currentColor"/>{"".join(lines)}</g>'
    )
