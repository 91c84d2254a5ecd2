"""The roles apart on Kafka and Cassandra, under names of their own, which go with the `with` that made them."""

import json
import os
import secrets
import subprocess

import requests
from cassandra.cluster import Cluster
from deployment import ENVIRONMENT, PATIENCE_S, Api, Deployment, Failed, until
from kafka import KafkaAdminClient

# Each process and its role: two of those that share partitions.
PROCESSES = {
    "ingest": "ingest",
    "geofence-1": "geofence",
    "geofence-2": "geofence",
    "dispatcher-1": "dispatcher",
    "dispatcher-2": "dispatcher",
    "control-api": "control-api",
}
PARTITIONS = 8


class Fleet(Deployment):
    def __init__(self):
        super().__init__()
        self.brokers, self.nodes = os.environ["FLEET_KAFKA"], os.environ["FLEET_CQL"]
        self.name = f"outside_{secrets.token_hex(4)}"
        self.prefix = f"{self.name}."
        self.processes = {}
        self.secrets_key = secrets.token_hex(32)

    def __exit__(self, kind, *more):
        ended = self.end()
        super().__exit__(kind, *more)
        if kind is None:
            self._remove()
            if set(ended.values()) != {0}:
                raise Failed(f"processes did not end in order: {ended}")

    def end(self):
        """Ends every process as an operator would; how each ended."""
        for process in self.processes.values():
            process.terminate()
        return {name: process.wait(PATIENCE_S) for name, process in self.processes.items()}

    def _remove(self):
        admin = KafkaAdminClient(bootstrap_servers=self.brokers)
        admin.delete_topics([topic for topic in admin.list_topics() if topic.startswith(self.prefix)])
        admin.close()
        with self.cluster() as cluster:
            session = cluster.connect()
            for keyspace in (f"{self.name}_config", f"{self.name}_history"):
                session.execute(f"DROP KEYSPACE {keyspace}", timeout=PATIENCE_S)

    def cluster(self):
        host, port = self.nodes.split(",")[0].rsplit(":", 1)
        return Cluster([host], port=int(port), connect_timeout=PATIENCE_S, control_connection_timeout=PATIENCE_S)

    def _servers(self, tables=True):
        words = ["--kafka-brokers", self.brokers, "--kafka-prefix", self.prefix, "--kafka-replication", "1"]
        words += ["--log-partitions", str(PARTITIONS)]
        if tables:
            words += ["--cql-nodes", self.nodes, "--cql-keyspace", self.name, "--cql-replication", "1"]
        return words

    def _command(self, *words):
        done = subprocess.run(
            [self.binary, *words, *self._servers()],
            capture_output=True, text=True, timeout=2 * PATIENCE_S, env=ENVIRONMENT,
        )
        if done.returncode:
            raise Failed(f"{' '.join(words)}: {done.stderr}")
        return done.stdout

    def migrate(self):
        return self._command("migrate")

    def tenant(self, name):
        return json.loads(self._command("tenant", "create", name))

    def run(self):
        """Starts every process, and waits until all are ready."""
        for name, role in PROCESSES.items():
            words = ["--role", role, "--data-dir", self.dir / name]
            # The evaluator lives of the log alone, and only these two open what is sealed.
            words += self._servers(tables=role != "geofence")
            if role in ("dispatcher", "control-api"):
                words += ["--secrets-key", self.secrets_key]
            words += [word for at in ("ingest", "api", "admin") for word in (f"--{at}-addr", "127.0.0.1:0")]
            words += ["--provider-ca", self.out / "ca.pem", "--allow-provider-urls", "--geofence-flush-interval", "2s"]
            self.processes[name] = self._start(name, "run", *words)
        for name in PROCESSES:
            until(f"{name} is ready", lambda: self._ready(name), 2 * PATIENCE_S)

    def _ready(self, name):
        if self.processes[name].poll() is not None:
            raise Failed(f"{name} ended with {self.processes[name].returncode}; see {self.dir}/{name}.log")
        try:
            return requests.get(f"{self.at(name, 'admin')}/readyz", timeout=5).status_code == 200
        except (requests.ConnectionError, FileNotFoundError):
            return False

    def at(self, name, listener):
        return f"http://{json.loads((self.dir / name / 'addresses.json').read_text())[listener]}"

    def api(self, key):
        return Api(self.at("control-api", "api"), key)

    def ingest(self, key):
        return Api(self.at("ingest", "ingest"), key)

    def scrapes(self):
        """`/metrics` of every process."""
        return {name: requests.get(f"{self.at(name, 'admin')}/metrics", timeout=10).text for name in PROCESSES}
