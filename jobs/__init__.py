"""The commands. Some import libraries that call home before they import `distributed`: this comes first."""

from contextlib import suppress

# Another package of that name is reported by jobs.cli.checkout, in one line.
with suppress(ImportError):
    from distributed.runtime.offline import switch_off

    switch_off()
