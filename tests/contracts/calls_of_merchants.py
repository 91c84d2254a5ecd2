"""Zones, devices, apps, settings, campaigns: what merchants configure."""

import json

from deployment import until

CIRCLE = {"type": "circle", "center": [2.17, 41.38], "radius_m": 100}


def ring(*points):
    return {"type": "Polygon", "coordinates": [[list(point) for point in points]]}


SQUARE = ring((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))
POLE = ring((0, 80), (90, 80), (180, 80), (-90, 80), (0, 80))

# What is wrong with a shape, the shape, and where the refusal points.
BAD_SHAPES = [
    ("a radius of 9 m", CIRCLE | {"radius_m": 9}, "/shape/radius_m"),
    ("a radius of 100 001 m", CIRCLE | {"radius_m": 100_001}, "/shape/radius_m"),
    ("a centre out of range", CIRCLE | {"center": [181, 0]}, "/shape/center"),
    ("a self-crossing ring", ring((0, 0), (1, 1), (1, 0), (0, 1), (0, 0)), "/shape/coordinates"),
    ("a ring not closed", ring((0, 0), (1, 0), (1, 1), (0, 1)), "/shape/coordinates/0"),
    ("a ring round a pole", POLE, "/shape/coordinates"),
    ("a latitude out of range", ring((0, 0), (1, 0), (1, 91), (0, 0)), "/shape/coordinates/0/2"),
    ("an empty shape", {"type": "Polygon", "coordinates": []}, "/shape"),
    ("a kind of shape that is none", {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}, "/shape"),
    ("three positions", ring((0, 0), (1, 0), (0, 0)), "/shape/coordinates"),
]

AUDIENCES = [
    {"all": [{"tag": "vip"}, {"platform": "ios"}]},
    {"any": [{"attr": "plan", "op": "eq", "value": "gold"}, {"attr": "age", "op": "gt", "value": 18}]},
    {"not": {"attr": "plan", "op": "in", "value": ["a", "b"]}},
    {"attr": "plan", "op": "exists"},
    {"attr": "plan", "op": "ne", "value": "x"},
    {"attr": "age", "op": "lt", "value": 3},
]


def tried(claims, system, keys, other):
    api, stranger = system.api(keys["secret_key"]), system.api(other["secret_key"])
    doors(claims, system, keys, api)
    zone = zones(claims, api, stranger)
    external(claims, api)
    listings(claims, api)
    imports(claims, api)
    devices(claims, api, stranger)
    apps(claims, system, api, stranger)
    settings(claims, api, stranger)
    campaigns(claims, api, stranger, zone)
    events(claims, api)


def doors(claims, system, keys, api):
    claims.status("no key", system.api(None).call("GET", "/v1/zones"), 401)
    claims.status("a key that is none", system.api("sk_nonsense").call("GET", "/v1/zones"), 401)
    phone = system.api(keys["publishable_key"])
    claims.status("a publishable key on the merchants' port", phone.call("GET", "/v1/zones"), 403)
    claims.status("a path that is none", api.call("GET", "/v1/nothing"), 404)
    claims.status("a method that is none", api.call("PATCH", "/v1/zones"), 405)
    broken = api.call("POST", "/v1/zones", data=b"{", headers={"content-type": "application/json"})
    claims.status("a body that is no JSON", broken, 400)
    answer = api.call("GET", "/v1/zones")
    claims.that("answers have RateLimit headers", any(h.lower().startswith("ratelimit") for h in answer.headers),
                list(answer.headers))
    document = claims.status("GET /v1/openapi.json", api.call("GET", "/v1/openapi.json"), 200).json()
    claims.that("it is OpenAPI 3.1", str(document.get("openapi", "")).startswith("3.1"), document.get("openapi"))
    for path in (
        "/v1/zones", "/v1/zones/{id}", "/v1/zones/external/{external_id}", "/v1/zones/import", "/v1/zones/export",
        "/v1/devices", "/v1/devices/{device_id}", "/v1/devices/{device_id}/presence", "/v1/transitions",
        "/v1/devices/{device_id}/transitions", "/v1/apps/{app}", "/v1/campaigns", "/v1/campaigns/{id}",
        "/v1/campaigns/{id}/activate", "/v1/campaigns/{id}/pause", "/v1/sends", "/v1/sends/{id}", "/v1/deliveries",
        "/v1/devices/{device_id}/deliveries", "/v1/settings", "/v1/events", "/v1/campaigns/{id}/preview",
    ):
        claims.that(f"OpenAPI knows {path}", path in document["paths"])
    claims.status("GET /docs", system.api(None).call("GET", "/docs"), 200)


