"""The real binary on the embedded default, in a directory of its own, and the sandbox beside it."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import requests

# Nothing here waits longer than this for anything.
PATIENCE_S = 60
# The variables of whoever runs the tests would configure the binary.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GEOPUSH_")}
RETRIED = {429, 500, 502, 503, 504}


class Failed(Exception):
    """Something did not come as it should; the message says what."""


def until(what, probe, patience_s=PATIENCE_S):
    """Asks again and again until there is an answer; never longer than `patience_s`."""
    deadline = time.monotonic() + patience_s
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {patience_s} s")
        time.sleep(0.05)


class Api:
    """One listener of the deployment, spoken to with one key."""

    def __init__(self, base, key=None):
        """`base` is an address, or what gives that of now."""
        self.base, self.session = base, requests.Session()
        self.session.trust_env = False
        if key:
            self.session.headers["authorization"] = f"Bearer {key}"

    def call(self, method, path, body=None, **more):
        """The answer as it is."""
        if body is not None:
            more["json"] = body
        base = self.base() if callable(self.base) else self.base
        return self.session.request(method, base + path, timeout=PATIENCE_S, **more)

    def must(self, method, path, body=None, status=None, **more):
        """The answer's JSON; asked again while the server is busy or gone, as phones do."""

        def probe():
            try:
                answer = self.call(method, path, body, **more)
            except requests.ConnectionError:
                return None
            return None if answer.status_code in RETRIED else answer

        answer = until(f"{method} {path}", probe)
        if answer.status_code not in (status or (200, 201, 202, 204)):
            raise Failed(f"{method} {path}: {answer.status_code} {answer.text[:600]}")
        return answer.json() if answer.content else None

    def pages(self, path, limit=1000):
        """Every row of a listing."""
        cursor, joint = "", "&" if "?" in path else "?"
        while cursor is not None:
            page = self.must("GET", f"{path}{joint}limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
            yield from page["data"]
            cursor = page["next_cursor"]


class Deployment:
    """`geopush run` and `geopush sandbox`, ended and removed with the `with` that made them."""

    def __init__(self, binary=None):
        self.binary = binary or os.environ["GEOPUSH"]
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="geopush-"))
        self.data, self.out = self.dir / "data", self.dir / "sandbox"
        self.process = self.sandbox = self.addresses = None

    def __enter__(self):
        self.sandbox = self._start("sandbox", "sandbox", "--out", self.out)
        listing = self.out / "sandbox.json"
        until("the sandbox starts", lambda: listing.exists() and listing.read_text().strip().endswith("}"))
        self.providers = json.loads(listing.read_text())
        return self

    def __exit__(self, kind, *_):
        for process in (self.process, self.sandbox):
            if process and process.poll() is None:
                process.terminate()
                try:
                    process.wait(PATIENCE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
        if kind:
            print(f"the logs are in {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def _start(self, log, *args):
        with open(self.dir / f"{log}.log", "a") as out:
            return subprocess.Popen([self.binary, *map(str, args)], stdout=out, stderr=out, env=ENVIRONMENT)

    def tenant(self, name):
        """Makes a tenant; nothing may run on the directory meanwhile."""
        made = subprocess.run(
            [self.binary, "tenant", "create", name, "--data-dir", str(self.data)],
            capture_output=True, text=True, timeout=PATIENCE_S, env=ENVIRONMENT,
        )
        if made.returncode:
            raise Failed(f"tenant create: {made.stderr}")
        return json.loads(made.stdout)

    def run(self, allow_provider_urls=True):
        """Starts the system and waits until it is ready."""
        addresses = self.data / "addresses.json"
        addresses.unlink(missing_ok=True)
        listen = [word for name in ("ingest", "api", "admin") for word in (f"--{name}-addr", "127.0.0.1:0")]
        trust = ["--provider-ca", self.out / "ca.pem"] + ["--allow-provider-urls"] * allow_provider_urls
        self.process = self._start("run", "run", "--role", "all", "--data-dir", self.data, *listen, *trust)

        def ready():
            if self.process.poll() is not None:
                raise Failed(f"geopush ended with {self.process.returncode}; see {self.dir}/run.log")
            if not addresses.exists():
                return None
            self.addresses = json.loads(addresses.read_text())
            try:
                return requests.get(f"http://{self.addresses['admin']}/readyz", timeout=5).status_code == 200
            except (requests.ConnectionError, requests.Timeout):
                return None

        until("the system is ready", ready)

    def kill(self):
        """Ends the system as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def api(self, key):
        return Api(lambda: f"http://{self.addresses['api']}", key)

    def ingest(self, key):
        return Api(lambda: f"http://{self.addresses['ingest']}", key)

    def admin(self):
        return Api(lambda: f"http://{self.addresses['admin']}")

    def app(self):
        """An app's providers: the sandbox's, as `PUT /v1/apps/{app}` takes them."""
        account = json.loads((self.out / "service-account.json").read_text())
        key, known = (self.out / "apns-key.p8").read_text(), self.providers
        apns = {name: known[name] for name in ("team_id", "key_id", "topic")}
        apns |= {"private_key": key, "environment": "sandbox", "base_url": known["apns_url"]}
        return {"fcm": {"service_account": account, "base_url": known["fcm_url"]}, "apns": apns}
