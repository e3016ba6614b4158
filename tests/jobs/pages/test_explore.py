"""`idleak explore`: the questions, who is answered, and the pages as a real browser shows them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import httpx
import pyarrow.compute as pc
import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from distributed.storage.results_file import read_results
from distributed.storage.store import RunStore, open_run
from distributed.storage.trail import entries
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.pages.explorer.faces import Faces
from jobs.pages.explorer.gate import Gate
from jobs.pages.explorer.question import IdentityQuestion, ListQuestion, asked
from jobs.pages.explorer.server import HEADERS, ExplorerServer, listening, serving
from jobs.pages.explorer.tables import Explorer
from schemas.errors import QuestionError
from schemas.run.artefacts import GALLERY_FILE, NEIGHBOURS_FILE, SCORES_FILE
from tests.support.exploring import exploring, served, visitor
from tests.support.pages import HOSTILE, Page
from tests.support.people import pseudonym
from tests.support.small_world import CANDIDATES, MEMBERS, PHOTOS, TOPK, SmallWorld


@pytest.fixture
def explorer(finished_world: SmallWorld) -> Iterator[Explorer]:
    run_explorer = Explorer(RunStore(str(finished_world.run)))
    yield run_explorer
    run_explorer.close()


def listed(explorer: Explorer, **question: object) -> list[dict[str, object]]:
    page = explorer.listed(explorer.completed(ListQuestion.model_validate(question)))
    return [dict(row) for row in page.rows]


def test_the_list_is_that_of_the_tables(finished_world: SmallWorld, explorer: Explorer) -> None:
    table = RunStore(str(finished_world.run)).read_table(SCORES_FILE)
    candidates = table.filter(
        pc.and_(
            pc.equal(table["score_name"], explorer.headline.score_name), pc.equal(table["role"], "candidate")
        )
    )
    expected = candidates.sort_by(
        [("p_value", "ascending"), ("score", "descending"), ("identity", "ascending")]
    )
    rows = listed(explorer)
    for name in ("identity", "p_value", "q_value", "verdict", "score", "hits"):
        assert [row[name] for row in rows] == expected[name].to_pylist()
    assert {str(row["identity"]) for row in rows[:MEMBERS]} == set(explorer.headline.flagged)


def test_people_are_found_filtered_and_ordered(explorer: Explorer) -> None:
    leaked = listed(explorer, verdict="leaked")
    assert {row["identity"] for row in leaked} == set(explorer.headline.flagged)
    person = pseudonym("person-000")
    assert [row["identity"] for row in listed(explorer, find=person[:12].upper())] == [person]
    assert listed(explorer, find="' OR 1=1 --") == listed(explorer, find="%") == []
    assert len(listed(explorer, role="", recognizer="", score_name="")) == 50
    p_values = [float(str(row["p_value"])) for row in listed(explorer, sort="p_value", order="desc")]
    assert p_values == sorted(p_values, reverse=True) and len(p_values) == CANDIDATES
    assert all(float(str(row["q_value"])) <= 0.05 for row in listed(explorer, q_to=0.05))
    last = explorer.listed(explorer.completed(ListQuestion(role="", page=999)))
    assert last.number == last.pages == 3 and last.total == 140


def test_the_nearest_samples_are_those_of_the_table(finished_world: SmallWorld, explorer: Explorer) -> None:
    person, shown = pseudonym("person-001"), ("sample_id", "similarity", "margin", "best_other")
    rows = RunStore(str(finished_world.run)).read_table(NEIGHBOURS_FILE).to_pylist()
    expected = [[row[name] for name in shown] for row in rows if row["identity"] == person]
    expected.sort(key=lambda values: (-values[1], values[0]))
    nearest = explorer.nearest(IdentityQuestion(id=person), explorer.comparing(None))
    assert len(expected) == TOPK
    assert [[row[name] for name in shown] for row in nearest.rows] == expected
    people = explorer.near_sample(expected[0][0])
    assert expected[0][1:] in [[row[name] for name in shown[1:]] for row in people]
    assert person in [row["identity"] for row in people]
    assert explorer.is_near(expected[0][0]) and not explorer.is_near(10**9)


def test_a_page_names_margins_and_the_other_person(finished_world: SmallWorld) -> None:
    person = pseudonym("person-001")
    rows = RunStore(str(finished_world.run)).read_table(NEIGHBOURS_FILE).to_pylist()
    first = next(row for row in rows if row["identity"] == person and row["rank"] == 1)
    other = first["best_other"]
    with served(finished_world.run) as gate, visitor(gate) as client:
        page = Page(client.get("/identity", params={"id": person}).text)
        assert f"margin {first['margin']:+.3f} best other {other[:12]}" in page.text
        threshold = read_results(RunStore(str(finished_world.run))).recognizers[0].operating_point.threshold
        assert f"The mark on a bar is at {threshold:.3f}" in page.text
        sample = Page(client.get("/sample", params={"id": first["sample_id"]}).text)
        assert f"{first['similarity']:.3f} {first['margin']:+.3f} {other[:12]} tiny" in sample.text


@pytest.mark.parametrize(
    "given",
    [
        [("page", "0")],
        [("sort", "p_value; DROP TABLE scores")],
        [("p_to", "nan")],
        [("find", "x" * 201)],
        [("colour", "red")],
        [("page", "1"), ("page", "2")],
    ],
)
def test_a_question_that_makes_no_sense_is_refused(given: list[tuple[str, str]]) -> None:
    with pytest.raises(QuestionError):
        asked(ListQuestion, given)


def test_no_question_reaches_a_file_or_the_network(explorer: Explorer) -> None:
    """Were a value ever taken for SQL, it would find nothing but the tables."""
    for sql in (
        "SELECT * FROM read_text('/etc/hostname')",
        "COPY scores TO 'out.csv'",
        "ATTACH 'other.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
    ):
        with pytest.raises(duckdb.Error):
            explorer._ask(sql, {})


def test_only_who_has_the_token_is_answered(finished_world: SmallWorld) -> None:
    with served(finished_world.run) as gate, httpx.Client() as stranger:
        base = f"http://127.0.0.1:{gate.port}"
        for path in ("/", "/identity?id=x", "/style.css", "/?token=wrong", "/?token=", "/nowhere"):
            refused = stranger.get(base + path)
            assert refused.status_code == 403 and pseudonym("person-000")[:12] not in refused.text
        elsewhere = {"Host": f"attacker.example:{gate.port}"}
        assert stranger.get(gate.url, headers=elsewhere).status_code == 403
        forged = {"Cookie": f"{gate.cookie_name}=wrong"}
        assert stranger.get(base, headers=forged).status_code == 403
        admitted = stranger.get(gate.url)
        assert admitted.status_code == 303 and admitted.headers["Location"] == "/"
        cookie = admitted.headers["Set-Cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie
        assert stranger.get(base).status_code == 200
        assert stranger.get(base, headers=elsewhere).status_code == 403
        assert stranger.post(base).status_code == 405
        invitation = gate.invitation()
        with httpx.Client() as client, httpx.Client() as other:
            assert client.get(invitation).status_code == 303
            assert other.get(invitation).status_code == 403


def test_other_machines_cannot_connect(finished_world: SmallWorld) -> None:
    with served(finished_world.run) as gate, socket.socket() as other:
        other.settimeout(5)
        with pytest.raises(OSError):
            other.connect(("127.0.0.2", gate.port))


def test_every_answer_forbids_scripts_and_strangers(finished_world: SmallWorld) -> None:
    person = pseudonym("person-000")
    with served(finished_world.run) as gate, visitor(gate) as client:
        pages = {"/": 200, f"/identity?id={person}": 200, "/style.css": 200, "/identity?id=nobody": 404}
        pages |= {
            "/?sort=x": 400,
            "/sample?id=999999": 404,
            "/sample?id=-1": 400,
            "/..%2f..%2fetc/passwd": 404,
        }
        pages |= {"/sample.png?id=0": 404, f"/photo.png?identity={person}&photo=x": 404}
        for path, status in pages.items():
            answer = client.get(path)
            assert answer.status_code == status, path
            assert answer.headers.items() >= {name.lower(): value for name, value in HEADERS.items()}.items()
            assert "<script" not in answer.text and "Traceback" not in answer.text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(finished_world: SmallWorld, name: str) -> None:
    person = pseudonym("person-000")
    shown = {person: name}
    with served(finished_world.run, lambda key: shown.get(key, key)) as gate, visitor(gate) as client:
        for path in (f"/?find={httpx.QueryParams({'a': name})['a'][:0]}", f"/identity?id={person}"):
            html = client.get(path).text
            page = Page(html)
            assert "img" not in {tag for tag, _ in page.tags} and "script" not in {
                tag for tag, _ in page.tags
            }
            assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
            assert "\u202e" not in html and "\u200f" not in html
        search_page = Page(client.get("/", params={"find": name.encode("unicode_escape").decode()[:8]}).text)
        assert person in str(search_page.tags)


def test_pictures_are_those_of_the_run_and_of_nobody_else(finished_world: SmallWorld) -> None:
    store = RunStore(str(finished_world.run))
    row = store.read_table(NEIGHBOURS_FILE).to_pylist()[0]
    photos = store.read_table(GALLERY_FILE, ["identity", "photo"]).to_pylist()
    own = [photo["photo"] for photo in photos if photo["identity"] == row["identity"]]
    (somebody, *_) = (photo for photo in photos if photo["identity"] != row["identity"])
    with served(finished_world.run, faces=Faces(store)) as gate, visitor(gate) as client:
        page = Page(client.get("/identity", params={"id": row["identity"]}).text)
        assert len(own) == PHOTOS and len(page.images) == PHOTOS + TOPK
        assert len(Page(client.get("/").text).images) == CANDIDATES
        paths = [
            ("/sample.png", {"id": row["sample_id"]}),
            *(("/photo.png", {"identity": row["identity"], "photo": photo}) for photo in own),
        ]
        for path, parameters in paths:
            picture = client.get(path, params=parameters)
            assert picture.headers["Content-Type"] == "image/png" and picture.content[:4] == b"\x89PNG"
        for wrong in ("../../etc/passwd", somebody["photo"]):
            others = {"identity": row["identity"], "photo": wrong}
            assert client.get("/photo.png", params=others).status_code == 404
        assert client.get("/sample.png", params={"id": 10**9}).status_code == 404


async def _asked_for_a_picture_at_the_end(
    server: ExplorerServer, gate: Gate, at: socket.socket, sample_id: int
) -> int:
    async with serving(server, at), httpx.AsyncClient(follow_redirects=True) as client:
        await client.get(gate.url)
        server.close()
        return (await client.get(f"http://127.0.0.1:{gate.port}/sample.png?id={sample_id}")).status_code


def test_who_asks_for_a_picture_at_the_end_gets_none_and_nothing_is_logged(
    finished_world: SmallWorld, caplog: pytest.LogCaptureFixture
) -> None:
    store, at = RunStore(str(finished_world.run)), listening(0)
    with closing(Explorer(store)) as explorer:
        server = ExplorerServer(explorer, gate := Gate(at.getsockname()[1]), Faces(store))
        sample_id = store.read_table(NEIGHBOURS_FILE)["sample_id"][0].as_py()
        assert asyncio.run(_asked_for_a_picture_at_the_end(server, gate, at, sample_id)) == 503
    assert not caplog.records


def test_no_photo_of_who_was_not_compared_is_shown(finished_world: SmallWorld) -> None:
    """The gallery may hold people who are left out, such as one of two entries of a person."""
    store = RunStore(str(finished_world.run))
    row = store.read_table(GALLERY_FILE, ["identity", "photo"]).to_pylist()[0]
    for table in (NEIGHBOURS_FILE, SCORES_FILE):
        rest = store.read_table(table).filter(pc.not_equal(pc.field("identity"), row["identity"]))
        store.write_table(table, rest, store.read_footer(table))
    explorer = Explorer(store)
    assert not explorer.is_compared(row["identity"], row["photo"])
    explorer.close()


def test_a_run_that_is_not_over_and_a_port_in_use_are_told(
    finished_world: SmallWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["explore", str(tmp_path / "empty")]) == ExitCode.BAD_SPEC
    with listening(0) as taken:
        port = taken.getsockname()[1]
        assert main(["explore", str(finished_world.run), "--port", str(port)]) == ExitCode.BAD_SPEC
    assert main(["explore", str(finished_world.run), "--port", "70000"]) == ExitCode.BAD_SPEC
    err = capsys.readouterr().err
    assert err.count("\n") == 3 and "give another, or 0" in err


@pytest.mark.slow
def test_it_ends_without_a_word(finished_world: SmallWorld) -> None:
    """`exploring` holds it to that: DuckDB calls a connection that outlives its module a leak, on stderr."""
    with (
        exploring(finished_world.run, "--with-faces") as url,
        httpx.Client(follow_redirects=True) as client,
    ):
        assert client.get(url).status_code == 200


def rows_of(browser: webdriver.Chrome) -> list[str]:
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, "tbody th")]


def wait_for(browser: webdriver.Chrome, people: set[str]) -> None:
    """Until the next page is there, which lists these people."""
    wait = WebDriverWait(browser, 20, ignored_exceptions=[StaleElementReferenceException])
    wait.until(lambda _: set(rows_of(browser)) == people)


def test_a_browser_searches_filters_and_follows(
    finished_world: SmallWorld, browser: webdriver.Chrome
) -> None:
    with exploring(finished_world.run, "--with-faces", "--reveal") as url:
        browser.get(url)
        assert "token" not in browser.current_url
        assert len(rows_of(browser)) == CANDIDATES
        Select(browser.find_element(By.NAME, "verdict")).select_by_value("leaked")
        browser.find_element(By.CSS_SELECTOR, "form button").click()
        wait_for(browser, {f"person-{index:03d}" for index in range(MEMBERS)})
        browser.find_element(By.NAME, "find").send_keys("SON-003\n")
        wait_for(browser, {"person-003"})
        browser.find_element(By.LINK_TEXT, "person-003").click()
        assert "leaked" in browser.find_element(By.TAG_NAME, "h1").text
        _require_pictures(browser)
        browser.find_element(By.CSS_SELECTOR, "figcaption a").click()
        assert "person-003" in rows_of(browser)
        _require_pictures(browser)
        browser.set_window_size(390, 844)
        for path in ("/", f"/identity?id={pseudonym('person-003')}"):
            browser.get(url.split("/?")[0] + path)
            wide, room = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
            assert wide <= room
        # selenium has not annotated get_log, and strict mypy refuses calls of what is not annotated.
        assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]
    *_, last = entries(open_run(finished_world.spec()))
    assert (last.action, last.what["revealed"], last.what["faces"]) == ("explore", True, True)


def _require_pictures(browser: webdriver.Chrome) -> None:
    script = """const done = arguments[0], all = [...document.images];
        all.forEach(one => one.loading = "eager");
        Promise.all(all.map(one => one.decode().then(() => one.naturalWidth, () => 0))).then(done);"""
    widths = browser.execute_async_script(script)
    assert widths and all(widths)


def test_names_and_faces_are_shown_to_those_who_ask_alone(
    finished_world: SmallWorld, browser: webdriver.Chrome
) -> None:
    with exploring(finished_world.run) as url:
        browser.get(url)
        assert rows_of(browser)[0] == pseudonym("person-000")[:12] or "person" not in "".join(
            rows_of(browser)
        )
        browser.find_element(By.CSS_SELECTOR, "tbody a").click()
        assert not browser.find_elements(By.TAG_NAME, "img") and "person-0" not in browser.page_source
