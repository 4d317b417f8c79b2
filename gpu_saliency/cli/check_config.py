"""Checks a config file as ``encode`` would: names, types, and values that are right for no clip."""

from __future__ import annotations

from gpu_saliency.cli.config_options import known_options, merged
from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.config.file import Config, tables_for
from gpu_saliency.errors import GpuSaliencyError, UsageError

_COMMAND = "encode"
"""Its options contain most of those of the other commands."""


def check_config(config: Config) -> None:
    """Raise `UsageError` for the first mistake in ``config``, with its line."""
    from gpu_saliency.batch.job import JobSpec
    from gpu_saliency.cli.batch_options import job_option_names
    from gpu_saliency.cli.batch_worker import check_job

    known, names = known_options(), job_option_names()
    config.check(known)
    for profile in (None, *config.profiles):
        settings = merged(config.settings(_COMMAND, profile, known), ())
        words = {name: value if value is True else str(value) for name, value in settings.items() if value is not False}
        try:
            check_job(JobSpec("source", "output.mp4", {name: word for name, word in words.items() if name in names}))
        except GpuSaliencyError as error:
            message, cure = error.worded(spell_flag)
            key = "" if error.setting is None else spell_flag(error.setting, None).removeprefix("--")
            raise UsageError(f"{config.place(tables_for(_COMMAND, profile), key)}: {message}", cure=cure) from error
