"""The console: web pages for people, below /console.

A face like the others, and the thinnest: each page asks the operations of our own API (`api.routes`) in this process,
as the person who is signed in, and shows the answers. It decides nothing and keeps nothing but sessions. Pages are made
on the server; scripts only make them livelier. Design: docs/console.md.
"""
