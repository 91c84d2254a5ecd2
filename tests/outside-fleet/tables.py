"""The tables, read by cassandra-driver: typed columns, rows that people can read, and that they are the API's."""

import json
import uuid
from collections import Counter, defaultdict
from datetime import datetime, timezone

from scene import DEVICES, GOING, STAYING

DAY_S = 24 * 60 * 60
# By keyspace: each table, how long it keeps rows (None: until they are removed).
TABLES = {
    "config": {
        "apps": None, "campaigns": None, "devices": None, "idempotency": DAY_S, "intents": None, "keys": None,
        "quotas": None, "send_months": None, "sends": None, "sends_by_time": None, "tenants": None, "zones": None,
    },
    "history": {
        "dead_letter_hours": 30 * DAY_S, "dead_letters": 30 * DAY_S, "deliveries_by_device": 90 * DAY_S,
        "deliveries_by_source": 90 * DAY_S, "delivery_totals": 90 * DAY_S, "device_engagement": 400 * DAY_S,
        "device_months": 90 * DAY_S, "device_positions": 90 * DAY_S, "early_receipts": DAY_S,
        "import_jobs": 30 * DAY_S, "presence_by_device": None, "presence_by_zone": None, "pushes_by_id": 90 * DAY_S,
        "receipts": 90 * DAY_S, "send_pages": 7 * DAY_S, "send_shards": 90 * DAY_S, "send_targets": 30 * DAY_S,
        "source_hours": 90 * DAY_S, "transitions_by_device": 90 * DAY_S, "transitions_by_zone": 90 * DAY_S,
        "zone_days": 90 * DAY_S,
    },
}
# Hashes and what is sealed are bytes; nothing else is.
BYTES = {("keys", "hash"), ("apps", "sealed"), ("idempotency", "request_hash")}
# Tables that this scene leaves alone.
EMPTY = {
    "intents", "idempotency", "import_jobs", "receipts", "early_receipts", "device_engagement", "dead_letters",
    "dead_letter_hours", "quotas", "send_pages",
}
COLUMNS = {
    "transitions_by_device": {
        "tenant": "uuid", "device": "text", "month": "int", "incarnation": "bigint", "seq": "bigint", "id": "uuid",
        "zone": "uuid", "zone_external_id": "text", "kind": "text", "at": "timestamp", "reason": "text",
        "initial": "boolean", "dwell_s": "bigint", "zone_version": "bigint", "fix_lat": "double", "fix_lon": "double",
        "fix_time": "timestamp", "fix_accuracy_m": "double",
    },
    "deliveries_by_device": {
        "tenant": "uuid", "device": "text", "month": "int", "created_at": "timestamp", "push": "uuid",
        "campaign": "uuid", "send": "uuid", "cause": "uuid", "provider": "text", "outcome": "text", "reason": "text",
        "attempts": "int", "finished_at": "timestamp", "provider_message_id": "text", "app": "text",
        "variant": "text",
    },
}
KEYS = {
    "zones": (["tenant", "bucket"], ["zone"]),
    "devices": (["tenant", "bucket"], ["device"]),
    "transitions_by_device": (["tenant", "device", "month"], ["incarnation", "seq"]),
    "transitions_by_zone": (["tenant", "zone", "day", "shard"], ["at", "id"]),
    "deliveries_by_device": (["tenant", "device", "month"], ["created_at", "push"]),
    "deliveries_by_source": (["tenant", "source", "hour", "shard"], ["created_at", "push"]),
}


def check(claims, system, tenant, told):
    with system.cluster() as cluster:
        session = cluster.connect()
        rows = {}
        for kind, tables in TABLES.items():
            name = f"{system.name}_{kind}"
            keyspace = cluster.metadata.keyspaces.get(name)
            if not claims.that(f"there is a keyspace {name}", keyspace is not None):
                continue
            there = set(keyspace.tables) - {"schema_versions"}
            claims.that(f"the {kind} tables", there == set(tables), sorted(there ^ set(tables)))
            for table, ttl_s in tables.items():
                shape(claims, keyspace.tables[table], ttl_s)
                rows[table] = list(session.execute(f"SELECT * FROM {name}.{table}", timeout=60))
                has = claims.that(f"{table} has rows", bool(rows[table]) != (table in EMPTY), len(rows[table]))
                if has and rows[table]:
                    readable(claims, session, name, table, ttl_s)
        tenants(claims, tenant, rows)
        transitions(claims, told, rows)
        deliveries(claims, told, rows)
        configuration(claims, told, rows)
    return sum(map(len, rows.values()))


