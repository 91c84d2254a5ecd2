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
        return self.answer(shape)[0]

    def answer(self, shape, lon=(), lat=(), distances=False):
        """Its faults, what of the positions it contains, and how far outside they are (if asked)."""
        positions = np.column_stack([np.asarray(lon, "<f8"), np.asarray(lat, "<f8")])
        request = {"shape": shape, "positions": len(positions), "distances": distances}
        self.process.stdin.write(json.dumps(request).encode() + b"\n" + positions.tobytes())
        self.process.stdin.flush()
        faults = json.loads(self.process.stdout.readline())
        if faults:
            return faults, None, None
        inside = np.frombuffer(self.process.stdout.read(len(positions)), np.uint8).astype(bool)
        metres = np.frombuffer(self.process.stdout.read(8 * len(positions)), "<f8") if distances else None
        return faults, inside, metres
