"""What users take away of tracks, in the files of the tools that they use."""
