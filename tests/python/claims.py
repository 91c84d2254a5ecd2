"""Claims about answers: each that fails is noted, and all are told at the end."""

import re

RFC3339_MS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
PROBLEM = {"type", "title", "status", "code", "detail", "request_id"}


class Claims:
    def __init__(self):
        self.held, self.broken = 0, []

    def that(self, what, holds, but=""):
        """A claim, and what was seen where it does not hold."""
        if holds:
            self.held += 1
        else:
            self.broken.append(f"{what}{f': {but}' if but != '' else ''}")
        return holds

    def status(self, what, answer, *allowed):
        """An answer's status; refusals must be problems (RFC 9457)."""
        self.that(f"{what} answers {'/'.join(map(str, allowed))}", answer.status_code in allowed,
                  f"{answer.status_code} {answer.text[:300]}")
        if answer.status_code >= 400:
            self.problem(what, answer)
        return answer

    def problem(self, what, answer):
        kind = answer.headers.get("content-type", "")
        self.that(f"{what}: a refusal is problem+json", kind.startswith("application/problem+json"), kind)
        try:
            body = answer.json()
        except ValueError:
            self.that(f"{what}: a refusal is JSON", False, answer.text[:200])
            return
        self.that(f"{what}: a problem has {sorted(PROBLEM)}", PROBLEM <= set(body), sorted(body))
        self.that(f"{what}: the problem says its status", body.get("status") == answer.status_code, body)
        for error in body.get("errors") or []:
            self.that(f"{what}: errors have pointer, code, detail", {"pointer", "code", "detail"} <= set(error), error)

    def refused_at(self, what, answer, pointer, status=422):
        """A refusal that points at a member."""
        self.status(what, answer, status)
        try:
            pointers = [error["pointer"] for error in answer.json().get("errors", [])]
        except (ValueError, KeyError):
            pointers = []
        self.that(f"{what} points at {pointer}", any(p.startswith(pointer) for p in pointers), answer.text[:400])

    def members(self, what, body, *names):
        """An object has these members."""
        missing = [name for name in names if name not in body]
        self.that(f"{what} has all its members", not missing, f"{missing} not in {sorted(body)}")

    def exactly(self, what, body, *names):
        """An object has these members and no others."""
        self.that(f"{what} has just its members", set(body) == set(names), sorted(set(body) ^ set(names)))

    def times(self, what, body, *names):
        """Members are RFC 3339 with milliseconds."""
        for name in names:
            self.that(f"{what}: {name} is RFC 3339 with ms", RFC3339_MS.match(str(body.get(name))), body.get(name))
