"""Synchronization profiles: what one synchronizes, whether it may, and how it is going.

`configuration` checks and keeps what a person set, `status` decides what may be written about the work, `service`
does both in one transaction each, `housekeeping` moves states that move by themselves. Nothing here knows HTTP.
"""
