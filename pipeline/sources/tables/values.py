"""Values that are written as they are shown, where Python would write them otherwise."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal


class Duration(timedelta):
    """Hours, minutes and seconds, however many hours: `30:05:00`, `-0:00:00.001000`."""

    __slots__ = ()

    @classmethod
    def of(cls, span: timedelta) -> timedelta:
        """Make one of any span, unless that counts nanoseconds, as those of pandas may."""
        if getattr(span, "nanoseconds", 0):
            return span
        return cls(span.days, span.seconds, span.microseconds)

    def __str__(self) -> str:
        span = abs(self)
        minutes, seconds = divmod(span.seconds, 60)
        hours, minutes = divmod(minutes, 60)
        sign = "-" if self < timedelta(0) else ""
        fraction = f".{span.microseconds:06}" if span.microseconds else ""
        return f"{sign}{24 * span.days + hours}:{minutes:02}:{seconds:02}{fraction}"

    def __reduce__(self) -> tuple[type[Duration], tuple[int, int, int]]:
        return Duration, (self.days, self.seconds, self.microseconds)


class Scaled(Decimal):
    """A decimal with the places of its column: `1.10`."""

    __slots__ = ()

    def __str__(self) -> str:
        return format(Decimal(self), "f")

    def __reduce__(self) -> tuple[type[Scaled], tuple[str]]:
        return Scaled, (str(self),)
