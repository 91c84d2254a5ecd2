"""FCM's stand-in against Google's own Python client: its exceptions are the judge."""

import asyncio
import datetime
import re

import firebase_admin
from firebase_admin import credentials, exceptions, messaging

from control import DIR, SANDBOX, claim, clear_faults, fault, sent_to

# The client's only address; everything else of it is as published.
messaging._MessagingService.FCM_URL = SANDBOX["fcm_url"] + "/v1/projects/{0}/messages:send"
firebase_admin.initialize_app(credentials.Certificate(str(DIR / "service-account.json")))


def refused(what, expected, message):
    try:
        name = messaging.send(message)
    except exceptions.FirebaseError as error:
        claim(f"{what}: {expected.__name__}", type(error) is expected, error)
        return error
    raise SystemExit(f"FAILED  {what}: accepted as {name}")


def full(token):
    """A message that uses most of what the client can say."""
    return messaging.Message(
        token=token,
        notification=messaging.Notification(title="Welcome", body="Come in", image="https://example.com/i.png"),
        data={"geopush_push_id": "firebase-admin-1", "k": "v"},
        android=messaging.AndroidConfig(
            collapse_key="c",
            priority="high",
            ttl=datetime.timedelta(seconds=3600, milliseconds=500),
            restricted_package_name="dev.geopush",
            direct_boot_ok=True,
            notification=messaging.AndroidNotification(
                tag="t",
                channel_id="c",
                color="#ff0000",
                title_loc_key="k",
                title_loc_args=["a"],
                event_timestamp=datetime.datetime.now(datetime.timezone.utc),
                priority="high",
                vibrate_timings_millis=[100, 200],
                visibility="public",
                notification_count=1,
                light_settings=messaging.LightSettings("#00ff00", 100, 200),
                proxy="allow",
            ),
            fcm_options=messaging.AndroidFCMOptions("label"),
        ),
        apns=messaging.APNSConfig(
            headers={"apns-priority": "10"},
            payload=messaging.APNSPayload(messaging.Aps(badge=1, sound="default", content_available=True), extra="x"),
            fcm_options=messaging.APNSFCMOptions(analytics_label="label"),
        ),
        webpush=messaging.WebpushConfig(
            headers={"TTL": "60"},
            notification=messaging.WebpushNotification(title="t", body="b", vibrate=[1, 2]),
            fcm_options=messaging.WebpushFCMOptions(link="https://example.com"),
        ),
        fcm_options=messaging.FCMOptions(analytics_label="label"),
    )


name = messaging.send(full("python-1"))
claim("a full message is accepted", re.fullmatch(r"projects/geopush-sandbox/messages/.+", name), name)
sent = sent_to("python-1")
claim("it is sent once", [push["push_id"] for push in sent] == ["firebase-admin-1"], sent)
claim("with its title, text and data", (sent[0]["title"], sent[0]["body"], sent[0]["data"]["k"]) == ("Welcome", "Come in", "v"), sent)
claim("a dry run is accepted", messaging.send(full("python-dry"), dry_run=True).endswith("/fake_message_id"))
claim("and not sent", sent_to("python-dry") == [])
claim("a topic is accepted", messaging.send(messaging.Message(topic="news")))

refused("an unregistered token", messaging.UnregisteredError, full("unregistered-1"))
refused("another sender's token", messaging.SenderIdMismatchError, full("mismatch-1"))
refused("an invalid token", exceptions.InvalidArgumentError, full("invalid-1"))
refused("a reserved key", exceptions.InvalidArgumentError, messaging.Message(token="t", data={"google.k": "v"}))
refused("too much data", exceptions.InvalidArgumentError, messaging.Message(token="t", data={"k": "v" * 5000}))

fault(provider="fcm", reason="QUOTA_EXCEEDED", retry_after_s=1)
claim("a 429 is retried after its Retry-After", messaging.send(full("python-429")) and len(sent_to("python-429")) == 1)
fault(provider="fcm", reason="QUOTA_EXCEEDED")
refused("a spent quota, with no time to try again", messaging.QuotaExceededError, full("t"))
# The client's transport takes a first 401 for an access token's end, fetches another and tries again.
fault(provider="fcm", reason="THIRD_PARTY_AUTH_ERROR", times=10)
refused("a refused APNs key", messaging.ThirdPartyAuthError, full("t"))
clear_faults()
fault(provider="fcm", status=401)
claim("an access token refused once is fetched anew", messaging.send(full("python-401")) and len(sent_to("python-401")) == 1)
fault(provider="fcm", status=503)
claim("one 503 is retried by the client", messaging.send(full("python-503")) and len(sent_to("python-503")) == 1)
fault(provider="fcm", status=503, retry_after_s=1, times=100)
refused("nothing but 503", exceptions.UnavailableError, full("t"))
clear_faults()
fault(provider="fcm", status=500, retry_after_s=1, times=100)
refused("nothing but 500", exceptions.InternalError, full("t"))
clear_faults()

batch = messaging.send_each([full("python-each"), full("unregistered-each")])
claim("of a batch, each has its own answer", [answer.success for answer in batch.responses] == [True, False])
batch = asyncio.run(messaging.send_each_async([full(f"python-h2-{n}") for n in range(200)] + [full("mismatch-h2")]))
claim("200 at once over HTTP/2 are accepted", batch.success_count == 200, batch.success_count)
claim("and one refused", type(batch.responses[-1].exception) is messaging.SenderIdMismatchError)
