"""From answers about frames to decisions about visits: who was seen from when to when, how sure.

``site.py`` declares what is known of the place, ``judge.py`` applies it to probabilities,
``votes.py`` adds up the frames of a visit, ``tracker.py`` tells visits apart. Each is imported when
it is first used: opening a bundle needs a judge alone.
"""

from typing import TYPE_CHECKING

from edge_fgir._lazy import lazy

if TYPE_CHECKING:
    from edge_fgir.runtime.decisions.event import Event, EventOptions
    from edge_fgir.runtime.decisions.judge import Judge, Verdict
    from edge_fgir.runtime.decisions.site import LabelInfo, Site
    from edge_fgir.runtime.decisions.tracker import Tracker
    from edge_fgir.runtime.decisions.votes import Votes, vote_of

__getattr__ = lazy(
    __name__,
    {
        "event": ("Event", "EventOptions"),
        "judge": ("Judge", "Verdict"),
        "site": ("LabelInfo", "Site"),
        "tracker": ("Tracker",),
        "votes": ("Votes", "vote_of"),
    },
)

__all__ = [
    "Event",
    "EventOptions",
    "Judge",
    "LabelInfo",
    "Site",
    "Tracker",
    "Verdict",
    "Votes",
    "vote_of",
]
