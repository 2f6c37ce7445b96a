"""Noteburst: its contract, held against a small server that answers as it does."""

from __future__ import annotations

import http.server
import json
import threading

import nbformat
import pytest
from pydantic import SecretStr

from lsst_commtools.errors import InputError
from lsst_commtools.procedure.campaign.conductor import run_campaign
from lsst_commtools.procedure.campaign.noteburst import NoteburstExecutor
from lsst_commtools.procedure.ledger import Ledger
from lsst_commtools.procedure.runs import show_run
from lsst_commtools.site.campaign import CampaignSection


class Noteburst:
    """Answers as noteburst does: queued, in progress, complete."""

    def __init__(self):
        self.posts, self.asked, self.tokens = [], {}, []
        self.outputs, self.success, self.codes, self.self_url = [], True, [], None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def answer(self, code, body):
                text = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.tokens.append(self.headers["Authorization"])
                outer.posts.append(body)
                if outer.codes:
                    self.answer(outer.codes.pop(0), {"detail": "no"})
                    return
                self.answer(202, outer.job(f"job{len(outer.posts)}", "queued"))

            def do_GET(self):
                name = self.path.rsplit("/", 1)[-1]
                count = outer.asked[name] = outer.asked.get(name, 0) + 1
                if count == 2:
                    self.answer(503, {})
                elif count < 4:
                    self.answer(200, outer.job(name, "in_progress"))
                else:
                    self.answer(200, outer.job(name, "complete"))

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/noteburst"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def job(self, name, status):
        job = {
            "job_id": name,
            "kernel_name": "LSST",
            "enqueue_time": "2026-11-21T10:00:00Z",
            "status": status,
            "self_url": self.self_url or f"{self.url}/v1/notebooks/{name}",
        }
        if status == "complete":
            nb = nbformat.reads(self.posts[int(name[3:]) - 1]["ipynb"], 4)
            nb.cells[-1].outputs = self.outputs
            job |= {
                "success": self.success,
                "ipynb": nbformat.writes(nb),
                "finish_time": "2026-11-21T10:01:00Z",
            }
        return job


@pytest.fixture
def noteburst():
    server = Noteburst()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def burst(noteburst, campaign_site, write_nb, write_campaign):
    """Run one notebook through noteburst."""
    executor = NoteburstExecutor(
        CampaignSection(noteburst_url=noteburst.url, poll_s=0.05), SecretStr("gt-abc")
    )

    def run(*cells, **entry):
        write_nb("a.ipynb", ("n: int = 1  # count", "parameters"), *cells)
        entry = {"id": "a", "notebook": "a.ipynb", "parameters": {"n": 7}, **entry}
        report = run_campaign(write_campaign(entry), executor, site=campaign_site)
        return report.tasks[0]

    yield run
    executor.close()


def test_a_notebook_is_posted_once_and_recorded(noteburst, burst, campaign_site):
    task = burst("n + 1")
    assert task.status == "done", task
    assert noteburst.tokens == ["Bearer gt-abc"]
    (post,) = noteburst.posts
    assert (post["enable_retry"], post["kernel_name"]) == (False, "LSST")
    assert "n = 7" in json.loads(post["ipynb"])["cells"][1]["source"]
    record = show_run(Ledger.at(campaign_site.procedure), campaign_site.procedure, task.run)
    assert record.status == "done"
    assert nbformat.read(record.output, 4).cells[1].source.startswith("# Parameters")
    assert burst("n + 1").status == "done"
    assert len(noteburst.posts) == 1


def test_success_with_an_error_in_it_is_failed(noteburst, burst):
    noteburst.outputs = [nbformat.v4.new_output("error", ename="ValueError", evalue="bad", traceback=[])]
    task = burst("n")
    assert (task.status, task.reason) == ("failed", "ValueError: bad")
    assert burst("n").status == "aborted"
    assert len(noteburst.posts) == 1


@pytest.mark.parametrize(
    ("code", "status", "word"),
    [(401, "failed", "token"), (403, "failed", "scope"), (422, "failed", "422"), (503, "unknown", "503")],
)
def test_refusals_are_certain_and_silence_is_not(noteburst, burst, code, status, word):
    noteburst.codes = [code]
    task = burst("n")
    assert task.status == status
    assert word in task.reason


def test_the_token_goes_to_no_other_server(noteburst, burst):
    noteburst.self_url = "http://127.0.0.1:9/elsewhere"
    assert burst("n").status == "unknown"
    assert noteburst.asked == {}


def test_notebooks_that_must_close_are_not_given_away(noteburst, burst):
    task = burst(("1", "closing"))
    assert task.status == "refused"
    assert noteburst.posts == []


def test_a_site_without_noteburst_says_so():
    with pytest.raises(InputError, match="has no noteburst"):
        NoteburstExecutor(CampaignSection(), SecretStr("x"))
    with pytest.raises(InputError, match="no token"):
        NoteburstExecutor(CampaignSection(noteburst_url="http://127.0.0.1:1"), None)
