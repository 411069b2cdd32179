"""xit: does training on an English intermediate task improve zero-shot cross-lingual transfer?

The rooms are layers, top to bottom; an import never goes up (tests/test_package.py).

    cli       the shell's door: the command xit
    bench     speed beside Trainer and faiss
    run       how runs are executed: a notebook, a study, a budget, a cluster
    phases    the notebooks' door: the three phases of the study
    report    what follows from the ledger: verdicts, figures, pages
    score     what an evaluation does with a model
    model     encoder, heads, methods, batches, the training loop
    metrics   predictions to published scores
    ledger    what was found, written once
    data      rows to checked examples
    micro     the micro-world of constructed languages
    design    what is asked: worlds, encoders, scales, tasks, runs, studies
    machine   folders, files, locks, environment

Only model, score, phases and bench import torch: the book builds on any laptop.
"""
