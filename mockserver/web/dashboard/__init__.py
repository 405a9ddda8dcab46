"""The dashboard at `/_mock/`: what a person sees of a world, in the browser.

`routes.py` serves the files of `static/` and the addresses they ask; `feed.py` says what is new, for the push channel;
`show.py` tells one thing wholly; `judged.py` what an exchange breaks. Only looks; changes go through the control API.
"""
