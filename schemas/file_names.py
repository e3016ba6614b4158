"""Names of files that a run can write down: text, which the names of files on a disk need not be."""

from __future__ import annotations

import os
import sys

from schemas.errors import SpecError


def require_file_name(path: str) -> str:
    """`path`, if it is UTF-8 and this Python can open it. Raises SpecError.

    In a locale without UTF-8, and with Python's UTF-8 mode off, a name may be neither.
    """
    encoding = sys.getfilesystemencoding()
    try:
        os.fsencode(path)
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        if encoding != "utf-8":
            raise SpecError(
                f"{path} is no name of a file in this locale ({encoding}): set PYTHONUTF8=1, or a locale of "
                "UTF-8 as in LC_ALL=C.UTF-8"
            ) from error
        raise SpecError(
            f"{path} is not UTF-8, and a run could not write it down: rename the file or folder"
        ) from error
    return path
