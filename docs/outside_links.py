"""A hook of mkdocs: links from a page to files of the repository that are no pages.

On a site they lead to the repository (`repo_url` of mkdocs.yml), or are plain text where no address is given.
A link to a file that is not there ends the build.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

LINK = re.compile(r"\[([^\]]*)\]\((\.\./[^)#]*)(#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """The page with its links to the outside of `docs` replaced. Raises PluginError for a dead one."""
    docs = Path(config["docs_dir"])
    folder = (docs / page.file.src_uri).parent

    def replaced(link: re.Match[str]) -> str:
        target = (folder / link[2]).resolve()
        if target.is_relative_to(docs):
            return link[0]
        if not target.exists():
            raise PluginError(f"{page.file.src_uri}: {link[2]} is not there")
        path = target.relative_to(docs.parent).as_posix()
        return f"[{link[1]}]({config['repo_url']}/blob/main/{path})" if config["repo_url"] else link[1]

    return LINK.sub(replaced, markdown)
