"""Where things are kept: tables and connections. The only room that knows which database it is.

`tables` describes, `control` and `directories` connect, `ddl` makes directory files for processes that must not load
`sqlite3`, `errors` writes a run's errors in bulk, `release` says what such processes must know of the tables.
"""
