"""Named places where a process can be made to die: what a kill in the worst moment does can be tried at will.

ACTIVE_LEARNER_CRASH_AT=NAME:N kills this process with SIGKILL when NAME is reached for the N-th time (NAME alone: the
first). Otherwise a point costs one comparison. Knows names; not what stands around them.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "ACTIVE_LEARNER_CRASH_AT"

POINTS: dict[str, str] = {
    "any.before_hello": "a process is about to meet the broker",
    "any.ready": "a process has started, and has not said its ready line",
    "any.welcomed": "the broker has begun a session, and no room is joined",
    "broker.after_send": "one receiver has a message, others perhaps not",
    "broker.before_send": "the next receiver of a message does not have it",
    "broker.before_tick": "nobody has been probed or settled since the last tick",
    "broker.between_frames": "half of a message of many frames is given to the socket",
    "broker.bound": "the port is bound, and the ready line not said",
    "broker.hello_answered": "a HELLO is answered, or waits for sign of life of its rival",
    "broker.message_relayed": "a message is given to all that hear it",
    "broker.message_taken": "a message has come, nobody has heard it",
    "evaluator.after_apply": "the optimizer has made its step, nobody knows it yet",
    "evaluator.before_apply": "a gradient has come, the weights are as before",
    "evaluator.checkpoint_before_folder_sync": "the new file has its name, the folder is not synced",
    "evaluator.checkpoint_before_fsync": "the temporary file is written, not synced",
    "evaluator.checkpoint_before_rename": "the temporary file is on the disk, the checkpoint is not there yet",
    "evaluator.forward_made": "the predictions are made, nobody has heard them",
    "evaluator.promoted": "the promoted weights are on the disk and score, PROMOTED is not said",
    "evaluator.restored": "it stands at an older step, its POSITION is not said",
    "labeler.answer_sent": "an answer is said, or said again",
    "labeler.decided": "the annotator has decided, and nothing of it is kept",
    "labeler.joined": "the rooms are joined, and no question is taken",
    "labeler.outbox_after_fsync": "an answer is on the disk, it is not said",
    "labeler.outbox_before_compaction": "settled answers will be dropped from the outbox, the new file is not written",
    "labeler.outbox_before_fsync": "an answer is given, nothing of it is on the disk",
    "labeler.outbox_settled": "the outbox knows the receipt",
    "labeler.question_heard": "a question has come, and is not asked",
    "labeler.receipt_heard": "a receipt has come, the outbox does not know it",
    "source.before_send": "candidates are proposed, and not given to the socket",
    "source.candidates_made": "the source has made candidates, nobody has heard of them",
    "source.candidates_said": "candidates are said, or said again",
    "source.joined": "the rooms are joined, and nothing is proposed",
    "source.receipt_heard": "TAKEN has come, the source does not know it",
    "source.scores_heard": "scores have come, and the source does not know them",
    "trainer.answer_after_commit": "an answer is on the disk, its receipt is not said",
    "trainer.answer_before_commit": "an answer was heard and checked, nothing of it is written",
    "trainer.closing_after_commit": "closed questions are on the disk, nobody was told",
    "trainer.closing_before_commit": "questions are to be closed, nothing is written",
    "trainer.commit_durable": "SQLite has committed any change; the mark does not know it",
    "trainer.commit_written": "all rows of any change are in SQLite's transaction, which is not committed",
    "trainer.epoch_ended": "the last step of an epoch is applied",
    "trainer.forward_sent": "a batch is on its way",
    "trainer.gradient_sent": "a gradient is on its way",
    "trainer.journal_durable": "the journal of a CSV store has a change, its table does not",
    "trainer.plan_after_commit": "a round's plan is on the disk, no step of it is done",
    "trainer.plan_before_commit": "a round's plan is made and not written",
    "trainer.pool_after_commit": "the pool's snapshot is on the disk",
    "trainer.pool_before_commit": "the pool's snapshot is made and not written",
    "trainer.prediction_heard": "predictions are there, their gradient is not computed",
    "trainer.promote_sent": "PROMOTE is on its way",
    "trainer.questions_after_commit": "questions are on the disk and not sent",
    "trainer.questions_before_commit": "questions are chosen and not written",
    "trainer.result_after_commit": "a round's result is on the disk, its line in metrics.jsonl is not",
    "trainer.result_before_commit": "a round is trained and promoted, its result is not written",
    "trainer.result_committed": "a round's result and its line are on the disk, the machines do not know it",
    "trainer.step_applied": "an evaluator has said that a step is applied",
    "trainer.term_after_commit": "a new term is on the disk, nobody has heard of it",
    "trainer.term_before_commit": "the store is open and locked, the term is not raised",
    "trainer.validated": "the round's model is assessed, its promotion is not asked for",
}
"""Every point there is, and which moment it is. A name is ROLE.MOMENT; the role is who dies: trainer, evaluator, labeler,
source or broker, or any of them."""


class _Target:
    """The one point at which this process dies, and how often it may still be passed."""

    def __init__(self, text: str | None) -> None:
        self.name, _, number = (text or "").partition(":")
        if self.name and (self.name not in POINTS or (number and not number.isdigit())):
            raise SystemExit(f"{VARIABLE}={text}: NAME:N expected; the points are {', '.join(POINTS)}")
        self.left = int(number or 1)

    def passed(self) -> None:
        self.left -= 1
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


_target = _Target(os.environ.get(VARIABLE))


def reach(name: str) -> None:
    """The process stands at the point `name` of POINTS."""
    if _target.name == name:
        _target.passed()
