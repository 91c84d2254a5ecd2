"""The cases of JTS's XML suite, as its JavaScript port ships them: validity of polygons, and how points and other
geometries lie to them.

Their plane is scaled to degrees by a power of two, which changes no sign. What is expected is what the case says, but
where `differs.csv` names it with the rule of ours by which it is otherwise; a line there that no case needs fails, too.
"""

import csv
import json
import math
import os
import pathlib
import tarfile
from xml.etree import ElementTree

import numpy as np
import shapely

import compare
from theirs import VALID_BY_REASON, Area

HERE = pathlib.Path(__file__).parent
AREAS = ("Polygon", "MultiPolygon")
POINTS = ("Point", "MultiPoint")
PREDICATES = {"intersects", "contains", "covers", "coveredBy", "within", "relate"}
# For each predicate of A and B: the pattern (DE-9IM) that it states, or states the absence of.
DISJOINT, COVERS = "FF*FF****", ("T*****FF*", "*T****FF*", "***T**FF*", "****T*FF*")


def geometry(element):
    """A geometry of a case; None where it is not given, or GEOS has no words for it."""
    text = "" if element is None or element.text is None else " ".join(element.text.split())
    if not text:
        return None
    try:
        with np.errstate(invalid="ignore"):
            return shapely.from_wkb(text) if text[:2] in ("00", "01") else shapely.from_wkt(text)
    except shapely.GEOSException:
        return None


def cases():
    """(name, operation, arguments, expected) of the suite; names are the file's, and the numbers of case and claim."""
    with tarfile.open(os.path.join(os.environ["SUITES"], "jsts-0.17.0.tgz")) as package:
        for member in sorted(package.getmembers(), key=lambda member: member.name):
            folder, _, name = member.name.removeprefix("package/testxml/").partition("/")
            if not name.endswith(".xml"):
                continue
            run = ElementTree.parse(package.extractfile(member)).getroot()
            for number, case in enumerate(run.iter("case"), 1):
                given = {key.upper(): geometry(case.find(key)) for key in "ab"}
                for claim, op in enumerate(case.iter("op"), 1):
                    arguments = [given.get(op.get(f"arg{i}", "").upper(), op.get(f"arg{i}")) for i in (1, 2, 3)]
                    yield f"{folder}/{name[:-4]}/{number}.{claim}", op.get("name"), arguments, (op.text or "").strip()


def as_degrees(*geometries):
    """The same in degrees: scaled by one power of two, so that nothing is wider than half the globe."""
    most = max(float(np.abs(shapely.get_coordinates(g)).max(initial=1.0)) for g in geometries)
    scale = 2.0 ** math.floor(math.log2(64 / most))
    return [shapely.transform(g, lambda points: points * scale) for g in geometries]


def as_shape(area):
    return json.loads(shapely.to_geojson(area))


def is_finite(area):
    coordinates = np.abs(shapely.get_coordinates(area))
    return bool(np.isfinite(coordinates).all())


def check_validity(ours, tally, seed, name, area, expected, known):
    """One `isValid`; a difference must be listed, and be one that our rules make of GEOS's reason."""
    shape = as_shape(as_degrees(area)[0])
    faults = ours.faults(shape)
    tally.counts["cases of validity"] += 1
    if not faults:
        compare.all_round(ours, tally, seed, name, shape)
    if (not faults) == expected:
        return
    rule = known.pop(name, None)
    reason = shapely.is_valid_reason(area).split("[")[0]
    if rule is None:
        said = f"refused for {faults[0]['code']}" if faults else "taken"
        tally.differs(f"{name} is not listed: {said}, JTS says {expected} ({reason})")
        return
    tally.counts["cases that differ by a rule of ours"] += 1
    if not faults and VALID_BY_REASON.get(reason, True) is False:
        # The union of polygons that overlap is meant: then each of them must be valid alone.
        alone = [VALID_BY_REASON[shapely.is_valid_reason(part).split("[")[0]] for part in shapely.get_parts(area)]
        if area.geom_type != "MultiPolygon" or False in alone:
            tally.differs(f"{name} is taken, but GEOS says {reason}")


