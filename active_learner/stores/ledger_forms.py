"""Entries of a ledger as JSON. Knows their kinds and fields; not the file."""

from __future__ import annotations

from active_learner.core.records import SampleSpec
from active_learner.stores import forms
from active_learner.stores.forms import Form
from active_learner.stores.ledger import Asked, Began, Closed, Entry, Finished, Imported, Planned, Quarantined, Said


def to_form(entry: Entry) -> Form:
    match entry:
        case Asked(questions):
            return {"kind": "asked", "questions": [forms.question_form(one) for one in questions]}
        case Closed(ids, why):
            return {"kind": "closed", "ids": list(ids), "why": why}
        case Said(event):
            return {"kind": "said", "event": forms.plain(event)}
        case Imported(events, samples):
            texts = [forms.to_text(sample) for sample in samples]
            return {"kind": "imported", "events": [forms.plain(one) for one in events], "samples": texts}
        case Planned(plan):
            return {"kind": "planned", "plan": forms.plan_form(plan)}
        case Finished(result):
            return {"kind": "finished", "result": forms.plain(result)}
        case Began(term):
            return {"kind": "began", "term": term}
        case Quarantined(event):
            return {"kind": "quarantined", "event": forms.plain(event)}


def from_form(form: Form, spec: SampleSpec) -> Entry:
    """Raises: KeyError, TypeError, ValueError when it is no form of an entry."""
    match form["kind"]:
        case "asked":
            return Asked(tuple(forms.question_from(one, spec) for one in form["questions"]))
        case "closed":
            return Closed(tuple(form["ids"]), form["why"])
        case "said":
            return Said(forms.event_from(form["event"]))
        case "imported":
            samples = tuple(forms.from_text(text, spec) for text in form["samples"])
            return Imported(tuple(forms.event_from(one) for one in form["events"]), samples)
        case "planned":
            return Planned(forms.plan_from(form["plan"]))
        case "finished":
            return Finished(forms.result_from(form["result"]))
        case "began":
            return Began(form["term"])
        case "quarantined":
            return Quarantined(forms.event_from(form["event"]))
        case other:
            raise ValueError(f"an entry of kind {other!r}")