def shape(claims, table, ttl_s):
    for name, column in table.columns.items():
        typed = column.cql_type in ("uuid", "text", "timestamp", "int", "bigint", "double", "boolean")
        claims.that(f"{table.name}.{name} has a plain type", typed or (table.name, name) in BYTES, column.cql_type)
    if table.name in COLUMNS:
        has = {name: column.cql_type for name, column in table.columns.items()}
        claims.that(f"{table.name}'s columns", has == COLUMNS[table.name], has)
    if table.name in KEYS:
        has = tuple([column.name for column in part] for part in (table.partition_key, table.clustering_key))
        claims.that(f"{table.name}'s key", has == KEYS[table.name], has)
    claims.that(f"{table.name}: rows live {ttl_s} s", table.options["default_time_to_live"] == (ttl_s or 0))
    if ttl_s:
        how = table.options["compaction"]
        by_windows = how["class"].endswith("TimeWindowCompactionStrategy")
        claims.that(f"{table.name} is compacted by time windows", by_windows, how)
        unit_s = {"HOURS": 3600, "DAYS": DAY_S}.get(how.get("compaction_window_unit"), 1)
        windows = ttl_s / (unit_s * int(how.get("compaction_window_size", 1)))
        claims.that(f"{table.name} has 20 to 30 windows", 20 <= windows <= 30, windows)


def readable(claims, session, keyspace, table, ttl_s):
    """As people see it in cqlsh; and what is to go has its time."""
    row = session.execute(f"SELECT JSON * FROM {keyspace}.{table} LIMIT 1", timeout=60).one()
    claims.that(f"{table}: a row is JSON", isinstance(json.loads(row.json), dict))
    declared = session.cluster.metadata.keyspaces[keyspace].tables[table]
    regular = set(declared.columns) - {column.name for column in declared.primary_key}
    if ttl_s and regular:
        asked = ", ".join(f"TTL({name})" for name in regular)
        row = session.execute(f"SELECT {asked} FROM {keyspace}.{table} LIMIT 1", timeout=60).one()
        left = [ttl for ttl in row if ttl]
        claims.that(f"{table}: a row's time runs", left and all(0 < ttl <= ttl_s for ttl in left), left)


