"""The topics, read by kafka-python and by kcat: what is in them, where, and that protobuf's own code decodes it."""

import base64
import importlib
import json
import pathlib
import subprocess
import sys
import uuid
from collections import Counter, defaultdict

from deployment import Failed, until
from fleet import PARTITIONS
from google.protobuf.unknown_fields import UnknownFieldSet
from grpc_tools import protoc
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from scene import DEVICES, GOING, VISITORS, trace_of

PROTO = pathlib.Path(__file__).resolve().parents[2] / "crates" / "model" / "proto"
DAY_MS = 24 * 60 * 60 * 1000
# Each topic: its partitions, how long it keeps records (None: the last of each key), what its values are.
TOPICS = {
    "pings": (PARTITIONS, 7, "Ping"),
    "zones": (1, None, "Zone"),
    "device-state": (PARTITIONS, None, "DeviceState"),
    "transitions": (PARTITIONS, 30, "Transition"),
    "campaigns": (1, None, "Campaign"),
    "config": (1, None, "Config"),
    "jobs": (PARTITIONS, 7, "Job"),
    "push-requests": (PARTITIONS, 7, "PushRequest"),
    "plan-state": (PARTITIONS, None, "PlanState"),
    "pushes": (PARTITIONS, 7, "Push"),
    "push-retries-1m": (PARTITIONS, 7, "Push"),
    "push-retries-10m": (PARTITIONS, 7, "Push"),
    "push-retries-1h": (PARTITIONS, 7, "Push"),
    "deliveries": (PARTITIONS, 7, "Delivery"),
    "rejected": (1, 7, None),
}
# Whose keys are tenant/device.
OF_DEVICES = ["pings", "transitions", "push-requests", "plan-state", "pushes", "deliveries"]
# What this scene leaves alone.
EMPTY = {"push-retries-1m", "push-retries-10m", "push-retries-1h"}
GROUPS = {
    "geofence": ["pings"],
    "plan": ["transitions", "push-requests"],
    "expand": ["jobs"],
    "send": ["pushes"],
    "record": ["transitions", "deliveries"],
}
# An exit's reasons: zone removed, zone changed, device removed.
OF_MERCHANTS = {2, 3, 4}
# What no one of ours would write into a topic.
GARBAGE = b"\xff\xff\xff not a ping"


def murmur2(data):
    """The hash of Kafka's own clients, written down from Kafka's description of it."""
    mask, m, h = 0xFFFFFFFF, 0x5BD1E995, 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def messages(out):
    """The classes that protobuf's compiler makes of the project's `.proto` files."""
    files = sorted(str(path) for path in PROTO.rglob("*.proto"))
    out.mkdir(exist_ok=True)
    if not files or protoc.main(["protoc", f"-I{PROTO}", f"--python_out={out}", *files]) != 0:
        raise Failed(f"protobuf does not take the files in {PROTO}")
    sys.path.insert(0, str(out))
    names = [f"{pathlib.Path(path).relative_to(PROTO).with_suffix('')}_pb2".replace("/", ".") for path in files]
    made = [importlib.import_module(name) for name in names]
    return {name: getattr(module, name) for module in made for name in module.DESCRIPTOR.message_types_by_name}


def unknown(message):
    """Whether a value says anything that the files do not know of, at any depth."""
    if len(UnknownFieldSet(message)):
        return True
    for descriptor, value in message.ListFields():
        if descriptor.message_type and not descriptor.message_type.GetOptions().map_entry:
            inner = value if descriptor.is_repeated else [value]
            if any(unknown(one) for one in inner):
                return True
    return False


def misplace(system):
    """Something that is no ping, by a producer that is none of ours. The topic and partition."""
    producer = KafkaProducer(bootstrap_servers=system.brokers)
    sent = producer.send(f"{system.prefix}geopush.pings", key=b"nobody", value=GARBAGE).get(30)
    producer.close()
    return sent


def read(system, topic):
    """Every record that was committed, in the order of each partition; and where each partition ended then."""
    consumer = KafkaConsumer(
        bootstrap_servers=system.brokers, isolation_level="read_committed", enable_auto_commit=False
    )
    name = f"{system.prefix}geopush.{topic}"
    places = [TopicPartition(name, number) for number in consumer.partitions_for_topic(name)]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    ends, records = consumer.end_offsets(places), []

    def at_the_end():
        for found in consumer.poll(timeout_ms=500).values():
            records.extend(found)
        return all(consumer.position(place) >= ends[place] for place in places)

    until(f"{topic} is read to its end", at_the_end)
    consumer.close()
    records.sort(key=lambda record: (record.partition, record.offset))
    return records, {place.partition: end for place, end in ends.items()}


def by_kcat(system, topic):
    """Where the same records are as another client sees them."""
    name = f"{system.prefix}geopush.{topic}"
    command = ["kcat", "-C", "-q", "-e", "-b", system.brokers, "-t", name, "-o", "beginning", "-f", "%p %o\\n"]
    command += ["-X", "isolation.level=read_committed"]
    listed = subprocess.run(command, capture_output=True, timeout=60, check=True, text=True).stdout
    return sorted(tuple(map(int, line.split())) for line in listed.splitlines())


