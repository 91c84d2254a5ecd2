"""Random shapes of the kinds that break such code, at random places and in every size, against GEOS."""

import math

import numpy as np
import shapely

import compare
from theirs import Area, expected_validity, in_range

POINTS_A_SHAPE = 500


def closed(points):
    points = np.asarray(points, float)
    return np.concatenate([points, points[:1]])


def star(chance, corners=None, reach=1.0):
    corners = corners or int(3 + 10 ** chance.uniform(0, 2.6))
    angles = np.sort(chance.uniform(0, 2 * math.pi, corners))
    lengths = reach * chance.uniform(10 ** chance.uniform(-4, -0.1), 1, corners)
    return closed(np.column_stack([np.cos(angles), np.sin(angles)]) * lengths[:, None])


def stars(chance):
    return [[star(chance)]]


def comb(chance):
    """Teeth, with gaps from wide to a few times what numbers can tell apart."""
    teeth = int(chance.integers(2, 60))
    gap = 10 ** chance.uniform(-15, -0.5) / teeth
    left = -1 + 2 * np.arange(teeth) / teeth
    tips = chance.uniform(0.2, 1, teeth)
    points = []
    for a, b, tip in zip(left, left + 2 / teeth - gap, tips):
        points += [(a, 0), (a, tip), (b, tip), (b, 0)]
    return [[closed([(-1, -0.1), *points, (1, 0), (1, -0.1)])]]


def spiral(chance):
    turns, steps = chance.uniform(1, 8), int(chance.integers(30, 500))
    angle = np.linspace(0, 2 * math.pi * turns, steps)
    middle, width = angle / angle[-1] + 0.2, chance.uniform(0.01, 0.95) / turns
    arm = np.column_stack([np.cos(angle), np.sin(angle)])
    return [[closed(np.concatenate([arm * middle[:, None], (arm * (middle + width)[:, None])[::-1]]) / 2.2)]]


def nest(chance):
    """Rings in rings: as holes and islands, or all as rings of one polygon."""
    outer, depth = star(chance), int(chance.integers(2, 9))
    rings = [outer * (0.5 + 0.5 * chance.random()) ** level for level in range(depth)]
    rings = [ring[::-1] if chance.random() < 0.5 else ring for ring in rings]
    if chance.random() < 0.5:
        return [rings]
    return [rings[level : level + 2] for level in range(0, depth, 2)]


def cells(chance):
    """Cells of a grid, joined: level edges, runs of positions on one line, holes that touch at corners."""
    side = int(chance.integers(2, 12))
    taken = np.argwhere(chance.random((side, side)) < chance.uniform(0.3, 0.8)) / side * 2 - 1
    if not len(taken):
        return stars(chance)
    whole = shapely.union_all([shapely.box(x, y, x + 2 / side, y + 2 / side) for x, y in taken], grid_size=2**-40)
    split = shapely.segmentize(whole, chance.choice([0.05, 0.3, 9.0]))
    parts = shapely.get_parts(split)
    return [[shapely.get_coordinates(ring) for ring in (part.exterior, *part.interiors)] for part in parts]


def petals(chance):
    """A ring that comes back to its middle again and again, and touches itself there."""
    count = int(chance.integers(2, 30))
    angles = ((np.arange(2 * count) + chance.uniform(0.1, 0.9, 2 * count)) * math.pi / count).reshape(-1, 2)
    ends = np.stack([np.cos(angles), np.sin(angles)], axis=-1) * chance.uniform(0.2, 1, (count, 2, 1))
    return [[closed(np.concatenate([[(0, 0)], *[np.concatenate([pair, [(0, 0)]]) for pair in ends]])[:-1])]]


def scribble(chance):
    """A few places of a small grid in any order: crossings, spikes, edges that run along each other."""
    rings = [closed(chance.integers(-2, 3, (int(chance.integers(3, 8)), 2)) / 2) for _ in range(chance.integers(1, 4))]
    return [rings]


def leaning(chance):
    """Holes whose corners lie on the shell's edges as nearly as numbers can say: inside, on, or across."""
    shell = star(chance, int(chance.integers(3, 9)))
    holes = []
    for _ in range(chance.integers(1, 3)):
        edge, part = int(chance.integers(0, len(shell) - 1)), chance.random()
        at = shell[edge] + part * (shell[edge + 1] - shell[edge])
        holes.append(closed([at, at * 0.9, at * 0.9 + [0.001, 0]]))
    return [[shell, *holes]]


