"""Stores: the frames of a corpus on disk, built from a manifest, read at random and in any order.

settings.py    what can be chosen about building
header.py      store.json: what the store holds, and whether it is finished
files.py       arrays written piece by piece; what to say where nothing can be written
parts.py       a part: frames of up to some thousand clips (.npy) and one row for each of them (.parquet)
decoded.py     what is known of a clip once it is decoded
decode.py      one clip from media to a spool file; runs in worker processes
versions.py    what versions decode here, which the header keeps
claim.py       whether a folder may be built in, by one process at a time
build.py       manifest -> store, in parallel, resumable
index.py       where each clip lies and its labels, as memory-mapped arrays; the fingerprint
read.py        a finished store: its clips, labels and failures
reading.py     frames of many clips at once, by a bounded pool of reads
patches.py     patch number -> clip and first frame
embeddings.py  what a network made of each patch of a store, read in the place of its patches
order.py       the computed global shuffle: step -> patch numbers
"""
