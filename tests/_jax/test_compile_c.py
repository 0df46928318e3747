"""Source in C is compiled where nobody else can write, and leaves nothing behind."""

import ctypes
import stat
import tempfile
from pathlib import Path

import pytest

from mermaide_jax._jax import compile_c

needs_c = pytest.mark.skipif(
    compile_c.no_compiler() is not None, reason=str(compile_c.no_compiler())
)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source" / "answer.c"
    path.parent.mkdir()
    path.write_text("int answer(void) { return ANSWER; }")
    return path


@needs_c
def test_it_is_compiled_where_nobody_else_can_write_and_leaves_nothing(
    source, tmp_path, monkeypatch
):
    loaded, true_load, place = [], ctypes.CDLL, tmp_path / "temporary"
    place.mkdir()

    def spy(path):
        loaded.append(Path(path))
        assert stat.S_IMODE(loaded[0].parent.stat().st_mode) == 0o700
        return true_load(path)

    monkeypatch.setattr(ctypes, "CDLL", spy)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    assert compile_c.compile_c(source, ("-DANSWER=42",)).answer() == 42
    assert loaded[0].parent.parent == place
    assert not any(place.iterdir()) and list(source.parent.iterdir()) == [source]


@needs_c
def test_once_a_process_and_options(source):
    assert compile_c.compile_c(source, ("-DANSWER=1",)) is compile_c.compile_c(
        source, ("-DANSWER=1",)
    )
    assert compile_c.compile_c(source, ("-DANSWER=2",)).answer() == 2


@needs_c
def test_what_the_compiler_says_is_told(source):
    with pytest.raises(RuntimeError, match=r"(?s)cc failed.*ANSWER"):
        compile_c.compile_c(source)


def test_without_a_compiler_it_says_so(source, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="no C compiler"):
        compile_c.compile_c(source, ("-DANSWER=3",))
