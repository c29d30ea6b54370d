"""The secret that signs webhooks, in a file that only its owner can read. Knows the form of Standard Webhooks; no network.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: `whsec_` and base64 of 24 to
64 bytes; HMAC-SHA256 over id.timestamp.body.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from pathlib import Path

from active_learner.errors import ConfigError
from active_learner.security.key_files import SECRET_MODE, check_mode

PREFIX = "whsec_"
BYTES = range(24, 65)


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    key: bytes = field(repr=False)

    def signature(self, id: str, timestamp: int, body: bytes) -> str:
        """The value of `webhook-signature`."""
        said = f"{id}.{timestamp}.".encode() + body
        return f"v1,{b64encode(hmac.digest(self.key, said, 'sha256')).decode('ascii')}"


def read_secret(path: Path) -> WebhookSecret:
    """Raises: ConfigError when it is not there, others can read it, or it is no secret; never with what is in it."""
    try:
        check_mode(path, SECRET_MODE)
        text = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigError([f"webhook.secret_file: {path} cannot be read: {error.strerror}"]) from None
    except ValueError:
        raise ConfigError([f"webhook.secret_file: {path} {FORM}"]) from None
    try:
        key = b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        key = b""
    if not text.startswith(PREFIX) or len(key) not in BYTES:
        raise ConfigError([f"webhook.secret_file: {path} {FORM}"])
    return WebhookSecret(key)


FORM = "is no secret: it must have whsec_ and base64 of 24 to 64 random bytes"
