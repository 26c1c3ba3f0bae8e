"""The debugger: one composed view of a timeline, to step, step back, seek, ask and edit.

The one idea: a pure function makes a frozen view of the timeline at its cursor, and text, static picture and
live widget only draw it. Entry: `Debugger(timeline)`. Read first: `model` (what is shown), then `view`, then
`session` (what commands do).
"""

from labkit.widgets.debugger.session import Session
from labkit.widgets.debugger.widget import Debugger

__all__ = ["Debugger", "Session"]
