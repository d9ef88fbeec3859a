"""What the golden scripts share: a JSON writer and the versions in use.

Rules of the JSON files:
  * an array is {"dtype", "shape", "data"} with "data" flat, in row-major order;
  * a float32 is the shortest decimal that reads back (through a double) as the
    same float32; negative zero is -0.0;
  * a non-finite float is one of the strings "NaN", "Infinity", "-Infinity",
    which JavaScript's Number() reads;
  * integers are exact (uint32 as non-negative numbers), booleans are booleans.
"""

import importlib.metadata
import json
import math
import pathlib
import platform

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent


def versions(*packages):
    """The versions in use, for the head of a JSON file."""
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"python": ".".join(platform.python_version_tuple()[:2]), **found}


class Number(float):
    """A float that carries its own decimal text."""

    def __new__(cls, value, text):
        self = super().__new__(cls, value)
        self.text = text
        return self


def scalar(value):
    """One number as the JSON value described above."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, np.float32):
        text = repr(float(str(value)))
        if np.float32(float(text)).tobytes() != value.tobytes():  # double rounding: be exact instead
            text = repr(float(value))
        return Number(value, text)
    return float(value)


def scalars(values):
    """A flat list of JSON numbers from any array-like."""
    return [scalar(v) for v in np.asarray(values).ravel()]


def array(values):
    """An array as {"dtype", "shape", "data"}."""
    values = np.asarray(values)
    return {"dtype": str(values.dtype), "shape": list(values.shape), "data": scalars(values)}


def text(value, indent=""):
    """JSON text: containers of scalars on one line, others indented."""
    if isinstance(value, Number):
        return value.text
    if isinstance(value, (dict, list, tuple)):
        items = value.items() if isinstance(value, dict) else ((None, v) for v in value)
        inner = indent + " "
        parts = [("" if k is None else json.dumps(k) + ": ") + text(v, inner) for k, v in items]
        left, right = "{}" if isinstance(value, dict) else "[]"
        line = left + ", ".join(parts) + right
        values = value.values() if isinstance(value, dict) else value
        flat = not any(isinstance(v, (dict, list, tuple)) for v in values)
        if "\n" not in line and (flat or len(line) < 160):
            return line
        return left + "\n" + ",\n".join(inner + p for p in parts) + "\n" + indent + right
    return json.dumps(value, allow_nan=False)


def write(path, value):
    """Write a JSON file beside the scripts and say how large it is."""
    path = HERE / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(value) + "\n")
    json.loads(path.read_text())
    print(f"{path.relative_to(HERE)}: {path.stat().st_size} bytes")
