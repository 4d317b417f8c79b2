"""Fuzzing of the command line: damaged inputs and faults, run in child processes and judged without the program's own code.

``nursery`` makes small intact inputs; ``make_source``, ``make_playlist``, ``make_sidecar``, ``make_model``, ``make_options`` and
``make_fault`` make cases of them; ``launch`` runs the program, ``facts`` describes files with PyAV and ffmpeg, ``oracle`` judges,
``worker`` runs cases one by one, ``campaign`` keeps several workers busy and ``summary`` prints the table. docs/security.md has the
use.
"""
