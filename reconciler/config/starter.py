"""The commented file that ``init`` writes. It is valid as it stands."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reconciler.config.names import suggested

_HEAD = """\
# yaml-language-server: $schema=./backfills.schema.json
# The schema for your editor: reconciler schema > backfills.schema.json
#
# The days that must be loaded. `reconciler plan` says which backfills are missing, and why;
# `reconciler apply` creates only those. Removing something here never cancels anything.
version: 1
team_id: {team_id}

# What follows belongs to the team. All of it is optional; these are the defaults.
# timezone: UTC                     # whose "today", e.g. Europe/Helsinki
# state: state                      # a folder, relative to this file; URLs are given by --state
# stuck_after: 7d                   # what runs longer is called stuck
# key_env: SUPERMETRICS_API_KEY     # the environment variable that holds the key, never the key
# order: newest_first               # or oldest_first
# prune: false                      # cancel our own active backfills that cover no declared day
# on_unknown: settle                # or block
# limits:                           # what does not fit is deferred to a later apply
#   max_open_backfills: 100
#   max_open_per_transfer: 2
#   max_creates_per_apply: 50
#   max_days_per_backfill: 92
# guards:                           # a plan beyond one of these is refused
#   max_days_per_apply: 2000

# defaults:                         # for every transfer of this file
#   chunk: none                     # or week, month, quarter, year: where backfills are cut
#   max_attempts: 3                 # per day
#   retry_after: 1h                 # before a failed day is tried again
#   final_after: 7d                 # figures change for a week: loaded before, a day is due once more
#   owner: data-platform

transfers:
"""

_EXAMPLE = """\
  google-ads-daily:                 # a name of your own: a-z, 0-9, `.`, `_`, `-`
    transfer_id: 456789             # the vendor's id: replace it with yours
    ranges:
      - start: 2024-01-01           # inclusive
        end: 2024-03-31             # inclusive; or today, yesterday, today-90d, today-13mo
        reason: History for the new warehouse
      # - 2024-Q2                   # also 2024, 2024-H1, 2024-07, 2024-W05, 2024-07-01, 2024-01..2024-03
    # exclude: [2024-02-29]         # the same forms; wins over ranges
    # stale_before: 2024-06-01      # days loaded before this are due again
    # loaded: [{start: 2024-01-01, end: 2024-01-31, reason: Copied from the old warehouse}]
"""


def starter(team_id: int, transfers: Sequence[tuple[str, int]] = ()) -> str:
    """Return the text of a starter file, for the named transfers (name and id) or with an example."""
    listed = "".join(f"  {name}:\n    transfer_id: {number}\n    ranges: []\n" for name, number in transfers)
    return _HEAD.format(team_id=team_id) + (listed or _EXAMPLE)


def names_for(titles: Sequence[str]) -> list[str]:
    """Return a distinct name for each of the vendor's titles: ``Google Ads (EU)`` -> ``google-ads-eu``."""
    taken: set[str] = set()
    names = []
    for title in titles:
        base = re.sub(r"[._-]+", "-", suggested(title))[:56].strip("-") or "transfer"
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name)
        names.append(name)
    return names
