"""`idleak report`: the page of a finished run, its figures and its faces."""

from __future__ import annotations

import base64
import html
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from PIL import Image

from distributed.gallery.source import photo_places
from distributed.sampling.adapters import open_generator
from distributed.storage.results_file import read_results
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore, open_run
from distributed.storage.trail import entries
from jobs.__main__ import main
from jobs.api.reporting import write_report
from jobs.cli.exit_codes import ExitCode
from jobs.pages.finished_run import read_finished
from jobs.pages.page import BAD, GOOD, OPEN
from jobs.pages.report.coverage import coverage_section
from jobs.pages.report.faces import PIXELS
from jobs.pages.report.people import nearest_of, people_at_risk
from jobs.pages.report.summary import summary_of, verdict_sentence
from schemas.run.artefacts import (
    FIGURES_PREFIX,
    GALLERY_FILE,
    RECORD_FILE,
    REPORT_FILE,
    RESULTS_FILE,
    SCORES_FILE,
)
from schemas.run.results import AuditResults
from schemas.run.tables import Outcome, Verdict
from tests.support.pages import HOSTILE, Page, require_safe
from tests.support.people import pseudonym
from tests.support.small_world import (
    CANDIDATES,
    MEMBERS,
    SEED,
    TOPK,
    SmallWorld,
    file_bytes,
    sample_of,
)

DRAWN = {"scores", "calibration", "samples", "roc", "det", "precision_recall"}
SVG, PNG = "data:image/svg+xml;base64,", "data:image/png;base64,"


def html_of(world: SmallWorld) -> str:
    return (world.run / REPORT_FILE).read_text(encoding="utf-8")


def change_results(world: SmallWorld, **changes: Any) -> AuditResults:
    """Other values in `results.json`."""
    store = RunStore(str(world.run))
    results = read_results(store).model_copy(update=changes)
    store.write(RESULTS_FILE, results.model_dump_json().encode())
    return results


def headline_with(world: SmallWorld, **changes: Any) -> AuditResults:
    first, *others = read_results(RunStore(str(world.run))).scores
    return change_results(world, scores=[first.model_copy(update=changes), *others])


def test_the_report_is_one_safe_page_that_begins_with_the_verdict(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(finished_world.run)]) == ExitCode.OK
    assert capsys.readouterr().out.splitlines()[-1].startswith("Next: open the page in a browser")
    page = require_safe(html_of(finished_world))
    assert f"{MEMBERS} of {CANDIDATES} people are flagged as leaked; there is no verdict on 15." in page.text
    assert "at most 2 of the 5 flagged (40 %) are by chance" in page.text
    assert "120 people who, by the auditor's word, are outside" in page.text
    assert "this cohort can give none smaller than 0.0083" in page.text
    assert "generator generator.onnx (onnx)" in page.text and "recogniser tiny" in page.text
    assert "Not detected does not mean" not in page.text, "nobody is"
    results = read_results(RunStore(str(finished_world.run)))
    assert results.verdict_fingerprint_sha256 in page.text
    spec = html_of(finished_world).split("<pre>")[-1].split("</pre>")[0]
    assert yaml.safe_load(html.unescape(spec)) == results.model_dump(mode="json")["spec"]


