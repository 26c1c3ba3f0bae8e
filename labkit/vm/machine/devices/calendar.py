"""Gregorian calendar on plain integers, for a clock chip whose registers a guest may fill with anything."""

__all__ = ["advance_calendar", "days_in_month"]

DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
CYCLE_DAYS, CYCLE_YEARS = 146_097, 400


def days_in_month(year: int, month: int) -> int:
    """Days of `month` (1-12)."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if month == 2 and leap else DAYS[month - 1]


def advance_calendar(year: int, month: int, day: int, days: int) -> tuple[int, int, int]:
    """The date `days` (at least 0) after a valid date; any year is fine."""
    year += days // CYCLE_DAYS * CYCLE_YEARS
    day += days % CYCLE_DAYS
    while day > (length := days_in_month(year, month)):
        day -= length
        month += 1
        if month > 12:
            year, month = year + 1, 1
    return year, month, day