def ms(moment):
    """A column's moment (UTC) as the API writes it."""
    if moment is None:
        return None
    return moment.replace(tzinfo=timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text(value):
    return None if value is None else str(value)


def tenants(claims, tenant, rows):
    for table, each in rows.items():
        others = {row.tenant for row in each if hasattr(row, "tenant")} - {uuid.UUID(tenant)}
        claims.that(f"{table}: one tenant's rows", not others, others)


def same(claims, what, told, found):
    for device, each in told.items():
        claims.that(f"{what} of a device", each == found[device], f"{device}: {each} and {found[device]}")


def transitions(claims, told, rows):
    def as_told(row):
        fix = {"lat": row.fix_lat, "lon": row.fix_lon, "time": ms(row.fix_time), "accuracy_m": row.fix_accuracy_m}
        return {
            "id": str(row.id), "seq": row.seq, "device_id": row.device, "zone_id": str(row.zone),
            "zone_external_id": row.zone_external_id, "kind": row.kind, "at": ms(row.at), "reason": row.reason,
            "initial": row.initial, "dwell_s": row.dwell_s, "zone_version": row.zone_version, "fix": fix,
        }

    found = defaultdict(list)
    for row in sorted(rows["transitions_by_device"], key=lambda row: (row.incarnation, row.seq)):
        found[row.device].append(as_told(row))
    same(claims, "transitions_by_device are the API's transitions", told.transitions, found)
    claims.that("nobody else has transitions", set(found) == set(DEVICES), set(found) ^ set(DEVICES))
    by_zone = Counter(str(row.id) for row in rows["transitions_by_zone"])
    by_device = Counter(row["id"] for each in found.values() for row in each)
    differ = (by_zone - by_device) | (by_device - by_zone)
    claims.that("transitions_by_zone are the same", not differ, differ)
    here = {(row.device, str(row.zone)) for row in rows["presence_by_device"]}
    there = {(row.device, str(row.zone)) for row in rows["presence_by_zone"]}
    claims.that("presence by device and by zone agree", here == there, here ^ there)
    inside = {device for device, _ in here}
    claims.that("who is in a zone", inside == set(DEVICES) - {STAYING, GOING}, inside)


def deliveries(claims, told, rows):
    def as_told(row):
        return {
            "push_id": str(row.push), "campaign_id": text(row.campaign), "send_id": text(row.send),
            "device_id": row.device, "cause_id": str(row.cause), "provider": row.provider, "outcome": row.outcome, "reason": row.reason,
            "attempts": row.attempts, "created_at": ms(row.created_at), "finished_at": ms(row.finished_at),
            "provider_message_id": row.provider_message_id, "variant": row.variant,
            "receipts": {"delivered_at": None, "opened_at": None, "clicked_at": None},
        }

    found = defaultdict(list)
    for row in sorted(rows["deliveries_by_device"], key=lambda row: (row.created_at, row.push)):
        found[row.device].append(as_told(row))
    order = lambda row: (row["created_at"], row["push_id"])
    each = {device: sorted(each, key=order) for device, each in told.deliveries.items()}
    same(claims, "deliveries_by_device are the API's deliveries", each, {d: sorted(found[d], key=order) for d in each})
    by_source = Counter(str(row.push) for row in rows["deliveries_by_source"])
    by_device = Counter(row["push_id"] for each in found.values() for row in each)
    differ = (by_source - by_device) | (by_device - by_source)
    claims.that("deliveries_by_source are the same", not differ, differ)
    totals = Counter()
    for row in rows["delivery_totals"]:
        for outcome in ("accepted", "failed", "suppressed", "expired"):
            totals[str(row.source), outcome] += getattr(row, outcome)
    counted = Counter((str(row.source), row.outcome) for row in rows["deliveries_by_source"])
    claims.that("the totals add up to the rows", +totals == counted, f"{+totals} and {counted}")
    of_send = {outcome: totals[told.send["id"], outcome] for outcome in ("accepted", "failed", "suppressed", "expired")}
    said = {outcome: told.send[outcome] for outcome in of_send}
    claims.that("the send's totals are the API's", of_send == said, f"{of_send}, not {said}")


def configuration(claims, told, rows):
    live = {str(row.zone): row for row in rows["zones"] if not row.deleted}
    claims.that("the zones that live are the API's", set(live) == set(told.zones), set(live) ^ set(told.zones))
    for id, zone in told.zones.items():
        row = live[id]
        claims.that("a zone's name and version", (row.name, row.version) == (zone["name"], zone["version"]), id)
        claims.that("a zone's shape is JSON as the API has it", json.loads(row.shape) == zone["shape"], row.shape)
        claims.that("a zone's tags", json.loads(row.tags) == zone["tags"], row.tags)
        claims.that("when it was changed", ms(row.updated_at) == zone["updated_at"], ms(row.updated_at))
    devices = {row.device for row in rows["devices"] if not row.deleted}
    claims.that("the devices that live", devices == set(DEVICES) - {GOING}, devices ^ set(DEVICES))
    claims.that("no key is kept as it is", all(len(row.hash) == 32 for row in rows["keys"]))
    claims.that("credentials are sealed", all(b"PRIVATE KEY" not in row.sealed for row in rows["apps"]))
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    claims.that("moments are now", all(0 <= (now - row.created_at).total_seconds() < 3600 for row in rows["devices"]))
