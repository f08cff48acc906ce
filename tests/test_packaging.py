"""What is built and installed: one top-level package, plug-in folders inside it, data included."""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("strategies", "profilers")
SOURCES = ("specframe", *FOLDERS, "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def files() -> set[str]:
    """Every file of the package under its installed name."""
    found = set()
    for folder, prefix in (("specframe", ""), *((name, "specframe/") for name in FOLDERS)):
        for path in (ROOT / folder).rglob("*"):
            inside = path.relative_to(ROOT)
            through_symlink = folder == "specframe" and inside.parts[1] in FOLDERS
            if path.is_file() and "__pycache__" not in inside.parts and not through_symlink:
                found.add(f"{prefix}{inside}")
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel that was built from an sdist, away from the checkout's own build folder."""
    copy = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignore)
        else:
            shutil.copy(ROOT / name, copy / name)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "build",
            "--no-isolation",
            "--outdir",
            str(copy / "dist"),
            str(copy),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def wheel_names(wheel) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.slow
def test_the_wheel_installs_one_top_level_package(wheel_names):
    tops = {name.split("/")[0] for name in wheel_names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"specframe"}


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_data_file_with_the_plug_in_folders_inside(wheel_names):
    built = {name for name in wheel_names if name.startswith("specframe/")}
    assert built == files()


@pytest.mark.slow
def test_the_installed_wheel_works_without_the_checkout(wheel, tmp_path):
    """In a new environment with the packages of this one, but another specframe."""
    place = tmp_path / "place"
    venv.create(place, with_pip=False)
    (library,) = (place / "lib").glob("python*/site-packages")
    python = place / "bin" / "python"
    install = ["--quiet", "--no-deps", "--force-reinstall", "--target", str(library)]
    pip = [sys.executable, "-m", "pip", "install", *install, str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    (place / "bin" / "specframe").write_text(
        f"#!{python}\nfrom specframe.__main__ import main\n\nmain()\n", encoding="utf-8"
    )
    (place / "bin" / "specframe").chmod(0o755)
    others = sysconfig.get_path("purelib")
    (library / "others.pth").write_text(f"import sys; sys.path.append({others!r})\n")
    command = [python, "-I", ROOT / "tests" / "smoke.py", "--from", library]
    subprocess.run(command, check=True, cwd=tmp_path)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_plug_in_folder_is_a_relative_symlink(folder):
    assert (ROOT / "specframe" / folder).readlink() == Path("..") / folder
    assert (ROOT / folder).is_dir()
    assert not (ROOT / folder).is_symlink()


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_symlink_itself_is_committed(folder):
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--stage", f"specframe/{folder}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert listed.startswith("120000 ")


def test_the_installed_version_is_the_one_in_pyproject():
    assert metadata.version("specframe") == project()["version"]


def test_every_declared_selector_is_installed_and_loads():
    declared = project()["entry-points"]["specframe.strategies"]
    installed = {
        entry.name: entry
        for entry in metadata.entry_points(group="specframe.strategies")
        if entry.dist is not None and entry.dist.name == "specframe"
    }
    assert {name: entry.value for name, entry in installed.items()} == declared
    for name, entry in installed.items():
        assert isinstance(entry.load(), type), name


def test_selector_names_are_sorted_and_the_command_is_declared():
    names = list(project()["entry-points"]["specframe.strategies"])
    assert names == sorted(names)
    assert project()["scripts"] == {"specframe": "specframe.__main__:main"}


def test_every_dependency_is_pinned_by_the_constraints():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower() for line in lines if "==" in line}
    extras = project()["optional-dependencies"].values()
    declared = [*project()["dependencies"], *(name for extra in extras for name in extra)]
    names = {requirement_name(text) for text in declared}
    assert names - pinned == set()


def requirement_name(requirement: str) -> str:
    head = requirement
    for separator in ("[", "<", ">", "=", "!", "~", " "):
        head = head.split(separator)[0]
    return head.lower()
