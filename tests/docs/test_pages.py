"""Code on the pages runs, commands are taken by the command line, tables follow the registry."""

import ast
import contextlib
import importlib.util
import os
import re
import runpy
import shlex
from pathlib import Path
from unittest import mock

import pytest

from mermaide_jax.cli import actions, bench, main, split_loads
from mermaide_jax.errors import ConfigError
from mermaide_jax.options import parse_options
from mermaide_jax.studies import kit

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
WHOLE = (ROOT / ".github").exists()
"""Whether this is the repository: the source distribution has no records and figures of results."""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def code_of(page: Path) -> str:
    """The Python of a page, as one program."""
    blocks = FENCE.findall(page.read_text(encoding="utf-8"))
    return "\n".join(code for language, code in blocks if language == "python")


def commands_of(page: Path) -> list[str]:
    """The command lines of a page, continued ones joined."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    shown = [line[4:] for line in text.splitlines() if re.match(r"^(?: {4}){1,3}\S", line)]
    shown += map(completed, re.findall(r"`((?:mermaide|make|python\s\S+\.py)\s[^`]+)`", text))
    joined = re.sub(r"\\\n\s*", "", "\n".join(line.strip() for line in shown))
    lines = (line.partition(" #")[0].strip() for line in joined.splitlines())
    return [line for line in lines if re.match(r"(mermaide|make|python|pip) ", line)]


def completed(command: str) -> str:
    """A command as sentences have it, with the directories that go without saying."""
    words = re.sub(r"\s+", " ", command).split()
    if words[0] == "mermaide" and words[1] in ("train", "reproduce", "evaluate", "show"):
        words[2:2] = ["there"] if words[1] in ("evaluate", "show") and len(words) == 2 else []
        words += [] if "--out" in words or words[1] == "show" else ["--out", "DIR"]
    return " ".join(words)


@pytest.mark.parametrize("page", [p for p in PAGES if code_of(p)], ids=name_of)
def test_the_code_of_a_page_runs(page, monkeypatch, tmp_path, capsys, guest_registry):
    monkeypatch.chdir(ROOT)
    exec(compile(code_of(page), str(page), "exec"), {"__name__": "page"})


@pytest.mark.parametrize("page", [p for p in PAGES if "```py\n" in p.read_text()], ids=name_of)
def test_code_that_needs_a_device_is_python(page):
    for language, code in FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "py":
            assert ast.parse(code).body


@pytest.mark.parametrize("page", [p for p in PAGES if commands_of(p)], ids=name_of)
def test_the_commands_of_a_page_are_taken(page, monkeypatch, capsys, guest_registry):
    monkeypatch.chdir(ROOT)
    for command in commands_of(page):
        words = shlex.split(command)
        if {"...", "COMMAND", "NAME"} & set(words):  # a way of speaking
            continue
        CHECKS[words[0]](words[1:], command)


def check_mermaide(words: list[str], command: str) -> None:
    """Parsed as by the command line, with the work left out."""
    _, modules = split_loads(words)
    if not all(Path(module).exists() for module in modules):
        return  # a file that the page lets the reader write
    if "--config" in words:  # of a run that the page lets the reader make
        place = words.index("--config")
        words = words[:place] + words[place + 2 :]
    with contextlib.ExitStack() as stack:
        for name in ("train", "reproduce", "evaluate", "show"):
            stack.enter_context(mock.patch.object(actions, name))
        stack.enter_context(mock.patch.object(bench, "bench"))
        stack.enter_context(mock.patch.object(kit, "run_study", lambda *a, **k: 0))
        assert main(words) == 0, command


def check_python(words: list[str], command: str) -> None:
    """A script of the repository is started with these options, and stops where it would work."""
    if words[0] == "-m":
        assert importlib.util.find_spec(words[1]) is not None, command
        return
    script = ROOT / words[0]
    assert script.exists(), command
    if script.parent.name != "experiments":
        return
    taken = []

    def start(work, options, description=None, argv=None, prog=None):
        taken.append(parse_options(options, words[1:], prog=prog, description=description))
        return 0

    with mock.patch.object(kit, "start", start), pytest.raises(SystemExit) as stopped:
        try:
            runpy.run_path(str(script), run_name="__main__")
        except ConfigError as error:
            raise AssertionError(f"{command}: {error}") from error
    assert stopped.value.code == 0 and taken, command


def check_make(words: list[str], command: str) -> None:
    """The Makefile has the target."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(VENV)", ".venv")
    targets = [word for word in words if "=" not in word]
    assert all(re.search(rf"^{re.escape(t)}:", makefile, re.MULTILINE) for t in targets), command


