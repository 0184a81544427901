"""What a roster is: canonical tables, the rules they must keep, the findings when they do not.

Pure: works on the tables of a DuckDB connection it is given, and knows no file, clock or network. `tables` says what
there is, `rules` what must hold, `findings` how a broken rule is told.
"""
