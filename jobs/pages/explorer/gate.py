"""Who may look: whoever brings the token that was printed, and asks this machine by its own name."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence


class Gate:
    """The secrets of one server, which listens to 127.0.0.1 at `port`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookie_name = f"idleak_{port}"
        self.cookie = secrets.token_urlsafe()
        self.form_token = secrets.token_urlsafe()
        self._token = secrets.token_urlsafe()
        self._invitations: set[str] = set()

    @property
    def url(self) -> str:
        """The address to open, any number of times."""
        return self._address(self._token)

    def invitation(self) -> str:
        """An address that opens once: other users of the machine may read a browser's command line."""
        token = secrets.token_urlsafe()
        self._invitations.add(token)
        return self._address(token)

    def is_own_host(self, host: str) -> bool:
        """Whether a Host header names this server; another name was made to point here by somebody else."""
        return host in (f"127.0.0.1:{self.port}", f"localhost:{self.port}")

    def admits(self, token: str) -> bool:
        """Whether an address brings a token that is good now."""
        if _same(token, self._token):
            return True
        used = next((invitation for invitation in self._invitations if _same(token, invitation)), None)
        self._invitations.discard(used or "")
        return used is not None

    def knows(self, cookie: str) -> bool:
        """Whether a browser has been admitted before."""
        return _same(cookie, self.cookie)

    def is_own_form(self, origins: Sequence[str], token: str) -> bool:
        """Whether a form was on a page of this server: another site has another origin, and no token."""
        own = (f"http://127.0.0.1:{self.port}", f"http://localhost:{self.port}")
        return len(origins) == 1 and origins[0] in own and _same(token, self.form_token)

    def _address(self, token: str) -> str:
        return f"http://127.0.0.1:{self.port}/?token={token}"


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())