def check_pip(words: list[str], command: str) -> None:
    """The extras that are installed are those of the package."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in re.findall(r"\[(\w+)\]", command):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), command


CHECKS = {
    "mermaide": check_mermaide,
    "python": check_python,
    "make": check_make,
    "pip": check_pip,
}


def test_commands_are_found_where_pages_have_them(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Text `make lint` and `--option`.\n\n    mermaide show a  # why\n\n"
        "1. list\n\n        python x.py \\\n            --out b\n\n```text\n    pip no\n```\n"
    )
    assert commands_of(page) == ["mermaide show a", "python x.py --out b", "make lint"]
    page.write_text("See `mermaide show`, `mermaide\nreproduce --seeds 3` or `mermaide list`.")
    whole = ["mermaide show there", "mermaide reproduce --seeds 3 --out DIR", "mermaide list"]
    assert commands_of(page) == whole


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        place = Path(os.path.normpath(page.parent / path)) if path else page
        if not WHOLE and "results" in place.parts:
            continue
        assert place.exists(), target
        if anchor and place.suffix == ".md":
            assert anchor in anchors_of(place), target


def anchors_of(page: Path) -> set[str]:
    """Names of the headings of a page, as mkdocs makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", h)) for h in headings)
    return {re.sub(r"[\s-]+", "-", heading.strip().lower()) for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_lines_can_be_read_in_an_editor(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if len(line) > 160 and "|" not in line]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tables_have_a_caption(page):
    """The paragraph before a table is a caption in italics; what it shows stands there."""
    lines = FENCE.sub("", page.read_text(encoding="utf-8")).splitlines()
    for number, line in enumerate(lines):
        if line.startswith("|") and not lines[number - 1].startswith("|"):
            before = [x for x in lines[max(number - 8, 0) : number] if x.strip()]
            before = [x for x in before if not x.startswith("<!--")]
            assert before and before[-1].rstrip().endswith(("*", "*:")), (
                f"{number + 1}: {line[:60]}"
            )


def test_the_list_of_members_is_that_of_the_registry(guest_registry):
    tables = runpy.run_path(str(ROOT / "docs" / "tables.py"))
    text = tables["PAGE"].read_text(encoding="utf-8")
    assert tables["updated"](text) == text


def test_every_page_is_in_the_navigation():
    listed = re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    pages = [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(listed) == sorted(pages)


@pytest.mark.parametrize(
    ("page", "file"),
    [("add-family", "softmax_agent"), ("add-principal", "budgeted_principal")],
)
def test_pages_show_the_examples_as_they_are(page, file):
    text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text(encoding="utf-8")
    assert (ROOT / "docs" / "examples" / f"{file}.py").read_text(encoding="utf-8") in text


def test_tracked_results_are_small():
    kept = [p for p in (ROOT / "docs" / "results").rglob("*") if p.is_file()]
    kept += [p for p in (ROOT / "benchmarks" / "results").rglob("*") if p.is_file()]
    sizes = {p.name: p.stat().st_size for p in kept}
    assert sum(p.stat().st_size for p in kept) < 5e6
    assert max(sizes.values()) < 500_000, max(sizes, key=lambda name: sizes[name])
