"""Feeds traces and walks to the real system over HTTP and compares its transitions, one by one, with the rules said a
second time over GEOS and GeographicLib.

    run.sh [GEOPUSH]        SEED=n repeats a run; SHARE=0.2 takes a part of each recorded trace; KILLS=n

Every request is sent twice, phones take turns as they come, and the system is killed KILLS times on the way.
"""

import concurrent.futures
import datetime
import os
import pathlib
import random
import sys
import time
from collections import Counter
from dataclasses import replace

import rules
import scenes
import shapes
from deployment import Deployment, Failed, until

DATA = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data"
PINGS_A_REQUEST = 150
# Where nobody else is: who has entered it has been evaluated to the end.
END = {"external_id": "end", "name": "end", "shape": {"type": "circle", "center": [-30, -30], "radius_m": 100}}


def requests_of(chance, fixes):
    """A phone's requests: each in a shuffled order, some fixes again later, some too late."""
    requests = []
    for start in range(0, len(fixes), PINGS_A_REQUEST):
        request = fixes[start : start + PINGS_A_REQUEST]
        if start:
            request += chance.sample(fixes[:start], min(5, start))
        chance.shuffle(request)
        # Of equals the first counts: this one must never be seen.
        stray = replace(max(request, key=lambda fix: fix.time), lat=-30.0, lon=-30.0)
        requests.append(request + [stray])
    return requests


def ping(chance, fix):
    """A fix as JSON: its time in one of the two forms."""
    moment = fix.time
    if chance.random() < 0.3:
        exact = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=fix.time)
        # Microseconds are cut, not rounded.
        moment = exact.strftime("%Y-%m-%dT%H:%M:%S.") + f"{fix.time % 1000:03d}9Z"
    body = {"lat": fix.lat, "lon": fix.lon, "time": moment}
    return body if fix.accuracy is None else body | {"accuracy_m": fix.accuracy}


def feed(ingest, device, requests, seed, progress):
    """Posts a phone's requests, one after the other, each twice."""
    chance = random.Random(f"{seed}/{device}/bodies")
    for request in requests:
        body = {"device_id": device, "pings": [ping(chance, fix) for fix in request]}
        for _ in range(2):
            answer = ingest.must("POST", "/v1/pings", body, status=(202,))
            if answer["rejected"]:
                raise Failed(f"{device}: rejected {answer['rejected'][:3]}")
            progress.append(device)


def kill_on_the_way(system, progress, total, sent):
    """Cuts the power at equal shares of what is to be sent."""
    kills = int(os.environ.get("KILLS", "10"))
    for kill in range(1, kills + 1):
        until(
            f"share {kill} of {kills} is sent",
            lambda: len(progress) >= total * kill / (kills + 1) or all(done.done() for done in sent),
            300,
        )
        system.kill()
        system.run()
    print(f"killed {kills} times", flush=True)


def is_done(api, device, end):
    """Has the system recorded that the device came to the end?"""
    rows = api.must("GET", f"/v1/devices/{device}/transitions?limit=1&order=desc")["data"]
    return bool(rows) and rows[0]["zone_id"] == end


def compare(device, fixes, zones, rows, tolerated):
    """What differs, in words."""
    happened = {(row["zone_id"], row["kind"], scenes.milliseconds(row["at"])) for row in rows}
    expected = rules.evaluate(fixes, zones, happened, tolerated)
    dwell_s = {zone.id: zone.dwell_s for zone in zones}
    wrong = []
    told = []
    for row in rows:
        fix = scenes.milliseconds(row["fix"]["time"])
        at = scenes.milliseconds(row["at"])
        reason = row["reason"] if row["kind"] == "exit" else None
        told.append(rules.Told(row["zone_id"], row["kind"], at, reason, row["initial"], fix, row["zone_version"]))
        if row["kind"] == "dwell" and row["dwell_s"] < dwell_s[row["zone_id"]]:
            wrong.append(f"{device}: a dwell of {row['dwell_s']} s in a zone that asks for {dwell_s[row['zone_id']]}")
    if [row["seq"] for row in rows] != list(range(rows[0]["seq"] if rows else 0, (rows[0]["seq"] if rows else 0) + len(rows))):
        wrong.append(f"{device}: seq is not the order")
    if len({row["id"] for row in rows}) != len(rows):
        wrong.append(f"{device}: an id stands twice")
    for place, (want, got) in enumerate(zip(expected + [None] * len(told), told + [None] * len(expected))):
        if want is None and got is None:
            break
        if want != got:
            wrong.append(f"{device}: transition {place}:\n  by the rules {want}\n  by the system {got}")
            break
    return wrong, len(expected)


