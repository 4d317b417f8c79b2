"""Errors name settings as Python does; the command line spells them as flags."""

from __future__ import annotations

from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.errors import OutputError, UsageError, setting


def test_the_subject_is_the_setting_with_its_value() -> None:
    error = UsageError("out of range for libx264", setting="crf", value=99.0, cure="0 to 51")
    assert str(error) == "crf=99: out of range for libx264 (0 to 51)"
    assert error.line(spell_flag) == "--crf 99: out of range for libx264 (0 to 51)"
    assert (error.setting, error.value, error.message, error.problem) == (
        "crf",
        99.0,
        "crf=99: out of range for libx264",
        "out of range for libx264",
    )


def test_flags_that_are_spelled_otherwise() -> None:
    error = UsageError("unknown", setting="mapping", value="none", cure=f"leave {setting('mapping')} out")
    assert error.line(spell_flag) == "--roi-mapping none: unknown (leave --roi-mapping out)"
    cure = f"give {setting('overwrite', True)}, {setting('audio', False)} or {setting('gpus', (0, 1))}"
    assert OutputError("a.mp4: exists", cure=cure).line(spell_flag) == "a.mp4: exists (give --overwrite, --no-audio or --gpu 0,1)"
    assert str(OutputError("a.mp4: exists", cure=cure)) == "a.mp4: exists (give overwrite=True, audio=False or gpus=0,1)"


def test_a_file_name_is_never_taken_for_a_setting() -> None:
    error = OutputError("`crf`={crf}.mp4: exists", cure=f"give {setting('output')} another path")
    assert error.line(spell_flag) == "`crf`={crf}.mp4: exists (give --output another path)"


def test_json_of_an_error() -> None:
    error = UsageError("out of range", setting="offset", value=13, cure="-12 to 12", evidence={"asked": 13})
    assert error.to_json(spell_flag) == {
        "kind": "usage",
        "message": "--saliency-offset 13: out of range",
        "cure": "-12 to 12",
        "exit_code": 64,
        "asked": 13,
    }
