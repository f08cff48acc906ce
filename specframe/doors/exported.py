"""Folders that transformers' `generate(custom_generate=FOLDER)` loads, with a strategy inside.

transformers copies only Python files, so `strategy.py` holds the files of a calibrated folder as
text.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from specframe.contract.naming import is_folder, read_named
from specframe.doors.custom_generate import custom_generate
from specframe.doors.second import require_with_models
from specframe.errors import ArtefactError, InvalidRequest, shown
from specframe.storage.artefacts import MANIFEST, TENSORS
from specframe.storage.user_cache import write_bytes, write_text, writing

__all__ = ["MOST_BYTES", "export", "generate_with"]

MOST_BYTES = 32_000_000  # of a strategy, since Python reads it as source
OPENING = '"""Generates with specframe'

GENERATE = (
    OPENING
    + ''' and the strategy beside this file; the tokens are the model's own."""

from specframe.doors.exported import generate_with

from .strategy import ENTRY, FILES


def generate(*args, model, **kwargs):
    """The arguments are those of transformers' `generate`."""
    return generate_with(ENTRY, FILES, model, *args, **kwargs)
'''
)

STRATEGY = '''"""A strategy of specframe: name and settings, or the files of a calibrated folder."""

ENTRY = {entry!r}
FILES = {{
{files}}}
'''

README = """---
library_name: transformers
tags:
- custom_generate
---
Faster generation by self-speculative decoding, without changing a token: the strategy `{name}` of
specframe, for transformers' `generate`. Install specframe first.

```python
model.generate(..., custom_generate="{folder}", trust_remote_code=True)
```
"""


def export(folder: Path, strategy: str) -> str:
    """Write a folder for `custom_generate`; returns the name of the strategy in it.

    `strategy` is a calibrated folder or a registered name, with settings as in `read_named`. In the
    folder of a model, the model's own `generate` then uses the strategy.
    """
    named = read_named(strategy)
    require_with_models(named.name, named.preset, named.options)
    calibrated = is_folder(named.name)
    files = _files(Path(named.name)) if calibrated else {}
    inner = folder / "custom_generate"
    _refuse_foreign(inner / "generate.py")
    entry = "".join(f"+{name}={value}" for name, value in named.options.items())
    entry = entry if calibrated else f"{named.name}:{named.preset}{entry}"
    lines = "".join(f"    {name!r}: {text!r},\n" for name, text in files.items())
    name = Path(named.name).name if calibrated else named.name
    with writing(inner):
        inner.mkdir(parents=True, exist_ok=True)
    write_text(inner / "strategy.py", STRATEGY.format(entry=entry, files=lines))
    write_text(inner / "requirements.txt", "specframe\n")
    write_text(inner / "generate.py", GENERATE)
    if not (folder / "README.md").exists():
        write_text(folder / "README.md", README.format(name=name, folder=folder.name))
    return name


def generate_with(
    entry: str, files: Mapping[str, str], model: Any, *args: Any, **kwargs: Any
) -> Any:
    """Called by an exported folder; `files` are those of a calibrated folder, in base 64."""
    tokenizer = kwargs.get("tokenizer")
    with TemporaryDirectory() as folder:
        for name, text in files.items():
            write_bytes(Path(folder) / Path(name).name, b64decode(text))
        strategy = f"{folder}{entry}" if files else entry
        method = custom_generate(strategy, tokenizer=tokenizer)
        # the model's own `generate` may be this function
        return type(model).generate(model, *args, **{**kwargs, "custom_generate": method})


def _files(folder: Path) -> dict[str, str]:
    """Manifest and tensors of a calibrated folder, in base 64."""
    found = {}
    for name in (MANIFEST, TENSORS):
        path = folder / name
        if not path.exists():
            continue
        try:
            found[name] = path.read_bytes()
        except OSError as error:
            raise ArtefactError(f"{path} cannot be read: {error}.") from error
    size = sum(map(len, found.values()))
    if size > MOST_BYTES:
        raise InvalidRequest(
            f"The strategy in {str(folder)!r} has {size / 1e6:.0f} MB, and at most "
            f"{MOST_BYTES / 1e6:.0f} MB can be exported. Share the folder itself, and pass "
            f"custom_generate({str(folder)!r}) to generate."
        )
    return {name: b64encode(content).decode() for name, content in found.items()}


def _refuse_foreign(path: Path) -> None:
    """Refuse to overwrite a decoding method that specframe did not write."""
    if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(OPENING):
        raise InvalidRequest(
            f"{shown(str(path))} is a decoding method that specframe did not write. Name another "
            f"folder."
        )