def check(claims, system, tenant, told, misplaced):
    classes = messages(system.dir / "messages")
    topics_are_as_the_table_says(claims, system)
    found, decoded = {}, {}
    for topic in TOPICS:
        records, ends = read(system, topic)
        found[topic] = records
        claims.that(f"{topic} has records", bool(records) != (topic in EMPTY), len(records))
        # Devices' states go on being written.
        mine = [(r.partition, r.offset) for r in records if r.offset < ends[r.partition]]
        seen = [(partition, offset) for partition, offset in by_kcat(system, topic) if offset < ends[partition]]
        claims.that(f"kcat and kafka-python agree on {topic}", seen == mine, f"{len(seen)} and {len(mine)}")
        decoded[topic] = [(r, decode(claims, classes, topic, r)) for r in records if r.value not in (None, GARBAGE)]
    for topic in OF_DEVICES:
        keys_and_partitions(claims, tenant, topic, found[topic])
    traces(claims, decoded)
    counts(claims, system, tenant, told, {topic: [m for _, m in each] for topic, each in decoded.items()})
    state(claims, tenant, decoded["device-state"])
    rejected(claims, system, found["rejected"], misplaced)
    positions(claims, system, found)
    return sum(map(len, found.values()))


def topics_are_as_the_table_says(claims, system):
    admin = KafkaAdminClient(bootstrap_servers=system.brokers)
    names = {f"{system.prefix}geopush.{topic}": topic for topic in TOPICS}
    there = {name for name in admin.list_topics() if name.startswith(system.prefix)}
    claims.that("the topics are those of the table", there == set(names), sorted(there ^ set(names)))
    described = {topic["name"]: topic for topic in admin.describe_topics(list(names))}
    settings = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    for name, topic in names.items():
        partitions, days, _ = TOPICS[topic]
        claims.that(f"{topic} has {partitions} partitions", len(described[name]["partitions"]) == partitions)
        has = {key: entry["value"] for key, entry in settings["topic"][name].items()}
        cleanup = "compact" if days is None else "delete"
        claims.that(f"{topic}: cleanup {cleanup}", has["cleanup.policy"] == cleanup, has["cleanup.policy"])
        claims.that(f"{topic}: records' times are their arrivals", has["message.timestamp.type"] == "LogAppendTime")
        if days:
            claims.that(f"{topic} is kept {days} days", has.get("retention.ms") == str(days * DAY_MS), has)
    admin.close()


def decode(claims, classes, topic, record):
    kind = TOPICS[topic][2]
    if kind is None:
        return json.loads(record.value)
    message = classes[kind]()
    try:
        message.ParseFromString(record.value)
    except Exception as error:
        claims.that(f"{topic}: every value is a {kind}", False, f"{record.partition}/{record.offset}: {error}")
        return message
    claims.that(f"{topic}: every value is a {kind} and no more", not unknown(message), f"{record.partition}/{record.offset}")
    return message


def keys_and_partitions(claims, tenant, topic, records):
    keys = {f"{tenant}/{device}".encode(): device for device in DEVICES}
    for record in records:
        if record.value == GARBAGE:
            continue
        where = f"{record.partition}/{record.offset}"
        claims.that(f"{topic}: keys are tenant/device", record.key in keys, f"{where}: {record.key}")
        right = (murmur2(record.key) & 0x7FFFFFFF) % PARTITIONS
        claims.that(f"{topic}: murmur2 of the key says the partition", record.partition == right, where)


def traces(claims, decoded):
    """The trace id that a phone gave is in the headers of everything that its ping caused."""
    for topic in ("pings", "transitions", "pushes", "deliveries"):
        by_device = defaultdict(set)
        for record, value in decoded[topic]:
            ids = [text.decode() for name, text in record.headers if name == "trace_id"]
            if caused_by_a_phone(topic, value):
                claims.that(f"{topic}: one trace id a record", len(ids) == 1 and len(ids[0]) == 32, record.headers)
            by_device[value.device].update(ids)
        for device in VISITORS:
            claims.that(f"{topic}: the phone's trace id", trace_of(device) in by_device[device], device)


def caused_by_a_phone(topic, value):
    """A merchant who changes or removes a zone or a device ends stays, too."""
    if topic == "transitions":
        return value.reason not in OF_MERCHANTS
    return topic != "pings" or value.HasField("fixes")


