"""Where a position lies: polygons by GEOS, circles and metres by GeographicLib.

A border is as wide as the tolerance: an answer is yes, no, or EITHER.
"""

import math
from functools import reduce

import numpy as np
import shapely
import shapely.affinity
from geographiclib.geodesic import Geodesic
from shapely.geometry import MultiPolygon, Polygon

NO, YES, EITHER = 0, 1, 2

BORDER_M = 0.001
BUFFER_SHARE = 0.01
# What is decided without GeographicLib must be clear by more than a sphere differs from the ellipsoid (0.56 %).
CLEAR_SHARE = 0.02

WGS84_A, WGS84_E2 = 6378137.0, 6.69437999014e-3


def metres(lon_a, lat_a, lon_b, lat_b):
    """The geodesic's length."""
    return Geodesic.WGS84.Inverse(lat_a, lon_a, lat_b, lon_b, Geodesic.DISTANCE)["s12"]


def wrapped(degrees):
    """A difference of longitudes, the short way round."""
    return (degrees + 180.0) % 360.0 - 180.0


def metres_a_degree(lat):
    """East and north, by the ellipsoid's radii at a latitude."""
    sin = np.sin(np.radians(lat))
    w = np.sqrt(1 - WGS84_E2 * sin * sin)
    prime = WGS84_A / w
    meridian = WGS84_A * (1 - WGS84_E2) / w**3
    return np.radians(prime * np.cos(np.radians(lat))), np.radians(meridian)


def default_buffer(shape):
    """`exit_buffer_m` where a zone names none."""
    return max(20.0, shape["radius_m"] / 10) if shape["type"] == "circle" else 20.0


def side(distance_m, limit_m, tolerance_m):
    """Is the distance beyond the limit?"""
    if abs(distance_m - limit_m) <= tolerance_m:
        return EITHER
    return YES if distance_m > limit_m else NO


class Circle:
    def __init__(self, shape):
        (self.lon, self.lat), self.radius = shape["center"], shape["radius_m"]

    def near(self, lon, lat, margin_m):
        """Positions that can be within `margin_m`; the others surely are not."""
        reach = (self.radius + margin_m) * 1.05 + 10
        north = reach / 110_000
        top = min(89.9, abs(self.lat) + north)
        east = reach / (110_000 * math.cos(math.radians(top)))
        return (np.abs(lat - self.lat) <= north) & (np.abs(wrapped(lon - self.lon)) <= east)

    def judge(self, lon, lat, buffer_m):
        """For each position: inside? outside by more than the buffer?"""
        x, y = metres_a_degree((lat + self.lat) / 2)
        rough = np.hypot(wrapped(lon - self.lon) * x, (lat - self.lat) * y)
        inside, beyond = np.empty(len(lon), np.int8), np.empty(len(lon), np.int8)
        tolerance = max(BORDER_M, BUFFER_SHARE * buffer_m)
        for i, distance in enumerate(rough):
            limits = (self.radius, self.radius + buffer_m)
            if any(abs(distance - limit) <= max(1.0, CLEAR_SHARE * limit) for limit in limits) or distance > 50_000:
                distance = metres(lon[i], lat[i], self.lon, self.lat)
            inside[i] = {NO: YES, YES: NO, EITHER: EITHER}[side(distance, self.radius, BORDER_M)]
            beyond[i] = side(distance, self.radius + buffer_m, tolerance)
        return inside, beyond


def unwrapped(ring):
    """A ring whose longitudes go on past 180 where they jump."""
    points = [tuple(ring[0][:2])]
    for lon, lat, *_ in ring[1:]:
        lon += 360 * round((points[-1][0] - lon) / 360)
        points.append((lon, lat))
    return points


class Area:
    """A Polygon or MultiPolygon of GeoJSON."""

    def __init__(self, shape):
        polygons = [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]
        parts = []
        for outer, *holes in polygons:
            part = Polygon(unwrapped(outer), [unwrapped(hole) for hole in holes])
            if part.bounds[2] - part.bounds[0] > 180 or not part.is_valid:
                # A hole may have been unwrapped to the other side: the even-odd rule needs them together.
                middle = (part.bounds[0] + part.bounds[2]) / 2
                rings = [Polygon(part.exterior)] + [Polygon(ring) for ring in part.interiors]
                rings = [
                    shapely.affinity.translate(ring, 360 * round((middle - ring.centroid.x) / 360)) for ring in rings
                ]
                part = reduce(lambda a, b: a.symmetric_difference(b), rings)
            parts.append(part)
        whole = MultiPolygon(parts) if all(p.geom_type == "Polygon" for p in parts) else None
        if whole is None or not whole.is_valid:
            whole = reduce(lambda a, b: a.symmetric_difference(b), parts)
        around = [whole]
        west, _, east, _ = whole.bounds
        if east > 178:
            around.append(shapely.affinity.translate(whole, -360))
        if west < -178:
            around.append(shapely.affinity.translate(whole, 360))
        self.area = shapely.union_all(around) if len(around) > 1 else whole
        self.border = self.area.boundary
        shapely.prepare(self.area)
        shapely.prepare(self.border)

    def near(self, lon, lat, margin_m):
        west, south, east, north = self.area.bounds
        up = (margin_m * 1.05 + 10) / 110_000
        side = up / math.cos(math.radians(min(89.9, max(abs(south), abs(north)) + up)))
        return (lat >= south - up) & (lat <= north + up) & (lon >= west - side) & (lon <= east + side)

    def judge(self, lon, lat, buffer_m):
        within = shapely.intersects_xy(self.area, lon, lat)
        inside = np.where(within, YES, NO).astype(np.int8)
        beyond = np.where(within, NO, YES).astype(np.int8)
        tolerance = max(BORDER_M, BUFFER_SHARE * buffer_m)
        # Further from the border than this, all is clear.
        up = (buffer_m * 1.05 + 10) / 110_000
        across = up * 110_000 / metres_a_degree(lat)[0]
        (close,) = np.nonzero(shapely.dwithin(self.border, shapely.points(lon, lat), np.max(across, initial=up)))
        for i in close:
            x, y = metres_a_degree(lat[i])
            near = shapely.clip_by_rect(self.border, lon[i] - across[i], lat[i] - up, lon[i] + across[i], lat[i] + up)
            if near.is_empty:
                continue
            flat = shapely.transform(near, lambda p, o=(lon[i], lat[i]): (p - o) * (x, y))
            foot = shapely.shortest_line(shapely.Point(0, 0), flat).coords[1]
            distance = math.hypot(*foot)
            if distance < 1 or abs(distance - buffer_m) < 0.05 * buffer_m + 1:
                distance = metres(lon[i], lat[i], lon[i] + foot[0] / x, lat[i] + foot[1] / y)
            if distance <= BORDER_M:
                inside[i] = EITHER
            beyond[i] = side(-distance if within[i] else distance, buffer_m, tolerance)
        return inside, beyond


def of(shape):
    """What answers for a zone's shape."""
    return Circle(shape) if shape["type"] == "circle" else Area(shape)
