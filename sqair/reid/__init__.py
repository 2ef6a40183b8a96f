"""Who is who, decided once more when all of a clip is known: re-identification by looks and motion.

While a clip is tracked, who comes out of a crowd is told from one frame to the next. Afterwards much more is known: how
each looked in all the time in which nobody touched it, and where it went on. ``gallery`` keeps portraits of those that
are by themselves; ``tracklets`` cuts tracks where things touch; ``embedding`` learns from the clip itself what tells
those apart that are there at the same time; ``linking`` joins tracklets by that and by how they move; and ``renaming``
gives every row the id of its individual.
"""