def zones(claims, api, stranger):
    body = {
        "external_id": "z-1", "location_id": "l-1", "name": "One", "shape": CIRCLE, "exit_buffer_m": 30, "dwell_s": 60,
        "max_accuracy_m": 80, "active": True, "tags": ["food"], "metadata": {"floor": 2},
    }
    made = claims.status("POST /v1/zones", api.call("POST", "/v1/zones", body), 201)
    zone = made.json()
    claims.members("a zone", zone, *body, "id", "version", "created_at", "updated_at")
    claims.times("a zone", zone, "created_at", "updated_at")
    claims.that("a zone says what it was given", all(zone[name] == value for name, value in body.items()), zone)
    claims.that("a new zone is version 1", zone["version"] == 1, zone["version"])
    path, etag = f"/v1/zones/{zone['id']}", made.headers.get("etag")
    claims.that("POST /v1/zones gives an ETag", etag)
    read = claims.status("GET a zone", api.call("GET", path), 200)
    claims.that("GET gives the same ETag", read.headers.get("etag") == etag, (read.headers.get("etag"), etag))
    claims.that("GET gives the same zone", read.json() == zone, read.text)
    claims.status("another tenant's zone", stranger.call("GET", path), 404)
    claims.status("another tenant's DELETE", stranger.call("DELETE", path, headers={"if-match": etag}), 404)
    claims.status("an id that is none", api.call("GET", "/v1/zones/none"), 404)
    claims.status("the external id again", api.call("POST", "/v1/zones", body), 409)

    claims.status("PUT without If-Match", api.call("PUT", path, body), 428)
    claims.status("PUT with a stale If-Match", api.call("PUT", path, body, headers={"if-match": '"stale"'}), 412)
    changed = claims.status("PUT", api.call("PUT", path, body | {"name": "Two"}, headers={"if-match": etag}), 200)
    claims.that("a change counts the version up", changed.json().get("version") == 2, changed.text)
    fresh = changed.headers.get("etag")
    claims.that("a change changes the ETag", fresh and fresh != etag, fresh)
    claims.status("PUT with the old ETag", api.call("PUT", path, body, headers={"if-match": etag}), 412)
    renamed = api.call("PUT", path, body | {"external_id": "z-2"}, headers={"if-match": fresh})
    claims.that("an external id is immutable", renamed.status_code in (409, 422), renamed.status_code)

    for what, shape, pointer in BAD_SHAPES:
        claims.refused_at(what, api.call("POST", "/v1/zones", {"name": "bad", "shape": shape}), pointer)
    for member, value in (("exit_buffer_m", 1001), ("exit_buffer_m", -1), ("name", 7), ("dwell_s", -1)):
        bad = {"name": "bad", "shape": CIRCLE} | {member: value}
        claims.refused_at(f"{member} {value}", api.call("POST", "/v1/zones", bad), f"/{member}")
    claims.refused_at("no shape", api.call("POST", "/v1/zones", {"name": "bad"}), "/shape")
    claims.status("a body that is no object", api.call("POST", "/v1/zones", [1]), 422)

    line = ring((179.9, 0), (-179.9, 0), (-179.9, 1), (179.9, 1), (179.9, 0))
    claims.status("a ring across the antimeridian", api.call("POST", "/v1/zones", {"name": "line", "shape": line}), 201)

    claims.status("DELETE without If-Match", api.call("DELETE", path), 428)
    claims.status("DELETE with a stale If-Match", api.call("DELETE", path, headers={"if-match": etag}), 412)
    claims.status("DELETE", api.call("DELETE", path, headers={"if-match": fresh}), 204)
    claims.status("a deleted zone", api.call("GET", path), 404)

    key = {"idempotency-key": "once"}
    body = {"name": "kept", "shape": SQUARE, "tags": ["kept"]}
    first, again = (api.call("POST", "/v1/zones", body, headers=key) for _ in range(2))
    claims.status("POST with an Idempotency-Key", first, 201)
    claims.status("the same again", again, 201, 200)
    claims.that("the same key makes one zone", first.json().get("id") == again.json().get("id"), again.text)
    claims.status("the key with another body", api.call("POST", "/v1/zones", body | {"name": "x"}, headers=key), 409, 422)
    return first.json()["id"]


