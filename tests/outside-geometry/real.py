"""Real outlines and traces, and what they lack: shapes across the antimeridian, cut and raw, up to 85 degrees."""

import json
import math
import os
import re
import zipfile
from xml.etree import ElementTree

import numpy as np
import shapely

import compare
from theirs import Area, expected_validity, in_range, moved, polygons_of, unwrapped

MAPS = ("africa", "europe", "papua", "usa-lower48", "world")
MOST_POSITIONS = 10_000
# Fixes of a trace that one shape is drawn along.
STRETCH = 2000


def as_shape(geometry):
    return json.loads(shapely.to_geojson(geometry))


def traces(folder):
    """Recorded fixes by device, as arrays of longitudes and latitudes."""
    found = {}
    with open(folder / "geolife.csv") as rows:
        next(rows)
        for row in rows:
            device, _, lat, lon = row.split(",")
            found.setdefault(device, []).append((float(lon), float(lat)))
    for path in sorted(folder.glob("*.gpx")):
        places = [e for e in ElementTree.parse(path).iter() if e.tag.endswith("}trkpt")]
        found[path.stem] = [(float(place.get("lon")), float(place.get("lat"))) for place in places]
    return {name: np.array(fixes).T for name, fixes in found.items()}


def places(path):
    """Outlines of a feature collection, by identity."""
    return {f"us/{feature['id']}": feature["geometry"] for feature in json.loads(path.read_text())["features"]}


def maps():
    """Countries and states as JTS tests itself with them; what has too many positions, by its parts."""
    shapes = {}
    with zipfile.ZipFile(os.path.join(os.environ["SUITES"], "jts-core-1.20.0-tests.jar")) as jar:
        for name in MAPS:
            text = jar.read(f"testdata/{name}.wkt").decode()
            for number, wkt in enumerate(re.split(r"\n(?=[A-Z])", text.strip())):
                geometry = shapely.from_wkt(wkt)
                whole = shapely.get_num_coordinates(geometry) <= MOST_POSITIONS
                for part, piece in enumerate([geometry] if whole else shapely.get_parts(geometry)):
                    if shapely.get_num_coordinates(piece) <= MOST_POSITIONS:
                        shapes[f"{name}/{number}" + ("" if whole else f"/{part}")] = as_shape(piece)
    return shapes


def round_traces(found):
    """Shapes that real fixes run in and out of: corridors along stretches of each trace, and hulls of them."""
    for name, (lon, lat) in found.items():
        for start in range(0, len(lon), STRETCH):
            stretch = np.column_stack([lon, lat])[start : start + STRETCH]
            around = slice(max(0, start - STRETCH), start + 2 * STRETCH)
            scale = [math.cos(math.radians(stretch[:, 1].mean())), 1]
            if len(np.unique(stretch, axis=0)) < 4:
                continue
            flat = shapely.LineString(stretch * scale)
            way = shapely.get_coordinates(flat.simplify(1e-4))
            steps = shapely.linestrings(np.stack([way[:-1], way[1:]], axis=1))
            for what, shape in {
                "5 m": shapely.union_all(shapely.buffer(steps, 5 / 111_000, quad_segs=2)),
                "50 m": shapely.union_all(shapely.buffer(steps, 50 / 111_000)),
                "hull": flat.convex_hull,
                "concave": shapely.concave_hull(shapely.MultiPoint(flat.coords), ratio=0.05),
            }.items():
                shape = shapely.transform(shape, lambda points: points / scale)
                yield f"{name}/{start}/{what}", as_shape(shape), (lon[around], lat[around])


def star(chance, lon, lat, reach_m, corners):
    """A ring of geodesic rays, unwrapped round `lon`."""
    bearings = np.sort(chance.uniform(0, 360, corners))
    ends = moved(np.full(corners, lon), np.full(corners, lat), bearings, reach_m * chance.uniform(0.3, 1, corners))
    ring = np.column_stack([lon + (ends[0] - lon + 180) % 360 - 180, ends[1]])
    return np.concatenate([ring, ring[:1]])


