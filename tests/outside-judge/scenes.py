"""Zones and the phones that meet them: recorded traces, and walks across borders made up from a seed."""

import csv
import datetime
import json
import math
import pathlib
import xml.etree.ElementTree

from rules import Fix
from shapes import metres_a_degree

FIRST_WALK_MS = 1_600_000_000_000


def star(random, lon, lat, radius_m):
    """A polygon round a position, with as many corners as it likes, and most often with a hole."""
    x, y = (float(v) for v in metres_a_degree(lat))

    def ring(least, most):
        corners = random.randint(4, 40)
        points = []
        for i in range(corners):
            angle, r = 2 * math.pi * i / corners, radius_m * random.uniform(least, most)
            points.append([lon + r * math.cos(angle) / x, lat + r * math.sin(angle) / y])
        return points + [points[0]]

    # The hole's corners stay inside of every chord between the outer's: cos(45 deg) * 0.6 > 0.35.
    rings = [ring(0.6, 1.0)] + ([ring(0.1, 0.35)] if random.random() < 0.7 else [])
    return {"type": "Polygon", "coordinates": rings}


def zones_near(random, positions, count, name):
    """Circles and polygons of all sizes, where phones were."""
    made = []
    for i in range(count):
        lon, lat = random.choice(positions)
        radius_m = round(math.exp(random.uniform(math.log(30), math.log(2000))), 1)
        lat += random.uniform(-1, 1) * radius_m / 111_000
        lon += random.uniform(-1, 1) * radius_m / 111_000
        if random.random() < 0.5:
            shape = {"type": "circle", "center": [lon, lat], "radius_m": radius_m}
        else:
            shape = star(random, lon, lat, radius_m)
        zone = {"external_id": f"{name}-{i}", "name": f"{name} {i}", "shape": shape}
        if random.random() < 0.6:
            zone["exit_buffer_m"] = random.choice([0, 0, 5, 37.5, 150, 1000])
        if random.random() < 0.5:
            zone["dwell_s"] = random.choice([30, 60, 300, 1800])
        if random.random() < 0.3:
            zone["max_accuracy_m"] = random.choice([20, 50, 400])
        made.append(zone)
    return made


def far_north():
    """Zones at 78 degrees north, where a degree of longitude is a fifth of one of latitude."""
    ring = [[15.60, 78.20], [15.70, 78.20], [15.70, 78.23], [15.60, 78.23], [15.60, 78.20]]
    hole = [[15.63, 78.21], [15.63, 78.22], [15.66, 78.22], [15.66, 78.21], [15.63, 78.21]]
    return [
        {"external_id": "north-1", "name": "circle", "shape": {"type": "circle", "center": [15.55, 78.22], "radius_m": 900}},
        {"external_id": "north-2", "name": "square", "shape": {"type": "Polygon", "coordinates": [ring, hole]}},
        {"external_id": "north-3", "name": "wide", "exit_buffer_m": 800, "dwell_s": 120,
         "shape": {"type": "circle", "center": [15.72, 78.215], "radius_m": 400}},
    ]


def antimeridian():
    """Zones on both sides of 180 degrees, not cut."""
    ring = [[179.99, 51.0], [-179.98, 51.0], [-179.98, 51.02], [179.99, 51.02], [179.99, 51.0]]
    return [
        {"external_id": "line-1", "name": "ring", "shape": {"type": "Polygon", "coordinates": [ring]}},
        {"external_id": "line-2", "name": "circle", "exit_buffer_m": 60,
         "shape": {"type": "circle", "center": [179.999, 51.03], "radius_m": 700}},
    ]


def traces(directory):
    """device -> fixes, of every recorded trace."""
    found = {}
    with open(directory / "geolife.csv", newline="") as file:
        for row in csv.DictReader(file):
            fix = Fix(int(row["time_ms"]), float(row["lat"]), float(row["lon"]))
            found.setdefault(row["device"], []).append(fix)
    for path in sorted(directory.glob("*.gpx")):
        fixes = []
        for point in xml.etree.ElementTree.parse(path).iter():
            if point.tag.endswith("}trkpt"):
                time = next((child.text for child in point if child.tag.endswith("}time")), None)
                if time:
                    fixes.append(Fix(milliseconds(time), float(point.get("lat")), float(point.get("lon"))))
        if fixes:
            found[path.stem] = fixes
    return found


def milliseconds(text):
    """RFC 3339, truncated to whole milliseconds."""
    whole, _, rest = text.rstrip("Z").partition(".")
    seconds = datetime.datetime.fromisoformat(whole + "+00:00").timestamp()
    return int(seconds) * 1000 + int((rest + "000")[:3])


def rings(shape):
    """Every ring of a shape; a circle's is a polygon that is close enough to walk across."""
    if shape["type"] == "circle":
        (lon, lat), r = shape["center"], shape["radius_m"]
        x, y = (float(v) for v in metres_a_degree(lat))
        turn = [2 * math.pi * i / 24 for i in range(25)]
        return [[[lon + r * math.cos(a) / x, lat + r * math.sin(a) / y] for a in turn]]
    polygons = [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]
    return [ring for polygon in polygons for ring in polygon]


def width(shape):
    """From the westernmost to the easternmost longitude; more than 180 when it lies on both sides of the line."""
    longitudes = [point[0] for ring in rings(shape) for point in ring]
    return max(longitudes) - min(longitudes)


def walk(random, shape, crossings):
    """Fixes of somebody who wanders to and fro across a border: some on it, some within the buffer, some far off."""
    fixes, time = [], FIRST_WALK_MS + random.randrange(1000)
    all_rings = rings(shape)
    for _ in range(crossings):
        ring = random.choice(all_rings)
        at = random.randrange(len(ring) - 1)
        (lon, lat), (lon_b, lat_b) = ring[at][:2], ring[at + 1][:2]
        share = random.choice([0.0, 0.5, random.random()])
        east = (lon_b - lon + 180) % 360 - 180
        lon, lat = lon + share * east, lat + share * (lat_b - lat)
        x, y = (float(v) for v in metres_a_degree(lat))
        angle = random.uniform(0, 2 * math.pi)
        reach = random.choice([3, 15, 30, 60, 200, 1200])
        steps = random.randint(4, 14)
        for step in range(-steps, steps + 1):
            d = reach * step / steps
            here = [lon + d * math.cos(angle) / x, lat + d * math.sin(angle) / y]
            here[0] = (here[0] + 180) % 360 - 180
            time += random.randrange(1000, 60_000)
            accuracy = random.choice([None, None, 8.0, 30.0, 120.0, 250.0])
            fixes.append(Fix(time, here[1], here[0], accuracy))
        if random.random() < 0.05:
            time += 25 * 3600 * 1000
    return fixes


def places(path):
    """A FeatureCollection as it is, and external id -> shape."""
    collection = json.loads(pathlib.Path(path).read_text())
    return collection, {feature["id"]: feature["geometry"] for feature in collection["features"]}
