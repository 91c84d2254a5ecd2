"""Ours and theirs, asked the same: what was compared, what differs, and how far apart metres are."""

import zlib
from collections import Counter

import numpy as np
import shapely

from theirs import BORDER_M, Area, degrees_round, in_range, metres, metres_a_degree, polygon, polygons_of

# Right to 1 % within 1 km, says what is claimed; and no judge knows a tenth of a micrometre.
FAR_M, SHARE, LEAST_M = 1000.0, 0.01, 1e-6
# What is clear by more than this is not looked for further.
CLEAR_MOST_M = 20_000.0
TOLD, MOST_TOLD = 12, 30


class Tally:
    """What was seen; those of several processes are added up."""

    def __init__(self):
        self.counts, self.most, self.wrong = Counter(), {}, []

    def differs(self, what):
        self.counts["disagreements"] += 1
        if len(self.wrong) < MOST_TOLD:
            self.wrong.append(what)

    def largest(self, what, values):
        if len(values):
            self.most[what] = max(self.most.get(what, 0.0), float(np.max(values)))

    def add(self, other):
        self.counts += other.counts
        for what, value in other.most.items():
            self.largest(what, [value])
        self.wrong = (self.wrong + other.wrong)[:MOST_TOLD]


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
    faults, inside = ours.ask(shape, "contains", lon=lon, lat=lat)
    if faults:
        tally.differs(f"{name}: refused for {faults[0]}")
        return None
    inside = inside == 1
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
    """Metres from outside to the boundary; what is surely clear, from either side; what is farther than a buffer."""
    margin_m = 20.0
    _, inside, told, clear, farther = ours.ask(
        shape, "contains", "distance_m", "clear_m", "is_farther_than", lon=lon, lat=lat, margin_m=margin_m
    )
    known = area.border_m(lon, lat, np.maximum(FAR_M, np.minimum(clear, CLEAR_MOST_M)))
    inside, near = inside == 1, known <= FAR_M
    tally.counts["distances"] += int((near & ~inside).sum())
    tally.counts["distances beyond 1 km"] += int((~near & ~inside).sum())
    error, beyond = np.abs(told - known), near & ~inside & (known > 1)
    tally.largest("share of the distance, from 1 m on", error[beyond] / known[beyond])
    tally.largest("metres, within 1 m", error[~inside & (known <= 1)])
    bad = np.where(near, error > np.maximum(SHARE * known, LEAST_M), told < (1 - SHARE) * FAR_M)
    claims = {
        "m outside": (told, np.where(inside, told != 0, bad)),
        "m clear": (clear, clear > known * (1 + 1e-9) + LEAST_M),
        f"farther than {margin_m} m": (farther, (farther == 1) != (~inside & (told > margin_m))),
    }
    tally.counts["distances that are surely clear"] += int((clear > 0).sum())
    for what, (said, wrong) in claims.items():
        for i in np.nonzero(wrong)[0][:TOLD]:
            at = [float(lon[i]), float(lat[i])]
            tally.differs(f"{name}: {at} is {said[i]} {what} to us, {known[i]} m from the border in truth")


