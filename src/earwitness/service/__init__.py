"""The service behind `earwitness serve`: a model over HTTP, and a page in the browser.

An upload takes this way, and every step of it has a limit:

guard        who may ask at all: Host, Origin, key; and every answer's headers
admission    how many may be in the house at a time; the others hear "busy"
uploads      the body into an unnamed temporary file: its size, its pace
decoding     the file to frames, in a process of its own: memory, time, length of the sound
listening    frames to scores, by the model, one upload after the other
answers      scores to what is sent back
sending      that to the client, as fast as it takes it

`api` joins them; `serving` runs them; `page/` is what the browser is given. Needs the extra `serve`.
"""
