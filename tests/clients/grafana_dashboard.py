"""Reads a dashboard with Grafana's own classes, writes it again, and prints what did not survive, a JSON list.

What is spelled wrong, or stands where Grafana does not look for it, is not in its schema and so gets lost.
"""

import json
import sys

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

plugins.register_default_plugins()


def lost(before, after, place=""):
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from lost(value, after[key], f"{place}/{key}")
            else:
                yield f"{place}/{key}"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after)):
            yield from lost(one, other, f"{place}/{number}")
    elif before != after:
        yield place


with open(sys.argv[1], encoding="utf-8") as file:
    written = json.load(file)
read = Dashboard.from_json(written)
print(json.dumps(sorted(lost(written, json.loads(JSONEncoder(sort_keys=True).encode(read))))))
