"""Stores: the frames of a corpus, built from a manifest, looked after, read at random and in any order.

settings.py        what can be chosen about building
failure_budget.py  how many clips may fail before a build stops
header.py          store.json: what the store holds, and whether it is finished
files.py           arrays written piece by piece; what to say where nothing can be written
tables.py          Parquet with checksums
parts.py           a part: frames of up to some thousand clips (.npy) and one row for each of them (.parquet)
kept_manifest.py   the manifest as a store keeps it
difference.py      how two manifests differ, in words
versions.py        what versions decode here, which the header keeps
claim.py           whether a folder may be built in, by one process at a time
lease.py           the same where the folder lies behind a URL

decoded.py         what is known of a clip once it is decoded
decode.py          one clip from media to a spool file; runs in worker processes
part_jobs.py       the seam: a part to be made, and what an engine is that makes it
local.py           the engine of one machine
cluster.py         the engine of a Ray cluster
complete.py        missing parts, index, failures, header: what every building and changing ends in
build.py           manifest -> store, resumable

retry.py           clips that failed, tried again
append.py          more clips
drop.py            clips taken out
merge.py           several stores made one; one store compacted
verify.py          held against checksums, and what is damaged marked

index.py           where each clip lies and its labels, as memory-mapped arrays; the fingerprint
read.py            a finished store: its clips, labels and failures
reading.py         frames of many clips at once, by a bounded pool of reads
remote_frames.py   the same behind a URL, by ranged requests
patches.py         patch number -> clip and first frame
embeddings.py      what a network made of each patch of a store, read in the place of its patches
order.py           the computed global shuffle: step -> patch numbers
balanced_order.py  the same, with rare labels seen more often
"""