def test_faces_of_an_audit_of_gpus_are_drawn_without_one(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    record = finished_world.run / RECORD_FILE
    content = json.loads(record.read_text(encoding="utf-8"))
    content["spec"]["resources"]["device"] = "cuda"
    record.write_text(json.dumps(content), encoding="utf-8")
    assert main(["report", str(finished_world.run), "--with-faces"]) == ExitCode.OK
    assert "no GPU here: samples are made again on the CPU" in capsys.readouterr().err
    assert any(image.startswith("data:image/png") for image in require_safe(html_of(finished_world)).images)


def test_everybody_who_is_flagged_stands_with_evidence(finished_world: SmallWorld) -> None:
    run = read_finished(RunStore(str(finished_world.run)))
    rows = people_at_risk(run)
    assert {row["identity"] for row in rows[:MEMBERS]} == set(run.headline.flagged)
    nearest = nearest_of(run, rows)
    for index in range(MEMBERS):
        near = nearest[pseudonym(f"person-{index:03d}")]
        assert len({row["sample_id"] for row in near}) == len(near) == TOPK
        assert near[0]["sample_id"] == sample_of(index)
    write_report(run.store)
    text = Page(html_of(finished_world)).text
    for row in (nearest[rows[0]["identity"]][0], nearest[rows[-1]["identity"]][-1]):
        assert text.count(f"{row['sample_id']} ({row['similarity']:.3f}, {row['margin']:+.3f})") == 1
    assert f"better than anybody else by {run.least_margin:g} or more" in text
    q_values = {row["identity"]: row["q_value"] for row in rows}
    for name in run.headline.flagged:
        assert f"{name[:12]} leaked p-value 0.0083 q-value {q_values[name]:.2g}" in text
    rates = run.rates_by_identity()[pseudonym("person-004")]
    assert f"{rates['per_million']:,.0f} ({rates['per_million_low']:,.0f} to" in text


def test_every_figure_is_in_the_page_and_beside_it(finished_world: SmallWorld) -> None:
    write_report(RunStore(str(finished_world.run)))
    folder = finished_world.run / FIGURES_PREFIX
    assert {path.name for path in folder.iterdir()} == {f"{n}.{e}" for n in DRAWN for e in ("png", "svg")}
    embedded = {base64.b64decode(url.removeprefix(SVG)) for url in Page(html_of(finished_world)).images}
    assert embedded == {path.read_bytes() for path in folder.glob("*.svg")}
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            assert min(image.size) >= 500 and len(image.getcolors(2**24) or []) > 20
            assert not image.info.keys() & {"Software", "Creation Time"}


def test_the_trail_vouches_for_the_report(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(finished_world.run)
    assert main(["report", run]) == main(["report", run]) == main(["verify", run]) == ExitCode.OK
    page = finished_world.run / REPORT_FILE
    page.write_text(html_of(finished_world).replace("leaked", "safe"), encoding="utf-8")
    capsys.readouterr()
    assert main(["verify", run]) == ExitCode.DAMAGED
    assert f"{REPORT_FILE}: is not as the trail says" in capsys.readouterr().out
    assert main(["report", run]) == main(["verify", run]) == ExitCode.OK


def test_the_same_run_gives_the_same_bytes(finished_world: SmallWorld) -> None:
    write_report(RunStore(str(finished_world.run)))
    first = {**file_bytes(finished_world.run, "figures/*"), **file_bytes(finished_world.run, REPORT_FILE)}
    settings = finished_world.folder / "matplotlibrc"
    settings.write_text("figure.facecolor: black\nsvg.hashsalt: other\nfont.size: 20\n", encoding="utf-8")
    with matplotlib.rc_context(fname=str(settings)):
        write_report(RunStore(str(finished_world.run)))
    again = {**file_bytes(finished_world.run, "figures/*"), **file_bytes(finished_world.run, REPORT_FILE)}
    assert len(first) == 2 * len(DRAWN) + 1
    assert first == again


def test_no_face_without_being_asked_for(finished_world: SmallWorld) -> None:
    assert main(["report", str(finished_world.run)]) == ExitCode.OK
    plain = Page(html_of(finished_world)).images
    assert plain and all(image.startswith(SVG) for image in plain)
    assert main(["report", str(finished_world.run), "--with-faces"]) == ExitCode.OK
    page = require_safe(html_of(finished_world))
    faces = [image for image in page.images if image.startswith(PNG)]
    shown = people_at_risk(read_finished(RunStore(str(finished_world.run))))
    assert len(faces) == len(shown) * (TOPK + 1)
    assert "shows photos of people" in page.text


def test_the_faces_are_the_person_and_the_samples(finished_world: SmallWorld) -> None:
    write_report(RunStore(str(finished_world.run)), with_faces=True)
    images = [
        image.removeprefix(PNG) for image in Page(html_of(finished_world)).images if image.startswith(PNG)
    ]
    photo, sample = (Image.open(io.BytesIO(base64.b64decode(image))).convert("RGB") for image in images[:2])
    assert max(photo.size) <= PIXELS
    run = read_finished(RunStore(str(finished_world.run)))
    person = people_at_risk(run)[0]["identity"]
    nearest = nearest_of(run, [{"identity": person}])[person][0]
    (evidence,) = (result for result in run.results.evidence if result.identity == person)
    original = photo_places(finished_world.spec())[person, evidence.photo]
    assert isinstance(original, Path)
    assert list(photo.get_flattened_data()) == list(Image.open(original).convert("RGB").get_flattened_data())
    spec = read_record(run.store).spec
    generator = open_generator(spec.generator, SEED, device="cpu", threads=1)
    (again,) = generator.sample(np.array([nearest["sample_id"]]))
    assert np.array_equal(np.asarray(sample), np.asarray(again))


def test_hostile_names_are_only_text(finished_world: SmallWorld) -> None:
    names: dict[str, str] = {}

    def shown(identity: str) -> str:
        return names.setdefault(identity, HOSTILE[len(names) % len(HOSTILE)])

    results = read_results(RunStore(str(finished_world.run)))
    stratum = results.power.groups[0].model_copy(update={"stratum": HOSTILE[0]})
    change_results(
        finished_world,
        name=HOSTILE[4],
        versions={HOSTILE[3]: HOSTILE[0]},
        power=results.power.model_copy(update={"groups": [stratum]}),
        spec=results.spec | {"name": HOSTILE[0] + HOSTILE[3]},
    )
    write_report(RunStore(str(finished_world.run)), shown=shown)
    html = html_of(finished_world)
    page = require_safe(html)
    assert "onerror=alert(1)" in page.text and "=cmd()" in page.text and "../../etc" in page.text
    assert "\u202e" not in html and "\u200f" not in html
    assert "\\u202egpj.\\u200fanna" in page.text


def test_people_are_shown_by_the_beginning_of_their_pseudonym_or_by_name(finished_world: SmallWorld) -> None:
    run, person = str(finished_world.run), pseudonym("person-004")
    assert main(["report", run]) == ExitCode.OK
    text = Page(html_of(finished_world)).text
    assert f"{person[:12]} leaked" in text and person not in text and "person-0" not in text
    assert main(["report", run, "--reveal"]) == ExitCode.OK
    text = Page(html_of(finished_world)).text
    assert "person-004 leaked" in text and person[:12] not in text
    acts = [act.what for act in entries(open_run(finished_world.spec())) if act.action == "report"]
    assert [act["revealed"] for act in acts] == [False, True] and not any(act["faces"] for act in acts)


def test_figures_that_a_run_no_longer_has_go(finished_world: SmallWorld) -> None:
    write_report(RunStore(str(finished_world.run)))
    refused = f"100 or more people labelled as no members, and there are {CANDIDATES - MEMBERS}: refused"
    assert refused in Page(html_of(finished_world)).text
    scores = read_results(RunStore(str(finished_world.run))).scores
    change_results(finished_world, scores=[score.model_copy(update={"evaluation": None}) for score in scores])
    write_report(RunStore(str(finished_world.run)))
    folder = finished_world.run / FIGURES_PREFIX
    assert {path.stem for path in folder.iterdir()} == {"scores", "calibration", "samples"}
    assert "Against the labels" not in Page(html_of(finished_world)).text


def test_two_recognisers_and_their_consensus(finished_world: SmallWorld) -> None:
    """A second recogniser and a consensus that decides, as the tables of such a run name them."""
    store = RunStore(str(finished_world.run))
    scores = store.read_table(SCORES_FILE)
    results = read_results(store)
    tiny, first = results.recognizers[0], results.scores[0]
    added = [{"recognizer": "second"}, {"recognizer": "all", "score_name": "consensus"}]
    for names in added:
        rows = scores.filter(pc.equal(scores["score_name"], first.score_name))
        for column, value in names.items():
            rows = rows.set_column(rows.schema.get_field_index(column), column, pa.repeat(value, len(rows)))
        scores = pa.concat_tables([scores, rows.cast(scores.schema)])
    store.write_table(SCORES_FILE, scores, store.read_footer(SCORES_FILE))
    change_results(
        finished_world,
        recognizers=[tiny, tiny.model_copy(update={"name": "second"})],
        scores=[*results.scores, *(first.model_copy(update=names) for names in added)],
        headline=len(results.scores) + 1,
    )
    write_report(store)
    page = require_safe(html_of(finished_world))
    assert "consensus (decides) all" in page.text
    assert "max tiny, second 1.00 5 0 0" in page.text
    assert "hits per million samples" in page.text
    assert (finished_world.run / FIGURES_PREFIX / "agreement.png").exists()


def counts(leaked: int, not_detected: int, inconclusive: int) -> dict[Verdict, int]:
    return dict(zip(Verdict, (leaked, not_detected, inconclusive), strict=True))


@pytest.mark.parametrize(
    ("verdicts", "sentence", "tone"),
    [
        (counts(1, 19, 0), "1 of 20 people is flagged as leaked.", BAD),
        (counts(0, 20, 0), "Nobody of 20 people was detected.", GOOD),
        (counts(0, 17, 3), "Nobody of 20 people is flagged; there is no verdict on 3.", OPEN),
        (counts(0, 0, 20), "No verdict: this audit cannot say whether the generator leaks anybody.", OPEN),
    ],
)
def test_the_verdict_is_one_sentence(
    finished_world: SmallWorld, verdicts: dict[Verdict, int], sentence: str, tone: str
) -> None:
    headline_with(finished_world, verdicts=verdicts)
    assert verdict_sentence(read_finished(RunStore(str(finished_world.run)))) == (sentence, tone)


def test_what_could_not_be_concluded_is_on_the_first_screen(finished_world: SmallWorld) -> None:
    store = RunStore(str(finished_world.run))
    results = read_results(store)
    candidates = results.candidates.model_copy(
        update={"refused": {"no_face": 3}, "without_template": ["person-019"]}
    )
    drift = results.drift[0].model_copy(update={"warns": True})
    samples = results.samples.model_copy(update={"detection_rate": 0.5})
    change_results(finished_world, candidates=candidates, drift=[drift], samples=samples)
    questions = " ".join(summary_of(read_finished(store), with_faces=False).open_questions)
    refused = "Photos of the candidates: 3 of 40 refused (3 without a face); 1 person could not be judged"
    assert refused in questions
    assert "differ in photos per identity" in questions
    assert "A face was found in 50\u00a0% of the samples" in questions
    assert "cannot flag fewer than 4 people" in questions


def test_a_run_that_is_not_over_is_refused(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["report", str(tmp_path / "empty")]) == ExitCode.BAD_SPEC
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "run `idleak audit` to its end first" in error


def test_a_run_in_a_bucket_gets_its_report_there(finished_world: SmallWorld, bucket: str) -> None:
    store = RunStore(bucket)
    for path, data in file_bytes(finished_world.run, "*.*").items():
        store.write(path, data)
    assert main(["report", bucket]) == ExitCode.OK
    require_safe(store.read(REPORT_FILE).decode())
    assert {Path(path).stem for path in store.sizes(FIGURES_PREFIX)} == DRAWN


def test_detection_and_rejection_are_told_by_group(finished_world: SmallWorld) -> None:
    """Of 40 photos of the candidates, one shows no face and two are not images."""
    store = RunStore(str(finished_world.run))
    photos = store.read_table(GALLERY_FILE)
    where = pc.index(photos["role"], "candidate").as_py()
    outcomes = photos["outcome"].to_pylist()
    outcomes[where : where + 3] = [Outcome.NO_FACE, Outcome.INVALID_IMAGE, Outcome.INVALID_IMAGE]
    at = photos.schema.get_field_index("outcome")
    changed = photos.set_column(at, photos.schema.field(at), pa.array(outcomes, pa.string()))
    run = replace(read_finished(store), photos=changed)
    tables = {table.columns: table for table in coverage_section(run).tables}
    columns = ("group", "side", "people", "photos", "face found", "refused", "rejection rate", "flagged")
    rows = {(row[0], row[1]): row for row in tables[columns].rows}
    row = rows["all", "candidate"]
    assert row[2:] == ["20", "40", "97.5\u00a0%", "3", "7.5\u00a0%", str(MEMBERS)]
    assert rows["all", "cohort"][4:] == ["100\u00a0%", "0", "0\u00a0%", ""]


def test_digests_and_versions_are_folded_away_on_a_screen(finished_world: SmallWorld) -> None:
    write_report(RunStore(str(finished_world.run)))
    _, _, provenance = html_of(finished_world).partition("<h2>How to make it again</h2>")
    before, _, folded = provenance.partition("<details>")
    results = read_results(RunStore(str(finished_world.run)))
    assert results.fingerprint_sha256 not in before and results.versions["numpy"] not in before
    assert results.fingerprint_sha256 in folded.partition("</details>")[0]
    assert html_of(finished_world).count("<details>") == 1
