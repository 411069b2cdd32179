"""xit: does training on an English intermediate task improve zero-shot cross-lingual transfer?

    config    what a run is: a path such as "mnli > xnli", a scale, a seed
    tasks     every intermediate and target task, declared once, pinned by commit
    data      rows of the hub, of a mirror or of the micro-world -> encoded batches
    model     an XLM-R encoder and one head per task; the head is dropped between stages
    train     one explicit loop; checkpoints keyed by what they were trained on
    evaluate  zero-shot scores in every language, and the run's row in the ledger
    results   the ledger: one JSON a finished run, written once
    claims    22 claims, their estimates, intervals and verdicts
    plots     figures of the book

The modules of the second half (results, claims, plots) never import torch: the book builds on any laptop.
"""
