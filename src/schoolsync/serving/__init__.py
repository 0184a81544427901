"""`schoolsync serve`: the supervisor and the API process, where services and faces are put together.

Nothing imports this room but the command line. The worker and the engine, which have no face, live in `runs`.
"""
