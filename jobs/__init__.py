"""The commands. Some import libraries that call home before they import `distributed`: this comes first."""

from contextlib import suppress

# Another package of that name is told of by jobs.shadowing, in one line.
with suppress(ImportError):
    from distributed.offline import switch_off

    switch_off()