def external(claims, api):
    path, body = "/v1/zones/external/by-name%2F1", {"name": "mine", "shape": CIRCLE}
    made = claims.status("PUT by external id, new", api.call("PUT", path, body), 201)
    claims.that("it has the external id of the path", made.json().get("external_id") == "by-name/1", made.text)
    again = claims.status("PUT by external id, known", api.call("PUT", path, body | {"name": "yours"}), 200)
    claims.that("it is the same zone", again.json().get("id") == made.json().get("id"), again.text)
    claims.status("a stale If-Match there", api.call("PUT", path, body, headers={"if-match": made.headers.get("etag", "")}), 412)


def listings(claims, api):
    for i in range(3):
        api.must("POST", "/v1/zones", {"name": f"listed {i}", "shape": CIRCLE}, status=(201,))
    page = claims.status("GET /v1/zones", api.call("GET", "/v1/zones?limit=2"), 200).json()
    claims.exactly("a page", page, "data", "next_cursor")
    claims.that("a page is as long as its limit", len(page["data"]) == 2, len(page["data"]))
    all_rows = list(api.pages("/v1/zones"))
    one_by_one = list(api.pages("/v1/zones", limit=1))
    claims.that("pages of 1 and of 1000 give the same", one_by_one == all_rows, (len(one_by_one), len(all_rows)))
    up, down = list(api.pages("/v1/zones?order=asc")), list(api.pages("/v1/zones?order=desc"))
    claims.that("asc is desc the other way round", up == down[::-1])
    claims.that("desc is the default", all_rows == down)
    for query in ("limit=0", "limit=1001", "limit=x", "order=up", "cursor=nonsense"):
        claims.status(f"GET /v1/zones?{query}", api.call("GET", f"/v1/zones?{query}"), 400, 422)


def imports(claims, api):
    def feature(geometry, **properties):
        return {"type": "Feature", "geometry": geometry, "properties": properties}

    point = {"type": "Point", "coordinates": [2, 41]}
    collection = {"type": "FeatureCollection", "features": [
        feature(point, external_id="i-circle", name="circle", radius_m=50, tags=["t"], dwell_s=5),
        feature(SQUARE, name="square") | {"id": "i-square"},
        feature({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}, external_id="i-bad", name="bad"),
        feature(point, external_id="i-point", name="no radius"),
    ]}
    report = claims.status("dry run", api.call("POST", "/v1/zones/import?dry_run=true", collection), 200).json()
    claims.that("a dry run says what it would do", (report.get("created"), len(report.get("failed", []))) == (2, 2), report)
    report = claims.status("import", api.call("POST", "/v1/zones/import", collection), 200).json()
    claims.exactly("an import's report", report, "created", "updated", "unchanged", "failed")
    claims.that("an import makes what is right", (report["created"], report["updated"], report["unchanged"]) == (2, 0, 0), report)
    claims.that("an import says what failed", [(f["index"], f["external_id"]) for f in report["failed"]] == [(2, "i-bad"), (3, "i-point")], report)
    for failed in report["failed"]:
        claims.exactly("a failed feature", failed, "index", "external_id", "code", "detail", "pointer")
    report = api.must("POST", "/v1/zones/import", collection)
    claims.that("the same again changes nothing", (report["created"], report["updated"], report["unchanged"]) == (0, 0, 2), report)
    collection["features"][0]["properties"]["name"] = "renamed"
    report = api.must("POST", "/v1/zones/import", collection)
    claims.that("what changed is updated", (report["created"], report["updated"], report["unchanged"]) == (0, 1, 1), report)
    by_name = {zone["external_id"]: zone for zone in api.pages("/v1/zones")}
    circle = by_name.get("i-circle", {})
    claims.that("a point with a radius is a circle", circle.get("shape") == {"type": "circle", "center": [2, 41], "radius_m": 50}, circle)
    claims.that("other members come by name", (circle.get("tags"), circle.get("dwell_s")) == (["t"], 5), circle)
    exported = claims.status("export", api.call("GET", "/v1/zones/export"), 200).json()
    claims.that("an export is a FeatureCollection", exported.get("type") == "FeatureCollection", exported.get("type"))
    named = {"type": "FeatureCollection", "features": [
        f for f in exported["features"] if f.get("id") or f["properties"].get("external_id")]}
    report = api.must("POST", "/v1/zones/import", named)
    claims.that("what was exported is imported unchanged", (report["created"], report["updated"], report["failed"]) == (0, 0, []), report)
    answer = claims.status("an import under way", api.call("POST", "/v1/zones/import?async=true", collection), 202)
    claims.that("it gives a job", any("job" in name or name == "id" for name in answer.json()), answer.text)
    circle = {"type": "Point", "coordinates": [3, 41]}
    large = [feature(circle, external_id=f"large-{i}", name="x", radius_m=50) for i in range(10_001)]
    answer = api.call("POST", "/v1/zones/import", {"type": "FeatureCollection", "features": large})
    claims.status("an import of more than 10,000", answer, 202)
    until("all of them are there", lambda: api.call("GET", "/v1/zones?limit=1").ok and sum(
        (row["external_id"] or "").startswith("large-") for row in api.pages("/v1/zones")) == 10_001, 120)
    claims.status("no FeatureCollection", api.call("POST", "/v1/zones/import", {"type": "Feature"}), 422)


