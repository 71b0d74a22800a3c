"""Every bound of time that promises rest on, and what must hold between them.

Exactly once rests on two of them: a request takes effect, and shows in every read, within *settle time* of
its intent or never; and no request leaves later than ``SEND_WITHIN`` after its intent.

    09:00:00  intent committed
    09:01:00  SEND_WITHIN is over: it is not handed to the transport any more
    09:01:30  LEAVE_WITHIN is over too: its first byte has left, or never will
    09:03:00  MIN_SETTLE is over, and so is WRITE_TIMEOUT for a request that was sent at once
    09:15:00  DEFAULT_SETTLE is over: ``latest`` unchanged means that it was not created
"""

from __future__ import annotations

from datetime import timedelta

# A request that did not leave within this time of its intent is not sent any more.
SEND_WITHIN = timedelta(seconds=60)
# From then to the first byte of the request, connecting included; later it is not sent any more.
LEAVE_WITHIN = timedelta(seconds=30)
# Giving up on a write early leaves its outcome unknown.
WRITE_TIMEOUT = timedelta(seconds=120)
READ_TIMEOUT = timedelta(seconds=30)

# What --settle may be at least: before that a request of ours may still be under way.
MIN_SETTLE = timedelta(minutes=3)
DEFAULT_SETTLE = timedelta(minutes=15)

# What was read of a transfer longer ago is read again before the next write on it.
READ_WITHIN = timedelta(seconds=60)
# A plan that was looked at for longer than this before the yes is made again before it is done.
SHOWN_WITHIN = timedelta(seconds=60)
# Looks at the API after an unknown outcome, with these pauses (seconds) before each: some 30 seconds.
LOOKS = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0)

# After a backfill was first seen ended: counts lag behind statuses, run lists behind runs, and the runs under
# way of one that was cancelled finish; an hour is far beyond one day's run.
ENDING_SETTLES = timedelta(hours=1)
# Where no run list will tell, a cancelled one's running query may take its four hours first.
BLIND_CANCEL_SETTLES = timedelta(hours=5)
# Clocks so far apart: one is wrong, or the answer is out of some cache. Nothing may be concluded from it.
CLOCKS_APART = timedelta(days=1)
# Reads may lag behind writes: a get that answers 404 proves nothing before this.
GONE_AFTER = timedelta(hours=24)
# That a transfer has no latest backfill proves nothing later: records are kept for a time nobody documents.
LATEST_KEPT = timedelta(days=7)
# A refusal without a backfill to blame blocks its days for so long: a nightly job tries each night.
REFUSAL_HOLDS = timedelta(hours=20)
# What was settled longer ago is forgotten of intents; no saved plan lives longer.
INTENTS_KEPT = timedelta(days=30)
# Where a list tells only whole seconds, the next create of a transfer keeps this far from the last answer.
BLIND_APART = timedelta(seconds=1)
# What rate limits may hold a run up, in all, unless --max-wait says otherwise.
MAX_WAIT = timedelta(seconds=300)
# How often a run sends one write that a rate limit turns away, however short the waits are that the API asks
# for: each time takes an intent, which is kept for a month, and a reading of its transfer.
WRITE_TRIES = 20
# A saved plan older than this is refused, unless --plan-expiry says otherwise.
DEFAULT_EXPIRY = timedelta(days=7)
# And at most: what was done under it is remembered for so long.
MAX_EXPIRY = timedelta(days=30)

assert SEND_WITHIN + WRITE_TIMEOUT <= MIN_SETTLE < DEFAULT_SETTLE
assert SEND_WITHIN + LEAVE_WITHIN < MIN_SETTLE
assert timedelta(seconds=sum(LOOKS)) < MIN_SETTLE  # whoever looks is done before settle time can be over
assert READ_WITHIN <= SEND_WITHIN
assert DEFAULT_EXPIRY <= MAX_EXPIRY
assert min(ENDING_SETTLES, BLIND_CANCEL_SETTLES, GONE_AFTER, REFUSAL_HOLDS) > DEFAULT_SETTLE
