"""Times in words: how long, and until when."""

from __future__ import annotations

from datetime import datetime, timedelta

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
LONGEST_DAYS = 36_500  # no clock or calendar goes further with certainty


def duration(seconds: float) -> str:
    """Write a time as a person would say it."""
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.0f} min"
    if seconds < 2 * DAY:
        return f"{seconds / HOUR:.1f} h"
    return f"{seconds / DAY:,.0f} days"


def moment(seconds: float) -> str:
    """Write the local time that is so far off, with its date if that isn't today's."""
    now = datetime.now()
    when = now + timedelta(days=min(seconds / DAY, LONGEST_DAYS))
    return f"{when:%H:%M:%S}" if when.date() == now.date() else f"{when:%Y-%m-%d %H:%M}"
