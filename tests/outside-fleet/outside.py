"""Whether what a fleet leaves in Kafka and Cassandra is what outsiders are promised."""

import sys

import panels
import scene
import tables
import topics
from claims import Claims
from deployment import Failed, until
from fleet import Fleet

# Told by librdkafka and by the driver every five seconds.
TOLD_WITHIN_S = 30


def main():
    claims = Claims()
    with Fleet() as system:
        system.migrate()
        keys = system.tenant("outside")
        system.run()
        misplaced = topics.misplace(system)
        told = scene.play(system, keys)
        until("no stage has anything left", lambda: panels.lag(system.scrapes()) == 0)
        records = topics.check(claims, system, keys["tenant_id"], told, misplaced)
        rows = tables.check(claims, system, keys["tenant_id"], told)
        try:
            until("every panel finds data", lambda: not panels.missing(system.scrapes()), TOLD_WITHIN_S)
        except Failed:
            for query in panels.missing(system.scrapes()):
                claims.that("a panel of the fleet's dashboard finds data", False, query)
        print(f"{records} records of {len(topics.TOPICS)} topics, {rows} rows, {len(panels.queries())} queries")
    for broken in claims.broken[:50]:
        print(f"BROKEN {broken}")
    print(f"{claims.held} claims hold, {len(claims.broken)} are broken")
    return 1 if claims.broken else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failed:
        sys.exit(f"FAILED: {failed}")
