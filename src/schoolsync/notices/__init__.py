"""Notices: a webhook call and a mail when the condition of a profile changes, and at no other time.

`conditions` says what a profile's condition is and what a change of it is called, `outbox` keeps what is to be sent
in the database, `webhooks` and `mail` send it, `teller` does both over and over beside a worker. No notice holds
anything of a person: ids, numbers and the name of the profile.
"""
