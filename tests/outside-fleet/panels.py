"""The fleet's dashboard, against what its processes really tell Prometheus."""

import json
import pathlib
import re

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
SELECTOR = re.compile(r"\b((?:geopush|process)_[a-z_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)="([^"]*)"')


def queries():
    panels = json.loads((DEPLOY / "grafana" / "dashboards" / "fleet.json").read_text())["panels"]
    return [(panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", [])]


def lag(scrapes):
    """What the stages of all processes have not committed yet."""
    lines = [line for scrape in scrapes.values() for line in scrape.splitlines()]
    return sum(float(line.split()[-1]) for line in lines if line.startswith("geopush_stage_lag_records{"))


def series(scrapes):
    """Each line of the scrapes as its metric and labels."""
    for scrape in scrapes.values():
        for line in scrape.splitlines():
            if line and not line.startswith("#"):
                name, _, rest = line.partition("{") if "{" in line else (line.split(" ")[0], "", "")
                yield name, dict(MATCHER.findall(rest))


def missing(scrapes):
    """The queries that find nothing; those of what hardly ever happens are let off."""
    seen = list(series(scrapes))

    def finds(metric, labels):
        wanted = MATCHER.findall(labels or "")
        return any(name == metric and all(has.get(k) == v for k, v in wanted) for name, has in seen)

    common = [(title, query) for title, query in queries() if "or vector(0)" not in query]
    return [
        f"{title}: {query}"
        for title, query in common
        if not all(finds(metric, labels) for metric, labels in SELECTOR.findall(query))
    ]
