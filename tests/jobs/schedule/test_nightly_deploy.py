"""The files in deploy/ that start nightly audits and report them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
PYTHON = "/opt/idleak/.venv/bin/python"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong_with_its_units(tmp_path: Path) -> None:
    units = []
    for unit in (DEPLOY / "systemd").iterdir():
        # systemd looks for the program, too.
        units.append(tmp_path / unit.name)
        units[-1].write_text(unit.read_text().replace(PYTHON, sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, units)], capture_output=True, text=True
    )
    warnings = [line for line in done.stderr.splitlines() if "idleak" in line]
    assert (done.returncode, warnings) == (0, [])


def test_both_schedulers_start_the_same_command() -> None:
    service = (DEPLOY / "systemd" / "idleak-nightly.service").read_text()
    (started,) = [line for line in service.splitlines() if line.startswith("ExecStart=")]
    command = shlex.split(started.removeprefix("ExecStart="))
    assert command == [PYTHON, "-m", "jobs", "nightly", "/etc/idleak/fleet.yaml"]
    (scheduled,) = [
        line for line in (DEPLOY / "cron" / "idleak-nightly").read_text().splitlines() if " idleak " in line
    ]
    minute, hour, *days = scheduled.split()[:5]
    assert (int(minute), int(hour), days) == (0, 2, ["*"] * 3)
    assert "OnCalendar=*-*-* 02:00:00 UTC" in (DEPLOY / "systemd" / "idleak-nightly.timer").read_text()
    assert scheduled.endswith(" ".join(command[1:]))


def test_the_webhook_posts_counts_and_no_names() -> None:
    posted: list[dict[str, object]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204 if len(posted) == 1 else 500)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    report: dict[str, object] = {
        "fleet": "ours",
        "night": "2026-11-01",
        "audits": [{"key": "gan", "untold": ["ada", "bob"]}, {"key": "other", "untold": []}],
    }
    try:
        codes = [_hook(server.server_port, report) for _ in range(2)]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert posted[0] == {
        "fleet": "ours",
        "night": "2026-11-01",
        "new": {"gan": 2},
        "report": "nightly.json",
    }
    # A server that refuses it makes the hook fail, so that it is told again.
    assert codes[0] == 0 and codes[1] != 0


def test_the_mail_has_counts_and_no_names(tmp_path: Path) -> None:
    program, sent = tmp_path / "sendmail", tmp_path / "sent"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" > {sent}\ncat >> {sent}\n', encoding="utf-8")
    program.chmod(0o755)
    report = {
        "fleet": "ours",
        "night": "2026-11-01",
        "audits": [{"key": "gan", "untold": ["ada", "bob"]}, {"key": "other", "untold": []}],
    }
    environment = {"IDLEAK_SENDMAIL": str(program), "IDLEAK_MAIL_TO": "privacy@example.org"}
    command = [sys.executable, str(DEPLOY / "hooks" / "mail.py"), "nightly.json"]
    subprocess.run(command, input=json.dumps(report), env=os.environ | environment, text=True, check=True)
    text = sent.read_text(encoding="utf-8")
    assert text.startswith("-t -i\n") and "To: privacy@example.org\n" in text and "gan: 2 new" in text
    assert "Subject: idleak: new findings in ours, 2026-11-01\n" in text and "nightly.json" in text
    assert "ada" not in text and "other" not in text
    program.write_text("#!/bin/sh\nexit 75\n", encoding="utf-8")
    refused = subprocess.run(
        command, input=json.dumps(report), env=os.environ | environment, text=True, stderr=subprocess.DEVNULL
    )
    assert refused.returncode != 0


def _hook(port: int, report: dict[str, object]) -> int:
    return subprocess.run(
        [sys.executable, str(DEPLOY / "hooks" / "webhook.py"), "nightly.json"],
        input=json.dumps(report),
        env=os.environ | {"IDLEAK_WEBHOOK": f"http://127.0.0.1:{port}"},
        text=True,
        stderr=subprocess.DEVNULL,
        timeout=60,
    ).returncode
