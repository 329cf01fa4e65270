"""A campaign against the promises: nothing lost, nothing doubled, nothing back, whatever happens.

A round is a memory on a random way (see `tests.paths`), lived by one process after the other, on
PostgreSQL also by two at once. Each does random things: it remembers in the fore- and background,
repeats keys, changes, deletes, forgets, imports, puts items, writes transcripts, saves as a crew
does. Meanwhile a random part stumbles, or takes longer than a delivery may, a key is pressed, the
clock jumps, the disk is full, or the process is killed: where a part is reached, or at any moment.

In the end a process in which nothing happens opens the memory, and all that it holds is compared
with what must be there: `expected` keeps account of it, call by call. A call that was cut off may
have got through or not, but not in part. Then the files are looked at themselves.

    make campaign                        a long run, with a table of figures (ROUNDS=200)
    python -m tests.campaign --seed 7    one round again, told step by step

A seed decides what is done and what happens; the threads of the memory decide the rest, so a round
that failed may have to be run several times until it fails again: `--times 20`.

    life.py       the process that lives, and what can happen to it
    expected.py   what must be there. Pure
    round.py      one round: what is asked of whom, and the comparison in the end
    __main__.py   many rounds, side by side, and the figures
    test_campaign.py   a short run in the suite
"""
