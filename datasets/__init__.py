"""Generated video, clips on disk, MOTChallenge folders, video in and out."""
