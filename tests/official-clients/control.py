"""The sandbox's control address, and claims about it: what the client scripts share."""

import json
import os
import pathlib
import urllib.request

DIR = pathlib.Path(os.environ["SANDBOX_DIR"])
SANDBOX = json.loads((DIR / "sandbox.json").read_text())


def _call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(SANDBOX["control_url"] + path, data, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or "null")


def fault(**members):
    _call("POST", "/faults", members)


def clear_faults():
    _call("DELETE", "/faults")


def sent_to(token):
    return [sent for sent in _call("GET", "/sent?after=")["data"] if sent["token"] == token]


def claim(what, holds, found=None):
    if not holds:
        raise SystemExit(f"FAILED  {what}: found {found!r}")
    print(f"ok      {what}")
