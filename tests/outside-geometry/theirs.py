"""The judges: containment and validity by GEOS, metres by the geodesics of PROJ (Karney's), each edge taken as the
straight line in longitude and latitude that RFC 7946 makes it.
"""

from fractions import Fraction

import numpy as np
import pyproj
import shapely
from shapely.geometry import MultiPolygon, Polygon

GEODESIC = pyproj.Geod(ellps="WGS84")
BORDER_M = 0.001
WGS84_A, WGS84_E2 = 6378137.0, 6.69437999014e-3
# Less than a degree of latitude has anywhere, and of longitude at the equator.
DEGREE_OF_LAT_M, DEGREE_OF_LON_M = 110_570.0, 111_315.0
TURNS = (-360.0, 0.0, 360.0)

# What a polygon is to us when GEOS says this of it (docs/decisions/0009); None where GEOS stops too early to tell.
VALID_BY_REASON = {
    "Valid Geometry": True,
    "Self-intersection": False,
    "Too few points in geometry component": False,
    "Ring Self-intersection": None,
    "Hole lies outside shell": True,
    "Holes are nested": True,
    "Interior is disconnected": True,
}


def metres(lon_a, lat_a, lon_b, lat_b):
    """The geodesics' lengths."""
    return GEODESIC.inv(lon_a, lat_a, lon_b, lat_b)[2]


def moved(lon, lat, bearing, metres):
    """Where geodesics of these lengths end, longitudes within ±180."""
    ends = GEODESIC.fwd(lon, lat, bearing, metres)
    return np.asarray(ends[0]), np.asarray(ends[1])


def in_range(lon):
    """The same meridians within ±180; those that are there already, untouched."""
    return np.where(lon > 180, lon - 360, np.where(lon < -180, lon + 360, lon))


def degrees_round(lat, reach_m):
    """How many degrees of longitude and latitude surely hold everything within a distance."""
    up = 1.001 * reach_m / DEGREE_OF_LAT_M
    return 1.001 * reach_m / (DEGREE_OF_LON_M * np.cos(np.radians(np.minimum(np.abs(lat) + up, 89.99)))), up


def metres_a_degree(lat):
    """East and north, by the ellipsoid's radii at a latitude."""
    sin = np.sin(np.radians(lat))
    w = np.sqrt(1 - WGS84_E2 * sin * sin)
    return np.radians(WGS84_A / w * np.cos(np.radians(lat))), np.radians(WGS84_A * (1 - WGS84_E2) / w**3)


def in_space(lon, lat):
    """Metres from the Earth's centre along three axes."""
    lon, lat = np.radians(lon), np.radians(lat)
    normal = WGS84_A / np.sqrt(1 - WGS84_E2 * np.sin(lat) ** 2)
    flat = normal * np.cos(lat)
    return np.stack([flat * np.cos(lon), flat * np.sin(lon), normal * (1 - WGS84_E2) * np.sin(lat)], axis=-1)


def unwrapped(ring):
    """A ring whose longitudes go on past 180 where they jump."""
    points = np.array([position[:2] for position in ring], float)
    points[1:, 0] -= 360 * np.cumsum(np.round(np.diff(points[:, 0]) / 360))
    return points


def polygon(rings):
    """A polygon of GeoJSON's rings, in one plane: holes are turned to where they lie over the shell."""
    shell, *holes = map(unwrapped, rings)
    west, east = shell[:, 0].min(), shell[:, 0].max()
    for hole in holes:
        first, last = hole[:, 0].min(), hole[:, 0].max()
        hole[:, 0] += max((0, *TURNS), key=lambda turn: min(east, last + turn) - max(west, first + turn))
    return Polygon(shell, holes)


def polygons_of(shape):
    return [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]


def expected_validity(shape):
    """What GEOS makes of a shape, polygon by polygon, by our rules: True, False or None, and its reasons."""
    areas = [polygon(rings) for rings in polygons_of(shape)]
    # Only its first reason is told: one of holes may hide one of a ring.
    alone = [Polygon(ring) for area in areas if not area.is_valid for ring in (area.exterior, *area.interiors)]
    reasons = [shapely.is_valid_reason(area).split("[")[0] for area in areas + alone]
    verdicts = [VALID_BY_REASON[reason] for reason in reasons]
    verdict = False if False in verdicts else None if None in verdicts else True
    return verdict, sorted(set(reasons) - {"Valid Geometry"})


