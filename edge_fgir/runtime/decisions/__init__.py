"""From answers about frames to decisions about visits: who was seen from when to when, how sure.

``site.py`` declares what is known of the place, ``judge.py`` applies it to probabilities,
``votes.py`` adds up the frames of a visit, ``tracker.py`` tells visits apart.
"""

from edge_fgir.runtime.decisions.event import Event, EventOptions
from edge_fgir.runtime.decisions.judge import Judge, Verdict
from edge_fgir.runtime.decisions.site import LabelInfo, Site
from edge_fgir.runtime.decisions.tracker import Tracker
from edge_fgir.runtime.decisions.votes import Votes, vote_of

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
