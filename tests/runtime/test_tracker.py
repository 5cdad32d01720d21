from __future__ import annotations

import json
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir import InputError
from edge_fgir.runtime import EventOptions, Frame, Judge, LabelInfo, Region, Site, Tracker
from edge_fgir.runtime.decisions.tracker import _Visit
from edge_fgir.runtime.result import Result, Timing

pytestmark = pytest.mark.unit

LABELS = ("wren", "robin", "owl")
THRESHOLD = 0.5
OPTIONS = EventOptions(gap_s=2, moment_s=0.5, moments=2)


def result(label: str, score: float, time_s: float, site=None) -> Result:
    probabilities = np.full(3, (1 - score) / 2)
    probabilities[LABELS.index(label)] = score
    verdict = Judge(LABELS, THRESHOLD, site)(probabilities)
    frame = Frame(
        np.zeros((4, 4, 3), np.uint8), round(time_s * 10), time_s, arrived_at=1e9 + time_s
    )
    return Result(
        verdict.label,
        verdict.score,
        verdict.index,
        verdict.is_unknown,
        probabilities,
        LABELS,
        Timing(1, 1),
        frame,
    )


def told(frames, options=OPTIONS, site=None):
    """Events of (label, score) frames, ten a second; None is an empty scene."""
    tracker = Tracker(Judge(LABELS, THRESHOLD, site), options)
    events = []
    for index, frame in enumerate(frames):
        label, score = frame or ("wren", 0.34)
        events += tracker.update(result(label, score, index / 10, site))
    return events + tracker.finish()


WREN, ROBIN = ("wren", 0.8), ("robin", 0.8)


def test_a_visit_is_decided_once_and_ends():
    decided, ended = told([None] * 10 + [WREN] * 20 + [None] * 30)
    assert (decided.state, decided.visit, decided.label) == ("decided", 1, "wren")
    assert decided.end == pytest.approx(1.5)  # the first frame of the second moment
    assert (ended.state, ended.label, ended.frames, ended.moments) == ("ended", "wren", 20, 4)
    assert (ended.start, ended.end) == (pytest.approx(1.0), pytest.approx(2.9))
    assert ended.start_at == pytest.approx(1e9 + 1.0)
    assert ended.score > decided.score > 0.8
    assert ended.best.frame.pixels.shape == (4, 4, 3)


def test_labels_that_flicker_are_one_decision():
    frames = [ROBIN if index % 4 == 3 else WREN for index in range(60)]
    assert [(e.state, e.label) for e in told(frames)] == [("decided", "wren"), ("ended", "wren")]


def test_another_label_must_stay_ahead():
    stays = told([WREN] * 10 + [("robin", 0.99)] * 30)
    assert [(e.state, e.label) for e in stays] == [
        ("decided", "wren"),
        ("changed", "robin"),
        ("ended", "robin"),
    ]
    passing = told([WREN] * 10 + [("robin", 0.99)] * 3 + [WREN] * 20)
    assert [e.label for e in passing] == ["wren", "wren"]


def test_the_best_frame_is_the_labels_own_even_from_before_it_led():
    sharp = ("robin", 0.99)
    events = told([WREN] * 12 + [sharp] + [WREN] * 2 + [("robin", 0.9)] * 40)
    assert [(e.state, e.label) for e in events][-1] == ("ended", "robin")
    assert events[0].best.frame.index == 0
    assert {e.best.frame.index for e in events if e.label == "robin"} == {12}


def test_few_frames_are_kept_of_a_visit():
    labels = tuple("abcdefgh")
    judge = Judge(labels, 0.0)
    visit = _Visit(1, None, judge, OPTIONS)
    for index in range(40):
        probabilities = np.full(8, 0.04)
        probabilities[index % 8] = 0.72
        frame = Frame(np.zeros((4, 4, 3), np.uint8), index, index / 10, arrived_at=index / 10)
        label = labels[index % 8]
        timing = Timing(1, 1)
        visit.add(Result(label, 0.72, index % 8, False, probabilities, labels, timing, frame), None)
        assert len(visit._best) <= 4


