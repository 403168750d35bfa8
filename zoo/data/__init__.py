"""The data room: from files on disk to arrays of bytes, by numpy and Pillow alone.

In walking order::

    dataset     what --data names → Dataset: rows, their splits and content hashes; the way in
    table       a folder, a train/val tree or a CSV/Parquet file → Table of (path, label, split)
      rows        what a Table is, and what every Table must hold (two classes, a training part)
      walk        the image files below a folder, in one order on every machine
      listing     CSV and Parquet
    split       which row validates, by content hash; duplicates, conflicts and leaks by name
      hashes    a file's hash, remembered for as long as the file is unchanged
    decode      a file → one upright RGB picture, by one rule for every mode
      jpeg        JPEGs without Pillow, where that gives the same bytes
    preprocess  a picture → a backbone's pixels
    canvas      a picture → the canvas that crops come from
    ingest      every file decoded once, in limited child processes, into memory-mapped arrays
      pool, worker   the two ends of the pipe to such a child
      packs, scratch  those arrays: kept for later runs, or this process's own
      shelves   where a data set's are kept, and which of them there is no room for
      sealed    logs in which damage shows: which rows are kept, and which hashes known
      crc       what is kept is compared before it is used
      stream    and the rows that there is no room for: decoded anew whenever they are needed
    draws       random numbers as a pure function of (seed, stream, counters)
    augment     random views of a canvas, drawn by `draws`
    demo        a small labelled picture set, drawn into the cache

Nothing here imports torch, nothing writes into the user's folder, and nothing depends on locale,
file-system order, number of processes or batch size.
"""
