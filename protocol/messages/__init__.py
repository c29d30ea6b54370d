"""Everything that can be said on the wire, one frozen dataclass a kind, one file a room. Knows no bytes (codec.py does).

Field types are the schema: the codec refuses a header whose fields are missing, unknown or of another type.
Arrays are numpy arrays of the dtypes in tensors.py; shapes stand in the docstrings. Times are seconds.
"""

from protocol.messages.base import Action, Member, Message, Status
from protocol.messages.control import (
    Control,
    LogLine,
    PeerAge,
    RoundLine,
    Rounds,
    RoundsRequest,
    StatusReport,
    StatusRequest,
)
from protocol.messages.evolution import Candidates, Scores, SourceEnded, Taken
from protocol.messages.labels import Answer, AnswerReceipt, Lease, Leased, Question, QuestionClosed
from protocol.messages.session import (
    Bye,
    Hello,
    Join,
    Joined,
    Leave,
    Ping,
    Pong,
    Presence,
    Probe,
    Refused,
    Undelivered,
    Unknown,
    Welcome,
)
from protocol.messages.training import (
    Forward,
    Gradient,
    Position,
    PositionRequest,
    Promote,
    Promoted,
    Restore,
    Step,
    StepRefused,
)

__all__ = [
    "Action",
    "Answer",
    "AnswerReceipt",
    "Bye",
    "Candidates",
    "Control",
    "Forward",
    "Gradient",
    "Hello",
    "Join",
    "Joined",
    "Lease",
    "Leased",
    "Leave",
    "LogLine",
    "Member",
    "Message",
    "PeerAge",
    "Ping",
    "Pong",
    "Position",
    "PositionRequest",
    "Presence",
    "Probe",
    "Promote",
    "Promoted",
    "Question",
    "QuestionClosed",
    "Refused",
    "Restore",
    "RoundLine",
    "Rounds",
    "RoundsRequest",
    "Scores",
    "SourceEnded",
    "Status",
    "StatusReport",
    "StatusRequest",
    "Step",
    "StepRefused",
    "Taken",
    "Undelivered",
    "Unknown",
    "Welcome",
]
