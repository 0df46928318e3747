"""The findings file: blocks are merged, never mixed, and written as a whole."""

import json

import pytest

from mermaide_jax.errors import ConfigError
from mermaide_jax.results import findings

MEASURE = {"value": 0.97, "low": 0.96, "high": 0.98, "command": "python x.py", "more": [1, 2]}


def shown(directory):
    """Names but for the hidden lock, which stays."""
    return [path.name for path in directory.iterdir() if path.name[0] != "."]


def test_blocks_of_others_stay_as_they_are(tmp_path):
    path = tmp_path / "findings.json"
    other = {"F2": {"anything": [1, {"else": None}]}}
    path.write_text(json.dumps(other))
    findings.merge_finding(path, "F1", {"ratio": MEASURE})
    findings.merge_finding(path, "F1", {"ratio": {**MEASURE, "value": float("inf")}})
    expected = {"F1": {"ratio": {**MEASURE, "value": None}}, **other}
    assert findings.read_findings(path) == json.loads(path.read_text()) == expected
    assert shown(tmp_path) == ["findings.json"]


def test_a_new_file_holds_the_block_alone(tmp_path):
    path = tmp_path / "findings.json"
    assert findings.read_findings(path) == {}
    assert findings.merge_finding(path, "F3", {"a": MEASURE}) == {"F3": {"a": MEASURE}}
    assert findings.read_findings(path) == {"F3": {"a": MEASURE}}


@pytest.mark.parametrize("missing", ["value", "low", "high", "command"])
def test_a_measure_without_a_part_is_refused(tmp_path, missing):
    measure = {key: value for key, value in MEASURE.items() if key != missing}
    with pytest.raises(ConfigError, match=missing):
        findings.merge_finding(tmp_path / "findings.json", "F1", {"ratio": measure})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [b"{", b"[1]", b"", b"\xff\xfe"])
def test_a_damaged_file_is_refused_and_kept(tmp_path, text):
    path = tmp_path / "findings.json"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=r"findings\.json"):
        findings.merge_finding(path, "F1", {"ratio": MEASURE})
    assert path.read_bytes() == text


def test_a_failed_write_keeps_the_former_file(tmp_path, monkeypatch):
    path = tmp_path / "findings.json"
    findings.merge_finding(path, "F1", {"ratio": MEASURE})
    before = path.read_text()

    def failing(text):
        def fail(target):
            target.write_text(text[:5])
            raise OSError("disk full")

        return fail

    monkeypatch.setattr(findings, "text_writer", failing)
    with pytest.raises(OSError, match="disk full"):
        findings.merge_finding(path, "F2", {"ratio": MEASURE})
    assert path.read_text() == before
    assert shown(tmp_path) == ["findings.json"]