KINDS = [stars, comb, spiral, nest, cells, petals, scribble, leaning]


def last_digit(numbers):
    """What one digit more makes of them. Next to zero there are far smaller numbers; products of these underflow."""
    return np.maximum(np.spacing(np.abs(numbers)), 1e-100)


def shaken(chance, rings):
    """Some positions moved by a last digit or two."""
    moved = []
    for ring in rings:
        ring = ring.copy()
        which = chance.random(ring.shape) < 0.2
        ring[which] += last_digit(ring[which]) * chance.integers(-2, 3, int(which.sum()))
        ring[-1] = ring[0]
        moved.append(ring)
    return moved


def somewhere(chance, polygons):
    """The shape laid on the globe: at a random place and size, some across the antimeridian."""
    wide = 10 ** chance.uniform(-5, 1.9)
    high = min(wide * 10 ** chance.uniform(-1, 1), 22.0)
    lon = chance.choice([chance.uniform(-180, 180), 180.0, -180.0, 0.0])
    lat = chance.uniform(high - 89.5, 89.5 - high)
    if chance.random() < 0.3:
        # Round numbers stay round: what was on one line stays on it.
        wide, high = 2.0 ** math.floor(math.log2(wide)), 2.0 ** math.floor(math.log2(high))
        lon, lat = round(lon), math.trunc(lat)
    return [[ring * [wide, high] + [lon, lat] for ring in rings] for rings in polygons]


def as_shape(polygons):
    lists = [[np.column_stack([in_range(ring[:, 0]), ring[:, 1]]).tolist() for ring in rings] for rings in polygons]
    if len(lists) == 1:
        return {"type": "Polygon", "coordinates": lists[0]}
    return {"type": "MultiPolygon", "coordinates": lists}


def positions(chance, area, count):
    """In and round the box, level with vertices, on edges, and some last digits off all of these."""
    west, south, east, north = area.bounds
    side, up = 0.2 * (east - west) + 1e-9, 0.2 * (north - south) + 1e-9
    box = chance.uniform([west - side, south - up], [east + side, north + up], (count, 2))
    corner = area.vertices[chance.integers(0, len(area.vertices), count)]
    edge = area.edges[chance.integers(0, len(area.edges), count)]
    part = chance.choice([chance.random(count), np.full(count, 0.5)])[:, None]
    on_edge = edge[:, :2] + part * (edge[:, 2:] - edge[:, :2])
    level = np.where(chance.random((count, 2)) < [0.5, 0.5], box, corner)
    kinds = np.stack([box, corner, on_edge, level])[chance.integers(0, 4, count), np.arange(count)]
    off = last_digit(kinds) * chance.integers(-3, 4, kinds.shape) * (chance.random((count, 1)) < 0.5)
    places = np.clip(kinds + off, [-540, -89.99], [540, 89.99])
    return in_range(places[:, 0]), places[:, 1]


def one(ours, tally, seed, number):
    """One random shape: valid or not to both, then its points and some distances."""
    name = f"fuzz {number}"
    chance = compare.chance_of(seed, name)
    kind = KINDS[number % len(KINDS)]
    polygons = somewhere(chance, kind(chance))
    shake = chance.random() < 0.4
    if shake:
        polygons = [shaken(chance, rings) for rings in polygons]
    shape = as_shape(polygons)
    name = f"{name} ({kind.__name__})"
    expected, reasons = expected_validity(shape)
    if expected is None and kind is petals and not shake:
        expected, reasons = True, "what it says, but it is made to touch itself and no more"
    verdict = {True: "valid", False: "invalid", None: "undecided"}[expected]
    tally.counts[f"random shapes, {verdict} to GEOS by our rules"] += 1
    if compare.is_valid(ours, tally, name, shape, expected, reasons):
        area = Area(shape)
        compare.points(ours, tally, name, shape, area, *positions(chance, area, POINTS_A_SHAPE))
        if number % 4 == 0:
            lon, lat = compare.beside_edges(chance, area, 30, compare.off_by_up_to_1_km(chance))
            compare.distances(ours, tally, name, shape, area, lon, np.clip(lat, -89.9, 89.9))
            compare.boxes(ours, tally, chance, name, shape, area)