def antimeridian(chance):
    """Shapes across longitude 180 with a hole each, as one that jumps and as two that are cut."""
    for lat in (-85.0, -78.0, -17.0, 0.0, 52.0, 78.0, 85.0):
        for reach_m in (200.0, 20_000.0, 300_000.0):
            for corners in (12, 400):
                middle = 180 + chance.uniform(-0.2, 0.2) * math.degrees(reach_m / 6.4e6 / math.cos(math.radians(lat)))
                shell = star(chance, middle, lat, reach_m, corners)
                hole = star(chance, middle, lat, reach_m * 0.25, corners // 2)
                shell, hole = shapely.Polygon(shell), shapely.Polygon(hole)
                if not (shell.is_valid and hole.is_valid):
                    continue
                whole = shell.difference(hole)
                name = f"180/{lat:g}/{reach_m:g}/{corners}"
                jumping = shapely.transform(whole, lambda at: np.column_stack([in_range(at[:, 0]), at[:, 1]]))
                yield f"{name}/raw", as_shape(jumping)
                west = whole.intersection(shapely.box(0, -90, 180, 90))
                east = whole.intersection(shapely.box(180, -90, 360, 90))
                east = shapely.transform(east, lambda at: at - [360, 0])
                parts = [p for p in (*shapely.get_parts(west), *shapely.get_parts(east)) if p.geom_type == "Polygon"]
                yield f"{name}/cut", as_shape(shapely.MultiPolygon(parts))


def fixes_for(chance, found, shape):
    """All fixes within the shape's box, and a stretch of a trace moved so that it runs over one of its vertices."""
    west, south, east, north = Area(shape).bounds
    all_lon, all_lat = np.concatenate(list(found.values()), axis=1)
    within = (west <= all_lon) & (all_lon <= east) & (south <= all_lat) & (all_lat <= north)
    lon, lat = found[chance.choice(sorted(found))]
    start = chance.integers(0, max(1, len(lon) - 300))
    lon, lat = lon[start : start + 300], lat[start : start + 300]
    vertices = unwrapped(polygons_of(shape)[0][0])
    at, through = vertices[chance.integers(0, len(vertices))], chance.integers(0, len(lon))
    return (
        np.concatenate([lon - lon[through] + at[0], all_lon[within]]),
        np.concatenate([lat - lat[through] + at[1], all_lat[within]]),
    )


def outline(ours, tally, seed, name, shape, found):
    """One real outline: valid, and everything that can be asked of it."""
    expected, reasons = expected_validity(shape)
    for reason in reasons:
        tally.counts[f"outlines of which GEOS says {reason}"] += 1
    if compare.is_valid(ours, tally, name, shape, expected, reasons):
        more = fixes_for(compare.chance_of(seed, name), found, shape) if found else None
        compare.all_round(ours, tally, seed, name, shape, more)


def trace(ours, tally, name, shape, fixes):
    """All fixes of a trace against a shape along it."""
    if compare.is_valid(ours, tally, name, shape):
        area = Area(shape)
        compare.points(ours, tally, name, shape, area, *fixes)
        compare.distances(ours, tally, name, shape, area, fixes[0][::15], fixes[1][::15])


def circles(ours, tally, seed):
    """Circles of every size everywhere, asked at the rim: a thousandth of a millimetre beside it, and further."""
    chance = compare.chance_of(seed, "circles")
    for number in range(1500):
        lat = chance.choice([chance.uniform(-90, 90), chance.choice([-89.99, -85, -78, 0, 78, 85, 89.99])])
        center = chance.choice([chance.uniform(-180, 180), 180.0, -180.0, 179.9999]), lat
        radius_m = min(100_000.0, max(10.0, 10 ** chance.uniform(1, 5)))
        rim = [0, 1e-5, -1e-5, 1e-3, -1e-3]
        off = np.concatenate([rim, chance.normal(0, 0.05 * radius_m, 25), chance.uniform(0, 9e6, 10)])
        many = np.full(len(off), center[0]), np.full(len(off), center[1])
        lon, lat = moved(*many, chance.uniform(0, 360, len(off)), np.abs(radius_m + off))
        compare.circle(ours, tally, f"circle {number}", center, radius_m, in_range(lon), lat)
