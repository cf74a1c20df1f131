"""Label sets and subsets of a manifest, as the paper's experiments need them.

`relabelling`: rules, `ontology` ancestors, the most frequent labels. `nested`: random subsets that lie in one another.
`balanced`: an evaluation set with so many clips of every label, near the smallest there is (`cover`, `prices`).
`splits`: parts and folds that keep groups on one side and labels even (`dealing`). All see a manifest's labels as
numbers (`incidence`) and draw by hashes (`draws`), so that nothing depends on the order of its rows.
"""
