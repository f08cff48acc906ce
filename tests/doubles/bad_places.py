"""A folder with faulty files, and the refusal of a command line in it."""

from bad_input.files import FILES

from doubles.command_line import specframe as specframe_command


class Letters:
    """A tokenizer of letters."""

    chat_template = None

    def __call__(self, text):
        return {"input_ids": [1 + ord(letter) % 20 for letter in text]}

    def decode(self, tokens, **_):
        return "".join(chr(97 + token) for token in tokens)


def bad_place(tmp_path, monkeypatch):
    """The folder with faulty files, where nothing can be measured."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "evil.py").write_text("raise AssertionError('code of a folder was run')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def measured(*_, **__):
        raise AssertionError("something was measured")

    monkeypatch.setattr("specframe.rig.measured_profile", measured)
    monkeypatch.setattr("specframe.costs.measure.measured_profile", measured)
    return tmp_path


def refused(monkeypatch, capsys, place, arguments, told):
    before = sorted(place.rglob("*"))
    assert specframe_command(monkeypatch, *arguments) == 2
    printed = capsys.readouterr().err.strip()
    assert told in printed
    assert printed.startswith("Usage: ") or "\n" not in printed
    assert len(printed) < 2000
    assert sorted(place.rglob("*")) == before
