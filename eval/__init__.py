"""MOT scores, HOTA, the floor tracker, reports."""
