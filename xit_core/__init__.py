"""xit: does training on an English intermediate task improve zero-shot cross-lingual transfer?

    config    what a run is: a path such as "mnli > xnli", a scale, a seed
    tasks     every intermediate and target task, declared once, pinned by commit
    sources   rows as they are stored: the hub at a pinned commit, a mirror, a folder of the user's, in any of
        the formats
    parcel    a small mirror of what a scale's study reads, to be carried to another machine
    data      rows -> checked and counted examples -> encoded batches
    model     an XLM-R encoder and one head per task; the head is dropped between stages
    packed    sequences one after the other without padding, and attention within each
    corpus    text to pretrain on, without anything an evaluation set holds; pretrain makes an encoder of it
    train     one explicit loop; checkpoints keyed by what they were trained on
    evaluate  zero-shot scores in every language; retrieval compares the encoder's sentence vectors themselves
    protocols every published definition of a score, under its own name, over the same predictions
    results   the ledger: one JSON a finished run, written once; files are written whole and checked when they
        are read
    environment  what surrounds a process and must not reach a number; provenance says which code made one
    claims    22 claims, their estimates, intervals and verdicts
    plots     figures of the book

The modules of the second half (protocols, results, claims, plots) never import torch: the book builds on any
laptop.
"""
