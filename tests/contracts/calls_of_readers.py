"""What can be looked up afterwards: transitions, presence, sends, deliveries; the sandbox; metrics."""

import re
import time

from deployment import Api, until

TRANSITION = (
    "id", "seq", "device_id", "zone_id", "zone_external_id", "kind", "at", "reason", "initial", "dwell_s", "zone_version", "fix",
)
DELIVERY = (
    "push_id", "campaign_id", "send_id", "device_id", "cause_id", "provider", "outcome", "reason", "attempts", "created_at",
    "finished_at", "provider_message_id", "variant", "receipts",
)
COUNTS = ("pending", "accepted", "failed", "suppressed", "expired")


def tried(claims, system, keys, other):
    api, stranger = system.api(keys["secret_key"]), system.api(other["secret_key"])
    phone, sandbox = system.ingest(keys["publishable_key"]), Api(system.providers["control_url"])
    zone, campaign = visit(claims, api, phone, sandbox)
    transitions(claims, api, stranger, zone)
    deliveries(claims, api, stranger, campaign)
    sends(claims, api, stranger)
    faults(claims, api, sandbox)
    metrics(claims, system)


def visit(claims, api, phone, sandbox):
    """A push that comes of a ping."""
    shape = {"type": "circle", "center": [100.0, 10.0], "radius_m": 200}
    zone = api.must("POST", "/v1/zones", {"external_id": "visited", "name": "visited", "shape": shape})["id"]
    campaign = api.must("POST", "/v1/campaigns", {
        "name": "visit", "app": "shop", "trigger": {"type": "zone", "on": "enter", "zone_ids": [zone], "on_initial": True},
        "message": {"title": "Hi", "body": "there", "data": {"k": "v"}}})["id"]
    api.must("POST", f"/v1/campaigns/{campaign}/activate")
    for device in ("r1", "r2"):
        api.must("PUT", f"/v1/devices/{device}", {"platform": "android", "app": "shop", "push_token": f"token-{device}",
                                                 "consents": {"push": True, "location": True}})
    now = int(time.time() * 1000)
    for device in ("r1", "r2"):
        pings = [{"lat": 10.0, "lon": 100.0, "time": now - 5000}, {"lat": 11.0, "lon": 100.0, "time": now - 3000}]
        phone.must("POST", "/v1/pings", {"device_id": device, "pings": pings[: 2 if device == "r1" else 1]})
    sent = until("both pushes", lambda: [s for s in api_sent(sandbox) if s["title"] == "Hi"][1:] and api_sent(sandbox))
    for push in sent:
        claims.members("a sent push", push, "provider", "token", "title", "body", "data", "push_id", "received_at")
    push = next(push for push in sent if push["token"] == "token-r1")
    claims.that("data comes through", push["data"].get("k") == "v", push)
    claims.that("a push carries its id", push["data"].get("geopush_push_id") == push["push_id"], push)
    after = sandbox.must("GET", f"/sent?after={push['received_at']}")["data"]
    claims.that("after= gives later ones only", push["push_id"] not in [p["push_id"] for p in after])
    return zone, campaign


def api_sent(sandbox):
    return sandbox.must("GET", "/sent")["data"]


def transitions(claims, api, stranger, zone):
    rows = until("transitions", lambda: api.must("GET", f"/v1/transitions?zone_id={zone}&order=asc")["data"][2:]
                 and api.must("GET", f"/v1/transitions?zone_id={zone}&order=asc")["data"])
    for row in rows:
        claims.exactly("a transition", row, *TRANSITION)
        claims.exactly("a transition's fix", row["fix"], "lat", "lon", "time", "accuracy_m")
        claims.times("a transition", row, "at")
        claims.times("a transition's fix", row["fix"], "time")
    mine = api.must("GET", "/v1/devices/r1/transitions?order=asc")["data"]
    claims.that("a device's transitions are in order", [row["kind"] for row in mine] == ["enter", "exit"], mine)
    claims.that("an exit says why", mine[-1]["reason"] == "left", mine[-1])
    claims.that("the first was at the first fix", mine[0]["initial"] is True and mine[1]["initial"] is False)
    claims.that("desc is the default", api.must("GET", "/v1/devices/r1/transitions")["data"] == mine[::-1])
    enter, exit_ = mine[0]["at"], mine[1]["at"]

    def ids(query):
        return [row["id"] for row in api.must("GET", f"/v1/transitions?zone_id={zone}&{query}")["data"]]

    claims.that("from is inclusive", mine[1]["id"] in ids(f"from={exit_}") and mine[0]["id"] not in ids(f"from={exit_}"))
    claims.that("to is exclusive", mine[1]["id"] not in ids(f"to={exit_}") and mine[0]["id"] in ids(f"from={enter}&to={exit_}"))
    claims.status("a time that is none", api.call("GET", f"/v1/transitions?zone_id={zone}&from=yesterday"), 400, 422)
    seen = stranger.call("GET", f"/v1/transitions?zone_id={zone}")
    claims.that("another tenant sees none", seen.status_code == 404 or seen.json()["data"] == [], seen.text)
    seen = stranger.call("GET", "/v1/devices/r1/transitions")
    claims.that("nor by device", seen.status_code == 404 or seen.json()["data"] == [], seen.text)

    presence = until("presence", lambda: [p] if (p := api.must("GET", "/v1/devices/r2/presence"))["data"] else None)[0]
    claims.exactly("presence", presence, "data", "last_fix")
    claims.exactly("a zone of presence", presence["data"][0], "zone_id", "zone_external_id", "since")
    claims.that("presence says the zone", presence["data"][0]["zone_id"] == zone, presence)
    claims.that("who left is not present", api.must("GET", "/v1/devices/r1/presence")["data"] == [])