def counts(claims, system, tenant, told, values):
    """What is in the topics is what the API said, and nothing else."""

    def same(what, left, right):
        claims.that(what, left == right, f"{left - right} and {right - left}" if left != right else "")

    def ids(topic, name="id"):
        return Counter(str(uuid.UUID(bytes=getattr(value, name))) for value in values[topic])

    def said(rows, name, but=()):
        return Counter(row[name] for device, each in rows.items() for row in each if device not in but)

    fixes = sum(len(value.fixes.fixes) for value in values["pings"] if value.HasField("fixes"))
    claims.that("the fixes in pings are those accepted", fixes == told.accepted, f"{fixes}, not {told.accepted}")
    forgotten = [value.device for value in values["pings"] if value.HasField("forget")]
    claims.that("the device that was deleted is to be forgotten", forgotten == [GOING], forgotten)
    for topic in ("pings", "transitions", "pushes", "deliveries", "push-requests"):
        others = {value.tenant for value in values[topic]} - {uuid.UUID(tenant).bytes}
        claims.that(f"{topic}: one tenant's", not others, others)

    of_going = {str(uuid.UUID(bytes=v.id)) for v in values["transitions"] if v.device == GOING}
    transitions = Counter({id: n for id, n in ids("transitions").items() if id not in of_going})
    same("the transitions are the API's, each once", transitions, said(told.transitions, "id"))
    per_device = defaultdict(list)
    for value in values["transitions"]:
        per_device[value.device].append(value.seq)
    for device, seqs in per_device.items():
        in_order = seqs == list(range(1, len(seqs) + 1))
        claims.that("a device's transitions are numbered in order", in_order, f"{device}: {seqs}")

    gone = {str(uuid.UUID(bytes=v.push)) for v in values["deliveries"] if v.device == GOING}
    deliveries = Counter({id: n for id, n in ids("deliveries", "push").items() if id not in gone})
    same("the deliveries are the API's, each once", deliveries, said(told.deliveries, "push_id"))
    tried = Counter(str(uuid.UUID(bytes=v.push)) for v in values["deliveries"] if v.outcome != 3)
    same("every push has its delivery", ids("pushes"), tried)
    sent = Counter(push["push_id"] for push in told.sent)
    accepted = Counter(str(uuid.UUID(bytes=v.push)) for v in values["deliveries"] if v.outcome == 1)
    same("what was accepted is what the providers got", accepted, sent)
    asked = Counter(value.device for value in values["push-requests"] if str(uuid.UUID(bytes=value.send)) == told.send["id"])
    same("the send asked once for each of its devices", asked, Counter(DEVICES[:6]))

    last = {value.id: value for value in values["zones"]}
    live = {str(uuid.UUID(bytes=id)): value for id, value in last.items() if not value.deleted}
    same("the zones that live are the API's", Counter(live), Counter({id: live.get(id) for id in told.zones}))
    for id, zone in told.zones.items():
        claims.that("a zone's last record is its version", id in live and live[id].version == zone["version"], id)
        claims.that("a zone's name is the API's", id in live and live[id].name == zone["name"], id)
    claims.that("the removed zone's last record says so", last[uuid.UUID(told.removed).bytes].deleted)
    campaigns = {str(uuid.UUID(bytes=value.id)): value.status for value in values["campaigns"]}
    claims.that("the campaign is active", campaigns == {told.campaign: "active"}, campaigns)
    apps = [value.app for value in values["config"] if value.HasField("app")]
    claims.that("the app's credentials are sealed", apps and all(b"PRIVATE KEY" not in app.sealed for app in apps))


def state(claims, tenant, records):
    """Devices' states: one under a device's key, a bucket's under another, each in its slice's partition."""
    by_device = [(record, value) for record, value in records if not record.key.startswith(b"#")]
    keys_and_partitions(claims, tenant, "device-state", [record for record, _ in by_device])
    buckets = [(record, value) for record, value in records if record.key.startswith(b"#")]
    claims.that("last fixes were flushed in buckets", bool(buckets))
    for record, value in buckets:
        for entry in value.devices:
            key = f"{uuid.UUID(bytes=entry.tenant)}/{entry.device}".encode()
            right = (murmur2(key) & 0x7FFFFFFF) % PARTITIONS
            claims.that("a bucket's devices are of its partition", record.partition == right, entry.device)


def rejected(claims, system, records, misplaced):
    values = [json.loads(record.value) for record in records]
    claims.that("what is no ping was put aside, once", len(values) == 1, values)
    for value in values:
        where = (value["topic"], value["partition"], value["offset"])
        right = ("geopush.pings", misplaced.partition, misplaced.offset)
        claims.that("what was put aside says where it was", where == right, f"{where}, not {right}")
        claims.that("and what it was", base64.b64decode(value["value"]) == GARBAGE, value["value"])
        claims.that("and why", bool(value["reason"]), value)


def positions(claims, system, found):
    """Each group's positions, as any of Kafka's tools shows them."""
    admin = KafkaAdminClient(bootstrap_servers=system.brokers)
    for group, topics in GROUPS.items():
        name = f"{system.prefix}geopush.{group}"
        committed = admin.list_group_offsets(name)[name]
        for topic in topics:
            after = defaultdict(int)
            for record in found[topic]:
                after[record.partition] = record.offset + 1
            for partition, end in after.items():
                place = TopicPartition(f"{system.prefix}geopush.{topic}", partition)
                at = committed.get(place)
                read_all = at is not None and at.offset >= end
                claims.that(f"{group} has committed what it read of {topic}", read_all, f"{partition}: {at}, not {end}")
                claims.that(f"{group}'s notes are text that fits", at and len(at.metadata.encode()) <= 4096)
    admin.close()

