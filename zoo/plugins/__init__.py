"""Plugins: found by metadata, surveyed one by one in child processes, checked at the door.

::

    selection       which plugins may come in, and what keeps one out
    distributions   installed distributions that offer something      → Source
    requirements    whether what a plugin requires is installed: by metadata
    child           one plugin, imported and asked in its own process → record (JSON types)
    door            what a plugin may bring in                        → complaints
    children        runs those processes: time limit, captured output
    guard           what a plugin's code must leave as it was in our process
    loader          Source → cached record, or a child's              → Offer
    basis           what an answer stands on, and whether that is as it was

A plugin that raises, exits, crashes, hangs or prints costs nobody else anything: it becomes a
`Problem` that every command shows, and all other plugins work. pluggy's own
`load_setuptools_entrypoints` is never used, because one ImportError there ends the command line.
"""