def devices(claims, api, stranger):
    body = {
        "platform": "android", "app": "shop", "push_token": "t-1", "locale": "ca-ES", "timezone": "Europe/Madrid",
        "attributes": {"plan": "gold", "age": 30}, "tags": ["vip"], "consents": {"push": True, "location": True},
    }
    path = "/v1/devices/d%201"
    made = claims.status("PUT a device", api.call("PUT", path, body), 201, 200)
    claims.status("PUT it again", api.call("PUT", path, body), 200)
    device = claims.status("GET a device", api.call("GET", path), 200).json()
    claims.members("a device", device, *(name for name in body if name != "push_token"))
    claims.that("a device says what it was given", all(device.get(n) == v for n, v in body.items() if n != "push_token"), device)
    claims.that("a device says its id", "d 1" in (device.get("device_id"), device.get("id")), device)
    claims.that("a stale If-Match is told", api.call("PUT", path, body, headers={"if-match": '"stale"'}).status_code == 412)
    claims.status("another tenant's device", stranger.call("GET", path), 404)
    claims.status("another tenant's presence", stranger.call("GET", path + "/presence"), 404)
    for platform in ("ios", "web"):
        claims.status(f"a device of {platform}", api.call("PUT", f"/v1/devices/{platform}", body | {"platform": platform}), 200, 201)
    for member, value in (("platform", "pager"), ("timezone", "Mars/Olympus"), ("attributes", 3), ("tags", "vip"), ("consents", {"push": "yes"})):
        claims.refused_at(f"{member} {value}", api.call("PUT", "/v1/devices/bad", body | {member: value}), f"/{member}")
    listed = claims.status("GET /v1/devices", api.call("GET", "/v1/devices"), 200).json()
    claims.that("devices are listed", len(listed["data"]) >= 3, len(listed["data"]))
    claims.status("DELETE a device", api.call("DELETE", path), 204)
    claims.status("a deleted device", api.call("GET", path), 404)
    claims.that("a device came with a 2xx", made.ok)


def apps(claims, system, api, stranger):
    body = system.app()
    claims.status("PUT an app", api.call("PUT", "/v1/apps/shop", body), 200, 201)
    claims.status("PUT it again", api.call("PUT", "/v1/apps/shop", body), 200)
    answer = claims.status("GET an app", api.call("GET", "/v1/apps/shop"), 200)
    claims.members("an app", answer.json(), "fcm", "apns")
    for secret in (body["fcm"]["service_account"]["private_key"], body["apns"]["private_key"]):
        claims.that("secrets never come back", json.dumps(secret)[1:60] not in answer.text and "PRIVATE KEY" not in answer.text)
    claims.status("another tenant's app", stranger.call("GET", "/v1/apps/shop"), 404)
    claims.status("an app without providers' members", api.call("PUT", "/v1/apps/bad", {"fcm": {}}), 422)


