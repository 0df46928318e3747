"""What the system tells of its processor, from files of other machines."""

import os

import pytest

from mermaide_jax._jax import cpu

X86 = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 26
model\t\t: 2
model name\t: AMD EPYC 9R45
cpu MHz\t\t: 2600.0
flags\t\t: fpu avx2 avx512dq

processor\t: 1
model name\t: another
"""
ARM = "processor\t: 0\nBogoMIPS\t: 2100.00\nFeatures\t: fp asimd sve\nCPU part\t: 0xd40\n"


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Writes files where the module reads; none is there at first."""
    monkeypatch.setattr(cpu, "INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(cpu, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(cpu, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 1, 2, 0}, raising=False)

    def put(name, text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    return put


def test_an_x86_processor(system):
    system("cpuinfo", X86)
    assert cpu.name() == "AMD EPYC 9R45"
    assert cpu.flags() == {"fpu", "avx2", "avx512dq"}
    kind = "\n".join(cpu.kind())
    assert "avx512dq" in kind and "AuthenticAMD" in kind
    assert "MHz" not in kind  # it differs between two starts


def test_an_arm_processor(system, monkeypatch):
    monkeypatch.setattr(cpu.platform, "processor", lambda: "aarch64")
    system("cpuinfo", ARM)
    assert cpu.name() == "aarch64"
    assert "sve" in cpu.flags()
    assert cpu.kind()[2:] == ["Features\t: fp asimd sve", "CPU part\t: 0xd40"]


def test_a_system_that_tells_nothing(system, monkeypatch):
    monkeypatch.setattr(cpu.platform, "processor", lambda: "i386")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert (cpu.name(), cpu.flags(), cpu.kind()[2:]) == ("i386", frozenset(), ["i386"])
    assert (cpu.usable_cores(), cpu.count(), cpu.quota()) == ([], 1, None)


@pytest.mark.parametrize(
    ("files", "quota", "count"),
    [
        ({}, None, 4),
        ({"cpu.max": "max 100000\n"}, None, 4),
        ({"cpu.max": "150000 100000\n"}, 1.5, 2),
        ({"cpu.max": "10000 100000\n"}, 0.1, 1),
        ({"cpu.max": "900000 100000\n"}, 9.0, 4),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None, 4),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0, 2),
    ],
)
def test_a_container_that_is_allowed_less(system, files, quota, count):
    for name, text in files.items():
        system(name, text)
    assert cpu.quota() == quota
    assert cpu.count() == count
    assert cpu.usable_cores() == [0, 1, 2, 3]


def test_the_machine_is_described(system):
    system("cpuinfo", X86)
    system("meminfo", "MemTotal:       24684092 kB\nMemFree: 1 kB\n")
    system("cpu.max", "150000 100000\n")
    found = cpu.describe()
    assert found["cpu"] == "AMD EPYC 9R45"
    assert found["memory"] == "24684092 kB"
    assert (found["cores_available"], found["core_limit"]) == (4, 1.5)
    assert found["cores"] == os.cpu_count()


def test_nothing_else_reads_the_processor():
    from pathlib import Path

    root = Path(__file__).parents[2]
    files = [*root.glob("src/**/*.py"), *root.glob("benchmarks/**/*.py")]
    told = ("cpuinfo", "cpu_count", "sched_getaffinity", "getloadavg")
    readers = {f.name for f in files if any(word in f.read_text() for word in told)}
    assert readers == {"cpu.py"}
