"""Ours and theirs, asked the same: what was compared, what differs, and how far apart metres are."""

import zlib
from collections import Counter

import numpy as np
import shapely

from theirs import BORDER_M, Area, degrees_round, in_range, metres, metres_a_degree, polygon, polygons_of

# Right to 1 % within 1 km, says what is claimed; and no judge knows a tenth of a micrometre.
FAR_M, SHARE, LEAST_M = 1000.0, 0.01, 1e-6
TOLD = 12


class Tally:
    """What was seen; those of several processes are added up."""

    def __init__(self):
        self.counts, self.most, self.wrong = Counter(), {}, []

    def differs(self, what):
        self.wrong.append(what)

    def largest(self, what, values):
        if len(values):
            self.most[what] = max(self.most.get(what, 0.0), float(np.max(values)))

    def add(self, other):
        self.counts += other.counts
        for what, value in other.most.items():
            self.largest(what, [value])
        self.wrong += other.wrong


def chance_of(seed, name):
    """A generator of its own for each name: a part of a run repeats what the whole did."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def is_valid(ours, tally, name, shape, expected=True, why=""):
    """Is the shape valid to us, as it should be? `None` expects nothing."""
    faults = ours.faults(shape)
    tally.counts["shapes"] += 1
    if expected is not None and bool(faults) == expected:
        tally.differs(f"{name}: {f'refused for {faults[0]}' if faults else 'taken'}, but GEOS says {why or 'valid'}")
    for fault in faults:
        tally.counts["faults"] += 1
        if not is_at(shape, fault):
            tally.differs(f"{name}: {fault}, but GEOS finds nothing there")
    return not faults


def is_at(shape, fault):
    """Does GEOS see a fault where the pointer says?"""
    path = [int(key) for key in fault["pointer"].split("/")[2:]]
    part = polygon(polygons_of(shape)[path[0] if shape["type"] == "MultiPolygon" else 0])
    rings = [part.exterior, *part.interiors]
    ring = rings[path[-1]]
    match fault["code"]:
        case "self_crossing_ring":
            return not ring.is_simple
        case "crossing_rings":
            return any(ring.intersects(other) for other in rings[: path[-1]])
        case "empty_shape":
            return shapely.convex_hull(ring).area == 0
    return False


def points(ours, tally, name, shape, area, lon, lat):
    """Containment of all positions: as GEOS says, or, within 1 mm of a border, as fractions say. Gives back ours."""
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    faults, inside, _ = ours.answer(shape, lon, lat)
    if faults:
        tally.differs(f"{name}: refused for {faults[0]}")
        return None
    tally.counts["positions"] += len(lon)
    (parted,) = np.nonzero(inside != area.contains(lon, lat))
    if len(parted):
        on_border = area.border_m(lon[parted], lat[parted], 10.0) <= BORDER_M
        for i in np.concatenate([parted[~on_border][:TOLD], parted[on_border][:100]]):
            if inside[i] != area.contains_exactly(lon[i], lat[i]):
                said = "inside" if inside[i] else "outside"
                tally.differs(f"{name}: [{float(lon[i])!r}, {float(lat[i])!r}] is {said} to us alone")
            else:
                tally.counts["positions within 1 mm of a border on which GEOS errs, by exact fractions"] += 1
    return inside


def distances(ours, tally, name, shape, area, lon, lat):
    """Metres from outside to the boundary."""
    _, inside, told = ours.answer(shape, lon, lat, distances=True)
    if np.any(told[inside] != 0):
        tally.differs(f"{name}: a distance from inside that is not 0")
    out = ~inside
    lon, lat, told = lon[out], lat[out], told[out]
    known = area.border_m(lon, lat, FAR_M)
    near = np.isfinite(known)
    tally.counts["distances"] += int(near.sum())
    tally.counts["distances beyond 1 km"] += int((~near).sum())
    error = np.abs(told[near] - known[near])
    tally.largest("share of the distance, from 1 m on", (error / known[near])[known[near] > 1])
    tally.largest("metres, within 1 m", error[known[near] <= 1])
    bad = np.zeros(len(lon), bool)
    bad[near] = error > np.maximum(SHARE * known[near], LEAST_M)
    bad[~near] = told[~near] < (1 - SHARE) * FAR_M
    for i in np.nonzero(bad)[0][:TOLD]:
        tally.differs(f"{name}: [{float(lon[i])!r}, {float(lat[i])!r}] is {told[i]} m outside to us, {known[i]} m in truth")


def beside_edges(chance, area, count, offset_m):
    """Positions at places of random edges, moved off them at right angles by some metres: and the sides are told."""
    edges = area.edges[chance.integers(0, len(area.edges), count)] if count < len(area.edges) else area.edges
    part = chance.random(len(edges))[:, None]
    place = edges[:, :2] + part * (edges[:, 2:] - edges[:, :2])
    scale = np.column_stack(metres_a_degree(place[:, 1]))
    along = (edges[:, 2:] - edges[:, :2]) * scale
    across = np.column_stack([-along[:, 1], along[:, 0]]) / np.hypot(along[:, 0], along[:, 1])[:, None]
    moved = place + across * np.asarray(offset_m(len(edges)))[:, None] / scale
    return in_range(moved[:, 0]), np.clip(moved[:, 1], -90, 90)


def all_round(ours, tally, seed, name, shape, more=None):
    """Everything that is asked of one shape: every vertex, on and 1 mm beside edges, in and round its box, metres."""
    chance, area = chance_of(seed, name), Area(shape)
    lon, lat = [in_range(area.vertices[:, 0])], [area.vertices[:, 1]]
    for offset in (0.0, BORDER_M, -BORDER_M):
        sides = beside_edges(chance, area, len(area.edges), lambda n, offset=offset: np.full(n, offset))
        lon.append(sides[0]), lat.append(sides[1])
    west, south, east, north = area.bounds
    side, up = degrees_round((south + north) / 2, 100.0)
    side, up = max(side, (east - west) / 5), max(up, (north - south) / 5)
    some = 300
    box = chance.uniform(west - side, east + side, some), chance.uniform(south - up, north + up, some)
    # As far east or north as a vertex: where rays that count crossings go through it.
    level = area.vertices[chance.integers(0, len(area.vertices), some)]
    lon += [box[0], box[0][: some // 2], level[: some // 2, 0]]
    lat += [box[1], level[: some // 2, 1], box[1][: some // 2]]
    if more is not None:
        lon.append(more[0]), lat.append(more[1])
    lon, lat = np.concatenate(lon), np.clip(np.concatenate(lat), -89.999, 89.999)
    lon = np.where(np.abs(lon) > 180, (lon + 180) % 360 - 180, lon)
    inside = points(ours, tally, name, shape, area, lon, lat)
    if inside is None:
        return
    if not inside[: len(area.vertices)].all():
        tally.differs(f"{name}: a vertex of its own is outside")
    count = 120
    near = beside_edges(chance, area, count, lambda n: chance.choice([-1, 1], n) * 10 ** chance.uniform(-3, 3, n))
    pick = slice(0, count)
    far_lon = np.concatenate([near[0][pick], (box[0][pick] + 180) % 360 - 180])
    far_lat = np.concatenate([near[1][pick], np.clip(box[1][pick], -89.999, 89.999)])
    distances(ours, tally, name, shape, area, far_lon, far_lat)


def circle(ours, tally, name, center, radius_m, lon, lat):
    """A circle's containment and distances, by geodesics."""
    shape = {"type": "circle", "center": list(map(float, center)), "radius_m": float(radius_m)}
    faults, inside, told = ours.answer(shape, lon, lat, distances=True)
    if faults:
        tally.differs(f"{name}: refused for {faults[0]}")
        return
    known = metres(np.full(len(lon), center[0]), np.full(len(lon), center[1]), lon, lat) - radius_m
    tally.counts["positions at circles"] += len(lon)
    tally.largest("metres, at circles", np.abs(told - np.maximum(known, 0)))
    wrong = ((inside != (known <= 0)) & (np.abs(known) > LEAST_M)) | (np.abs(told - np.maximum(known, 0)) > LEAST_M)
    for i in np.nonzero(wrong)[0][:TOLD]:
        tally.differs(f"{name}: [{float(lon[i])!r}, {float(lat[i])!r}] is {told[i]} m outside {shape}, in truth {known[i]} m")
