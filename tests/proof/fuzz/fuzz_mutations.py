"""Valid documents, changed: a few edits of their data, then of their bytes. All is drawn by hypothesis,
so a failing document is shrunk and printed.
"""

from __future__ import annotations

import copy
import importlib
import json
import os
import pkgutil
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import reconciler

# Hypothesis also draws the constants of what is imported: that must not depend on the tests run before.
for _module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
    importlib.import_module(_module.name)

SECONDS = 1.0  # of processor time, for one document
MIB = 200  # of memory beyond what was in use before
# The same examples each time, so that a run of CI means something; FUZZ_RANDOM=1 looks for new ones.
FEW = settings(
    derandomize="FUZZ_RANDOM" not in os.environ,
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob="FUZZ_RANDOM" in os.environ,
)
MANY = settings(FEW, max_examples=5000)
SOME = settings(FEW, max_examples=max(1, FEW.max_examples // 5))

STEERING = "\x1b[31m\x9b\u202e\n::error::x ##[error]y\x00"
TEXTS = (
    "",
    " ",
    "null",
    "true",
    "NaN",
    "-1",
    "0",
    "0123",
    "1e999",
    "1.5",
    str(2**63),
    "2024-02-30",
    "2024-05-03",
    "2024-05-01..2024-05-03",
    "9999-12-31",
    "0000-00-00",
    "0001-01-01",
    "2024-01-01..9999-12-31",
    "2024-W99",
    "today-99999999999d",
    "yesterday",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+23:59",
    "2024-05-03T00:00:00.123456Z",
    "\u0662\u0660\u0662\u0664-01-01",
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "RUNNING",
    "created",
    "observed",
    "pending",
    "cancel",
    "ERROR",
    "../../etc/passwd",
    "s3://bucket",
    "\ud800",
    STEERING,
)
NUMBERS = (0, 1, -1, 2, 3, 100, 2**31, 2**53 + 1, 2**63 - 1, 2**63)
FLOATS = (0.5, 1e308, float("inf"), float("nan"))
LONG = st.sampled_from((("9", 5000), ("a", 70_000))).map(lambda one: one[0] * one[1])
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(TEXTS),
    st.sampled_from((*NUMBERS, *FLOATS)),
    st.sampled_from((None, True, False, [], {}, [[]], {"": None}, [None])),
    st.text(max_size=12),
    st.integers(),
    st.integers(60, 400).map(lambda power: 10**power),
    LONG,
)

Edit = tuple[int, str, Any]
EDITS = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.sampled_from(["put", "put", "put", "drop", "twice", "rename", "wrap", "deep", "swap"]),
        VALUES,
    ),
    min_size=0,
    max_size=4,
)
BYTES = (b"", b"\x00", b"\xff", b"\xed\xa0\x80", b"{", b"]", b'"', b",", b"\n", b"\\u00", b"NaN")
CUTS = st.one_of(
    st.just(()),
    st.lists(
        st.tuples(
            st.integers(0, 10_000),
            st.integers(0, 40),
            st.sampled_from(
                [b"", b"\x00", b"\xff", b"\xed\xa0\x80", b"{", b"]", b'"', b",", b"\n", b"\\u00", b"NaN"]
            ),
        ),
        max_size=3,
    ).map(tuple),
)


def edited(document: Any, edits: list[Edit]) -> Any:
    """Return a copy of plain data with edits made, each at the place that its number picks."""
    made = [copy.deepcopy(document)]
    for number, action, value in edits:
        places = list(_places(made))
        container, key = places[number % len(places)]
        _edit(container, key, action, copy.deepcopy(value))
    return made[0] if made else None