def settings(claims, api, stranger):
    path = "/v1/settings"
    first = claims.status("GET the settings", api.call("GET", path), 200)
    claims.members("settings", first.json(), "name", "detect_crossings", "version", "created_at", "updated_at")
    claims.times("settings", first.json(), "created_at", "updated_at")
    claims.that("crossings are not detected unless asked for", first.json()["detect_crossings"] is False, first.text)
    etag = {"if-match": first.headers.get("etag")}
    on = claims.status("PUT the settings", api.call("PUT", path, {"detect_crossings": True}, headers=etag), 200).json()
    claims.that("settings say what they were given", on["detect_crossings"] and on["name"] == first.json()["name"], on)
    claims.status("PUT with the old ETag", api.call("PUT", path, {"detect_crossings": False}, headers=etag), 412)
    claims.that("settings are read as they were answered", api.call("GET", path).json() == on, on)
    claims.that("another tenant keeps its own", stranger.call("GET", path).json()["detect_crossings"] is False)
    claims.refused_at("settings without detect_crossings", api.call("PUT", path, {}), "/detect_crossings")
    claims.refused_at("a member that is none", api.call("PUT", path, {"detect_crossings": True, "x": 1}), "/x")
    chosen = {
        "detect_crossings": False, "timezone": "Europe/Madrid", "quota_per_day": 1000000,
        "quiet_hours": {"from": "22:00", "to": "08:00", "then": "drop"},
        "caps": {"per_hour": 2, "per_day": 4, "per_week": None},
    }
    told = claims.status("PUT every setting", api.call("PUT", path, chosen), 200).json()
    claims.that("settings say every choice", all(told[n] == v for n, v in chosen.items()), told)
    for what, change, pointer in (
        ("a time zone that is none", {"timezone": "Mars/Olympus"}, "/timezone"),
        ("quiet hours without an end", {"quiet_hours": {"from": "22:00"}}, "/quiet_hours/to"),
        ("a cap above 200", {"caps": {"per_hour": 201}}, "/caps/per_hour"),
    ):
        claims.refused_at(what, api.call("PUT", path, chosen | change), pointer)
    claims.status("settings back to what they were", api.call("PUT", path, {"detect_crossings": False}), 200)


VARIANTS = [
    {"name": "short", "weight": 1, "message": {"title": "Hi", "body": "", "data": {}}},
    {"name": "long", "weight": 3, "message": {"title": "Hello", "body": "there", "data": {}}},
]


