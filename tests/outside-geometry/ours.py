"""The geometry under judgement: the crate's example `judge`, asked over its pipes."""

import json
import os
import subprocess

import numpy as np


class Ours:
    """One process of the example; it ends with the `with` that started it."""

    def __enter__(self):
        self.process = subprocess.Popen([os.environ["JUDGE"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(60)

    def faults(self, shape):
        """What is wrong with a shape: [{"pointer", "code"}], empty when it is valid."""
        return self.ask(shape)[0]

    def ask(self, shape, *questions, lon=(), lat=(), margin_m=0.0):
        """Its faults, and (without any) the answers to each question, a number a position."""
        positions = np.column_stack([np.asarray(lon, "<f8"), np.asarray(lat, "<f8")])
        request = {"shape": shape, "ask": questions, "margin_m": margin_m, "positions": len(positions)}
        self.process.stdin.write(json.dumps(request).encode() + b"\n" + positions.tobytes())
        self.process.stdin.flush()
        faults = json.loads(self.process.stdout.readline())
        if faults:
            return faults, *[None for _ in questions]
        counts = [len(positions) // 2 if question == "reach" else len(positions) for question in questions]
        return faults, *[np.frombuffer(self.process.stdout.read(8 * count), "<f8") for count in counts]

    def reach(self, shape, west, south, east, north, margin_m):
        """How it lies to boxes: 1 covers, -1 misses by more than the margin, 0 may touch."""
        lon, lat = np.column_stack([west, east]).ravel(), np.column_stack([south, north]).ravel()
        return self.ask(shape, "reach", lon=lon, lat=lat, margin_m=margin_m)[1]