def _places(container: Any) -> Iterator[tuple[Any, Any]]:
    items = container.items() if isinstance(container, dict) else enumerate(container)
    for key, value in list(items):
        yield container, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _edit(container: Any, key: Any, action: str, value: Any) -> None:
    if action == "put":
        container[key] = value
    elif action == "drop":
        if len(container) > 1:
            del container[key]
    elif action == "wrap":
        container[key] = [container[key]]
    elif action == "deep":
        for _ in range(60):
            container[key] = [container[key]]
    elif isinstance(container, list):
        container.append(copy.deepcopy(container[key]) if action == "twice" else value)
    elif action == "swap":
        other = next(reversed(container))
        container[key], container[other] = container[other], container[key]
    else:
        container[str(value)[:100]] = container[key] if action == "twice" else container.pop(key)


def cut(data: bytes, cuts: tuple[tuple[int, int, bytes], ...]) -> bytes:
    """Return bytes with pieces cut out, and others put in their place."""
    for at, length, instead in cuts:
        start = at % (len(data) + 1)
        data = data[:start] + instead + data[start + length :]
    return data


def documents(bases: list[Any]) -> st.SearchStrategy[bytes]:
    """Draw the JSON of an edited document, as bytes."""

    def made(base: Any, edits: list[Edit], cuts: Any) -> bytes:
        return cut(json.dumps(edited(base, edits), ensure_ascii=True).encode(), cuts)

    return st.builds(made, st.sampled_from(bases), EDITS, CUTS)


# --- YAML -----------------------------------------------------------------------------------------

SNIPPETS = (
    "&a ",
    "*a",
    "!!python/object/apply:os.system [x]",
    "!x ",
    "<<: *a",
    "\n---\n",
    "\n...\n",
    "\t",
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    "|",
    ">-",
    "? ",
    "- ",
    ": ",
    "#",
    "%YAML 9.9",
    "%TAG ! !!\n",
    "\\x",
    '"\\UFFFFFFFF"',
    "\x00",
    "\ufeff",
    "\u2028",
    "\u202e",
    "\x85",
    "\r",
    "[" * 100,
    "{a: " * 70,
    "- " * 200,
    "&a [*a]",
    "key: value\n",
    "<<<<<<< HEAD\n",
)
_TOKEN = re.compile(r"[^\s:\[\]{},#]+|\n *")


def texts(bases: list[str]) -> st.SearchStrategy[bytes]:
    """Draw a text whose words or indentation are changed, or something put in anywhere."""
    edit = st.tuples(
        st.integers(0, 500),
        st.one_of(
            st.sampled_from([one for one in TEXTS if one != "\ud800"]),
            st.sampled_from(SNIPPETS),
            LONG,
            st.integers(0, 8).map(lambda blanks: "\n" + " " * blanks),
            st.text(st.characters(codec="utf-8"), max_size=8),
        ),
        st.booleans(),
    )
    changed = st.builds(_reworded, st.sampled_from(bases), st.lists(edit, max_size=5))
    return st.builds(cut, changed.map(str.encode), CUTS)


def _reworded(text: str, edits: list[tuple[int, str, bool]]) -> str:
    for number, instead, keep in edits:
        tokens = list(_TOKEN.finditer(text))
        if not tokens:
            return instead
        token = tokens[number % len(tokens)]
        text = text[: token.end() if keep else token.start()] + instead + text[token.end() :]
    return text


# --- measuring ------------------------------------------------------------------------------------


_PEAK = Path("/proc/self/clear_refs")  # Linux: writing 5 forgets the peak (proc(5))


@contextmanager
def in_bounds(seconds: float = SECONDS, mib: int = MIB) -> Iterator[None]:
    """Bound processor time, so that a busy machine makes no difference, and peak memory."""
    before = _memory("VmRSS") if _forget_peak() else None
    began = time.process_time()
    yield
    took = time.process_time() - began
    assert took < seconds, f"it took {took:.1f} s"
    if before is not None:
        more = _memory("VmHWM") - before
        assert more < mib, f"it took {more:.0f} MiB"


def _forget_peak() -> bool:
    if not _PEAK.exists():
        return False
    _PEAK.write_text("5", "ascii")
    return True


def _memory(name: str) -> float:
    """Return a line of ``/proc/self/status`` in MiB."""
    lines = Path("/proc/self/status").read_text("utf-8", "replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024