class Area:
    """A Polygon or MultiPolygon."""

    def __init__(self, shape):
        self.parts = [polygon(rings) for rings in polygons_of(shape)]
        whole = MultiPolygon(self.parts)
        # What GEOS does not take for valid it has no words for: it is asked ring by ring, and the rule is applied here.
        self.areas = [[whole]] if whole.is_valid else [
            [Polygon(ring) for ring in (part.exterior, *part.interiors)] for part in self.parts
        ]
        self.bounds = shapely.total_bounds([ring for rings in self.areas for ring in rings])
        for rings in self.areas:
            shapely.prepare(rings)
        of, rings = zip(*[
            (number, shapely.get_coordinates(ring))
            for number, part in enumerate(self.parts)
            for ring in (part.exterior, *part.interiors)
        ])
        self.vertices = np.concatenate([ring[:-1] for ring in rings])
        edges = np.concatenate([np.hstack([ring[:-1], ring[1:]]) for ring in rings])
        long = np.any(edges[:, :2] != edges[:, 2:], axis=1)
        self.edges, self.part_of_edge = edges[long], np.repeat(of, [len(ring) - 1 for ring in rings])[long]
        self._tree = None

    def contains(self, lon, lat):
        """Inside or on the boundary, in any turn of the globe."""
        inside = np.zeros(len(lon), bool)
        for turn in TURNS:
            if self.bounds[0] - 1e-6 <= 180 + turn and self.bounds[2] + 1e-6 >= turn - 180:
                for rings in self.areas:
                    odd, border = np.zeros(len(lon), bool), np.zeros(len(lon), bool)
                    for ring in rings:
                        met = shapely.intersects_xy(ring, lon + turn, lat)
                        within = shapely.contains_xy(ring, lon + turn, lat) if len(rings) > 1 else met
                        odd ^= within
                        border |= met & ~within
                    inside |= odd | border
        return inside

    def contains_exactly(self, lon, lat):
        """The same of one position by the rule's own words, in fractions: GEOS errs by a last digit now and then."""
        for turn in TURNS:
            x, y = Fraction(float(lon + turn)), Fraction(float(lat))
            beside = (self.edges[:, [1, 3]].min(1) <= lat) & (lat <= self.edges[:, [1, 3]].max(1))
            odd = set()
            for part, edge in zip(self.part_of_edge[beside], self.edges[beside]):
                ax, ay, bx, by = (Fraction(float(number)) for number in edge)
                side = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
                if side == 0 and min(ax, bx) <= x <= max(ax, bx):
                    return True
                # A ray to the east.
                if (ay > y) != (by > y) and (side > 0) == (by > ay):
                    odd ^= {part}
            if odd:
                return True
        return False

    def border_m(self, lon, lat, reach_m):
        """Metres to the boundary, from either side; infinite beyond `reach_m`.

        Of each edge that is near, the nearest place is searched for along the edge itself; only then is it measured.
        """
        edges = self._near_edges()
        here = in_space(lon, lat)
        # A vertex is surely not nearer than the boundary. Rounding costs less than the metre.
        corners = in_space(self.vertices[:, 0], self.vertices[:, 1])
        squares = np.empty(len(here))
        for start in range(0, len(here), 500):
            block = here[start : start + 500]
            square = (block**2).sum(1)[:, None] + (corners**2).sum(1)[None] - 2 * block @ corners.T
            squares[start : start + 500] = square.min(1)
        reach = np.minimum(np.sqrt(np.maximum(squares, 0)) + 1, reach_m)
        side, up = degrees_round(lat, reach)
        boxes = shapely.box(lon - side, lat - up, lon + side, lat + up)
        of, edge = self._tree.query(boxes)
        start, along = edges[edge, :2], edges[edge, 2:] - edges[edge, :2]
        # The part of the edge that is in the box.
        least, most = np.zeros(len(of)), np.ones(len(of))
        for axis, (at, half) in enumerate(((lon[of], side[of]), (lat[of], up[of]))):
            level = np.abs(along[:, axis]) < 1e-300
            step = np.where(level, 1, along[:, axis])
            bounds = np.sort([(at - half - start[:, axis]) / step, (at + half - start[:, axis]) / step], axis=0)
            least = np.where(level, least, np.maximum(least, bounds[0]))
            most = np.where(level, most, np.minimum(most, bounds[1]))
        kept = least <= most
        of, start, along, least, most = of[kept], start[kept], along[kept], least[kept], most[kept]

        def metres_at(part):
            return np.sqrt(((in_space(*(start + part[:, None] * along).T) - here[of]) ** 2).sum(1))

        # Roughly for every edge, then finely for those that may be the nearest.
        for rounds in (16, 60):
            for _ in range(rounds):
                third = (most - least) / 3
                nearer_first = metres_at(least + third) < metres_at(most - third)
                most = np.where(nearer_first, most - third, most)
                least = np.where(nearer_first, least, least + third)
            middle = metres_at((least + most) / 2)
            found = np.full(len(lon), np.inf)
            np.minimum.at(found, of, middle)
            ends = in_space(*(start + least[:, None] * along).T) - in_space(*(start + most[:, None] * along).T)
            kept = middle - np.sqrt((ends**2).sum(1)) <= found[of]
            of, start, along, least, most = of[kept], start[kept], along[kept], least[kept], most[kept]
        part = (least + most) / 2
        order = np.lexsort((metres_at(part), of))
        of, place = of[order], (start + part[:, None] * along)[order]
        first = np.concatenate([[True], of[1:] != of[:-1]]) if len(of) else np.zeros(0, bool)
        distance = np.full(len(lon), np.inf)
        distance[of[first]] = metres(lon[of[first]], lat[of[first]], place[first, 0], place[first, 1])
        distance[distance > reach_m] = np.inf
        return distance

    def _near_edges(self):
        """Edges in every turn in which they come within a degree of the globe's map, in a tree."""
        if self._tree is None:
            turned = [self.edges + [turn, 0, turn, 0] for turn in TURNS]
            self._turned = np.concatenate(
                [edges[(edges[:, [0, 2]].max(1) > -181) & (edges[:, [0, 2]].min(1) < 181)] for edges in turned]
            )
            self._tree = shapely.STRtree(shapely.linestrings(self._turned.reshape(-1, 2, 2)))
        return self._turned
