"""What every section of the configuration is made of. Knows no key of any."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0.0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
MIB = 1024 * 1024
DTYPES = Literal["uint8", "int8", "int16", "int32", "int64", "float32", "float64"]


class Section(BaseModel):
    """Unknown keys are errors; values are not converted silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def memory(default: int, what: str = "what it has at its start") -> Any:
    """The key `memory_bytes` of a process; the defaults are more than ten times what the shipped experiments take."""
    return Field(
        default,
        ge=1,
        description=f"memory that the process may take beyond {what}; then it ends with 1. None: no limit",
    )