def deliveries(claims, api, stranger, campaign):
    path = f"/v1/deliveries?campaign_id={campaign}"
    rows = until("deliveries", lambda: rows if len(rows := api.must("GET", path)["data"]) == 2 else None)
    for row in rows:
        claims.exactly("a delivery", row, *DELIVERY)
        claims.times("a delivery", row, "created_at", "finished_at")
        claims.that("it was accepted by FCM", (row["outcome"], row["provider"]) == ("accepted", "fcm"), row)
        claims.that("it says the campaign", row["campaign_id"] == campaign and row["send_id"] is None, row)
    mine = api.must("GET", "/v1/devices/r1/deliveries")["data"]
    claims.that("a device's deliveries are the same rows", mine == [row for row in rows if row["device_id"] == "r1"], mine)
    last = max(row["created_at"] for row in rows)
    claims.that("to is exclusive for deliveries", last not in [r["created_at"] for r in api.must("GET", f"{path}&to={last}")["data"]])
    seen = stranger.call("GET", path)
    claims.that("another tenant sees no deliveries", seen.status_code == 404 or seen.json()["data"] == [], seen.text)


def sends(claims, api, stranger):
    message = {"title": "All", "body": "of you"}
    body = {"app": "shop", "device_ids": ["r1", "r2", "nobody"], "message": message}
    answer = claims.status("POST /v1/sends", api.call("POST", "/v1/sends", body), 202).json()
    claims.that("a send gives its id", "id" in answer, answer)
    path = f"/v1/sends/{answer['id']}"

    def done():
        send = api.must("GET", path)
        claims.members("a send", send, "targeted", *COUNTS, "status")
        claims.that("targeted is the sum of the rest", send["targeted"] == sum(send[c] for c in COUNTS) == 3, send)
        return send if send["pending"] == 0 else None

    send = until("the send is done", done)
    claims.that("two are accepted and one is suppressed", (send["accepted"], send["suppressed"]) == (2, 1), send)
    rows = api.must("GET", f"/v1/deliveries?send_id={answer['id']}")["data"]
    claims.that("each has its row", sorted(row["device_id"] for row in rows) == ["nobody", "r1", "r2"], rows)
    claims.status("another tenant's send", stranger.call("GET", path), 404)
    key = {"idempotency-key": "send-1"}
    twice = {api.must("POST", "/v1/sends", body, headers=key)["id"] for _ in range(2)}
    claims.that("the same key sends once", len(twice) == 1, twice)
    claims.refused_at("no devices", api.call("POST", "/v1/sends", body | {"device_ids": []}), "/device_ids")
    claims.refused_at("too many devices", api.call("POST", "/v1/sends", body | {"device_ids": [str(i) for i in range(100_001)]}), "/device_ids")
    claims.refused_at("no message", api.call("POST", "/v1/sends", {"app": "shop", "device_ids": ["r1"]}), "/message")


def faults(claims, api, sandbox):
    # A device of its own, so that no push of before meets the fault.
    api.must("PUT", "/v1/devices/r3", {"platform": "web", "app": "shop", "push_token": "token-r3", "consents": {"push": True, "location": True}})
    fault = {"provider": "fcm", "token": "token-r3", "status": 503, "reason": "UNAVAILABLE", "retry_after_s": 1,
             "delay_ms": 0, "action": "respond", "times": 1}
    claims.that("POST /faults is taken", sandbox.call("POST", "/faults", fault).ok)
    body = {"app": "shop", "device_ids": ["r3"], "message": {"title": "Late", "body": "but there"}}
    send = api.must("POST", "/v1/sends", body)["id"]
    row = until("the retried push", lambda: api.must("GET", f"/v1/deliveries?send_id={send}")["data"])[0]
    claims.that("a 503 is tried again", (row["outcome"], row["attempts"]) == ("accepted", 2), row)
    claims.that("DELETE /faults is taken", sandbox.call("DELETE", "/faults").ok)


def metrics(claims, system):
    admin = system.admin()
    for path in ("/livez", "/readyz", "/metrics"):
        claims.that(f"GET {path}", admin.call("GET", path).status_code == 200)
    # Lag is measured now and then.
    text = until("lag is told", lambda: text if "_lag_records" in (text := admin.call("GET", "/metrics").text) else None)
    ours = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE geopush_")}
    claims.that("there are metrics of each role", all(any(name.startswith(f"geopush_{role}_") for name in ours)
                for role in ("ingest", "geofence", "dispatcher", "api")), sorted(ours))
    for label in re.findall(r"[{,](\w+)=", text):
        claims.that("tenant, device and token are never labels", label not in ("tenant", "device", "token", "tenant_id", "device_id"), label)
    claims.that("lag is told in records and in seconds", any("lag" in n and n.endswith("records") for n in ours)
                and any("lag" in n and n.endswith("seconds") for n in ours), sorted(n for n in ours if "lag" in n))
    claims.that("from fix received to push accepted is told", any("accepted" in n and n.endswith("seconds") for n in ours), sorted(ours))
