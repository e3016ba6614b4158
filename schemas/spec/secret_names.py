"""How a spec names a secret, which it never holds itself."""

from __future__ import annotations

import re

SECRET = re.compile(r"\{(env|file):([^{}]+)\}")
ONE_SECRET = r"^\{(env|file):[^{}]+\}$"
