"""One synchronization as a durable piece of work: asked for, checkpointed, held, resumed, ended.

`service` is what faces call, `workflow` what the worker runs, `stages` what the engine does (`checking` its beginning),
`journal` what is written down about it (`records` the rows, `sentences` the words), `worker` and `engine` the
processes. Nothing here knows HTTP; nothing here decides what changes (that is `plan`).
"""
