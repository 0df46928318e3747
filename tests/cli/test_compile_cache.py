"""The compile cache: it saves compiling, belongs to the user alone, and never stops the work."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import platformdirs
import pytest

from mermaide_jax.cli import compile_cache as module
from mermaide_jax.cli.compile_cache import cache_directory, compile_cache, machine

posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners and modes are POSIX")


@pytest.fixture
def directory(compile_cache_on):
    """Where the cache goes."""
    return cache_directory()


@pytest.fixture
def hits():
    """Numbers of programs loaded, a list that grows."""
    found = []

    def listen(event, **_):
        if event == "/jax/compilation_cache/cache_hits":
            found.append(event)

    jax.monitoring.register_event_listener(listen)
    yield found
    jax.monitoring.unregister_event_listener(listen)


def compute(factor=3):
    """A fresh function each time, of the same program."""
    return int(jax.jit(lambda x: (x * factor).sum())(np.arange(4)))


def entries(directory):
    return sorted(directory.glob("*-cache"))


def settings():
    names = ("enable_compilation_cache", "compilation_cache_dir", "compilation_cache_max_size")
    return [getattr(jax.config, f"jax_{name}") for name in names]


def test_what_was_compiled_is_loaded(directory, hits, capsys):
    before = settings()
    with compile_cache(True):
        assert compute() == 18
        assert jax.config.values["jax_compilation_cache_max_size"] == module.MAX_BYTES
    assert len(entries(directory)) == 1
    assert not hits
    with compile_cache(True):
        assert compute() == 18
        assert compute(factor=4) == 24
    assert len(hits) == 1
    assert len(entries(directory)) == 2
    assert settings() == before
    compute(factor=5)  # outside, nothing is kept
    assert len(entries(directory)) == 2
    assert capsys.readouterr().err == ""


def test_without(directory, monkeypatch):
    with compile_cache(False):
        assert not jax.config.values["jax_enable_compilation_cache"]
        compute()
    assert not directory.exists()
    assert jax.config.values["jax_enable_compilation_cache"]


def test_the_users_own_settings_hold(directory, tmp_path, monkeypatch, hits):
    own = tmp_path / "own"
    former = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", str(own))
    try:
        with compile_cache(True):
            assert jax.config.values["jax_compilation_cache_dir"] == str(own)
        with compile_cache(False):
            assert not jax.config.values["jax_enable_compilation_cache"]
    finally:
        jax.config.update("jax_compilation_cache_dir", former)
    jax.config.update("jax_enable_compilation_cache", False)
    with compile_cache(True):
        compute()
    assert not directory.exists()
    jax.config.update("jax_enable_compilation_cache", True)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_MAX_SIZE", "7")
    with compile_cache(True):
        assert (
            jax.config.values["jax_compilation_cache_max_size"] == -1
        )  # as read at import, not ours


def test_spoilt_entries_cost_a_line_and_no_more(directory, hits, capsys):
    with compile_cache(True):
        compute()
        compute(factor=4)
    for entry in entries(directory):
        entry.write_bytes(entry.read_bytes()[:-40])
    with compile_cache(True):
        assert compute() == 18
        assert compute(factor=4) == 24
        assert not entries(directory)
    error = capsys.readouterr().err
    assert error.startswith(f"mermaide: warning: the compile cache {directory} was reset and is")
    assert error.count("\n") == 1
    assert not hits
    for _ in range(2):
        with compile_cache(True):
            assert compute() == 18
    assert len(hits) == 1
    assert capsys.readouterr().err == ""


def test_a_half_written_entry_costs_a_line(directory, hits, capsys):
    """A run that was killed left an entry without its time of use; JAX 0.12 takes it as old."""
    with compile_cache(True):
        compute()
    for path in directory.glob("*-atime"):
        path.unlink()
    with compile_cache(True):
        assert compute(factor=4) == 24
    reset = capsys.readouterr().err
    assert reset.count("\n") == (1 if reset else 0)
    assert len(entries(directory)) == (0 if reset else 2)
    with compile_cache(True):
        assert compute(factor=4) == 24
    assert len(hits) == (0 if reset else 1)
    assert reset or jax.__version_info__ >= (0, 11)


def test_other_warnings_pass(directory):
    with compile_cache(True), pytest.warns(UserWarning, match="something else"):
        import warnings

        warnings.warn("something else", UserWarning, stacklevel=1)


def test_the_size_is_bounded(directory, monkeypatch, capsys):
    with compile_cache(True):
        compute()
    room = 3 * entries(directory)[0].stat().st_size
    monkeypatch.setitem(module._SETTINGS, "jax_compilation_cache_max_size", room)
    for number in range(5):
        with compile_cache(True):
            compute()  # used each time, so it stays
            compute(factor=number + 4)
    kept = entries(directory)
    assert 2 <= len(kept) <= 3
    assert sum(entry.stat().st_size for entry in kept) <= room
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other places")
def test_where_it_is(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_directory() == Path("/x/mermaide_jax/compiled", machine())
    monkeypatch.setenv("HOME", "/home/me")
    expected = Path("/home/me/.cache/mermaide_jax/compiled", machine())
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache_directory() == expected
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_directory() == expected


def test_it_is_where_caches_of_the_user_are_on_this_system(monkeypatch, tmp_path):
    asked = []

    def user_cache_path(name, **options):
        asked.append((name, options))
        return tmp_path / name

    monkeypatch.setattr(platformdirs, "user_cache_path", user_cache_path)
    assert cache_directory() == tmp_path / "mermaide_jax" / "compiled" / machine()
    assert asked == [("mermaide_jax", {"appauthor": False})]


def test_unlike_machines_have_directories_of_their_own(monkeypatch):
    names = {machine()}
    for facts in ("flags : avx2\n\nflags : avx2", "flags : avx2 avx512f", "CPU part : 0xd0c"):
        monkeypatch.setattr(Path, "read_text", lambda *_, facts=facts, **__: facts)
        names |= {machine()}
    assert len(names) == 4
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "bogomips : 1\nflags : avx2")
    assert machine() in names  # what differs between two starts does not count


def refusal(capsys, directory):
    """What is said when the cache cannot be used; the work is done all the same."""
    with compile_cache(True):
        assert compute() == 18
        assert jax.config.values["jax_compilation_cache_dir"] is None
    assert not directory.exists() or not entries(directory)
    error = capsys.readouterr().err
    assert error.startswith("mermaide: warning: no compile cache: ")
    assert error.count("\n") == 1
    return error


def test_no_place_for_it(directory, tmp_path, capsys):
    (tmp_path / "cache").touch()
    assert str(tmp_path / "cache") in refusal(capsys, directory)


def test_a_read_only_place(directory, capsys, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root
    assert "cannot be written to" in refusal(capsys, directory)


def test_no_home(directory, capsys, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert "home directory is not known" in refusal(capsys, directory)


@pytest.mark.parametrize("package", ["filelock", "platformdirs"])
def test_a_package_that_is_not_installed(package, directory, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    assert f"the package {package!r} is not installed" in refusal(capsys, directory)


@posix
def test_nobody_else_can_read_or_write_it(directory):
    with compile_cache(True):
        pass
    for path in (directory, *directory.parents[:3]):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert path.stat().st_uid == os.geteuid()


@posix
@pytest.mark.parametrize("above", range(4))
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_directory_that_others_can_write_to_is_refused(directory, above, mode, capsys):
    directory.mkdir(parents=True)
    place = (directory, *directory.parents)[above]
    place.chmod(mode)
    assert f"others can write to {place} (to mend it: chmod go-w {place})" in refusal(
        capsys, directory
    )


@posix
def test_a_sticky_directory_above_is_fine(directory):
    (directory.parents[2]).mkdir()
    (directory.parents[2]).chmod(0o1777)
    with compile_cache(True):
        compute()
    assert len(entries(directory)) == 1


@posix
def test_a_link_does_not_hide_a_directory_of_others(directory, tmp_path, capsys):
    open_to_all = tmp_path / "open"
    (open_to_all / "real").mkdir(parents=True)
    open_to_all.chmod(0o777)
    directory.parent.mkdir(parents=True)
    directory.symlink_to(open_to_all / "real")
    assert f"others can write to {open_to_all}" in refusal(capsys, directory)


@posix
@pytest.mark.parametrize("above", range(4))
def test_a_directory_of_another_user_is_refused(directory, above, capsys, monkeypatch):
    directory.mkdir(parents=True)
    place, true_stat = (directory, *directory.parents)[above], Path.stat

    def lent(path, **options):
        found = list(true_stat(path, **options))
        if path == place:
            found[stat.ST_UID] = os.geteuid() + 1
        return os.stat_result(found)

    monkeypatch.setattr(Path, "stat", lent)
    assert f"{place} belongs to another user" in refusal(capsys, directory)


def test_processes_share_it(tmp_path, monkeypatch):
    code = """if True:
        import jax, jax.numpy as jnp, sys
        from mermaide_jax.cli import compile_cache as module
        module._SETTINGS["jax_persistent_cache_min_compile_time_secs"] = 0.0
        with module.compile_cache(True):
            print(sum(int(jax.jit(lambda x, n=n: (x * n).sum())(jnp.arange(4))) for n in range(8)))
    """
    environ = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "JAX_ENABLE_COMPILATION_CACHE": "true"}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for run in runs:
        out, error = run.communicate()
        assert (out, error, run.returncode) == (f"{6 * sum(range(8))}\n", "", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = entries(cache_directory())
    assert len(found) >= 8
    assert int(jnp.int32(len(found))) == len(list(found[0].parent.glob("*-atime")))
