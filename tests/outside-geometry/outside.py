"""Holds our geometry against others', in three parts: real outlines and traces, a suite's cases, random shapes.

    run.sh      SEED=n makes another run; POINTS=n sets how many random points are asked
"""

import os
import pathlib
import sys
import time
from multiprocessing import Pool

import compare
import fuzz
import real
import suites
from ours import Ours

DATA = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data"
SEED = int(os.environ.get("SEED") or 2026)
POINTS = int(os.environ.get("POINTS", "1000000"))
# Shapes for one process at a time.
CHUNK = 40
# Far fewer than there are: a part that silently shrinks fails.
LEAST = {
    "positions": 4_000_000,
    "distances": 100_000,
    "distances that are surely clear": 200_000,
    "positions at circles": 50_000,
    "boxes that are covered": 1_000,
    "boxes that are missed": 10_000,
    "cases of validity": 300,
    "cases of points in polygons": 60,
    "cases of vertices in polygons": 400,
}


def work(job):
    """One job of a part, in a process of its own."""
    what, *of = job
    tally = compare.Tally()
    with Ours() as ours:
        match what:
            case "outlines":
                outlines, found = of
                for name, shape in outlines:
                    real.outline(ours, tally, SEED, name, shape, found)
            case "traces":
                for name, shape, fixes in real.round_traces(of[0]):
                    real.trace(ours, tally, name, shape, fixes)
            case "circles":
                real.circles(ours, tally, SEED)
            case "jts":
                suites.jts(ours, tally, SEED)
            case "fuzz":
                for number in of[0]:
                    fuzz.one(ours, tally, SEED, number)
    return what, tally


def jobs(found):
    """All jobs, the longest first."""
    outlines = list(real.maps().items()) + list(real.antimeridian(compare.chance_of(SEED, "antimeridian")))
    if found:
        outlines += real.places(DATA / "zones" / "us-places.geojson").items()
    yield from (("traces", {name: fixes}) for name, fixes in found.items())
    yield ("jts",)
    yield ("circles",)
    yield from (("outlines", outlines[start : start + CHUNK], found) for start in range(0, len(outlines), CHUNK))
    # Some of the random shapes are refused, by both.
    shapes = int(POINTS / fuzz.POINTS_A_SHAPE / 0.68)
    yield from (("fuzz", range(start, min(start + CHUNK, shapes))) for start in range(0, shapes, CHUNK))


def main():
    began = time.monotonic()
    print(f"SEED={SEED} POINTS={POINTS}", flush=True)
    found = {}
    if DATA.exists():
        found = real.traces(DATA / "traces")
    else:
        print(f"recorded traces and the outlines of American places did NOT run: there is no {DATA}")
    parts, whole = {}, compare.Tally()
    with Pool(os.cpu_count()) as pool:
        for what, tally in pool.imap_unordered(work, jobs(found)):
            parts.setdefault(what, compare.Tally()).add(tally)
            whole.add(tally)
    for what, tally in parts.items():
        print(f"{what}:")
        for name, count in sorted(tally.counts.items()):
            print(f"  {count:>9,} {name}")
        for name, value in tally.most.items():
            print(f"  {value:>9.1e} largest error, {name}")
    print(f"{time.monotonic() - began:.0f} s")
    for line in whole.wrong:
        print(line)
    if whole.wrong:
        print(f"{whole.counts['disagreements']} disagreements; SEED={SEED} repeats this")
        return 1
    short = [what for what, least in LEAST.items() if whole.counts[what] < least]
    if short:
        print(f"too few to mean anything: {short}")
        return 1
    print("the geometry agrees with the outside")
    return 0


if __name__ == "__main__":
    sys.exit(main())
