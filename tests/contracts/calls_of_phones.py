"""What phones post, and what a publishable key may do."""

import gzip
import json
import time


def zstd(data):
    """A frame with one raw block: what any zstd reader takes."""
    assert len(data) < 256
    block = (1 | len(data) << 3).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd\x20" + bytes([len(data)]) + block + data


def tried(claims, system, keys, other):
    phone, secret = system.ingest(keys["publishable_key"]), system.ingest(keys["secret_key"])
    pings(claims, phone, secret, system)
    bodies(claims, phone)
    registrations(claims, phone, system.api(keys["secret_key"]))


def ping(**more):
    return {"lat": 41.3, "lon": 2.1, "time": "2026-01-01T00:00:00Z"} | more


def pings(claims, phone, secret, system):
    def post(*bodies, to=phone):
        return to.call("POST", "/v1/pings", bodies[0] if len(bodies) == 1 else list(bodies))

    whole = ping(accuracy_m=12, speed_mps=1.2, heading_deg=90, id="p1")
    answer = claims.status("POST /v1/pings", post({"device_id": "p1", "pings": [whole]}), 202)
    claims.that("an answer is accepted and rejected", answer.json() == {"accepted": 1, "rejected": []}, answer.text)
    claims.status("with a secret key", post({"device_id": "p1", "pings": [ping()]}, to=secret), 202)
    claims.status("without a key", post({"device_id": "p1", "pings": [ping()]}, to=system.ingest(None)), 401)
    claims.status("with a wrong key", post({"device_id": "p1", "pings": [ping()]}, to=system.ingest("pk_no")), 401)

    now = int(time.time() * 1000)
    many = [
        {"device_id": "p1", "pings": [ping(time=now), ping(lat=91)]},
        {"device_id": "p2", "pings": [ping(time=None), ping(time=now + 360_000), ping(time=now + 200_000), ping(time=-1)]},
    ]
    del many[1]["pings"][0]["time"]
    answer = claims.status("an array of objects", post(*many), 202).json()
    claims.that("good ones among bad ones are taken", answer["accepted"] == 3, answer)
    claims.that("index counts across the flattened body", [(r["index"], r["code"]) for r in answer["rejected"]]
                == [(1, "invalid_coordinate"), (2, "missing_time"), (3, "time_in_future")], answer)
    for rejected in answer["rejected"]:
        claims.exactly("a rejected ping", rejected, "index", "code", "detail")
    answer = claims.status("only bad pings", post({"device_id": "p1", "pings": [ping(lon=181)]}), 202).json()
    claims.that("none is accepted", answer["accepted"] == 0 and len(answer["rejected"]) == 1, answer)
    answer = claims.status("a time long past", post({"device_id": "p9", "pings": [ping(time="1901-12-13T20:45:52.2073437Z")]}), 202)
    claims.that("any past time is accepted", answer.json()["accepted"] == 1, answer.text)


def bodies(claims, phone):
    path, good = "/v1/pings", json.dumps({"device_id": "p1", "pings": [ping()]}).encode()

    def raw(data, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return phone.call("POST", path, data=data, headers={"content-type": "application/json"} | headers)

    claims.status("gzip", raw(gzip.compress(good), content_encoding="gzip"), 202)
    claims.status("zstd", raw(zstd(good), content_encoding="zstd"), 202)
    claims.status("gzip that is none", raw(good, content_encoding="gzip"), 400)
    claims.status("a coding that is none", raw(good, content_encoding="rot13"), 415)
    claims.status("text", raw(good, content_type="text/plain"), 415)
    claims.status("a body cut short", raw(good[:-3]), 400)
    claims.status("a body too large", raw(b'{"device_id":"p1","pings":[' + b" " * (64 << 20) + b"]}"), 413)
    bomb = gzip.compress(b'{"device_id":"p1","pings":[' + b" " * (256 << 20) + b"]}")
    claims.status("a small body that grows too large", raw(bomb, content_encoding="gzip"), 413)
    for what, body in (
        ("no device", {"pings": [ping()]}), ("no pings", {"device_id": "p1"}), ("a number", 7),
        ("pings that are no array", {"device_id": "p1", "pings": {}}), ("a device that is a number", {"device_id": 1, "pings": []}),
    ):
        claims.status(what, raw(json.dumps(body).encode()), 422)


def registrations(claims, phone, api):
    body = {"platform": "ios", "app": "shop", "push_token": "aa11", "locale": "en", "timezone": "UTC",
            "consents": {"push": True, "location": True}}
    claims.status("a phone registers itself", phone.call("PUT", "/v1/devices/self", body), 200, 201)
    claims.status("a phone's attributes", phone.call("PUT", "/v1/devices/self", body | {"attributes": {"plan": "gold"}}), 403)
    claims.status("a phone's tags", phone.call("PUT", "/v1/devices/self", body | {"tags": ["vip"]}), 403)
    known = api.must("GET", "/v1/devices/self")
    claims.that("the merchant sees it", known.get("platform") == "ios", known)
    receipt = {"push_id": "6f2b1f5e-6d5f-5b5c-9d0a-1d1f5ad0a001", "event": "opened", "at": "2026-01-01T00:00:00Z"}
    answer = phone.call("POST", "/v1/receipts", receipt)
    claims.that("a receipt is taken", answer.status_code in (200, 202, 204), f"{answer.status_code} {answer.text}")
    claims.status("a receipt of nothing known", phone.call("POST", "/v1/receipts", receipt | {"event": "eaten"}), 422)
    for method, path in (("GET", "/v1/devices/self"), ("GET", "/v1/zones"), ("POST", "/v1/zones")):
        claims.status(f"{method} {path} with a publishable key", phone.call(method, path, {} if method == "POST" else None), 403)
    claims.status("a phone leaves", phone.call("DELETE", "/v1/devices/self"), 204)
    claims.that("the merchant sees that too", api.call("GET", "/v1/devices/self").status_code == 404)
