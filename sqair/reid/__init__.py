"""Who is who, decided once more when all of a clip is known: re-identification by looks and motion.

While a clip is tracked, who comes out of a crowd is told from one frame to the next. Afterwards much more is known: how
each looked over all the time in which nobody touched it, and where it went on. ``Gallery`` keeps portraits of those that
are by themselves, tracks are cut into tracklets where things touch or were lost, a small network learns from the clip
itself what tells those apart that are there at the same time, and tracklets are joined by that and by how they move.
"""