def main():
    if not DATA.exists():
        print(f"the outside judge did NOT run: there is no {DATA}")
        return 0
    seed = os.environ.get("SEED") or str(random.SystemRandom().randrange(10**6))
    share = float(os.environ.get("SHARE", "1"))
    print(f"SEED={seed} SHARE={share}", flush=True)
    began, chance = time.monotonic(), random.Random(seed)

    recorded = {name: fixes[: max(50, int(len(fixes) * share))] for name, fixes in scenes.traces(DATA / "traces").items()}
    of = lambda names: [(fix.lon, fix.lat) for name in names for fix in recorded[name]]
    beijing = [name for name in recorded if name.startswith("u0")]
    hikes = [name for name in recorded if name not in beijing]
    bodies = scenes.zones_near(chance, of(beijing), 80, "beijing") + scenes.zones_near(chance, of(hikes), 16, "hike")
    bodies += scenes.far_north() + scenes.antimeridian() + [END]
    collection, place_shapes = scenes.places(DATA / "zones" / "us-places.geojson")

    phones = dict(recorded)
    for body in bodies[:-1]:
        phones[f"walk-{body['external_id']}"] = scenes.walk(chance, body["shape"], 12)
    holed = [name for name, shape in place_shapes.items() if any(len(polygon) > 1 for polygon in shape["coordinates"])]
    line = [name for name, shape in place_shapes.items() if scenes.width(shape) > 180]
    for name in line + chance.sample(sorted(holed), 8) + chance.sample(sorted(place_shapes), 12):
        phones[f"walk-{name}"] = scenes.walk(chance, place_shapes[name], 30)
    # A stay is only seen by the rules while the device has a position: sprinkle inaccurate ones over the traces.
    for name in recorded:
        phones[name] = [replace(fix, accuracy=chance.choice([None, 10.0, 45.0, 150.0, 201.0])) for fix in phones[name]]

    with Deployment() as system:
        keys = system.tenant("outside judge")
        system.run()
        api = system.api(keys["secret_key"])
        zones = []
        for body in bodies:
            made = api.must("POST", "/v1/zones", body, status=(201,))
            zones.append(zone_of(made["id"], body, made["version"]))
        report = api.must("POST", "/v1/zones/import", collection, status=(200,))
        print(f"import: {report['created']} created, {len(report['failed'])} failed")
        if report["failed"]:
            raise Failed(f"places that were not imported: {report['failed'][:3]}")
        listed = {row["external_id"]: row for row in api.pages("/v1/zones") if row["external_id"] in place_shapes}
        for name, shape in place_shapes.items():
            zones.append(zone_of(listed[name]["id"], {"shape": shape}, listed[name]["version"]))
        print(f"{len(zones)} zones, {len(phones)} phones, {sum(map(len, phones.values()))} fixes", flush=True)

        end = next(zone.id for zone, body in zip(zones, bodies) if body is END)
        requests = {}
        for device, fixes in phones.items():
            last = max(fix.time for fix in fixes)
            requests[device] = requests_of(random.Random(f"{seed}/{device}"), fixes)
            requests[device].append([rules.Fix(last + 1000, -30.0, -30.0)])
        progress = []
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            sent = [
                pool.submit(feed, system.ingest(keys["publishable_key"]), device, of_device, seed, progress)
                for device, of_device in chance.sample(list(requests.items()), len(requests))
            ]
            kill_on_the_way(system, progress, 2 * sum(map(len, requests.values())), sent)
            for done in sent:
                done.result()
        print(f"fed after {time.monotonic() - began:.0f} s", flush=True)

        wrong, told, tolerated = [], 0, Counter()
        for device in phones:
            until(f"{device} comes to the end", lambda device=device: is_done(api, device, end), 120)
            rows = list(api.pages(f"/v1/devices/{device}/transitions?order=asc"))
            fixes = rules.in_order(requests[device])
            differs, count = compare(device, fixes, zones, rows, tolerated)
            wrong += differs
            told += count
        print(f"{told} transitions compared after {time.monotonic() - began:.0f} s; either way was right: {dict(tolerated)}")
        for line in wrong[:20]:
            print(line)
        if wrong:
            print(f"{len(wrong)} devices differ; SEED={seed} repeats this")
            raise SystemExit(1)
        if told < 500:
            raise Failed("too few transitions to mean anything")
    print("the system agrees with the outside judge")
    return 0


def zone_of(zone_id, body, version):
    shape = body["shape"]
    return rules.Zone(
        zone_id,
        shapes.of(shape),
        body.get("exit_buffer_m", shapes.default_buffer(shape)),
        body.get("dwell_s"),
        body.get("max_accuracy_m", 200.0),
        version,
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failed:
        sys.exit(f"FAILED: {failed}")
