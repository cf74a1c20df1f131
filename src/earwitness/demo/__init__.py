"""The demo: the main job on a small made corpus, and the page that shows what came of it.

`settings`: what is made and learnt; `stages`: the work, taken up where it was left; `record`: what was done and how
long it took; `showing`: the clips, pictures and words of the page.
"""
