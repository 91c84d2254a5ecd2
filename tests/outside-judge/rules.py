"""What a transition is, said a second time: the rules as a loop over one device's fixes.

Where the shapes say EITHER, what the system did decides, and is counted.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

import shapes

EXPIRE_AFTER_MS = 24 * 3600 * 1000


@dataclass
class Fix:
    time: int
    lat: float
    lon: float
    accuracy: float | None = None


@dataclass
class Zone:
    id: str
    shape: object
    buffer_m: float
    dwell_s: int | None = None
    max_accuracy_m: float = 200.0
    version: int = 1

    def accepts(self, fix):
        return fix.accuracy is None or fix.accuracy <= self.max_accuracy_m


@dataclass
class Stay:
    since: int
    dwelled: bool = False


@dataclass
class Told:
    """A transition, as far as the rules fix it."""

    zone: str
    kind: str
    at: int
    reason: str | None
    initial: bool
    fix: int
    version: int


def in_order(requests):
    """Rule 1: each request sorted by time, the first of equals first; what is not later has no effect."""
    taken, last = [], None
    for request in requests:
        for fix in sorted(request, key=lambda fix: fix.time):
            if last is None or fix.time > last:
                taken.append(fix)
                last = fix.time
    return taken


def positions_by_fix(fixes, zones):
    """For each fix: zone -> (inside, beyond the buffer); a zone that is not named is far away."""
    lon, lat = np.array([f.lon for f in fixes]), np.array([f.lat for f in fixes])
    found = [{} for _ in fixes]
    for zone in zones:
        (near,) = np.nonzero(zone.shape.near(lon, lat, zone.buffer_m))
        if len(near):
            inside, beyond = zone.shape.judge(lon[near], lat[near], zone.buffer_m)
            for i, is_in, is_out in zip(near, inside, beyond):
                found[i][zone.id] = (is_in, is_out)
    return found


def evaluate(fixes, zones, happened, tolerated: Counter):
    """The transitions of a device. `happened` says (zone, kind, at) of what the system told."""
    by_id = {zone.id: zone for zone in zones}
    stays, told, last = {}, [], None

    def decide(answer, zone, kind, at):
        if answer != shapes.EITHER:
            return answer == shapes.YES
        tolerated[kind] += 1
        return (zone, kind, at) in happened

    for fix, found in zip(fixes, positions_by_fix(fixes, zones)):
        exits, enters, dwells = [], [], []
        if last and fix.time - last.time > EXPIRE_AFTER_MS:
            for zone in sorted(stays):
                at = last.time + EXPIRE_AFTER_MS
                told.append(Told(zone, "exit", at, "expired", False, last.time, by_id[zone].version))
            stays = {}
        for zone in sorted(set(stays) | set(found)):
            rule = by_id[zone]
            if not rule.accepts(fix):
                continue
            inside, beyond = found.get(zone, (shapes.NO, shapes.YES))
            if zone in stays:
                if decide(beyond, zone, "exit", fix.time):
                    exits.append(Told(zone, "exit", fix.time, "left", False, fix.time, rule.version))
                    del stays[zone]
                    continue
            elif decide(inside, zone, "enter", fix.time):
                enters.append(Told(zone, "enter", fix.time, None, last is None, fix.time, rule.version))
                stays[zone] = Stay(fix.time)
            stay = stays.get(zone)
            if stay and rule.dwell_s and not stay.dwelled and fix.time - stay.since >= rule.dwell_s * 1000:
                dwells.append(Told(zone, "dwell", fix.time, None, False, fix.time, rule.version))
                stay.dwelled = True
        told += exits + enters + dwells
        last = fix
    return told