def test_two_visits_are_parted_by_a_gap():
    events = told([WREN] * 10 + [None] * 30 + [ROBIN] * 10)
    assert [(e.visit, e.state, e.label) for e in events] == [
        (1, "decided", "wren"),
        (1, "ended", "wren"),
        (2, "decided", "robin"),
        (2, "ended", "robin"),
    ]
    assert len(told([WREN] * 10 + [None] * 15 + [WREN] * 10)) == 2


def test_a_short_visit_is_told_when_it_ends():
    (event,) = told([None] * 5 + [WREN] + [None] * 30)
    assert (event.state, event.label, event.score) == ("ended", "wren", pytest.approx(0.8))
    assert not event.is_unknown


def test_an_empty_scene_is_no_visit():
    assert told([None] * 100) == []


def test_votes_that_contradict_each_other_are_unknown():
    frames = [("wren", 0.55), ("robin", 0.55), ("owl", 0.55)] * 10
    (event,) = told(frames, EventOptions(moments=3, correlation=1, moment_s=0))
    assert event.is_unknown
    assert event.score < THRESHOLD


def test_classes_that_tie_are_told_by_their_parent():
    site = Site(
        labels={"wren": LabelInfo(parent="songbird"), "robin": LabelInfo(parent="songbird")},
        parents={"songbird": LabelInfo(name="a songbird")},
    )
    events = told([WREN, ROBIN] * 15, EventOptions(moment_s=0.05), site)
    assert {(e.label, e.name) for e in events} == {("songbird", "a songbird")}


def test_a_prior_counts_once_however_long_a_visit_is():
    site = Site(labels={"robin": LabelInfo(prior=2)})
    frames = [("wren", 0.6)] * 200
    assert told(frames, site=site)[-1].label == "wren"


def test_tracks_are_visits_of_their_own():
    tracker = Tracker(Judge(LABELS, THRESHOLD), OPTIONS)
    events = []
    for index in range(20):
        events += tracker.update(result("wren", 0.8, index / 10), track=7)
        events += tracker.update(result("robin", 0.8, index / 10), track="b")
    events += tracker.finish()
    assert {(e.track, e.label) for e in events} == {("7", "wren"), ("b", "robin")}
    assert len(events) == 4


def test_boxes_that_overlap_are_one_visit():
    tracker = Tracker(Judge(LABELS, THRESHOLD), OPTIONS)
    for index in range(20):
        left, right = Region(index, 0, index + 10, 10), Region(100 - index, 0, 110 - index, 10)
        tracker.update(result("wren", 0.8, index / 10), box=left)
        tracker.update(result("robin", 0.8, index / 10), box=right)
    assert [(e.visit, e.label, e.frames) for e in tracker.finish()] == [
        (1, "wren", 20),
        (2, "robin", 20),
    ]


def test_a_result_needs_its_frame():
    with pytest.raises(InputError, match="a result without a frame"):
        Tracker(Judge(LABELS, 0.5)).update(SimpleNamespace(frame=None))


def test_an_event_becomes_json():
    values = told([WREN] * 10)[-1].to_dict()
    assert json.loads(json.dumps(values)) == values
    assert values["start_at"] == "2001-09-09T01:46:40.000+00:00"
    assert "track" not in values
    assert "best" not in values


seen = st.one_of(
    st.none(), st.tuples(st.sampled_from(LABELS), st.sampled_from([0.4, 0.55, 0.8, 0.99]))
)


@given(st.lists(seen, max_size=60), st.integers(1, 3), st.floats(0.05, 3))
def test_whatever_is_seen_every_visit_is_told_in_order(frames, moments, gap_s):
    options = EventOptions(moments=moments, gap_s=gap_s, moment_s=0.2)
    events = told(frames, options)
    known = sum(frame is not None and frame[1] >= THRESHOLD for frame in frames)
    ended = [e for e in events if e.state == "ended"]
    assert sum(e.frames for e in ended) == known
    assert [e.visit for e in ended] == list(range(1, len(ended) + 1))
    for event in ended:
        own = [e for e in events if e.visit == event.visit]
        assert own[-1] is event
        states = ["decided", *["changed"] * len(own)]
        assert [e.state for e in own[:-1]] == states[: len(own) - 1]
        labels = [e.label for e in own[:-1]]
        assert all(one != other for one, other in pairwise(labels))
        assert event.label == (labels or [event.label])[-1]
        assert 0 <= event.score <= 1
        assert event.start <= event.end