def boxes(ours, tally, chance, name, shape, area):
    """How the shape lies to boxes of every size round its border."""
    count, margin_m = 12, chance.choice([0.0, 20.0, 1000.0])
    lon, lat = beside_edges(chance, area, count, lambda n: chance.choice([-1, 1], n) * 10 ** chance.uniform(0, 5, n))
    lon, lat = lon[:count], np.clip(lat[:count], -89.5, 89.5)
    side, up = degrees_round(lat, 10 ** chance.uniform(0, 5, len(lon)))
    west, east = np.maximum(lon - side, -180), np.minimum(lon + side, 180)
    south, north = np.maximum(lat - up, -89.9), np.minimum(lat + up, 89.9)
    told = ours.reach(shape, west, south, east, north, margin_m)
    tally.counts["boxes"] += len(told)
    tally.counts["boxes that are covered"] += int((told == 1).sum())
    tally.counts["boxes that are missed"] += int((told == -1).sum())
    # Places of each box: a net of them, and where it comes nearest to some vertices.
    corner = area.vertices[chance.integers(0, len(area.vertices), 8)]
    net_lon, net_lat = (places.ravel() for places in np.meshgrid(np.linspace(0, 1, 4), np.linspace(0, 1, 4)))
    shape_of = len(told), len(net_lon)
    lon = np.hstack([west[:, None] + np.broadcast_to(net_lon, shape_of) * (east - west)[:, None],
                     np.clip(in_range(corner[:, 0])[None], west[:, None], east[:, None])])
    lat = np.hstack([south[:, None] + np.broadcast_to(net_lat, shape_of) * (north - south)[:, None],
                     np.clip(corner[:, 1][None], south[:, None], north[:, None])])
    lon, lat = np.clip(lon, west[:, None], east[:, None]), np.clip(lat, south[:, None], north[:, None])
    within = area.contains(lon.ravel(), lat.ravel()).reshape(lon.shape)
    missed = told == -1
    wrong = ((told == 1) & ~within.all(1)) | (missed & within.any(1))
    if margin_m > 0 and missed.any():
        known = area.border_m(lon[missed].ravel(), lat[missed].ravel(), margin_m).reshape(-1, lon.shape[1])
        wrong[missed] |= (known <= (1 - SHARE) * margin_m).any(1)
    for i in np.nonzero(wrong)[0]:
        box = [float(side[i]) for side in (west, south, east, north)]
        tally.differs(f"{name}: {'covers' if told[i] == 1 else f'misses by {margin_m} m'}, it says, {box}")


def beside_edges(chance, area, count, offset_m):
    """Positions at places of random edges (each edge, where that many are wanted), moved off them at right angles."""
    edges = area.edges[chance.integers(0, len(area.edges), count)] if count < len(area.edges) else area.edges
    part = chance.random(len(edges))[:, None]
    place = edges[:, :2] + part * (edges[:, 2:] - edges[:, :2])
    scale = np.column_stack(metres_a_degree(place[:, 1]))
    along = (edges[:, 2:] - edges[:, :2]) * scale
    across = np.column_stack([-along[:, 1], along[:, 0]]) / np.hypot(along[:, 0], along[:, 1])[:, None]
    moved = place + across * np.asarray(offset_m(len(edges)))[:, None] / scale
    return in_range(moved[:, 0]), np.clip(moved[:, 1], -90, 90)


def off_by_up_to_1_km(chance):
    """Offsets to either side, as many of millimetres as of hundreds of metres."""
    return lambda n: chance.choice([-1, 1], n) * 10 ** chance.uniform(-3, 3, n)


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
    near = beside_edges(chance, area, count, off_by_up_to_1_km(chance))
    pick = slice(0, count)
    far_lon = np.concatenate([near[0][pick], (box[0][pick] + 180) % 360 - 180])
    far_lat = np.concatenate([near[1][pick], np.clip(box[1][pick], -89.999, 89.999)])
    distances(ours, tally, name, shape, area, far_lon, far_lat)
    boxes(ours, tally, chance, name, shape, area)


def circle(ours, tally, name, center, radius_m, lon, lat):
    """A circle's containment and distances, by geodesics."""
    shape = {"type": "circle", "center": list(map(float, center)), "radius_m": float(radius_m)}
    faults, inside, told, clear = ours.ask(shape, "contains", "distance_m", "clear_m", lon=lon, lat=lat)
    if faults:
        tally.differs(f"{name}: refused for {faults[0]}")
        return
    known = metres(np.full(len(lon), center[0]), np.full(len(lon), center[1]), lon, lat) - radius_m
    tally.counts["positions at circles"] += len(lon)
    error = np.abs(told - np.maximum(known, 0))
    tally.largest("metres, at circles", error)
    wrong = ((inside == 1) != (known <= 0)) & (np.abs(known) > LEAST_M)
    wrong |= (error > LEAST_M) | (clear > np.abs(known) + LEAST_M)
    for i in np.nonzero(wrong)[0][:TOLD]:
        said = f"{told[i]} m outside {shape}, {clear[i]} m clear"
        tally.differs(f"{name}: [{float(lon[i])!r}, {float(lat[i])!r}] is {said}, in truth {known[i]} m")
