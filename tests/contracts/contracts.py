"""What outsiders rely on, tried call by call on the real binary."""

import json
import sys

import calls_of_merchants
import calls_of_phones
import calls_of_readers
from claims import Claims
from deployment import Deployment, Failed


def files(claims, system, keys):
    """The command line and what it writes."""
    claims.exactly("tenant create", keys, "tenant_id", "secret_key", "publishable_key")
    for name in ("ca.pem", "service-account.json", "apns-key.p8", "sandbox.json"):
        claims.that(f"sandbox --out writes {name}", (system.out / name).exists())
    claims.members("sandbox.json", system.providers, "fcm_url", "apns_url", "control_url")
    claims.members("addresses.json", json.loads((system.data / "addresses.json").read_text()), "ingest", "api", "admin")


def main():
    claims = Claims()
    with Deployment() as system:
        keys, other = system.tenant("one"), system.tenant("another")
        system.run()
        files(claims, system, keys)
        for part in (calls_of_merchants, calls_of_phones, calls_of_readers):
            part.tried(claims, system, keys, other)
        system.process.terminate()
        claims.that("SIGTERM ends it in order", system.process.wait(60) == 0, system.process.returncode)
        # A tenant must not aim the sender unless its operator says so.
        system.run(allow_provider_urls=False)
        aimed = system.api(keys["secret_key"]).call("PUT", "/v1/apps/aimed", system.app())
        claims.refused_at("an address of the tenant's own", aimed, "/apns/base_url")
        claims.refused_at("an address of the tenant's own", aimed, "/fcm/base_url")
    for broken in claims.broken:
        print(f"BROKEN {broken}")
    print(f"{claims.held} claims hold, {len(claims.broken)} are broken")
    return 1 if claims.broken else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failed:
        sys.exit(f"FAILED: {failed}")
