"""APNs's stand-in against aioapns: its results are the judge."""

import asyncio
import logging
import ssl
import uuid
from urllib.parse import urlsplit

from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsDevelopmentClientProtocol

from control import DIR, SANDBOX, claim, fault, sent_to

# The client's only address; everything else of it is as published.
address = urlsplit(SANDBOX["apns_url"])
APNsDevelopmentClientProtocol.APNS_SERVER = address.hostname
APNsDevelopmentClientProtocol.APNS_PORT = address.port
logging.getLogger("aioapns").setLevel(logging.CRITICAL)


def client(key=None, key_id=SANDBOX["key_id"], topic=SANDBOX["topic"]):
    return APNs(
        key=key or (DIR / "apns-key.p8").read_text(),
        key_id=key_id,
        team_id=SANDBOX["team_id"],
        topic=topic,
        use_sandbox=True,
        ssl_context=ssl.create_default_context(cafile=str(DIR / "ca.pem")),
    )


def device(start):
    return start.ljust(64, "0")


def request(token, alert="Come in", **options):
    message = {"aps": {"alert": {"title": "Welcome", "body": alert}}, "geopush_push_id": "aioapns-1"}
    return NotificationRequest(token, message, **options)


async def main():
    apns = client()
    id = str(uuid.uuid4())
    everything = dict(notification_id=id, time_to_live=60, priority=10, collapse_key="c", push_type=PushType.ALERT)
    result = await apns.send_notification(request(device("a1"), **everything))
    claim("a push is accepted", result.is_successful and result.notification_id == id, result.description)
    sent = sent_to(device("a1"))
    claim("it is sent once", [push["push_id"] for push in sent] == ["aioapns-1"], sent)
    claim("with its title and text", (sent[0]["title"], sent[0]["body"]) == ("Welcome", "Come in"), sent)

    async def refused(what, status, reason, push, by=apns):
        result = await by.send_notification(push)
        found = (result.status, result.description)
        claim(f"{what}: {status} {reason}", found == (status, reason), found)
        return result

    await refused("a token that is none", "400", "BadDeviceToken", request("abc"))
    await refused("a bad token", "400", "BadDeviceToken", request(device("bad0")))
    gone = await refused("a dead token", "410", "Unregistered", request(device("dead")))
    claim("it says since when", isinstance(gone.timestamp, int), gone.timestamp)
    await refused("too long a text", "413", "PayloadTooLarge", request(device("a1"), alert="x" * 4096))
    await refused("a priority that is none", "400", "BadPriority", request(device("a1"), priority=7))
    await refused("too long a collapse id", "400", "BadCollapseId", request(device("a1"), collapse_key="c" * 65))
    other = request(device("a1"), apns_topic="com.example.other")
    await refused("another app's topic", "400", "DeviceTokenNotForTopic", other)
    await refused("an unknown key", "403", "InvalidProviderToken", request(device("a1")), client(key_id="UNKNOWN"))

    fault(provider="apns", reason="TooManyRequests")
    await refused("too many at once", "429", "TooManyRequests", request(device("a1")))
    fault(provider="apns", status=503)
    await refused("a service that is away", "503", "ServiceUnavailable", request(device("a1")))
    fault(provider="apns", reason="ExpiredProviderToken")
    await refused("an old token", "403", "ExpiredProviderToken", request(device("a1")))

    fault(provider="apns", action="drop")
    result = await apns.send_notification(request(device("a2")))
    claim("after a cut connection the client tries again", result.is_successful, result.description)
    claim("and the push is sent once", len(sent_to(device("a2"))) == 1)

    results = await asyncio.gather(*(apns.send_notification(request(device("a3"))) for _ in range(2000)))
    claim("2,000 at once are accepted", all(result.is_successful for result in results))
    claim("and sent", len(sent_to(device("a3"))) == 2000)


asyncio.run(main())