def campaigns(claims, api, stranger, zone):
    body = {
        "name": "Welcome", "app": "shop",
        "trigger": {"type": "zone", "on": "enter", "zone_ids": [zone], "zone_tags": [], "max_age_s": 900, "on_initial": True},
        "cooldown_s": 0, "audience": AUDIENCES[0], "message": {"title": "Hi", "body": "there", "data": {"k": "v"}},
    }
    made = claims.status("POST /v1/campaigns", api.call("POST", "/v1/campaigns", body), 201)
    campaign = made.json()
    claims.members("a campaign", campaign, *body, "id", "status")
    claims.that("a new campaign is a draft", campaign["status"] == "draft", campaign["status"])
    claims.that("a campaign says what it was given", all(campaign[n] == v for n, v in body.items()), campaign)
    path = f"/v1/campaigns/{campaign['id']}"
    claims.status("another tenant's campaign", stranger.call("GET", path), 404)
    claims.status("another tenant's activate", stranger.call("POST", path + "/activate"), 404)
    for step, status in (("activate", "active"), ("pause", "paused"), ("activate", "active")):
        answer = claims.status(f"POST …/{step}", api.call("POST", f"{path}/{step}"), 200)
        claims.that(f"{step} makes it {status}", answer.json().get("status") == status, answer.text)
    read = claims.status("GET a campaign", api.call("GET", path), 200)
    claims.status("PUT a campaign without If-Match", api.call("PUT", path, body), 428)
    claims.status("PUT a campaign, stale", api.call("PUT", path, body, headers={"if-match": made.headers.get("etag", "")}), 412)
    put = claims.status("PUT a campaign", api.call("PUT", path, body | {"name": "x"}, headers={"if-match": read.headers.get("etag", "")}), 200)
    claims.status("DELETE a campaign without If-Match", api.call("DELETE", path), 428)
    claims.status("DELETE a campaign", api.call("DELETE", path, headers={"if-match": put.headers.get("etag", "")}), 204)
    claims.status("a deleted campaign", api.call("GET", path), 404)
    claims.that("campaigns are listed", isinstance(api.must("GET", "/v1/campaigns")["data"], list))

    for audience in AUDIENCES + [{"visited": {"zone_id": zone, "within_s": 3600}}]:
        claims.status(f"audience {audience}", api.call("POST", "/v1/campaigns", body | {"audience": audience}), 201)
    everyone = {name: value for name, value in body.items() if name != "audience"}
    claims.status("no audience: everyone", api.call("POST", "/v1/campaigns", everyone), 201)
    full = body | {
        "starts_at": "2026-03-01T00:00:00.000Z", "ends_at": "2026-06-01T00:00:00.000Z",
        "hours": {"from": "09:00", "to": "21:00", "weekdays": ["mon", "sat"]}, "ignores_caps": True,
        "ignores_quiet_hours": True, "holdout_percent": 10, "variants": VARIANTS,
    }
    answer = claims.status("a campaign that says all it can", api.call("POST", "/v1/campaigns", full), 201)
    claims.that("it says what it was given", all(answer.json()[n] == v for n, v in full.items()), answer.text)
    path = f"/v1/campaigns/{answer.json()['id']}"
    again = claims.status("PUT what was answered", api.call("PUT", path, answer.json(), headers={"if-match": "*"}), 200)
    claims.that("nothing changed", again.json() == answer.json(), again.text)
    for trigger in (
        {"type": "schedule", "cron": "0 10 * * MON-FRI"}, {"type": "event", "name": "order_shipped", "max_age_s": 60},
        {"type": "absence", "days": 30, "zone_ids": [zone], "zone_tags": []},
    ):
        answer = claims.status(f"trigger {trigger['type']}", api.call("POST", "/v1/campaigns", body | {"trigger": trigger}), 201)
        claims.that(f"trigger {trigger['type']} says what it was given", answer.json()["trigger"] == trigger, answer.text)
    ageless = body | {"trigger": body["trigger"] | {"max_age_s": None}}
    answer = claims.status("max_age_s null", api.call("POST", "/v1/campaigns", ageless), 201)
    claims.that("null stays null", answer.json()["trigger"]["max_age_s"] is None, answer.text)
    least = {"name": "n", "app": "shop", "trigger": {"type": "zone", "on": "exit", "zone_tags": ["x"]}, "message": {"title": "t", "body": "b"}}
    answer = claims.status("defaults", api.call("POST", "/v1/campaigns", least), 201)
    trigger = answer.json().get("trigger", {})
    claims.that("max_age_s is 900 and on_initial false where nobody says", (trigger.get("max_age_s"), trigger.get("on_initial")) == (900, False), trigger)
    for what, change, pointer in (
        ("an audience of nothing known", {"audience": {"colour": "red"}}, "/audience"),
        ("an operator that is none", {"audience": {"all": [{"attr": "a", "op": "like", "value": 1}]}}, "/audience/all/0"),
        ("a trigger that is none", {"trigger": {"type": "zone", "on": "jump"}}, "/trigger/on"),
        ("no title", {"message": {"body": 3}}, "/message"),
        ("a cooldown below nothing", {"cooldown_s": -1}, "/cooldown_s"),
        ("a schedule that never comes", {"trigger": {"type": "schedule", "cron": "0 0 31 2 *"}}, "/trigger/cron"),
        ("an absence of no day", {"trigger": {"type": "absence", "days": 0}}, "/trigger/days"),
        ("an end before the start", {"starts_at": "2026-02-01T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}, "/ends_at"),
        ("a holdout above 100", {"holdout_percent": 101}, "/holdout_percent"),
        ("a template that can't be read", {"message": {"title": "{{ device."}}, "/message/title"),
        ("two variants of one name", {"variants": VARIANTS[:1] * 2}, "/variants/1/name"),
    ):
        claims.refused_at(what, api.call("POST", "/v1/campaigns", body | change), pointer)


def events(claims, api):
    event = {"device_id": "nobody", "name": "order_shipped", "at": "2026-01-01T00:00:00Z", "properties": {"order": "A-17"}}
    claims.refused_at("an event of long ago", api.call("POST", "/v1/events", event), "/at")
    del event["at"]
    answer = claims.status("POST /v1/events", api.call("POST", "/v1/events", event), 202).json()
    claims.exactly("events", answer, "accepted", "ids")
    claims.that("one event is accepted", answer["accepted"] == 1 and len(answer["ids"]) == 1, answer)
    answer = claims.status("several events", api.call("POST", "/v1/events", [event, event]), 202).json()
    claims.that("each is its own", answer["accepted"] == 2 and len(set(answer["ids"])) == 2, answer)
    claims.refused_at("an event without a name", api.call("POST", "/v1/events", [event, {"device_id": "d"}]), "/1/name")
