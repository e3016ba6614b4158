"""The explorer's pages over HTTP: for one visitor here, without scripts; only judgements are written."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web
from jinja2 import Environment

from jobs.cli.display import sentence
from jobs.pages.explorer.gate import Gate
from jobs.pages.explorer.judge import Judge
from jobs.pages.explorer.question import (
    Answer,
    IdentityQuestion,
    ListQuestion,
    PairPhotoQuestion,
    PairQuestion,
    PhotoQuestion,
    Question,
    SampleQuestion,
    address,
    asked,
)
from jobs.pages.explorer.tables import Explorer
from jobs.pages.page import TEMPLATES, page_environment
from jobs.pages.report.people import copy_or_person
from schemas.errors import QuestionError
from schemas.judgements import Decision
from schemas.printable import printable
from schemas.wording import probability, rate, share

if TYPE_CHECKING:
    from jobs.pages.explorer.faces import Faces

LOG = logging.getLogger(__name__)
STYLES = ("page.css", "explore.css")
LOOPBACK = "127.0.0.1"
END_SECONDS = 1.0
PHOTOS_SHOWN, PHOTOS_BESIDE = 12, 3
LARGEST_FORM = 4096
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "idleak",
}
WHO = "open the address that idleak explore has printed; it holds the token without which nothing is shown"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ExplorerServer:
    """The routes. faces: None shows no pictures, and has no addresses for them. judge: its pairs are shown
    instead of people, names and verdicts, and with faces alone."""

    def __init__(
        self,
        explorer: Explorer,
        gate: Gate,
        faces: Faces | None = None,
        judge: Judge | None = None,
    ) -> None:
        self._explorer, self._gate, self._faces, self._judge = explorer, gate, faces, judge
        self._painter, self._closed = ThreadPoolExecutor(1, "faces"), False
        self._css = b"".join((TEMPLATES / name).read_bytes() for name in STYLES)
        self._pages = _environment(explorer, with_faces=faces is not None)
        self.application = web.Application(middlewares=[self._guard], client_max_size=LARGEST_FORM)
        self.application.on_response_prepare.append(_set_headers)
        for path, handler in self._routes().items():
            self.application.router.add_get(path, handler, allow_head=False)
        if judge is not None:
            self.application.router.add_post("/", self._keep)

    def close(self) -> None:
        """Begin no more pictures: who still asks for one is told that this ends."""
        self._closed = True
        self._painter.shutdown(wait=False, cancel_futures=True)

    def _routes(self) -> dict[str, Handler]:
        routes: dict[str, Handler] = {"/style.css": self._style, "/favicon.ico": self._no_icon}
        if self._judge is not None:
            return routes | {
                "/": self._pair,
                "/pair/photo.png": self._pair_photo,
                "/pair/sample.png": self._pair_sample,
            }
        routes |= {"/": self._list, "/identity": self._identity, "/sample": self._sample}
        if self._faces is not None:
            routes |= {"/sample.png": self._sample_picture, "/photo.png": self._photo_picture}
        return routes

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Admit the visitor, then answer; an error is a page that tells what it is, and no more."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not self._gate.is_own_host(hosts[0]):
            return _refusal()
        if request.method != "GET" and (self._judge is None or request.method != "POST"):
            return web.Response(status=405, text="only GET is answered", headers={"Allow": "GET"})
        if "token" in request.query and request.method == "GET":
            return self._admission(request.query["token"])
        if not self._gate.knows(request.cookies.get(self._gate.cookie_name, "")):
            return _refusal()
        try:
            return await handler(request)
        except QuestionError as error:
            return self._error(400, str(error))
        except web.HTTPException as error:
            return self._error(error.status, error.text or error.reason)
        except Exception as error:
            # What failed may hold names, so that neither page nor log gets more than its kind.
            LOG.error("%s at %s", type(error).__name__, request.path)
            return self._error(500, "this could not be shown")

    def _admission(self, token: str) -> web.Response:
        if not self._gate.admits(token):
            return _refusal()
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(
            self._gate.cookie_name, self._gate.cookie, httponly=True, samesite="Strict", path="/"
        )
        return response

    async def _list(self, request: web.Request) -> web.Response:
        question = self._explorer.completed(_asked(ListQuestion, request))
        page = await asyncio.to_thread(self._explorer.listed, question)
        return self._page("list", question=question, page=page)

    async def _identity(self, request: web.Request) -> web.Response:
        question = _asked(IdentityQuestion, request)
        recognizer = self._explorer.comparing(question.recognizer)
        scores = await asyncio.to_thread(self._explorer.identity, question.id)
        if not scores:
            raise web.HTTPNotFound(text="nobody of that name is in this run")
        page = await asyncio.to_thread(self._explorer.nearest, question, recognizer)
        return self._page(
            "identity",
            question=question,
            scores=scores,
            recognizer=recognizer,
            evidence=self._explorer.evidence(question.id),
            photos=self._explorer.photos(question.id)[:PHOTOS_SHOWN],
            page=page,
            threshold=self._explorer.threshold(recognizer),
            beside=await asyncio.to_thread(self._explorer.beside, question.id),
        )

    async def _sample(self, request: web.Request) -> web.Response:
        question = _asked(SampleQuestion, request)
        people = await asyncio.to_thread(self._explorer.near_sample, question.id)
        if not people:
            raise web.HTTPNotFound(text="this sample is among nobody's nearest")
        recognizer = self._explorer.comparing(question.recognizer)
        beside = self._explorer.samples_beside(question.of, question.id, recognizer)
        return self._page(
            "sample",
            question=question,
            people=people,
            recognizer=recognizer,
            compared=beside,
            photos=self._explorer.photos(question.of)[:PHOTOS_BESIDE],
        )

    async def _pair(self, request: web.Request) -> web.Response:
        assert self._judge is not None, "routed only for a judge"
        question = _asked(PairQuestion, request)
        pair = await asyncio.to_thread(self._judge.shown, question.pair, photos_at_most=PHOTOS_BESIDE)
        return self._page("pair", pair=pair, form_token=self._gate.form_token, decisions=list(Decision))

    async def _keep(self, request: web.Request) -> web.Response:
        """Keep a decision that a page of this server sends, and show the next pair."""
        assert self._judge is not None, "routed only for a judge"
        form = await request.post()
        answer = asked(Answer, [(name, value) for name, value in form.items() if isinstance(value, str)])
        if not self._gate.is_own_form(request.headers.getall("Origin", []), answer.token):
            raise web.HTTPForbidden(text="this was sent by another page than this server's: nothing was kept")
        await asyncio.to_thread(self._judge.keep, answer.pair, answer.decision)
        return web.Response(status=303, headers={"Location": self._after(answer.pair)})

    def _after(self, number: int) -> str:
        assert self._judge is not None, "routed only for a judge"
        following = self._judge.shown(number, photos_at_most=0).next_pair
        return address("/", {"pair": following if following is not None else number})

    async def _pair_photo(self, request: web.Request) -> web.Response:
        assert self._judge is not None and self._faces is not None, "routed only for a judge, who sees faces"
        question = _asked(PairPhotoQuestion, request)
        photo = self._judge.photo_of(question.pair, question.photo)
        if photo is None:
            raise web.HTTPNotFound(text="there is no such picture")
        return await self._picture(self._faces.photo, *photo)

    async def _pair_sample(self, request: web.Request) -> web.Response:
        assert self._judge is not None and self._faces is not None, "routed only for a judge, who sees faces"
        question = _asked(PairPhotoQuestion, request)
        return await self._picture(self._faces.sample, self._judge.pair(question.pair).sample_id)

    async def _sample_picture(self, request: web.Request) -> web.Response:
        question = _asked(SampleQuestion, request)
        assert self._faces is not None, "routed only with faces"
        if not await asyncio.to_thread(self._explorer.is_near, question.id):
            raise web.HTTPNotFound(text="this sample is among nobody's nearest")
        return await self._picture(self._faces.sample, question.id)

    async def _photo_picture(self, request: web.Request) -> web.Response:
        question = _asked(PhotoQuestion, request)
        assert self._faces is not None, "routed only with faces"
        if not await asyncio.to_thread(self._explorer.is_compared, question.identity, question.photo):
            raise web.HTTPNotFound(text="there is no such picture")
        return await self._picture(self._faces.photo, question.identity, question.photo)

    async def _picture(self, paint: Callable[..., bytes | None], *what: str | int) -> web.Response:
        """Pictures are made one after another: a generator may need all of the machine."""
        if self._closed:
            raise web.HTTPServiceUnavailable(text="the explorer is ending")
        png = await asyncio.get_running_loop().run_in_executor(self._painter, paint, *what)
        if png is None:
            raise web.HTTPNotFound(text="there is no such picture")
        return web.Response(body=png, content_type="image/png")

    async def _style(self, request: web.Request) -> web.Response:
        return web.Response(body=self._css, content_type="text/css", charset="utf-8")

    async def _no_icon(self, request: web.Request) -> web.Response:
        """Browsers ask for one."""
        return web.Response(status=204)

    def _page(self, name: str, status: int = 200, **what: Any) -> web.Response:
        text = self._pages.get_template(f"explore_{name}.html").render(**what)
        return web.Response(status=status, text=text, content_type="text/html")

    def _error(self, status: int, reason: str) -> web.Response:
        return self._page("error", status, reason=reason)


def listening(port: int) -> socket.socket:
    """A socket that this machine alone can reach; port 0 takes a free one. Raises OSError."""
    return socket.create_server((LOOPBACK, port))


@asynccontextmanager
async def serving(server: ExplorerServer, at: socket.socket) -> AsyncIterator[None]:
    """Answer requests until the end of the context."""
    runner = web.AppRunner(
        server.application, access_log=None, handler_cancellation=True, shutdown_timeout=END_SECONDS
    )
    await runner.setup()
    try:
        await web.SockSite(runner, at).start()
        yield
    finally:
        server.close()
        await runner.cleanup()


def _asked(kind: type[Question], request: web.Request) -> Question:
    return asked(kind, list(request.query.items()))


def _refusal() -> web.Response:
    return web.Response(status=403, text=WHO)


async def _set_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _environment(explorer: Explorer, *, with_faces: bool) -> Environment:
    """What all pages know. Every value that is put into them is escaped."""
    pages = page_environment()
    pages.filters |= {**FORMATS, "shown": explorer.show, "printable": printable, "sentence": sentence}
    pages.globals |= {
        "explorer": explorer,
        "results": explorer.results,
        "headline": explorer.headline,
        "with_faces": with_faces,
        "samples_shown": with_faces and explorer.results.spec["generator"]["kind"] != "templates",
        "pairs": lambda values: [("", "all"), *((value, printable(value)) for value in values)],
        "identity_link": lambda identity: IdentityQuestion(id=identity).link(),
        "sample_link": lambda sample_id, **of: address("/sample", {"id": sample_id, **of}),
        "bar_threshold": lambda recognizer: explorer.threshold(recognizer),
        "first_photo": lambda identity: next(iter(explorer.photos(identity)), None),
        "address": address,
        "picture_link": lambda sample_id: address("/sample.png", {"id": sample_id}),
        "photo_link": lambda identity, photo: address("/photo.png", {"identity": identity, "photo": photo}),
        "rests_on": lambda evidence: copy_or_person(evidence, explorer.show),
    }
    return pages


def _absent_or(show: Callable[[float], str]) -> Callable[[float | None], str]:
    return lambda value: "–" if value is None else show(value)


FORMATS: dict[str, Callable[..., str]] = {
    "count": _absent_or("{:,}".format),
    "probability": _absent_or(probability),
    "rate": _absent_or(rate),
    "similarity": _absent_or("{:.3f}".format),
    "margin": _absent_or("{:+.3f}".format),
    "least": _absent_or("{:g}".format),
    "share": share,
}
