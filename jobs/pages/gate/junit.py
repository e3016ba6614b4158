"""A gate as JUnit XML, as pytest writes it and GitLab, GitHub's actions and Jenkins read it."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from jobs.pages.gate.gate import Gate, Judged

SUITE = "idleak"


def junit_xml(gate: Gate) -> bytes:
    """One test case a candidate, named by the pseudonym; it fails by what `--fail-on` names."""
    failed = sum(bool(person.failures) for person in gate.people)
    results = gate.run.results
    counts = {"tests": str(len(gate.people)), "failures": str(failed), "errors": "0", "skipped": "0"}
    # Those of shards are sums over workers, within the jobs' wall time.
    time = f"{sum(spent for job, spent in results.seconds.items() if not job.startswith('shards.')):.3f}"
    root = Element("testsuites", {"name": SUITE, "time": time, **counts})
    attributes = {"name": SUITE, "time": time, "timestamp": results.created, **counts}
    suite = SubElement(root, "testsuite", attributes)
    for person in gate.people:
        _add_case(suite, f"{SUITE}.{results.name}", person)
    indent(root)
    content: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _add_case(suite: Element, class_name: str, person: Judged) -> None:
    case = SubElement(suite, "testcase", classname=class_name, name=person.identity, time="0.000")
    if person.failures:
        # GitLab shows the first failure of a case alone, so what else there is stands in the same one.
        texts = [person.findings[finding] for finding in person.failures]
        failure = SubElement(case, "failure", type=person.failures[0], message=texts[0])
        failure.text = "\n".join(texts)