def claims_of(operation, first, second, pattern, expected):
    """What the case says of an area's containment: (area, other, every point of the other inside? any?)."""
    if operation in ("within", "coveredBy"):
        operation, first, second = {"within": "contains", "coveredBy": "covers"}[operation], second, first
    holds = expected == "true"
    for area, other, turned in ((first, second, False), (second, first, True)):
        if area is None or other is None or area.geom_type not in AREAS:
            continue
        every = any_ = None
        if operation == "relate" and holds:
            matrix = pattern if not turned else pattern[0::3] + pattern[1::3] + pattern[2::3]
            if set(matrix) <= set("F012T"):
                any_ = not fits(matrix, DISJOINT)
                every = any(fits(matrix, covers) for covers in COVERS)
        elif operation == "intersects":
            any_ = holds
        elif operation in ("contains", "covers") and not turned:
            every = True if holds else (False if operation == "covers" else None)
        if every is not None or any_ is not None:
            yield area, other, every, any_


def fits(matrix, pattern):
    """Does a matrix fit a pattern (DE-9IM)?"""
    return all(p in ("*", m) or (p == "T" and m != "F") for m, p in zip(matrix, pattern))


def check_points(ours, tally, name, area, other, every, any_):
    """What a case says, of the other's vertices: all of what they say where it is made of points."""
    area, other = as_degrees(area, other)
    lon, lat = shapely.get_coordinates(other).T
    inside = compare.points(ours, tally, name, as_shape(area), Area(as_shape(area)), lon, lat)
    if inside is None or not len(inside):
        return
    exact = other.geom_type in POINTS
    tally.counts["cases of points in polygons" if exact else "cases of vertices in polygons"] += 1
    # Of a line or an area the vertices tell but this: covered, all are inside; disjoint, none is.
    if every is True and not inside.all() or every is False and exact and inside.all():
        tally.differs(f"{name}: inside are {inside.tolist()}, but covered is {every}")
    if any_ is False and inside.any() or any_ is True and exact and not inside.any():
        tally.differs(f"{name}: inside are {inside.tolist()}, but touched is {any_}")


def jts(ours, tally, seed):
    """The whole suite, and the count of what could not be put to us, by why."""
    with open(HERE / "differs.csv") as rows:
        known = {row["case"]: row["rule"] for row in csv.DictReader(rows)}
    left = tally.counts
    for name, operation, arguments, expected in cases():
        given = [a for a in arguments[:2] if isinstance(a, shapely.Geometry)]
        areas = [a for a in given if a.geom_type in AREAS]
        if operation != "isValid" and operation not in PREDICATES:
            left["cases left out: of overlays, hulls, planar distances and the like"] += 1
        elif not areas:
            left["cases left out: of points and lines alone"] += 1
        elif not all(len(shapely.get_coordinates(a)) and is_finite(a) for a in given):
            left["cases left out: empty or without numbers, which JSON can't say"] += 1
        elif operation == "isValid":
            check_validity(ours, tally, seed, name, areas[0], expected == "true", known)
        else:
            first, second = (a if isinstance(a, shapely.Geometry) else None for a in arguments[:2])
            asked = list(claims_of(operation, first, second, arguments[2], expected))
            if not asked:
                left["cases left out: that say nothing of single positions"] += 1
            for number, (area, other, every, any_) in enumerate(asked, 1):
                if ours.faults(as_shape(as_degrees(area)[0])):
                    left["cases left out: of polygons that we refuse"] += 1
                else:
                    check_points(ours, tally, name, area, other, every, any_)
    for name in known:
        tally.differs(f"differs.csv lists {name}, which does not differ")
