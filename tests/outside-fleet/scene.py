"""A merchant's morning: zones, a campaign, phones that come by, a send; and what came of it, as the API says."""

import hashlib
import time
from dataclasses import dataclass, field
from urllib.parse import quote

from deployment import until

SHOP, PARK, POND = [2.15, 41.38], [2.20, 41.40], [2.25, 41.42]
NOWHERE = [2.10, 41.30]
VISITORS = [f"phone-{n}" for n in range(8)] + ["größe/7 €", "телефон"]
# One that has no token, and so gets a delivery that says so; one that stays where a zone is removed; one that goes.
QUIET, STAYING, GOING = "quiet", "staying", "going"
DEVICES = VISITORS + [QUIET, STAYING, GOING]


@dataclass
class Told:
    """What the API said."""

    accepted: int = 0
    zones: dict = field(default_factory=dict)
    removed: str = ""
    campaign: str = ""
    send: dict = field(default_factory=dict)
    transitions: dict = field(default_factory=dict)
    deliveries: dict = field(default_factory=dict)
    sent: list = field(default_factory=list)


def trace_of(device):
    return hashlib.md5(device.encode()).hexdigest()


def at(device):
    return f"/v1/devices/{quote(device, safe='')}"


def circle(name, center, **more):
    return {"name": name, "external_id": name, "shape": {"type": "circle", "center": center, "radius_m": 150}, **more}


def play(system, keys):
    told = Told()
    api, phones = system.api(keys["secret_key"]), system.ingest(keys["publishable_key"])
    api.must("PUT", "/v1/apps/shop", system.app())
    shop = api.must("POST", "/v1/zones", circle("shop", SHOP, dwell_s=60, tags=["café"], metadata={"floor": 1}))
    x, y = PARK
    ring = [[x - 0.002, y - 0.002], [x + 0.002, y - 0.002], [x + 0.002, y + 0.002], [x - 0.002, y + 0.002]]
    shape = {"type": "Polygon", "coordinates": [ring + ring[:1]]}
    park = api.must("POST", "/v1/zones", {"name": "park", "shape": shape})
    pond = api.must("POST", "/v1/zones", circle("pond", POND))
    # A second version of one of them.
    etag = api.call("GET", f"/v1/zones/{park['id']}").headers["etag"]
    api.must("PUT", f"/v1/zones/{park['id']}", {"name": "the park", "shape": shape}, headers={"if-match": etag})
    message = {"title": "Welcome", "body": "A coffee?", "data": {"deal": "1"}}
    trigger = {"type": "zone", "on": "enter", "zone_ids": [shop["id"]], "on_initial": True}
    campaign = {"name": "welcome", "app": "shop", "trigger": trigger, "message": message}
    told.campaign = api.must("POST", "/v1/campaigns", campaign)["id"]
    api.must("POST", f"/v1/campaigns/{told.campaign}/activate")

    for n, device in enumerate(DEVICES):
        token = hashlib.sha256(device.encode()).hexdigest()
        body = {"platform": "ios" if n % 3 == 0 else "android", "app": "shop", "push_token": token, "tags": ["vip"]}
        if device == QUIET:
            del body["push_token"]
        phones.must("PUT", at(device), {key: value for key, value in body.items() if key != "tags"})

    now = int(time.time() * 1000)

    def ping(device, *fixes):
        pings = [
            {"lon": lon, "lat": lat, "time": now - ago_s * 1000, "accuracy_m": 7, "id": f"{ago_s}"}
            for ago_s, (lon, lat) in fixes
        ]
        body = {"device_id": device, "pings": pings}
        parent = {"traceparent": f"00-{trace_of(device)}-00f067aa0ba902b7-01"}
        told.accepted += phones.must("POST", "/v1/pings", body, headers=parent)["accepted"]

    for device in VISITORS + [QUIET, GOING]:
        ping(device, (300, NOWHERE), (250, SHOP))
        ping(device, (150, SHOP), (100, NOWHERE), (90, PARK))
    ping(STAYING, (300, NOWHERE), (200, POND))
    # The pond's removal is to find somebody in it.
    rows(api, STAYING, "transitions", 1)
    etag = api.call("GET", f"/v1/zones/{pond['id']}").headers["etag"]
    api.must("DELETE", f"/v1/zones/{pond['id']}", headers={"if-match": etag})
    told.removed = pond["id"]
    rows(api, GOING, "transitions", 4)
    rows(api, GOING, "deliveries", 1)
    api.must("DELETE", at(GOING))
    in_park = f"/v1/transitions?zone_id={park['id']}"
    until("the device's end is told", lambda: "device_removed" in {row["reason"] for row in api.pages(in_park)})

    told.send = api.must("POST", "/v1/sends", {"app": "shop", "device_ids": DEVICES[:6], "message": message})
    until("the send is done", lambda: api.must("GET", f"/v1/sends/{told.send['id']}")["pending"] == 0)
    told.send = api.must("GET", f"/v1/sends/{told.send['id']}")
    for device in [device for device in DEVICES if device != GOING]:
        expected = 2 if device == STAYING else 4
        told.transitions[device] = rows(api, device, "transitions", expected)
        expected = (device != STAYING) + (device in DEVICES[:6])
        told.deliveries[device] = rows(api, device, "deliveries", expected)
    told.zones = {zone["id"]: zone for zone in api.pages("/v1/zones")}
    sandbox = system.providers["control_url"]
    told.sent = phones.session.get(f"{sandbox}/sent", timeout=10).json()["data"]
    return told


def rows(api, device, what, expected):
    """All rows of a device, once there are as many as expected."""

    def seen():
        found = list(api.pages(f"{at(device)}/{what}?order=asc"))
        return found if len(found) >= expected else None

    return until(f"{expected} {what} of {device}", seen) if expected else []
